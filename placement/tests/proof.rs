//! What is promised of the ring at the size of a big cluster: keys move by shares and nobody else's, and no decision breaks the bound.

use placement::{Load, Member, Policy, Ring, State, Weight, decide};
use proto::NodeId;
use std::collections::{BTreeMap, BTreeSet};

fn member(number: usize, weight: u64) -> Member {
    let id = NodeId::parse(&format!("srs-{number}")).expect("an id");
    Member { weight: Weight::new(weight).expect("in range"), ..Member::new(id) }
}

fn owners(ring: &Ring, keys: u32) -> Vec<NodeId> {
    (0..keys).map(|key| ring.owner(format!("stream-{key}").as_bytes()).expect("nodes").id.clone()).collect()
}

/// Each number in 0..1 with the same chance, of a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits")) / f64::from(u32::MAX)
    }

    fn below(&mut self, limit: usize) -> usize {
        let share = self.next();
        let limit = u32::try_from(limit).expect("small");
        (0..limit).find(|at| f64::from(*at + 1) > share * f64::from(limit)).map_or(0, |at| at as usize)
    }
}

/// Takes nodes out of (or puts them into) a cluster one at a time: what moves is the node's own, and over the nodes tried it is their share ±5 %.
fn moves_its_share(nodes: usize, tried: usize, keys: u32, weight: u64) {
    let all: Vec<Member> = (0..nodes).map(|number| member(number, weight)).collect();
    let whole = owners(&Ring::build(&all).expect("a ring"), keys);
    let mut moved = 0_u32;
    for out in 0..tried {
        let rest: Vec<Member> = all.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, m)| m.clone()).collect();
        let without = owners(&Ring::build(&rest).expect("a ring"), keys);
        for (with, without) in whole.iter().zip(&without) {
            // Read one way a node was lost, read the other way it was added.
            assert!(with == without || *with == all[out].id, "a key of {with} moved");
            moved += u32::from(with != without);
        }
    }
    let due = f64::from(keys) * f64::from(u32::try_from(tried).expect("small"))
        / f64::from(u32::try_from(nodes).expect("small"));
    let off = f64::from(moved) / due - 1.0;
    assert!(off.abs() < 0.05, "{nodes} nodes: {moved} keys moved, {due:.0} are their share: {:.1} % off", off * 100.0);
}

#[test]
fn a_node_moves_its_share_and_no_other_key() {
    moves_its_share(3, 3, 20_000, 1);
    moves_its_share(8, 8, 20_000, 1);
    moves_its_share(50, 25, 20_000, 1);
    moves_its_share(20, 10, 20_000, 5);
}

#[test]
fn of_a_thousand_nodes_too() {
    moves_its_share(1_000, 25, 50_000, 1);
}

/// ⌈1.25 × weighted mean⌉ over the nodes that are up, the new stream included.
fn allowed(ring: &Ring, loads: &BTreeMap<NodeId, Load>, chosen: &NodeId) -> u64 {
    let up = ring.members().iter().filter(|member| member.state == State::Up);
    let (streams, weights) = up.fold((1_u64, 0_u64), |(streams, weights), member| {
        let has = loads.get(&member.id).map_or(0, |load| u64::from(load.streams));
        (streams + has, weights + u64::from(member.weight.get()))
    });
    let weight = u64::from(ring.member(chosen).expect("a member").weight.get());
    (5 * streams * weight).div_ceil(4 * weights)
}

#[test]
fn no_decision_breaks_the_bound_under_churn_with_zipf_names() {
    const NODES: usize = 1_000;
    const NAMES: u32 = 20_000;
    const STEPS: usize = 3_000;
    let members: Vec<Member> =
        (0..NODES).map(|number| member(number, 1 + u64::try_from(number % 3).expect("small"))).collect();
    let mut ring = Ring::build(&members).expect("a ring");
    // Zipf's law with exponent 1: the n-th name is asked for 1/n as often as the first.
    let mut sums: Vec<f64> = Vec::new();
    for rank in 1..=NAMES {
        sums.push(sums.last().copied().unwrap_or(0.0) + 1.0 / f64::from(rank));
    }
    let whole = *sums.last().expect("names");
    let mut draw = Draw(7);
    let mut loads: BTreeMap<NodeId, Load> = BTreeMap::new();
    let mut live: BTreeMap<usize, NodeId> = BTreeMap::new();
    let mut down: BTreeSet<NodeId> = BTreeSet::new();
    let (mut decided, mut passed_over) = (0, 0);
    for step in 0..STEPS {
        if step % 20 == 0 {
            // A node is lost with all it carried, or one comes back empty.
            let node = members[draw.below(NODES)].id.clone();
            let back = down.remove(&node);
            ring.set_state(&node, if back { State::Up } else { State::Down });
            if !back {
                live.retain(|_, at| *at != node);
                loads.remove(&node);
                down.insert(node);
            }
        }
        if step % 4 == 3 && !live.is_empty() {
            let name = *live.keys().nth(draw.below(live.len().min(64))).expect("in range");
            let node = live.remove(&name).expect("live");
            loads.get_mut(&node).expect("loaded").streams -= 1;
        }
        let at = draw.next() * whole;
        let name = sums.partition_point(|sum| *sum < at);
        if live.contains_key(&name) {
            continue;
        }
        let decision = decide(&ring, &loads, format!("show-{name}").as_bytes(), &Policy::default());
        let node = decision.chosen().expect("nodes are up").clone();
        let limit = allowed(&ring, &loads, &node);
        let load = loads.entry(node.clone()).or_default();
        load.streams += 1;
        assert!(u64::from(load.streams) <= limit, "step {step}: {node} has {} of {limit}", load.streams);
        assert!(!down.contains(&node));
        passed_over += usize::from(!decision.passed_over.is_empty());
        live.insert(name, node);
        decided += 1;
    }
    assert!(
        decided > STEPS / 3 && passed_over > decided / 10,
        "{decided} decisions, {passed_over} off the ring's first"
    );
}
