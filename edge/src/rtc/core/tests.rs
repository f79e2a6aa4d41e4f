use super::{
    budget::{Bucket, PER_SOURCE},
    paths::SILENT,
    *,
};
use proptest::prelude::*;
use proto::{
    NodeId, SessionId,
    ice::{self, NodeTag},
    wire::stun::{Class, IntegrityKey, Writer, kind},
};
use std::net::SocketAddr;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn udp(text: &str) -> Path {
    Path { peer: Peer::Udp(at(text)), local: None }
}

fn s(seconds: u64) -> Mono {
    Mono::from_secs(seconds)
}

fn node() -> NodeId {
    NodeId::parse("node-1").unwrap()
}

fn session() -> SessionId {
    SessionId::from_bytes([7; 16])
}

fn check(username: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = Writer::binding(Class::Request, &[1; 12], &mut bytes).attribute(kind::USERNAME, username.as_bytes());
    writer.integrity(&IntegrityKey::new("0123456789012345678901")).fingerprint();
    bytes
}

fn username() -> String {
    format!("{}:peer", ice::ufrag(&node(), &session()))
}

fn verdict(gate: &mut Gate<u8>, from: &str, datagram: &[u8]) -> Result<Option<u8>, Drop> {
    match gate.look(s(1), at(from), datagram) {
        Look::Pass(session) => Ok(Some(*session)),
        Look::Check(_) => Ok(None),
        Look::Drop(why) => Err(why),
    }
}

const RTP: [u8; 13] = [0x80, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 4];

#[test]
fn a_stranger_gets_no_further_than_a_check_of_a_ufrag_that_edges_make() {
    let mut gate = Gate::new(1);
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &RTP), Err(Drop::Stranger));
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &check("evtj:h6vY")), Err(Drop::Ufrag));
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &check("no colon")), Err(Drop::Ufrag));
    let mut cut = check(&username());
    cut.truncate(40);
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &cut), Err(Drop::Malformed));
    let mut answer = Vec::new();
    proto::wire::stun::binding_success(&[1; 12], at("192.0.2.1:1"), &IntegrityKey::new("x"), &mut answer);
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &answer), Err(Drop::Stranger));
    let bytes = check(&username());
    match gate.look(s(1), at("192.0.2.1:1"), &bytes) {
        Look::Check(check) => {
            assert_eq!((check.node, check.session), (NodeTag::of(&node()), session()));
            assert_eq!(Some((check.ufrag, "peer")), username().split_once(':'));
        }
        other @ (Look::Pass(_) | Look::Drop(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_known_address_passes_everything_but_checks() {
    let mut gate = Gate::new(1);
    assert!(gate.learn(at("192.0.2.1:1"), 9));
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &RTP), Ok(Some(9)));
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &[22, 254, 253]), Ok(Some(9)), "DTLS");
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &check(&username())), Ok(None), "a check must prove itself again");
    assert_eq!(verdict(&mut gate, "192.0.2.1:2", &RTP), Err(Drop::Stranger), "another port is another client");
    gate.forget(at("192.0.2.1:1"));
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &RTP), Err(Drop::Stranger));
}

#[test]
fn a_source_that_floods_is_dropped_unread_and_the_known_are_not() {
    let mut gate = Gate::new(1);
    gate.learn(at("192.0.2.1:1"), 9);
    for _ in 0..PER_SOURCE {
        assert_eq!(verdict(&mut gate, "192.0.2.1:2", &check(&username())), Ok(None));
    }
    assert_eq!(verdict(&mut gate, "192.0.2.1:3", &check(&username())), Err(Drop::Budget), "ports share a budget");
    assert_eq!(verdict(&mut gate, "192.0.2.1:1", &RTP), Ok(Some(9)));
    assert_eq!(verdict(&mut gate, "192.0.2.2:1", &check(&username())), Ok(None), "another source");
    let later = check(&username());
    assert!(matches!(gate.look(s(2), at("192.0.2.1:3"), &later), Look::Check(_)), "the next second");
}

#[test]
fn an_ipv6_subnet_is_one_source() {
    let mut budget = Budget::new(3);
    let take = |budget: &mut Budget, ip: &str| budget.take(s(1), ip.parse().unwrap());
    for _ in 0..PER_SOURCE {
        assert!(take(&mut budget, "2001:db8:1:2::1"));
    }
    assert!(!take(&mut budget, "2001:db8:1:2:ffff::9"));
    assert!(take(&mut budget, "2001:db8:1:3::1"));
    assert!(take(&mut budget, "::ffff:192.0.2.9") && take(&mut budget, "192.0.2.9"));
}

#[test]
fn a_bucket_is_full_again_each_second() {
    let mut bucket = Bucket::new(2);
    assert_eq!([bucket.take(s(5)), bucket.take(s(5)), bucket.take(s(5))], [true, true, false]);
    assert_eq!([bucket.take(s(6)), bucket.take(s(6)), bucket.take(s(6))], [true, true, false]);
}

#[test]
fn media_goes_to_the_first_path_until_another_is_nominated() {
    let mut paths = Paths::new(s(0));
    assert_eq!(paths.chosen(), None);
    let (wifi, cable) = (udp("192.0.2.1:1"), udp("192.0.2.2:2"));
    assert_eq!(paths.check(s(1), wifi, [1; 12], false), Checked { fresh: true, evicted: None, moved: false });
    assert_eq!(paths.check(s(1), cable, [2; 12], false), Checked { fresh: true, evicted: None, moved: false });
    assert_eq!(paths.chosen(), Some(wifi), "checking a second path moves nothing");
    assert_eq!(paths.check(s(1), cable, [3; 12], true), Checked { fresh: false, evicted: None, moved: true });
    assert_eq!(paths.chosen(), Some(cable));
    // A browser goes on pinging the path it does not use.
    assert!(!paths.check(s(2), wifi, [4; 12], false).moved);
    assert_eq!(paths.chosen(), Some(cable));
}

#[test]
fn each_answer_goes_to_where_its_check_came_from_and_once() {
    let mut paths = Paths::new(s(0));
    let (wifi, cable) = (udp("192.0.2.1:1"), udp("192.0.2.2:2"));
    paths.check(s(1), wifi, [1; 12], true);
    paths.check(s(1), cable, [2; 12], false);
    assert_eq!(paths.answered(&[2; 12]), Some(cable));
    assert_eq!(paths.answered(&[1; 12]), Some(wifi));
    assert_eq!(paths.answered(&[1; 12]), None);
    assert_eq!(paths.answered(&[9; 12]), None, "nobody asked");
}

#[test]
fn a_client_that_roams_without_nominating_is_followed_once_the_old_path_is_silent() {
    let mut paths = Paths::new(s(0));
    let (wifi, mobile) = (udp("192.0.2.1:1"), udp("198.51.100.7:7"));
    paths.check(s(1), wifi, [1; 12], true);
    paths.heard(s(5), wifi.peer);
    assert!(!paths.check(s(5) + SILENT / 2, mobile, [2; 12], false).moved);
    assert!(paths.check(s(5) + SILENT, mobile, [3; 12], false).moved);
    assert_eq!(paths.chosen(), Some(mobile));
}

#[test]
fn a_seventh_path_takes_the_place_of_the_longest_silent_one_and_never_of_the_chosen() {
    let mut paths = Paths::new(s(0));
    let chosen = udp("192.0.2.1:1");
    paths.check(s(0), chosen, [1; 12], true);
    for port in 2..=6 {
        let checked = paths.check(s(1), udp(&format!("192.0.2.1:{port}")), [2; 12], false);
        assert_eq!(checked.evicted, None);
        paths.heard(s(1), chosen.peer);
    }
    paths.heard(s(2), udp("192.0.2.1:2").peer);
    let checked = paths.check(s(2), udp("192.0.2.1:7"), [3; 12], false);
    assert_eq!(checked.evicted, Some(udp("192.0.2.1:3")));
    assert_eq!(paths.chosen(), Some(chosen));
}

#[test]
fn a_closed_connection_gives_media_to_another_path() {
    let mut paths = Paths::new(s(0));
    let tcp = Path { peer: Peer::Tcp(5, at("192.0.2.1:9")), local: None };
    paths.check(s(1), udp("192.0.2.1:1"), [1; 12], false);
    paths.check(s(1), tcp, [2; 12], true);
    assert_eq!(paths.chosen(), Some(tcp));
    paths.lost(tcp.peer);
    assert_eq!(paths.chosen(), Some(udp("192.0.2.1:1")));
    assert_eq!(paths.answered(&[2; 12]), None);
    paths.lost(udp("192.0.2.1:1").peer);
    assert_eq!(paths.chosen(), None);
}

#[test]
fn a_silent_client_expires() {
    let mut paths = Paths::new(s(10));
    assert!(!paths.expired(s(39)) && paths.expired(s(40)), "one that never came, too");
    paths.heard(s(20), udp("192.0.2.1:1").peer);
    assert!(!paths.expired(s(49)) && paths.expired(s(50)));
}

#[test]
fn a_port_waits_longer_than_srs_remembers() {
    let mut held = Quarantine::default();
    held.put(s(0), 'a');
    held.put(s(1), 'b');
    assert_eq!(held.release(s(35)), None, "SRS may take 35 s");
    assert_eq!((held.release(s(36)), held.release(s(36))), (Some('a'), None));
    assert_eq!((held.len(), held.is_empty()), (1, false));
    assert_eq!(held.release(s(37)), Some('b'));
}

proptest! {
    /// Whatever a client does, media goes to a path it proved, and no answer goes elsewhere.
    #[test]
    fn media_goes_only_to_paths_that_proved_themselves(
        steps in proptest::collection::vec((0_u8..4, 1_u16..12, any::<bool>()), 1..60),
    ) {
        let mut paths = Paths::new(s(0));
        let (mut proved, mut asked) = (Vec::new(), Vec::new());
        for (second, (what, port, nominates)) in (1..).zip(steps) {
            let path = udp(&format!("192.0.2.1:{port}"));
            let transaction = [u8::try_from(second % 256).unwrap(); 12];
            match what {
                0 => paths.heard(s(second), path.peer),
                1 => paths.lost(path.peer),
                _ => {
                    paths.check(s(second), path, transaction, nominates);
                    proved.push(path);
                    asked.push((transaction, path));
                    if nominates {
                        prop_assert_eq!(paths.chosen(), Some(path));
                    }
                }
            }
            if what == 1 {
                proved.retain(|one| *one != path);
            }
            prop_assert!(paths.chosen().is_none_or(|chosen| proved.contains(&chosen)));
        }
        for (transaction, path) in asked {
            prop_assert!(paths.answered(&transaction).is_none_or(|to| to == path));
        }
    }
}
