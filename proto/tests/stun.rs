//! STUN against the vectors of RFC 5769, and what holds for any bytes.

use proptest::prelude::*;
use proto::wire::stun::{
    ATTRIBUTES_MAX, BINDING_SUCCESS_BYTES_MAX, Class, IntegrityKey, MESSAGE_BYTES_MAX, Message, StunError, Writer,
    binding_success, is_stun, kind,
};
use std::net::SocketAddr;

/// RFC 5769 section 2's password.
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
/// Its transaction id, in all its messages.
const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

fn vector(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/stun").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let hex: String = text.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("vectors are hexadecimal")
}

fn key() -> IntegrityKey {
    IntegrityKey::new(PASSWORD)
}

#[test]
fn a_request_is_read_and_its_signature_holds() {
    let bytes = vector("request.hex");
    assert!(is_stun(&bytes));
    let message = Message::parse(&bytes).unwrap();
    assert!(message.is_check() && !message.is_success() && !message.nominates());
    assert_eq!((message.class(), message.transaction()), (Class::Request, TRANSACTION));
    assert_eq!(message.ufrags(), Some(("evtj", "h6vY")));
    assert_eq!(message.verify(&key()), Ok(()));
    assert_eq!(message.verify(&IntegrityKey::new("VOkJxbRl1RmTxUk/WvJxBu")), Err(StunError::Signature));
    let kinds: Vec<u16> = message.attributes().map(|one| one.kind).collect();
    assert_eq!(
        kinds,
        [0x8022, kind::PRIORITY, kind::ICE_CONTROLLED, kind::USERNAME, kind::MESSAGE_INTEGRITY, kind::FINGERPRINT]
    );
}

#[test]
fn answers_tell_an_address_of_either_family() {
    for (name, address) in
        [("response-v4.hex", "192.0.2.1:32853"), ("response-v6.hex", "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let bytes = vector(name);
        let message = Message::parse(&bytes).unwrap();
        assert!(message.is_success());
        assert_eq!(message.mapped(), Some(address.parse().unwrap()));
        assert_eq!(message.verify(&key()), Ok(()), "{name}");
    }
}

#[test]
fn every_single_bit_counts() {
    for name in ["request.hex", "response-v4.hex"] {
        let good = vector(name);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let verdict = Message::parse(&bad).and_then(|message| message.verify(&key()));
            // Only the last attribute's number may be another one: a fingerprint is not required.
            let optional = (good.len() - 8..good.len() - 6).contains(&(bit / 8));
            assert!(verdict.is_err() || optional, "{name}: bit {bit} is not looked at");
        }
    }
}

#[test]
fn a_message_cut_anywhere_is_refused() {
    let good = vector("request.hex");
    for len in 0..good.len() {
        assert!(Message::parse(&good[..len]).is_err(), "{len}");
    }
    let mut long = good.clone();
    long.extend([0; 4]);
    assert_eq!(Message::parse(&long).unwrap_err(), StunError::Length);
}

#[test]
fn what_follows_the_signature_is_nobodys_word() {
    let mut bytes = Vec::new();
    let signed =
        Writer::binding(Class::Request, &TRANSACTION, &mut bytes).attribute(kind::USERNAME, b"a:b").integrity(&key());
    signed.attribute(kind::USE_CANDIDATE, &[]).attribute(kind::USERNAME, b"c:d").fingerprint();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.verify(&key()), Ok(()));
    assert_eq!((message.ufrags(), message.nominates()), (Some(("a", "b")), false));
    // The same before it counts.
    let both = Writer::binding(Class::Request, &TRANSACTION, &mut bytes).attribute(kind::USE_CANDIDATE, &[]);
    both.attribute(kind::USERNAME, b"a:b").attribute(kind::USERNAME, b"c:d").integrity(&key()).fingerprint();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.ufrags(), message.nominates()), (Some(("a", "b")), true));
    // Nothing may follow the fingerprint.
    let mut late = Vec::new();
    Writer::binding(Class::Request, &TRANSACTION, &mut late).integrity(&key()).fingerprint();
    late.extend([0x80, 0x22, 0, 0]);
    late[3] += 4;
    assert_eq!(Message::parse(&late).unwrap().check_fingerprint(), Err(StunError::Fingerprint));
}

#[test]
fn unsigned_is_not_the_same_as_wrongly_signed() {
    let mut bytes = Vec::new();
    Writer::binding(Class::Request, &TRANSACTION, &mut bytes).attribute(kind::USERNAME, b"a:b").fingerprint();
    assert_eq!(Message::parse(&bytes).unwrap().verify(&key()), Err(StunError::NotSigned));
    let short = Writer::binding(Class::Request, &TRANSACTION, &mut bytes).attribute(kind::MESSAGE_INTEGRITY, &[0; 19]);
    short.fingerprint();
    assert_eq!(Message::parse(&bytes).unwrap().verify(&key()), Err(StunError::NotSigned));
}

#[test]
fn attributes_have_a_limit() {
    let with = |count: usize| {
        let mut bytes = Vec::new();
        let writer = Writer::binding(Class::Request, &TRANSACTION, &mut bytes);
        (0..count).fold(writer, |writer, _| writer.attribute(0x8022, b"x")).fingerprint();
        Message::parse(&bytes).map(drop)
    };
    assert_eq!(with(ATTRIBUTES_MAX - 1), Ok(()));
    assert_eq!(with(ATTRIBUTES_MAX), Err(StunError::TooMany));
}

#[test]
fn other_protocols_on_the_port_are_told_apart() {
    for other in [&[0x16, 0xfe, 0xff, 0, 0, 0, 0, 0, 0][..], &[0x80, 0x60, 0, 1, 0, 0, 0, 0, 0], b"", &[0; 30]] {
        assert!(!is_stun(other));
        assert!(Message::parse(other).is_err());
    }
    let huge = vec![0; MESSAGE_BYTES_MAX + 1];
    assert_eq!(Message::parse(&huge).unwrap_err(), StunError::Size { got: MESSAGE_BYTES_MAX + 1 });
}

proptest! {
    #[test]
    fn an_answer_says_what_it_was_given(transaction: [u8; 12], to: SocketAddr, password in "[a-z0-9]{22,32}") {
        let key = IntegrityKey::new(&password);
        let mut bytes = Vec::new();
        binding_success(&transaction, to, &key, &mut bytes);
        prop_assert!(bytes.len() <= BINDING_SUCCESS_BYTES_MAX);
        let message = Message::parse(&bytes).unwrap();
        prop_assert!(message.is_success());
        prop_assert_eq!(message.transaction(), transaction);
        prop_assert_eq!(message.mapped(), Some(SocketAddr::new(to.ip().to_canonical(), to.port())));
        prop_assert_eq!(message.verify(&key), Ok(()));
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), with_header: bool) {
        let mut bytes = bytes;
        if with_header && bytes.len() >= 20 {
            // Past the first checks, so that attributes are what is random.
            bytes.truncate(bytes.len() / 4 * 4);
            let len = u16::try_from(bytes.len() - 20).unwrap().to_be_bytes();
            bytes[..8].copy_from_slice(&[0, 1, len[0], len[1], 0x21, 0x12, 0xa4, 0x42]);
        }
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(is_stun(&bytes));
            prop_assert!(message.attributes().count() <= ATTRIBUTES_MAX);
            let _all_of_it = (message.ufrags(), message.mapped(), message.verify(&key()), message.check_fingerprint());
        }
    }
}
