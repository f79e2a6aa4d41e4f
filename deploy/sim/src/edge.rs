//! An edge-gateway: publishers and viewers by way of it, and its replica of all live placements.

use crate::domain::placing::Nodes;
use crate::placements::Placements;
use crate::{
    control::routes::{self, Asking, Reserved},
    exec::Sim,
    net::{Fail, Proc},
    srs::{self, No, Right, Ticket},
};
use placement::{Load, Policy, decide};
use proto::{
    EdgeId, NodeId, ServiceId, StreamId,
    event::{Event, Told},
    internal::{Credential, ProposedNode},
    node::{Membership, Met, NodeState},
    session::Role,
};
use std::{cell::Cell, collections::BTreeMap, rc::Rc};

const REFRESH_MS: u64 = 3_000;
/// Every so many refreshes the placements are read whole as well.
const WHOLE_EVERY: u64 = 20;
const CONTROL_MS: u64 = 3_000;
const NODE_MS: u64 = 6_000;
const TICKET_MS: u64 = 30_000;

/// What one edge keeps in memory.
pub(crate) struct Edge {
    pub(crate) placements: Placements,
    pub(crate) membership: Membership,
    pub(crate) ring: Option<Nodes>,
    /// Number of the last news; it and the placements belong together unless some were missed.
    pub(crate) heard: u64,
    pub(crate) missed: bool,
    /// Clients whose media goes through it: node, run, client.
    pub(crate) relays: Vec<(usize, ServiceId, u32)>,
}

pub(crate) fn start(sim: &Sim, e: usize) {
    {
        let mut w = sim.w();
        w.begin(Proc::E(e));
        let fresh = Edge {
            placements: Placements::default(),
            membership: Membership::default(),
            ring: None,
            heard: 0,
            missed: true,
            relays: Vec::new(),
        };
        if e < w.edges.len() {
            w.edges[e] = fresh;
        } else {
            w.edges.push(fresh);
        }
    }
    let task = sim.clone();
    sim.spawn(Proc::E(e), async move {
        let mut count = 0;
        let raw = task.w().broken == crate::Broken::RawNews;
        loop {
            let whole = task.w().edges[e].missed || (count % WHOLE_EVERY == 0 && !(raw && count > 0));
            count = if refresh(&task, e, whole).await { count + 1 } else { 0 };
            let until = task.now() + REFRESH_MS;
            while task.now() < until && !(task.w().edges[e].missed && count > 0) {
                task.sleep(100).await;
            }
        }
    });
}

async fn refresh(sim: &Sim, e: usize, whole: bool) -> bool {
    let read = sim.redis(Proc::E(e), |redis, _| {
        let placements = whole.then(|| redis.placements.values().cloned().collect::<Vec<_>>());
        (redis.members.clone(), placements, redis.told)
    });
    let Ok((members, placements, told)) = read.await else {
        sim.w().edges[e].missed = true;
        return false;
    };
    if let Some(members) = members {
        learn(sim, e, members);
    }
    let mut w = sim.w();
    let raw = w.broken == crate::Broken::RawNews;
    let edge = &mut w.edges[e];
    if let Some(placements) = placements {
        edge.placements.replace(placements.into_iter());
        (edge.missed, edge.heard) = (false, told);
    } else if told > edge.heard && !raw {
        // Something was told that did not arrive; what is still under way shows up as a gap the next time.
        edge.missed = true;
    }
    true
}

fn learn(sim: &Sim, e: usize, members: Membership) {
    let gone: Vec<(usize, ServiceId, u32)> = {
        let mut w = sim.w();
        if members.version < w.edges[e].membership.version {
            return;
        }
        let fits = |id: &NodeId, service: &ServiceId| {
            members.members.iter().any(|member| {
                member.id == *id
                    && member.state != NodeState::Down
                    && member.service.as_ref().is_none_or(|run| run == service)
            })
        };
        let ids: Vec<NodeId> = w.nodes.iter().map(|node| node.id.clone()).collect();
        let edge = &mut w.edges[e];
        if edge.ring.is_none() || members.version > edge.membership.version {
            edge.ring = Nodes::of(&members).ok();
        }
        edge.membership = members.clone();
        let (stay, gone) = edge.relays.drain(..).partition(|(n, service, _)| fits(&ids[*n], service));
        edge.relays = stay;
        gone
    };
    cut(sim, &gone);
}

/// Media that goes through an edge stops: what it carried sends nothing any more.
pub(crate) fn cut(sim: &Sim, relays: &[(usize, ServiceId, u32)]) {
    let mut w = sim.w();
    let now = w.now;
    for (n, service, client) in relays {
        let node = &mut w.nodes[*n];
        if node.service == *service
            && let Some(client) = node.clients.get_mut(client)
        {
            client.silent_since.get_or_insert(now);
        }
    }
    w.dirty = true;
}

/// News from a control-api.
pub(crate) fn news(sim: &Sim, e: usize, told: &Told) {
    {
        let mut w = sim.w();
        let raw = w.broken == crate::Broken::RawNews;
        let edge = &mut w.edges[e];
        if told.n > edge.heard + 1 && !raw {
            edge.missed = true;
        }
        edge.heard = edge.heard.max(told.n);
        match &told.event {
            Event::StreamLive { placement, .. } => edge.placements.live(placement.clone()),
            Event::StreamEnded { stream, epoch, .. } => edge.placements.ended(stream, *epoch),
            Event::SessionOpened { .. }
            | Event::SessionClosed { .. }
            | Event::TokenRevoked { .. }
            | Event::StreamChanged { .. }
            | Event::KeyRevoked { .. }
            | Event::SecretsChanged
            | Event::MembersChanged { .. }
            | Event::NodeUp { .. }
            | Event::NodeDown { .. } => {}
        }
    }
    if matches!(told.event, Event::MembersChanged { .. } | Event::NodeDown { .. }) {
        let task = sim.clone();
        sim.spawn(Proc::E(e), async move {
            if !refresh(&task, e, false).await {
                task.w().seen("members not read");
            }
        });
    }
}

fn controls(sim: &Sim) -> Vec<usize> {
    let mut w = sim.w();
    let mut all: Vec<usize> = (0..w.controls.len()).collect();
    w.dice.shuffle(&mut all);
    all
}

/// The ring's order for a stream, as this edge sees nodes and loads.
fn order(sim: &Sim, e: usize, stream: &StreamId) -> Vec<ProposedNode> {
    let w = sim.w();
    let edge = &w.edges[e];
    let Some(nodes) = &edge.ring else { return Vec::new() };
    let loads: BTreeMap<NodeId, Load> = nodes
        .ring
        .members()
        .iter()
        .map(|member| {
            let streams = u32::try_from(edge.placements.on_node(&member.id)).unwrap_or(u32::MAX);
            (member.id.clone(), Load { streams, ..Load::default() })
        })
        .collect();
    let decision = decide(&nodes.ring, &loads, stream.as_str().as_bytes(), &Policy::default());
    let run = |node: &NodeId| nodes.runs.get(node).cloned();
    decision
        .candidates
        .iter()
        .filter_map(|node| Some(ProposedNode { node: node.clone(), service: run(node)? }))
        .collect()
}

/// Who a client is at its node.
pub(crate) type At = (usize, ServiceId, u32);

/// A publisher by WHIP: reserve, open at the node, or give the reservation back.
pub(crate) async fn publish(
    sim: Sim,
    e: usize,
    stream: StreamId,
    credential: Credential,
    takeover: bool,
) -> Option<At> {
    let nodes = order(&sim, e, &stream);
    let session = sim.w().session_id();
    let asking = Asking { stream: stream.clone(), session, edge: e, nodes, credential, takeover };
    let mut reserved = None;
    for c in controls(&sim) {
        match sim.call(Proc::E(e), Proc::C(c), CONTROL_MS, routes::reserve(sim.clone(), c, asking.clone())).await {
            Ok(Reserved::Yes { node, service, epoch }) => {
                reserved = Some((node, service, epoch));
                break;
            }
            Ok(Reserved::Busy | Reserved::NoNode) => return None,
            Ok(Reserved::Away) | Err(_) => {}
        }
    }
    let (node, service, epoch) = reserved?;
    let right = Right::Ticket(Ticket { session, epoch, edge: e, expires: sim.now() + TICKET_MS });
    let opened = open(&sim, e, &node, &service, &stream, Role::Publish, right).await;
    if opened.is_none() {
        for c in controls(&sim) {
            let work = routes::give_up(sim.clone(), c, stream.clone(), session, epoch);
            if sim.call(Proc::E(e), Proc::C(c), CONTROL_MS, work).await == Ok(true) {
                break;
            }
        }
    }
    opened
}

/// A viewer by WHEP: by the replica, else by Redis, else by a control-api.
pub(crate) async fn play(sim: Sim, e: usize, stream: StreamId) -> Option<At> {
    let known =
        sim.w().edges[e].placements.get(&stream).map(|placement| (placement.node.clone(), placement.service.clone()));
    let mut home = known;
    if home.is_none() {
        let read = sim.redis(Proc::E(e), |redis, _| redis.placements.get(&stream).cloned()).await;
        home = read.ok().flatten().map(|placement| (placement.node, placement.service));
    }
    if home.is_none() {
        for c in controls(&sim) {
            let asked =
                sim.call(Proc::E(e), Proc::C(c), CONTROL_MS, routes::route(sim.clone(), c, stream.clone())).await;
            if let Ok(found) = asked {
                home = found;
                break;
            }
        }
    }
    let (node, service) = home?;
    let session = sim.w().session_id();
    let right = Right::Ticket(Ticket { session, epoch: 0, edge: e, expires: sim.now() + TICKET_MS });
    open(&sim, e, &node, &service, &stream, Role::Play, right).await
}

async fn open(
    sim: &Sim,
    e: usize,
    node: &NodeId,
    service: &ServiceId,
    stream: &StreamId,
    role: Role,
    right: Right,
) -> Option<At> {
    let n = sim.w().node_index(node)?;
    let entered = Rc::new(Cell::new(None));
    let (task, name, there, run) = (sim.clone(), stream.clone(), Rc::clone(&entered), service.clone());
    let opened = sim.call(Proc::E(e), Proc::N(n), NODE_MS, async move {
        // A ticket is good for one run only.
        if task.w().nodes[n].service != run {
            return Err(No::Refused);
        }
        srs::come(task, n, name, role, right, &there).await
    });
    match opened.await {
        Ok(Ok(client)) => {
            let at = (n, service.clone(), client);
            sim.w().edges[e].relays.push(at.clone());
            Some(at)
        }
        Ok(Err(_)) => None,
        Err(fail) => {
            if let Some(client) = entered.get() {
                cut(sim, &[(n, service.clone(), client)]);
            }
            report(sim, e, node, service, if fail == Fail::Refused { Met::Refused } else { Met::Silent });
            None
        }
    }
}

fn report(sim: &Sim, e: usize, node: &NodeId, service: &ServiceId, met: Met) {
    let (task, node, service) = (sim.clone(), node.clone(), service.clone());
    let Ok(edge) = EdgeId::parse(&format!("e{e}")) else { return };
    sim.spawn(Proc::E(e), async move {
        for c in controls(&task) {
            let work = routes::report(task.clone(), c, edge.clone(), node.clone(), service.clone(), met, false);
            if task.call(Proc::E(e), Proc::C(c), CONTROL_MS, work).await.is_ok() {
                return;
            }
        }
    });
}
