//! Why a stream is where it is, told in the words of the API.

use super::placing::Nodes;
use placement::{Judged, Load, Policy, State, Verdict, explain};
use proto::{
    NodeId, StreamId,
    api::{Route, RouteNode, RoutePlacement, RouteVerdict},
    fleet::Placement,
    node::{Membership, NodeLimits, NodeState, SrtPort},
};
use std::collections::BTreeMap;

/// What an explanation is made of.
#[derive(Debug)]
pub struct Known<'a> {
    /// The ring and its nodes.
    pub nodes: &'a Nodes,
    /// The membership, for what the ring leaves out: whether a node that is down also drains.
    pub membership: &'a Membership,
    /// What each node carries, the stream in question not counted.
    pub loads: &'a BTreeMap<NodeId, Load>,
    /// Unix milliseconds of each node's last heartbeat.
    pub heard_ms: &'a BTreeMap<NodeId, u64>,
    /// The kind of port that the stream's publisher needs, when it came over SRT.
    pub srt: Option<SrtPort>,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// Where a stream is, without a why.
#[must_use]
pub fn placed(stream: StreamId, placement: Option<Placement>, now_ms: u64) -> Route {
    let placement = placement.map(|at| RoutePlacement {
        node: at.node,
        service: at.service,
        epoch: at.epoch,
        session: at.session,
        protocol: at.protocol,
        since_ms: at.since_ms,
        age_ms: now_ms.saturating_sub(at.since_ms),
    });
    Route {
        stream,
        placement,
        choice: None,
        refusal: None,
        why: None,
        membership: None,
        bound_percent: None,
        nodes: Vec::new(),
    }
}

/// Takes a live stream out of its home's load: a decision about it does not count it twice.
pub fn without(loads: &mut BTreeMap<NodeId, Load>, home: &NodeId) {
    if let Some(load) = loads.get_mut(home) {
        load.streams = load.streams.saturating_sub(1);
    }
}

/// Adds what would be decided now, node by node.
pub fn explained(route: &mut Route, known: &Known<'_>) {
    let unfit = known.nodes.unfit(known.srt);
    let policy = Policy { unfit: &unfit, ..Policy::default() };
    let judged = explain(&known.nodes.ring, known.loads, route.stream.as_str().as_bytes(), &policy);
    let home = route.placement.as_ref().map(|placement| placement.node.clone());
    route.nodes = judged.iter().enumerate().filter_map(|(at, one)| node(at, one, home.as_ref(), known)).collect();
    route.choice = judged.iter().find(|one| one.verdict == Verdict::Chosen).map(|one| one.node.clone());
    let decision = placement::decide(&known.nodes.ring, known.loads, route.stream.as_str().as_bytes(), &policy);
    route.refusal = decision.refusal.map(|refusal| refusal.to_string());
    route.membership = Some(known.nodes.version);
    route.bound_percent = Some(policy.bound_percent);
    route.why = Some(words(route));
}

fn node(at: usize, judged: &Judged, home: Option<&NodeId>, known: &Known<'_>) -> Option<RouteNode> {
    let member = known.nodes.ring.member(&judged.node)?;
    let load = known.loads.get(&judged.node).copied().unwrap_or_default();
    let told = known.membership.members.iter().find(|told| told.id == judged.node);
    let (verdict, why) = match judged.verdict {
        Verdict::Chosen => (RouteVerdict::Chosen, None),
        Verdict::Candidate => (RouteVerdict::Candidate, None),
        Verdict::PassedOver(reason) => (RouteVerdict::PassedOver, Some(reason.to_string())),
    };
    Some(RouteNode {
        node: judged.node.clone(),
        order: u32::try_from(at.saturating_add(1)).unwrap_or(u32::MAX),
        state: told.map_or(member.state.as_str(), |told| NodeState::as_str(told.state)).to_owned(),
        draining: told.map_or(member.state == State::Draining, |told| told.draining),
        heard_ms_ago: known.heard_ms.get(&judged.node).map(|heard| known.now_ms.saturating_sub(*heard)),
        weight: member.weight.get(),
        zone: member.zone.as_ref().map(ToString::to_string),
        streams: load.streams,
        clients: load.clients,
        kbps: load.bandwidth_kbps,
        bound: judged.bound,
        limits: NodeLimits {
            streams: member.limits.streams,
            clients: member.limits.clients,
            bandwidth_kbps: member.limits.bandwidth_kbps,
        },
        verdict,
        chosen: verdict == RouteVerdict::Chosen,
        home: home == Some(&judged.node),
        why,
    })
}

/// One sentence for people.
fn words(route: &Route) -> String {
    let Some(choice) = &route.choice else {
        let why = route.refusal.as_deref().unwrap_or("no node would take it");
        return match &route.placement {
            Some(at) => format!("is on {} and stays there; published anew now, it would be refused: {why}", at.node),
            None => format!("would be refused: {why}"),
        };
    };
    let place = route.nodes.iter().find(|node| node.chosen).map_or(1, |node| node.order);
    let passed = match place {
        1 => "the ring's first".to_owned(),
        2 => "the ring's second; the one before was passed over".to_owned(),
        more => format!("number {more} of the ring; the {} before were passed over", more.saturating_sub(1)),
    };
    match &route.placement {
        None => format!("would go to {choice}, {passed}"),
        Some(at) if at.node == *choice => format!("is on {choice}, {passed}"),
        Some(at) => format!(
            "is on {} and stays there: live streams never move for balance; published anew now, it would go to {choice}, {passed}",
            at.node
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{ServiceId, SessionId, node::Member, session::Protocol};

    fn id(text: &str) -> NodeId {
        NodeId::parse(text).unwrap()
    }

    fn membership(states: &[(&str, NodeState, bool)]) -> Membership {
        let member = |(name, state, draining): &(&str, NodeState, bool)| Member {
            id: id(name),
            service: ServiceId::parse("run").ok(),
            state: *state,
            draining: *draining,
            weight: 2,
            zone: Some("east".to_owned()),
            at: Default::default(),
            public: Vec::new(),
            limits: NodeLimits { clients: Some(100), ..NodeLimits::default() },
        };
        Membership { version: 7, members: states.iter().map(member).collect() }
    }

    fn route(membership: &Membership, loads: &BTreeMap<NodeId, Load>, live_on: Option<&str>) -> Route {
        let nodes = Nodes::of(membership).unwrap();
        let heard_ms = BTreeMap::from([(id("a"), 400)]);
        let known = Known { nodes: &nodes, membership, loads, heard_ms: &heard_ms, srt: None, now_ms: 1_000 };
        let stream = StreamId::parse("cam").unwrap();
        let placement = live_on.map(|node| Placement {
            stream: stream.clone(),
            node: id(node),
            service: ServiceId::parse("run").unwrap(),
            epoch: 3,
            session: SessionId::from_bytes([1; 16]),
            protocol: Protocol::Webrtc,
            since_ms: 900,
        });
        let mut route = placed(stream, placement, 1_000);
        explained(&mut route, &known);
        route
    }

    #[test]
    fn every_node_stands_there_with_its_reason() {
        let states = [("a", NodeState::Up, false), ("b", NodeState::Down, true), ("c", NodeState::Up, true)];
        let told = route(&membership(&states), &BTreeMap::new(), None);
        assert_eq!((told.nodes.len(), told.membership, told.choice.as_ref()), (3, Some(7), Some(&id("a"))));
        let of = |name: &str| told.nodes.iter().find(|node| node.node == id(name)).unwrap();
        assert_eq!(
            (of("a").verdict, of("a").heard_ms_ago, of("a").why.as_deref()),
            (RouteVerdict::Chosen, Some(600), None)
        );
        assert_eq!((of("b").state.as_str(), of("b").draining, of("b").why.as_deref()), ("down", true, Some("is down")));
        assert_eq!(
            (of("c").state.as_str(), of("c").draining, of("c").why.as_deref()),
            ("up", true, Some("is draining"))
        );
        assert_eq!(of("a").bound, Some(2));
        assert_eq!((of("c").bound, of("c").weight, of("c").zone.as_deref()), (None, 2, Some("east")));
        assert_eq!(told.nodes.iter().map(|node| node.order).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(told.why.unwrap().starts_with("would go to a, "));
    }

    #[test]
    fn a_live_stream_stays_whatever_would_be_chosen() {
        let up = membership(&[("a", NodeState::Up, false), ("b", NodeState::Down, false)]);
        let told = route(&up, &BTreeMap::new(), Some("b"));
        assert_eq!((told.choice, told.placement.map(|at| at.age_ms)), (Some(id("a")), Some(100)));
        assert!(told.nodes.iter().any(|node| node.home && node.node == id("b")));
        assert!(told.why.unwrap().starts_with("is on b and stays there"));
    }

    #[test]
    fn with_no_node_to_take_it_the_refusal_is_told() {
        let down = membership(&[("a", NodeState::Down, false)]);
        let told = route(&down, &BTreeMap::new(), None);
        assert_eq!((told.choice, told.refusal.as_deref()), (None, Some("no media node is up")));
        assert_eq!(told.why.as_deref(), Some("would be refused: no media node is up"));
        let told = route(&membership(&[]), &BTreeMap::new(), None);
        assert_eq!(told.refusal.as_deref(), Some("there are no media nodes"));
    }

    #[test]
    fn the_stream_itself_is_not_in_its_homes_load() {
        let load = |streams| Load { streams, ..Load::default() };
        let mut loads = BTreeMap::from([(id("a"), load(1)), (id("b"), load(0))]);
        without(&mut loads, &id("a"));
        without(&mut loads, &id("b"));
        without(&mut loads, &id("c"));
        assert_eq!(loads, BTreeMap::from([(id("a"), load(0)), (id("b"), load(0))]));
    }
}
