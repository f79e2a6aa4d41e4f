//! What a decision promises.

use placement::{
    Judged, Limits, Load, Member, PassedOver, Policy, Reason, Refusal, Resource, Ring, State, Verdict, Weight, Zone,
    decide, explain,
};
use proptest::prelude::*;
use proto::NodeId;
use std::collections::BTreeMap;

type Loads = BTreeMap<NodeId, Load>;

fn id(number: usize) -> NodeId {
    NodeId::parse(&format!("node-{number}")).expect("an id")
}

fn fleet(count: usize) -> Vec<Member> {
    (0..count).map(|number| Member::new(id(number))).collect()
}

fn streams(streams: u32) -> Load {
    Load { streams, ..Load::default() }
}

/// The order of the nodes for a key.
fn order(ring: &Ring, key: &[u8]) -> Vec<NodeId> {
    ring.owners(key).map(|member| member.id.clone()).collect()
}

/// ⌈1.25 × mean⌉ of one node, computed in another way than the code does.
fn bound(ring: &Ring, loads: &Loads, node: &NodeId, open: impl Fn(&Member) -> bool) -> u64 {
    let open: Vec<&Member> = ring.members().iter().filter(|member| open(member)).collect();
    let all: u64 = open.iter().map(|member| u64::from(loads.get(&member.id).map_or(0, |load| load.streams))).sum();
    let weights: u64 = open.iter().map(|member| u64::from(member.weight.get())).sum();
    let weight = u64::from(ring.member(node).expect("a member").weight.get());
    (5 * (all + 1) * weight).div_ceil(4 * weights)
}

#[test]
fn an_idle_cluster_places_by_the_ring() {
    let ring = Ring::build(&fleet(5)).unwrap();
    let decision = decide(&ring, &Loads::new(), b"cam1", &Policy::default());
    assert_eq!(decision.chosen(), ring.owner(b"cam1").map(|member| &member.id));
    assert_eq!(decision.candidates, order(&ring, b"cam1"));
    assert!(decision.passed_over.is_empty() && decision.refusal.is_none());
    assert_eq!(decision.bound, Some(1));
}

#[test]
fn nodes_that_cannot_take_the_publisher_are_passed_over_and_none_is_told_apart_from_full() {
    let ring = Ring::build(&fleet(3)).unwrap();
    let order = order(&ring, b"cam1");
    let unfit = [order[0].clone(), order[2].clone()];
    let decision = decide(&ring, &Loads::new(), b"cam1", &Policy { unfit: &unfit, ..Policy::default() });
    assert_eq!(decision.candidates, [order[1].clone()]);
    assert_eq!(decision.passed_over, [PassedOver { node: order[0].clone(), reason: Reason::Unfit }]);
    assert!(decision.passed_over[0].reason.to_string().contains("passphrase"));
    assert_eq!(decision.among, [order[1].clone()], "the others' loads are no measure for it");
    let none = decide(&ring, &Loads::new(), b"cam1", &Policy { unfit: &order, ..Policy::default() });
    assert_eq!((none.chosen(), none.refusal), (None, Some(Refusal::AllUnfit)));
}

#[test]
fn every_node_passed_over_is_explained() {
    let mut ring = Ring::build(&fleet(6)).unwrap();
    let order = order(&ring, b"cam1");
    ring.set_state(&order[0], State::Down);
    ring.set_state(&order[1], State::Draining);
    ring.set_state(&order[2], State::Joining);
    let loads = Loads::from([(order[4].clone(), streams(10)), (order[5].clone(), streams(2))]);
    let exclude = [order[3].clone()];
    let policy = Policy { exclude: &exclude, ..Policy::default() };
    let decision = decide(&ring, &loads, b"cam1", &policy);
    // 12 streams and the new one on two nodes: each may have ⌈1.25 × 6.5⌉.
    let reasons = [
        Reason::State(State::Down),
        Reason::State(State::Draining),
        Reason::State(State::Joining),
        Reason::Excluded,
        Reason::Bound { streams: 10, bound: 9 },
    ];
    let expected: Vec<PassedOver> =
        order.iter().zip(reasons).map(|(node, reason)| PassedOver { node: node.clone(), reason }).collect();
    assert_eq!(decision.passed_over, expected);
    assert_eq!((decision.chosen(), decision.bound), (Some(&order[5]), Some(9)));
    let words: Vec<String> = decision.passed_over.iter().map(|passed| passed.reason.to_string()).collect();
    let said =
        ["is down", "is draining", "is joining", "has just been tried", "has 10 of the 9 streams that are its share"];
    assert_eq!(words, said);
}

#[test]
fn full_nodes_are_passed_over() {
    let mut members = fleet(3);
    for member in &mut members {
        member.limits = Limits { streams: Some(100), clients: Some(1000), bandwidth_kbps: Some(1_000_000) };
    }
    let ring = Ring::build(&members).unwrap();
    let order = order(&ring, b"cam1");
    let mut loads = Loads::from([
        (order[0].clone(), Load { clients: 1000, ..Load::default() }),
        (order[1].clone(), Load { bandwidth_kbps: 2_000_000, ..Load::default() }),
    ]);
    let decision = decide(&ring, &loads, b"cam1", &Policy::default());
    assert_eq!(decision.chosen(), Some(&order[2]));
    let full = |resource, used, limit| Reason::Full { resource, used, limit };
    assert_eq!(decision.passed_over[0].reason, full(Resource::Clients, 1000, 1000));
    assert_eq!(decision.passed_over[1].reason, full(Resource::Bandwidth, 2_000_000, 1_000_000));
    loads.insert(order[2].clone(), streams(100));
    let decision = decide(&ring, &loads, b"cam1", &Policy::default());
    assert_eq!((decision.chosen(), decision.refusal), (None, Some(Refusal::AllFull)));
    assert_eq!(decision.passed_over.len(), 3);
    assert_eq!(decision.passed_over[2].reason.to_string(), "is full: 100 of 100 streams");
}

#[test]
fn a_refusal_says_why() {
    let refusal = |ring: &Ring, policy: &Policy<'_>| decide(ring, &Loads::new(), b"cam1", policy).refusal;
    assert_eq!(refusal(&Ring::build(&[]).unwrap(), &Policy::default()), Some(Refusal::NoNodes));
    let mut ring = Ring::build(&fleet(2)).unwrap();
    let exclude = [id(0), id(1)];
    assert_eq!(refusal(&ring, &Policy { exclude: &exclude, ..Policy::default() }), Some(Refusal::AllTried));
    ring.set_state(&id(0), State::Down);
    ring.set_state(&id(1), State::Joining);
    assert_eq!(refusal(&ring, &Policy::default()), Some(Refusal::NoneUp));
}

#[test]
fn a_suspect_node_is_the_last_resort() {
    let mut ring = Ring::build(&fleet(3)).unwrap();
    let order = order(&ring, b"cam1");
    ring.set_state(&order[0], State::Suspect);
    let decision = decide(&ring, &Loads::new(), b"cam1", &Policy::default());
    assert_eq!(decision.chosen(), Some(&order[1]));
    assert_eq!(decision.passed_over[0].reason, Reason::State(State::Suspect));
    ring.set_state(&order[1], State::Suspect);
    ring.set_state(&order[2], State::Down);
    let loads = Loads::from([(order[0].clone(), streams(9))]);
    let decision = decide(&ring, &loads, b"cam1", &Policy::default());
    assert_eq!(decision.chosen(), Some(&order[1]));
    assert_eq!(decision.passed_over[0].reason, Reason::Bound { streams: 9, bound: 7 });
}

#[test]
fn the_preferred_zone_comes_first() {
    let mut members = fleet(4);
    let zone = Zone("east".into());
    let order = order(&Ring::build(&members).unwrap(), b"cam1");
    for member in &mut members {
        member.zone = (member.id == order[2]).then(|| zone.clone());
    }
    let mut ring = Ring::build(&members).unwrap();
    let policy = Policy { zone: Some(&zone), ..Policy::default() };
    let decision = decide(&ring, &Loads::new(), b"cam1", &policy);
    assert_eq!(decision.chosen(), Some(&order[2]));
    assert_eq!(decision.passed_over.iter().map(|p| p.reason).collect::<Vec<_>>(), [Reason::OtherZone; 2]);
    ring.set_state(&order[2], State::Draining);
    assert_eq!(decide(&ring, &Loads::new(), b"cam1", &policy).chosen(), Some(&order[0]));
}

#[test]
fn weights_scale_the_bound() {
    let mut members = fleet(2);
    members[1].weight = Weight::new(3).unwrap();
    let ring = Ring::build(&members).unwrap();
    // 39 streams and the new one: means of 10 and 30.
    let loads = Loads::from([(id(0), streams(12)), (id(1), streams(27))]);
    for key in 0..200_u32 {
        let decision = decide(&ring, &loads, &key.to_be_bytes(), &Policy::default());
        let expected = if decision.chosen() == Some(&id(0)) { 13 } else { 38 };
        assert_eq!(decision.bound, Some(expected));
    }
}

/// A cluster in any condition.
fn cluster() -> impl Strategy<Value = (Vec<Member>, Loads)> {
    let state = prop::sample::select(vec![
        State::Up,
        State::Up,
        State::Up,
        State::Suspect,
        State::Draining,
        State::Down,
        State::Joining,
    ]);
    let node = (1_u64..=8, state, 0_u32..200, prop::option::weighted(0.2, 0_u32..200));
    prop::collection::vec(node, 1..12).prop_map(|nodes| {
        let members = nodes.iter().enumerate().map(|(number, (weight, state, _, limit))| Member {
            weight: Weight::new(*weight).expect("in range"),
            state: *state,
            limits: Limits { streams: *limit, ..Limits::default() },
            ..Member::new(id(number))
        });
        let loads = nodes.iter().enumerate().map(|(number, (_, _, load, _))| (id(number), streams(*load)));
        (members.collect(), loads.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_bound_always_leaves_room((members, loads) in cluster(), key: Vec<u8>, percent in 0_u32..200) {
        let ring = Ring::build(&members).unwrap();
        let decision = decide(&ring, &loads, &key, &Policy { bound_percent: percent, ..Policy::default() });
        let room = |member: &Member| member.limits.exhausted(&loads[&member.id]).is_none();
        let healthy = members.iter().any(|m| matches!(m.state, State::Up | State::Suspect) && room(m));
        prop_assert_eq!(decision.chosen().is_some(), healthy);
        prop_assert_eq!(decision.refusal.is_none(), healthy);
    }

    #[test]
    fn the_choice_is_open_under_its_bound_and_all_before_it_are_not((members, loads) in cluster(), key: Vec<u8>) {
        let ring = Ring::build(&members).unwrap();
        let decision = decide(&ring, &loads, &key, &Policy::default());
        let order = order(&ring, &key);
        let place = decision.chosen().map_or(order.len(), |chosen| order.iter().position(|id| id == chosen).unwrap());
        prop_assert!(decision.passed_over.iter().map(|passed| &passed.node).eq(&order[..place]));
        let Some(chosen) = decision.chosen() else { return Ok(()) };
        let tier = ring.member(chosen).unwrap().state;
        let open = |member: &Member| member.state == tier && member.limits.exhausted(&loads[&member.id]).is_none();
        for candidate in &decision.candidates {
            prop_assert!(open(ring.member(candidate).unwrap()));
            prop_assert!(u64::from(loads[candidate].streams) < bound(&ring, &loads, candidate, open));
        }
        for passed in &decision.passed_over {
            let member = ring.member(&passed.node).unwrap();
            prop_assert!(!open(member) || u64::from(loads[&passed.node].streams) >= bound(&ring, &loads, &passed.node, open));
        }
    }

    #[test]
    fn the_bound_holds_over_long_sequences(
        weights in prop::collection::vec(1_u64..=5, 1..10),
        steps in prop::collection::vec((any::<u32>(), any::<bool>(), any::<prop::sample::Index>()), 1..400),
    ) {
        let weighted = weights.iter().enumerate();
        let members: Vec<Member> =
            weighted.map(|(number, w)| Member { weight: Weight::new(*w).unwrap(), ..Member::new(id(number)) }).collect();
        let ring = Ring::build(&members).unwrap();
        let mut loads: Loads = members.iter().map(|member| (member.id.clone(), Load::default())).collect();
        let mut live: Vec<NodeId> = Vec::new();
        for (key, leave, which) in steps {
            if leave && !live.is_empty() {
                let node = live.swap_remove(which.index(live.len()));
                loads.get_mut(&node).unwrap().streams -= 1;
                continue;
            }
            let decision = decide(&ring, &loads, &key.to_be_bytes(), &Policy::default());
            let node = decision.chosen().unwrap().clone();
            let limit = bound(&ring, &loads, &node, |_| true);
            loads.get_mut(&node).unwrap().streams += 1;
            prop_assert!(u64::from(loads[&node].streams) <= limit);
            prop_assert_eq!(decision.bound, Some(limit));
            live.push(node);
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter((mut members, loads) in cluster(), key: Vec<u8>) {
        let one = decide(&Ring::build(&members).unwrap(), &loads, &key, &Policy::default());
        members.reverse();
        prop_assert_eq!(one, decide(&Ring::build(&members).unwrap(), &loads, &key, &Policy::default()));
    }
}

#[test]
fn an_explanation_tells_of_every_node() {
    let mut ring = Ring::build(&fleet(5)).unwrap();
    let order = order(&ring, b"cam1");
    ring.set_state(&order[0], State::Down);
    ring.set_state(&order[3], State::Suspect);
    // 9 streams and the new one on three nodes: each may have ⌈1.25 × 10/3⌉ = 5.
    let loads = Loads::from([(order[1].clone(), streams(6)), (order[2].clone(), streams(3))]);
    let told = explain(&ring, &loads, b"cam1", &Policy::default());
    let passed = Verdict::PassedOver;
    let expected = [
        (passed(Reason::State(State::Down)), None),
        (passed(Reason::Bound { streams: 6, bound: 5 }), Some(5)),
        (Verdict::Chosen, Some(5)),
        (passed(Reason::State(State::Suspect)), None),
        (Verdict::Candidate, Some(5)),
    ];
    let expected: Vec<Judged> = order
        .iter()
        .zip(expected)
        .map(|(node, (verdict, bound))| Judged { node: node.clone(), verdict, bound })
        .collect();
    assert_eq!(told, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_explanation_is_the_decision((members, loads) in cluster(), key: Vec<u8>) {
        let ring = Ring::build(&members).unwrap();
        let decision = decide(&ring, &loads, &key, &Policy::default());
        let told = explain(&ring, &loads, &key, &Policy::default());
        prop_assert!(told.iter().map(|judged| &judged.node).eq(order(&ring, &key).iter()));
        let with = |wanted: fn(&Verdict) -> bool| told.iter().filter(|j| wanted(&j.verdict)).map(|j| j.node.clone()).collect::<Vec<_>>();
        let chosen = with(|v| *v == Verdict::Chosen);
        prop_assert_eq!(chosen.first(), decision.chosen());
        prop_assert!(chosen.len() <= 1);
        prop_assert_eq!(with(|v| !matches!(v, Verdict::PassedOver(_))), decision.candidates.clone());
        let before = told.iter().take_while(|judged| judged.verdict != Verdict::Chosen);
        let reasons: Vec<PassedOver> = before
            .filter_map(|j| match j.verdict {
                Verdict::PassedOver(reason) => Some(PassedOver { node: j.node.clone(), reason }),
                Verdict::Chosen | Verdict::Candidate => None,
            })
            .collect();
        prop_assert_eq!(reasons, decision.passed_over);
    }
}
