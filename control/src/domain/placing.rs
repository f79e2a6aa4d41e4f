//! Which node a new publisher gets: the pure decision of [`placement`] over the membership, and what of an edge's proposal stands before it.

use super::nodes;
use placement::{Decision, Limits, Load, Member, Policy, Ring, RingError, State, Weight, Zone, decide};
use proto::{
    NodeId, ServiceId, StreamId,
    fleet::NodeInfo,
    internal::ProposedNode,
    node::{self, Membership, NodeState, SrtPort},
};
use std::collections::BTreeMap;

/// The media nodes as decisions take them: a ring and each node's run. Made once for each version of the membership.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// The membership's version; 0 for one made of what this process heard itself.
    pub version: u64,
    /// The ring, with states, weights and limits.
    pub ring: Ring,
    /// Each node's run, where it is known.
    pub runs: BTreeMap<NodeId, ServiceId>,
    /// Each node's SRT port; `None`: nobody has told of ports yet.
    pub srt: Option<BTreeMap<NodeId, SrtPort>>,
}

impl Nodes {
    /// Reads a membership.
    ///
    /// # Errors
    /// [`RingError`]: more nodes or weight than a ring takes.
    pub fn of(membership: &Membership) -> Result<Self, RingError> {
        let members: Vec<Member> = membership.members.iter().map(member).collect();
        let run = |member: &node::Member| Some((member.id.clone(), member.service.clone()?));
        Ok(Self {
            version: membership.version,
            ring: Ring::build(&members)?,
            runs: membership.members.iter().filter_map(run).collect(),
            srt: Some(membership.members.iter().filter_map(|one| Some((one.id.clone(), one.at.srt_port()?))).collect()),
        })
    }

    /// The nodes as this process heard them itself, for the time before the first membership: all alike. One that was never heard takes a stream
    /// only when none was heard lately: this process may have started just now.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn heard(all: &[(NodeId, Option<NodeInfo>)], now_ms: u64) -> Result<Self, RingError> {
        let member = |(id, info): &(NodeId, Option<NodeInfo>)| {
            let state = match nodes::state(info.as_ref(), now_ms) {
                nodes::NodeState::Joining => State::Suspect,
                nodes::NodeState::Up => State::Up,
                nodes::NodeState::Down => State::Down,
            };
            Member { state, ..Member::new(id.clone()) }
        };
        let members: Vec<Member> = all.iter().map(member).collect();
        let runs = all.iter().filter_map(|(id, info)| Some((id.clone(), info.as_ref()?.service.clone()))).collect();
        Ok(Self { version: 0, ring: Ring::build(&members)?, runs, srt: None })
    }

    /// The nodes that cannot take an SRT caller of this kind.
    #[must_use]
    pub fn unfit(&self, wanted: Option<SrtPort>) -> Vec<NodeId> {
        let (Some(wanted), Some(ports)) = (wanted, &self.srt) else { return Vec::new() };
        let unfit = |id: &&NodeId| ports.get(*id) != Some(&wanted);
        self.ring.members().iter().map(|member| &member.id).filter(unfit).cloned().collect()
    }

    /// Whether a node has this run, as far as is known.
    #[must_use]
    pub fn agrees(&self, node: &NodeId, service: &ServiceId) -> bool {
        self.ring.member(node).is_some() && self.runs.get(node).is_none_or(|run| run == service)
    }
}

/// A member as the ring takes it. A weight outside 1 to 100 is read as the nearest one.
#[must_use]
pub fn member(member: &node::Member) -> Member {
    let state = match member.state {
        NodeState::Up | NodeState::Suspect if member.draining => State::Draining,
        NodeState::Joining => State::Joining,
        NodeState::Up => State::Up,
        NodeState::Suspect => State::Suspect,
        NodeState::Down => State::Down,
    };
    let weight = u64::from(member.weight.clamp(1, placement::WEIGHT_MAX));
    Member {
        id: member.id.clone(),
        weight: Weight::new(weight).unwrap_or_default(),
        zone: member.zone.as_deref().map(|zone| Zone(zone.into())),
        state,
        limits: Limits {
            streams: member.limits.streams,
            clients: member.limits.clients,
            bandwidth_kbps: member.limits.bandwidth_kbps,
        },
    }
}

/// A decision with all it was made from, so that it can be explained.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The nodes.
    pub nodes: std::sync::Arc<Nodes>,
    /// What each carries; a node that is missing carries nothing.
    pub loads: BTreeMap<NodeId, Load>,
    /// What follows.
    pub decision: Decision,
}

/// Decides on a stream.
#[must_use]
pub fn decided(
    nodes: std::sync::Arc<Nodes>,
    loads: BTreeMap<NodeId, Load>,
    stream: &StreamId,
    policy: &Policy<'_>,
) -> Decided {
    let decision = decide(&nodes.ring, &loads, stream.as_str().as_bytes(), policy);
    Decided { nodes, loads, decision }
}

/// How far a node's streams may rise by one claim, for whoever counts them in the same moment: ⌈[`placement::BOUND_PERCENT`] % of its weighted
/// mean⌉ over `among`, and its own limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The nodes that make the mean.
    pub among: Vec<NodeId>,
    /// The node's weight.
    pub weight: u32,
    /// The weights of all of `among` together.
    pub weights: u32,
    /// Streams the node may have at most, whatever the others have.
    pub limit: Option<u32>,
}

impl Decided {
    /// Where to try, in order: of what an edge proposes the nodes that are fit; the own candidates when none of them is.
    #[must_use]
    pub fn order(&self, proposed: &[ProposedNode]) -> Vec<ProposedNode> {
        let fit = |entry: &&ProposedNode| {
            self.decision.candidates.contains(&entry.node) && self.nodes.agrees(&entry.node, &entry.service)
        };
        let order: Vec<ProposedNode> = proposed.iter().filter(fit).cloned().collect();
        if !order.is_empty() {
            return order;
        }
        let own = self.decision.candidates.iter();
        own.filter_map(|node| Some(ProposedNode { node: node.clone(), service: self.nodes.runs.get(node)?.clone() }))
            .collect()
    }

    /// What a claim on `node` must heed; `None` for one that is not among those that can take a stream.
    #[must_use]
    pub fn room(&self, node: &NodeId) -> Option<Room> {
        let among = &self.decision.among;
        let weight = |node: &NodeId| self.nodes.ring.member(node).map_or(0, |member| u32::from(member.weight.get()));
        among.contains(node).then(|| Room {
            weight: weight(node),
            weights: among.iter().map(weight).fold(0, u32::saturating_add).max(1),
            limit: self.nodes.ring.member(node).and_then(|member| member.limits.streams),
            among: among.clone(),
        })
    }

    /// Why there is no node: a word on each that was passed over, and on each that was proposed under a run that is over.
    #[must_use]
    pub fn why_none(&self, proposed: &[ProposedNode]) -> String {
        let mut words: Vec<String> =
            self.decision.passed_over.iter().map(|passed| format!("{} {}", passed.node, passed.reason)).collect();
        for entry in proposed {
            match self.nodes.runs.get(&entry.node) {
                _ if self.nodes.ring.member(&entry.node).is_none() => {
                    words.push(format!("{} is not enrolled", entry.node));
                }
                Some(run) if *run != entry.service => words.push(format!("{} was restarted", entry.node)),
                Some(_) | None => {}
            }
        }
        if let (true, Some(refusal)) = (words.is_empty(), self.decision.refusal) {
            words.push(refusal.to_string());
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::node::{NodeAddresses, NodeLimits};
    use std::sync::Arc;

    fn id(text: &str) -> NodeId {
        NodeId::parse(text).unwrap()
    }

    fn run(text: &str) -> ServiceId {
        ServiceId::parse(text).unwrap()
    }

    fn of(name: &str, state: NodeState, draining: bool, weight: u8) -> node::Member {
        node::Member {
            id: id(name),
            service: Some(run("run1")),
            state,
            draining,
            weight,
            zone: None,
            at: NodeAddresses::default(),
            public: Vec::new(),
            limits: NodeLimits { streams: Some(10), ..NodeLimits::default() },
        }
    }

    fn asked(entries: &[(&str, &str)]) -> Vec<ProposedNode> {
        entries.iter().map(|(node, service)| ProposedNode { node: id(node), service: run(service) }).collect()
    }

    fn with(members: Vec<node::Member>, loads: &[(&str, u32)]) -> Decided {
        let nodes = Nodes::of(&Membership { version: 3, members }).unwrap();
        let loads = loads.iter().map(|(node, streams)| (id(node), Load { streams: *streams, ..Load::default() }));
        let stream = StreamId::parse("cam").unwrap();
        decided(Arc::new(nodes), loads.collect(), &stream, &Policy::default())
    }

    #[test]
    fn draining_stands_before_up_and_suspect_and_not_before_down() {
        let state = |state, draining| member(&of("n1", state, draining, 0)).state;
        assert_eq!(state(NodeState::Up, true), State::Draining);
        assert_eq!(state(NodeState::Suspect, true), State::Draining);
        assert_eq!(state(NodeState::Down, true), State::Down);
        assert_eq!(state(NodeState::Joining, true), State::Joining);
        assert_eq!(state(NodeState::Suspect, false), State::Suspect);
        assert_eq!(member(&of("n1", NodeState::Up, false, 0)).weight.get(), 1);
    }

    #[test]
    fn an_edges_first_fit_node_stands_before_the_own_choice() {
        let up = |name| of(name, NodeState::Up, false, 1);
        let members = vec![up("n1"), up("n2"), up("n3"), of("n4", NodeState::Down, false, 1)];
        let all = with(members.clone(), &[]);
        assert_eq!(all.order(&asked(&[("n3", "run1"), ("n1", "run1")])), asked(&[("n3", "run1"), ("n1", "run1")]));
        assert_eq!(all.order(&asked(&[("n4", "run1"), ("n2", "old"), ("n1", "run1")])), asked(&[("n1", "run1")]));
        let own = all.order(&asked(&[("n4", "run1"), ("n2", "old"), ("n9", "run1")]));
        assert_eq!(own.len(), 3, "none of the proposed is fit, so the own order: {own:?}");
        let why = all.why_none(&asked(&[("n2", "old"), ("n9", "run1")]));
        assert!(why.contains("n2 was restarted") && why.contains("n9 is not enrolled"), "{why}");
        let bound = with(members, &[("n1", 4), ("n2", 0), ("n3", 1)]);
        assert_eq!(bound.order(&asked(&[("n1", "run1"), ("n2", "run1")])), asked(&[("n2", "run1")]), "over its bound");
    }

    #[test]
    fn room_counts_the_nodes_that_can_take_a_stream() {
        let members = vec![
            of("n1", NodeState::Up, false, 3),
            of("n2", NodeState::Up, false, 1),
            of("n3", NodeState::Up, true, 9),
            of("n4", NodeState::Up, false, 1),
        ];
        let decided = with(members, &[("n4", 10)]);
        let room = decided.room(&id("n1")).unwrap();
        let (mut among, wanted) = (room.among, vec![id("n1"), id("n2")]);
        among.sort();
        assert_eq!((among, room.weight, room.weights, room.limit), (wanted, 3, 4, Some(10)));
        assert_eq!(decided.room(&id("n3")), None, "draining");
        assert_eq!(decided.room(&id("n4")), None, "full");
    }
}
