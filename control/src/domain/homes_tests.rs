use super::*;
use proptest::prelude::*;
use proto::ClientId;

fn at(node: &str) -> ProposedNode {
    ProposedNode { node: NodeId::parse(node).unwrap(), service: ServiceId::parse("run1").unwrap() }
}

fn owner(node: &str, client: &str) -> Owner {
    Owner { node: at(node).node, service: at(node).service, client: ClientId::parse(client).unwrap() }
}

fn session(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

fn ask(number: u8) -> Ask {
    Ask { session: session(number), credential: Credential::Open, takeover: false }
}

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

fn live(node: &str, client: &str, epoch: u64) -> Home {
    let hold = Hold::Live { session: session(9), from: owner(node, client) };
    Home { node: at(node).node, service: at(node).service, epoch, hold, credential: None, owner: None }
}

fn granted(node: &str, epoch: u64) -> Provisional {
    Provisional::Granted { at: at(node), epoch }
}

#[test]
fn a_stream_goes_to_its_last_home_and_an_unknown_one_to_the_rings() {
    let mut homes = Homes::default();
    homes.learn(&cam(), live("n1", "c1", 7));
    homes.ended(&cam(), 7);
    let ring = at("n2");
    assert_eq!(homes.reserve(&cam(), &ask(1), Some(&ring), |_| true, 0), granted("n1", 8));
    assert_eq!(homes.reserve(&cam(), &ask(1), Some(&ring), |_| true, 0), granted("n1", 8), "asked twice");
    let busy = homes.reserve(&cam(), &ask(2), Some(&ring), |_| true, 0);
    assert_eq!(busy, Provisional::Busy { retry_after: RESERVATION_SECONDS });
    let later = RESERVATION_SECONDS * 1000;
    assert_eq!(homes.reserve(&cam(), &ask(2), Some(&ring), |node| *node != at("n1"), later), granted("n2", 9));
    let other = StreamId::parse("other").unwrap();
    assert_eq!(homes.reserve(&other, &ask(1), Some(&ring), |_| true, 0), granted("n2", 1));
    assert_eq!(homes.reserve(&StreamId::parse("third").unwrap(), &ask(1), None, |_| true, 0), Provisional::Nowhere);
}

#[test]
fn a_live_publisher_is_not_replaced_unless_its_run_is_over() {
    let mut homes = Homes::default();
    homes.learn(&cam(), live("n1", "c1", 7));
    let ring = at("n2");
    let refused = homes.reserve(&cam(), &ask(1), Some(&ring), |_| true, 0);
    assert_eq!(refused, Provisional::Busy { retry_after: RETRY_AFTER_SECONDS });
    assert_eq!(homes.reserve(&cam(), &ask(1), Some(&ring), |node| *node != at("n1"), 0), granted("n2", 8));
}

#[test]
fn a_ticket_confirms_what_any_control_node_reserved() {
    let mut homes = Homes::default();
    assert_eq!(homes.confirm(&cam(), session(1), 4, &owner("n1", "c1"), false), Ok(4), "reserved elsewhere");
    assert_eq!(homes.confirm(&cam(), session(1), 4, &owner("n1", "c1"), true), Ok(4), "the same hook again");
    assert_eq!(homes.confirm(&cam(), session(1), 4, &owner("n1", "c2"), false), Err(Refusal::OtherClient));
    assert_eq!(homes.confirm(&cam(), session(2), 4, &owner("n1", "c2"), false), Err(Refusal::NotReserved));
    assert_eq!(homes.end(&owner("n1", "c2"), Some(&cam())), []);
    assert_eq!(homes.end(&owner("n1", "c1"), Some(&cam())), [(cam(), session(1), 4)]);
    assert_eq!(homes.confirm(&cam(), session(1), 4, &owner("n1", "c1"), true), Ok(5), "on its own connection");
    assert_eq!(homes.end(&owner("n1", "c1"), None), [(cam(), session(1), 5)]);
    assert_eq!(homes.confirm(&cam(), session(1), 4, &owner("n1", "c1"), true), Err(Refusal::NotReserved));
    assert_eq!(
        homes.confirm(&cam(), session(3), 3, &owner("n1", "c3"), false),
        Err(Refusal::NotReserved),
        "an old ticket"
    );
}

#[test]
fn direct_publishers_are_taken_at_home_only() {
    let mut homes = Homes::default();
    homes.learn(&cam(), live("n1", "c1", 7));
    homes.ended(&cam(), 7);
    let ring = at("n2");
    let mut direct = |node: &str, client: &str, number| {
        homes.direct(&cam(), &ask(number), &owner(node, client), Some(&ring), |_| true, 0)
    };
    assert_eq!(direct("n2", "c2", 1), Err(Refusal::Elsewhere));
    assert_eq!(direct("n1", "c2", 1), Ok((session(1), 8)));
    assert_eq!(direct("n1", "c2", 2), Ok((session(1), 8)), "the same hook again");
    assert_eq!(direct("n1", "c3", 3), Err(Refusal::NotReserved));
}

#[test]
fn a_list_of_all_claims_ends_what_it_lacks_and_nothing_that_came_meanwhile() {
    let mut homes = Homes::default();
    let (one, two) = (StreamId::parse("one").unwrap(), StreamId::parse("two").unwrap());
    homes.learn(&one, live("n1", "c1", 3));
    let before = homes.live();
    homes.learn(&two, live("n1", "c2", 1));
    homes.reconciled(vec![(cam(), live("n2", "c3", 5))], &before);
    assert_eq!(homes.get(&one).unwrap().hold, Hold::Free { last: None });
    assert!(matches!(homes.get(&two).unwrap().hold, Hold::Live { .. }));
    assert_eq!(homes.get(&cam()).unwrap().epoch, 5);
}

#[test]
fn the_longest_unheard_are_forgotten_first() {
    let mut homes = Homes::new(2);
    let id = |n: u8| StreamId::parse(&format!("s{n}")).unwrap();
    for n in [1, 2, 1, 3] {
        homes.learn(&id(n), live("n1", "c1", 1));
    }
    assert_eq!((homes.len(), homes.get(&id(2))), (2, None));
    assert!(homes.get(&id(1)).is_some() && homes.get(&id(3)).is_some());
}

#[test]
fn ids_drawn_from_a_hook_are_its_own() {
    let from = owner("n1", "c1");
    assert_eq!(session_of(&from, 5), session_of(&from, 5));
    assert_ne!(session_of(&from, 5), session_of(&from, 6));
    assert_ne!(broadcast_of(&from, &cam(), 5).uuid(), session_of(&from, 5).uuid());
    assert!(stays(1, 2) && stays(2, 2) && !stays(3, 2));
}

proptest! {
    /// Whatever is asked in whatever order: no epoch falls, and never are two connections live under one epoch.
    #[test]
    fn epochs_never_fall(steps in proptest::collection::vec((0_u8..6, 1_u8..4, 0_u64..6), 1..60)) {
        let mut homes = Homes::default();
        let (mut epoch, mut holders) = (0, HashMap::<u64, Owner>::new());
        for (step, who, number) in steps {
            let from = owner(if who == 1 { "n1" } else { "n2" }, &format!("c{who}"));
            match step {
                0 => { homes.reserve(&cam(), &ask(who), Some(&at("n1")), |_| number != 0, number * 9_000); }
                1 => { homes.confirm(&cam(), session(who), epoch + number % 3, &from, number == 5).ok(); }
                2 => { homes.direct(&cam(), &ask(who), &from, Some(&at("n1")), |_| true, number * 9_000).ok(); }
                3 => { homes.end(&from, (number % 2 == 0).then(cam).as_ref()); }
                4 => homes.ended(&cam(), number),
                _ => homes.reconciled(Vec::new(), &homes.live()),
            }
            if let Some(home) = homes.get(&cam()) {
                prop_assert!(home.epoch >= epoch, "fell from {epoch} to {}", home.epoch);
                epoch = home.epoch;
                if let Hold::Live { from, .. } = &home.hold {
                    let first = holders.entry(epoch).or_insert_with(|| from.clone());
                    prop_assert_eq!(&*first, from);
                }
            }
        }
    }
}
