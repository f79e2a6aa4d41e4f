use super::*;
use crate::{
    key::{Key, Run},
    slot::{Age, time_of},
};
use proptest::prelude::*;
use proto::{
    BroadcastId, ClientId, EdgeId, NodeId, ServiceId, SessionId, StreamId, TokenId, UserId,
    internal::Credential,
    secret::ClusterSecret,
    session::{EndReason, Known, Protocol, Role, Session},
};
use std::net::IpAddr;

fn keys(secret: &str) -> Keys {
    Keys::new(&Keyring { current: ClusterSecret::from_setting(secret), previous: None })
}

fn origin(name: &str) -> Origin {
    Origin { control: ControlId::parse(name).unwrap(), incarnation: 7 }
}

const SENT_MS: u64 = 1_790_000_000_123;

prop_compose! {
    fn names()(node in "[a-z0-9-]{1,32}", service in "[a-z0-9]{1,32}", client in "[a-zA-Z0-9_]{1,32}", stream in "[a-zA-Z0-9_-]{1,64}",
        edge in proptest::option::of("[a-z0-9-]{1,24}")) -> (NodeId, ServiceId, ClientId, StreamId, Option<EdgeId>) {
        (NodeId::parse(&node).unwrap(), ServiceId::parse(&service).unwrap(), ClientId::parse(&client).unwrap(),
         StreamId::parse(&stream).unwrap(), edge.map(|edge| EdgeId::parse(&edge).unwrap()))
    }
}

fn credentials() -> impl Strategy<Value = Option<Credential>> {
    prop_oneof![
        Just(None),
        Just(Some(Credential::Open)),
        any::<[u8; 16]>().prop_map(|jti| Some(Credential::Token { jti: TokenId::from_bytes(jti) })),
        "[0-9a-f]{64}".prop_map(|hash| Some(Credential::StreamKey { hash })),
    ]
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Webrtc, Protocol::Rtmp, Protocol::Srt, Protocol::Hls, Protocol::HttpFlv])
}

fn reasons() -> impl Strategy<Value = EndReason> {
    use EndReason as E;
    prop::sample::select(vec![
        E::ClientLeft,
        E::Kicked,
        E::TakenOver,
        E::Revoked,
        E::NodeLost,
        E::StreamMoved,
        E::Reconciled,
    ])
}

prop_compose! {
    fn knowns()((node, service, client_id, stream, edge) in names(), id: [u8; 16], publishes: bool, protocol in protocols(),
        ip: Option<IpAddr>, epoch: u64, broadcast: Option<[u8; 16]>, opened_ms in 0_u64..4_000_000_000_000, owner: Option<[u8; 16]>,
        credential in credentials()) -> Known {
        let session = Session { id: SessionId::from_bytes(id), stream, role: if publishes { Role::Publish } else { Role::Play }, protocol, node, service,
            client_id, edge, ip, epoch, broadcast: broadcast.map(BroadcastId::from_bytes), opened_at: time_of(opened_ms), closed_at: None, reason: None };
        Known { session, owner: owner.map(UserId::from_bytes), credential }
    }
}

fn values() -> impl Strategy<Value = Value> {
    let age = || (any::<u16>(), any::<u16>()).prop_map(|(era, turn)| Age { era, turn });
    prop_oneof![
        4 => (age(), any::<u16>(), knowns()).prop_map(|(age, term, known)| Value::Open { age, term, known: Box::new(known) }),
        2 => (age(), any::<u16>(), knowns(), reasons(), 0_u64..1 << 45, any::<u64>()).prop_map(|(age, term, known, reason, closed_ms, ago_ms)|
            Value::Closed { key: Key::of(&known.session), age, term, reason, closed_ms, ago_ms }),
        1 => (any::<u16>(), any::<u16>(), knowns(), 0_u64..1 << 45, any::<u64>()).prop_map(|(era, term, known, at_ms, ago_ms)|
            Value::Lost { run: Key::of(&known.session).run, era, term, at_ms, ago_ms }),
    ]
}

fn parts(values: &[Value]) -> Vec<u8> {
    let mut writer = PartsWriter::new(SENT_MS);
    writer.begin(3);
    for (seq, value) in (5_u64..).step_by(2).zip(values) {
        writer.entry(seq, value);
    }
    writer.end(&origin("c-b"), 3, 1_000);
    writer.seal(&keys("k"), &origin("c-a"), None, (9, true))
}

proptest! {
    #[test]
    fn changes_round_trip(values in proptest::collection::vec(values(), 0..20)) {
        let bytes = parts(&values);
        prop_assert!(bytes.len() <= MESSAGE_BYTES_MAX);
        let message = open(&keys("k"), &bytes).unwrap();
        let Body::Parts { answers, last, sections } = message.body else { panic!("another kind") };
        prop_assert_eq!((answers, last, sections.len(), message.sent_ms), (9, true, 1, SENT_MS));
        let section = &sections[0];
        prop_assert_eq!((&section.origin, section.after, section.upto), (&origin("c-b"), 3, 1_000));
        let read: Vec<Value> = section.entries.iter().map(|(_, value)| value.clone()).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn an_entry_never_outgrows_its_bound(value in values()) {
        let (mut out, mut names) = (Vec::new(), Names::default());
        entry::write(&mut out, &mut names, &value, 0);
        prop_assert!(out.len() + names.len() <= ENTRY_BYTES_MAX);
    }

    #[test]
    fn what_is_changed_by_one_bit_is_a_strangers(values in proptest::collection::vec(values(), 1..4), at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = parts(&values);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(open(&keys("k"), &bytes), Err(Error::Stranger));
    }

    #[test]
    fn what_is_cut_is_refused(values in proptest::collection::vec(values(), 1..4), at: prop::sample::Index) {
        let bytes = parts(&values);
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(matches!(open(&keys("k"), cut), Err(Error::Stranger | Error::Damaged)));
    }

    #[test]
    fn a_damaged_body_under_a_right_seal_never_panics(values in proptest::collection::vec(values(), 1..4), kind in 0_u8..5, flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        // The secret's holder may have a fault too: the seal is right, what is under it is not.
        let whole = parts(&values);
        let head = 2 + 8 + 1 + 3 + 8 + 1 + 1;
        let mut body = whole[head..whole.len() - SEAL_BYTES].to_vec();
        for (at, byte) in flips {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let bytes = sealed(&keys("k"), &origin("c-a"), None, SENT_MS, kind, &body);
        if let Ok(Message { body: Body::Parts { sections, .. }, .. }) = open(&keys("k"), &bytes) {
            prop_assert!(sections.iter().all(|s| s.entries.iter().all(|(seq, _)| *seq > s.after && *seq <= s.upto && s.upto <= SEQ_MAX)));
        }
    }

    #[test]
    fn garbage_is_refused(bytes: Vec<u8>) {
        prop_assert!(open(&keys("k"), &bytes).is_err());
    }
}

#[test]
fn vectors_and_wishes_round_trip() {
    let vector =
        vec![(origin("c-a"), Have { upto: 1, top: 9, held: 3, mark: 77 }), (origin("c-b"), Have::all(SEQ_MAX))];
    let told = Beacon { asks: true, leaves: true, digest: 5, open: 1_000_000, vector };
    let message = open(&keys("k"), &beacon(&keys("k"), &origin("c-a"), SENT_MS, &told)).unwrap();
    assert_eq!((message.body, message.to), (Body::Beacon(told), None));
    let wants = vec![Want { origin: origin("c-b"), after: 3, to: u64::MAX }];
    let to = ControlId::parse("c-b").unwrap();
    let message = open(&keys("k"), &want(&keys("k"), &origin("c-a"), &to, SENT_MS, 4, &wants)).unwrap();
    assert_eq!((message.body, message.to), (Body::Want { id: 4, wants }, Some(to)));
}

fn with_head(format: u8, needs: u8, kind: u8) -> Vec<u8> {
    let mut bytes = sealed(&keys("k"), &origin("c-a"), None, SENT_MS, kind, &[]);
    bytes.truncate(bytes.len() - SEAL_BYTES);
    bytes[0] = format;
    bytes[1] = needs;
    let seal = Keys::seal(&keys("k").current, &bytes);
    bytes.extend_from_slice(&seal);
    bytes
}

#[test]
fn other_formats_are_told_apart() {
    let read = |bytes: &[u8]| open(&keys("k"), bytes).unwrap_err();
    assert_eq!(read(&with_head(0, 0, BEACON)), Error::TooOld { got: 0 });
    assert_eq!(read(&with_head(9, 2, BEACON)), Error::TooNew { needs: 2 });
    assert_eq!(read(&with_head(9, 1, 77)), Error::UnknownKind { kind: 77 }, "a newer sender that we can read");
    assert_eq!(read(&with_head(1, 1, BEACON)), Error::Damaged, "no body");
    assert_eq!(
        read(&vec![0; MESSAGE_BYTES_MAX + 1]),
        Error::TooLong { got: MESSAGE_BYTES_MAX + 1, limit: MESSAGE_BYTES_MAX }
    );
}

#[test]
fn a_rotation_of_the_secret_loses_no_message() {
    let bytes = beacon(&keys("old"), &origin("c-a"), SENT_MS, &Beacon::default());
    let both =
        Keyring { current: ClusterSecret::from_setting("new"), previous: Some(ClusterSecret::from_setting("old")) };
    assert!(open(&Keys::new(&both), &bytes).is_ok());
    assert_eq!(open(&keys("new"), &bytes), Err(Error::Stranger));
    assert_eq!(format!("{:?}", Keys::new(&both)), "Keys(..)");
}

#[test]
fn what_a_newer_version_adds_is_skipped() {
    // An entry of an unknown kind, and a known one with a field more at its end.
    let run = Run::Edge(EdgeId::parse("e-1").unwrap());
    let value = Value::Lost { run, era: 1, term: 0, at_ms: SENT_MS, ago_ms: 4 };
    let mut names = Names::default();
    let mut known = Vec::new();
    entry::write(&mut known, &mut names, &value, SENT_MS);
    known[1] += 2;
    known.extend_from_slice(b"xy");
    let mut body = vec![0, 0];
    names.write(&mut body);
    body.push(1);
    write_origin(&mut body, &origin("c-a"));
    body.extend_from_slice(&[0, 2, 2]);
    body.extend_from_slice(&[1, 200, 3, 1, 2, 3]);
    body.push(1);
    body.extend_from_slice(&known);
    let message = open(&keys("k"), &sealed(&keys("k"), &origin("c-a"), None, SENT_MS, PARTS, &body)).unwrap();
    let Body::Parts { sections, .. } = message.body else { panic!("another kind") };
    assert_eq!(sections[0].entries, [(2, value)]);
}

#[test]
fn golden_bytes() {
    let value = Value::Closed {
        key: Key::new(NodeId::parse("n0").unwrap(), ServiceId::parse("s").unwrap(), ClientId::parse("c1").unwrap()),
        age: Age { era: 0, turn: 1 },
        term: 0,
        reason: EndReason::Kicked,
        closed_ms: SENT_MS - 1,
        ago_ms: 1,
    };
    let bytes = parts(&[value]);
    let text = hex(&bytes[..bytes.len() - SEAL_BYTES]);
    assert_eq!(
        text,
        concat!(
            // formats, time, sender and its life, nobody in particular, kind
            "0101000001a0c4506c7b03632d61000000000000000700",
            "03",
            // the answer to 9, the last one; two names; one section of c-b, after 3, 997 numbers, one entry
            "0901",
            "02026e300173",
            "01",
            "03632d6207",
            "03",
            "e507",
            "01",
            // the second number; an end of 11 bytes
            "02",
            "020b",
            "000100",
            "0001",
            "026331",
            "01",
            "0301",
        )
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
