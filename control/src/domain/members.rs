//! The document of all nodes: each prober's word on its own nodes, everybody else's left as it is.

use proto::{
    ControlId, NodeId,
    node::{Member, Membership},
    secret::sha256_hex,
};

/// The membership after this process said what it judges, or `None` when that is what `last` says already.
///
/// `ours` are the nodes this process judges; `is_ours` also knows those that are not enrolled any more, which are left out then. `known` is the
/// newest version this process has seen anywhere.
#[must_use]
pub fn compose(
    last: &Membership,
    ours: Vec<Member>,
    is_ours: impl Fn(&NodeId) -> bool,
    known: u64,
    now_ms: u64,
) -> Option<Membership> {
    let mut members: Vec<Member> = last.members.iter().filter(|member| !is_ours(&member.id)).cloned().collect();
    members.extend(ours);
    members.sort_by(|a, b| a.id.cmp(&b.id));
    if members == last.members && last.version >= known && last.version > 0 {
        return None;
    }
    Some(Membership { version: last.version.max(known).saturating_add(1).max(now_ms), members })
}

/// Which of the control nodes that are alive probes a node: everybody who sees the same ones says the same, and when one goes only its own nodes
/// find another.
#[must_use]
pub fn probers<'a>(controls: impl IntoIterator<Item = &'a ControlId>, node: &NodeId) -> Vec<&'a ControlId> {
    let mut order: Vec<(String, &ControlId)> =
        controls.into_iter().map(|control| (sha256_hex(format!("{control}/{node}").as_bytes()), control)).collect();
    order.sort();
    order.into_iter().map(|(_, control)| control).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::node::{NodeAddresses, NodeState};

    fn member(id: &str, state: NodeState) -> Member {
        Member {
            id: NodeId::parse(id).unwrap(),
            service: None,
            state,
            draining: false,
            weight: 1,
            zone: None,
            at: NodeAddresses::default(),
            public: Vec::new(),
            limits: proto::node::NodeLimits::default(),
        }
    }

    #[test]
    fn each_prober_says_its_own() {
        let last = Membership {
            version: 7,
            members: vec![
                member("a", NodeState::Up),
                member("b", NodeState::Up),
                member("gone", NodeState::Up),
                member("z", NodeState::Up),
            ],
        };
        let ours = || vec![member("c", NodeState::Joining), member("b", NodeState::Down)];
        let is_ours = |id: &NodeId| ["b", "c", "gone"].contains(&id.as_str());
        let next = compose(&last, ours(), is_ours, 7, 5).unwrap();
        assert_eq!(next.version, 8);
        let ids: Vec<_> = next.members.iter().map(|m| (m.id.as_str(), m.state)).collect();
        assert_eq!(
            ids,
            [("a", NodeState::Up), ("b", NodeState::Down), ("c", NodeState::Joining), ("z", NodeState::Up)]
        );
        assert_eq!(compose(&next, ours(), is_ours, 8, 9), None, "nothing new");
        assert_eq!(compose(&next, ours(), is_ours, 20, 9).unwrap().version, 21, "Redis is behind what was decided");
        assert_eq!(compose(&Membership::default(), Vec::new(), is_ours, 0, 99).unwrap().version, 99);
    }

    #[test]
    fn probers_are_the_same_for_all_and_only_those_of_a_lost_control_move() {
        let controls: Vec<ControlId> = (0..4).map(|n| ControlId::parse(&format!("c{n}")).unwrap()).collect();
        let mut share = [0_usize; 4];
        for n in 0..400 {
            let node = NodeId::parse(&format!("n{n}")).unwrap();
            let all = probers(&controls, &node);
            assert_eq!(all, probers(controls.iter().rev(), &node));
            let rest = probers(controls.iter().filter(|c| *c != all[0]), &node);
            assert_eq!(rest, all[1..]);
            share[controls.iter().position(|c| c == all[0]).unwrap()] += 1;
        }
        assert!(share.iter().all(|n| (60..=140).contains(n)), "{share:?}");
    }
}
