//! What a ring promises, for any members and keys.

use placement::{MEMBERS_MAX, Member, POINTS_MAX, Ring, RingError, State, WEIGHT_MAX, Weight};
use proptest::prelude::*;
use proto::NodeId;
use std::collections::{BTreeMap, BTreeSet};

fn member(number: usize, weight: u8) -> Member {
    let id = NodeId::parse(&format!("node-{number}")).expect("an id");
    Member { weight: Weight::new(weight.into()).expect("in range"), ..Member::new(id) }
}

fn plain(count: usize) -> Vec<Member> {
    (0..count).map(|number| member(number, 1)).collect()
}

fn keys(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("{:08x}", number.wrapping_mul(0x9e37_79b9)))
}

fn owner<'a>(ring: &'a Ring, key: &str) -> &'a NodeId {
    &ring.owner(key.as_bytes()).expect("a ring with nodes").id
}

fn shares(ring: &Ring, count: u32) -> BTreeMap<NodeId, u32> {
    let mut shares = BTreeMap::new();
    for key in keys(count) {
        *shares.entry(owner(ring, &key).clone()).or_default() += 1;
    }
    shares
}

fn fleet() -> impl Strategy<Value = Vec<Member>> {
    prop::collection::btree_map(0_usize..60, 1_u8..=4, 1..24)
        .prop_map(|nodes| nodes.into_iter().map(|(number, weight)| member(number, weight)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn losing_a_node_moves_its_keys_only_and_to_their_next_owner(fleet in fleet(), which: prop::sample::Index) {
        let lost = which.index(fleet.len());
        let before = Ring::build(&fleet).unwrap();
        let rest: Vec<Member> = fleet.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, m)| m.clone()).collect();
        let after = Ring::build(&rest).unwrap();
        for key in keys(400) {
            let expected = before.owners(key.as_bytes()).find(|member| member.id != fleet[lost].id);
            prop_assert_eq!(after.owner(key.as_bytes()).map(|m| &m.id), expected.map(|m| &m.id));
        }
    }

    #[test]
    fn a_new_node_only_takes(fleet in fleet(), weight in 1_u8..=4) {
        let before = Ring::build(&fleet).unwrap();
        let new = member(99, weight);
        let after = Ring::build(&[fleet, vec![new.clone()]].concat()).unwrap();
        for key in keys(400) {
            let owner = owner(&after, &key);
            prop_assert!(owner == &new.id || Some(owner) == before.owner(key.as_bytes()).map(|m| &m.id));
        }
    }

    #[test]
    fn a_heavier_node_only_takes(fleet in fleet(), which: prop::sample::Index) {
        let before = Ring::build(&fleet).unwrap();
        let mut heavier = fleet;
        let grown = which.index(heavier.len());
        heavier[grown] = Member { weight: Weight::new(9).unwrap(), ..heavier[grown].clone() };
        let after = Ring::build(&heavier).unwrap();
        for key in keys(400) {
            let owner = owner(&after, &key);
            prop_assert!(owner == &heavier[grown].id || Some(owner) == before.owner(key.as_bytes()).map(|m| &m.id));
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter(fleet in fleet(), seed: u64) {
        let ring = Ring::build(&fleet).unwrap();
        let mut turned = fleet;
        let mut state = seed;
        for at in (1..turned.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            turned.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        let turned = Ring::build(&turned).unwrap();
        prop_assert_eq!(ring.members(), turned.members());
        for key in keys(50) {
            prop_assert!(ring.owners(key.as_bytes()).eq(turned.owners(key.as_bytes())));
        }
    }

    #[test]
    fn owners_are_all_nodes_once_beginning_with_the_owner(fleet in fleet(), key: Vec<u8>) {
        let ring = Ring::build(&fleet).unwrap();
        let owners = ring.owners(&key);
        prop_assert_eq!(owners.len(), fleet.len());
        let named: Vec<&NodeId> = owners.map(|member| &member.id).collect();
        prop_assert_eq!(named.len(), fleet.len());
        prop_assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), fleet.len());
        prop_assert_eq!(named.first().copied(), ring.owner(&key).map(|member| &member.id));
    }
}

#[test]
fn shares_follow_weights() {
    // Groups of ten average out what chance does to one node's points.
    let weights = [1_u8, 2, 5, 10];
    let fleet: Vec<Member> = (0..40).map(|number| member(number, weights[number / 10])).collect();
    let ring = Ring::build(&fleet).unwrap();
    let shares = shares(&ring, 200_000);
    let total: u32 = weights.iter().map(|weight| u32::from(*weight) * 10).sum();
    for (group, weight) in weights.iter().enumerate() {
        let got: u32 = (group * 10..group * 10 + 10).filter_map(|number| shares.get(&fleet[number].id)).sum();
        let due = f64::from(200_000 * u32::from(*weight) * 10) / f64::from(total);
        let off = f64::from(got) / due - 1.0;
        assert!(off.abs() < 0.06, "weight {weight}: {:.1} % off", off * 100.0);
    }
}

#[test]
fn no_node_strays_far_from_its_share() {
    let ring = Ring::build(&plain(20)).unwrap();
    let shares = shares(&ring, 100_000);
    let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
    assert!(*least > 3_750 && *most < 6_250, "{least} to {most} of 5000 each");
}

#[test]
fn an_empty_ring_owns_nothing() {
    let ring = Ring::build(&[]).unwrap();
    assert_eq!(ring.owner(b"key"), None);
    assert_eq!(ring.owners(b"key").count(), 0);
}

#[test]
fn sizes_have_limits() {
    assert!(Ring::build(&plain(MEMBERS_MAX)).is_ok());
    let error = RingError::TooManyMembers { got: MEMBERS_MAX + 1, limit: MEMBERS_MAX };
    assert_eq!(Ring::build(&plain(MEMBERS_MAX + 1)).map(|_| ()), Err(error));
    let heavy: Vec<Member> = (0..66).map(|number| member(number, WEIGHT_MAX)).collect();
    let error = RingError::TooManyPoints { got: 66 * 16_000, limit: POINTS_MAX };
    assert_eq!(Ring::build(&heavy).map(|_| ()), Err(error));
    assert_eq!(Ring::build(&[member(1, 1), member(1, 2)]).map(|_| ()), Err(RingError::SameId));
    for wrong in [0, 101, u64::MAX] {
        assert_eq!(Weight::new(wrong).map(Weight::get).map_err(|e| e.got), Err(wrong));
    }
}

#[test]
fn a_thousand_nodes_are_all_owners() {
    let ring = Ring::build(&plain(1000)).unwrap();
    assert_eq!(ring.owners(b"key").map(|member| &member.id).collect::<BTreeSet<_>>().len(), 1000);
    assert_eq!(shares(&ring, 100_000).len(), 1000);
}

#[test]
fn a_state_moves_no_point() {
    let mut ring = Ring::build(&plain(5)).unwrap();
    let before: Vec<NodeId> = ring.owners(b"cam1").map(|member| member.id.clone()).collect();
    assert!(ring.set_state(&before[0], State::Down));
    assert!(!ring.set_state(&NodeId::parse("nobody").unwrap(), State::Down));
    assert!(ring.owners(b"cam1").map(|member| member.id.clone()).eq(before.iter().cloned()));
    assert_eq!(ring.member(&before[0]).map(|member| member.state), Some(State::Down));
}
