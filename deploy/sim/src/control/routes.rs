//! What edges ask a control-api.

use super::{claiming, claiming::Claimed, health, table};
use crate::domain::{
    claims::State,
    health::{Input, Witness},
    placing::decided,
};
use crate::{
    exec::Sim,
    net::{Fail, Proc},
    pg::Publisher,
};
use placement::{Load, Policy};
use proto::{
    EdgeId, NodeId, ServiceId, SessionId, StreamId,
    internal::{Credential, ProposedNode},
    node::Met,
};
use std::collections::BTreeMap;

/// A publisher that an edge brings.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) stream: StreamId,
    pub(crate) session: SessionId,
    pub(crate) edge: usize,
    pub(crate) nodes: Vec<ProposedNode>,
    pub(crate) credential: Credential,
    pub(crate) takeover: bool,
}

/// What an edge hears.
#[derive(Debug, Clone)]
pub(crate) enum Reserved {
    Yes { node: NodeId, service: ServiceId, epoch: u64 },
    Busy,
    NoNode,
    Away,
}

/// Decisions made anew because the node had its share by then.
const TRIES: usize = 8;

/// Reserves a stream.
pub(crate) async fn reserve(sim: Sim, c: usize, asking: Asking) -> Reserved {
    match placed(&sim, c, &asking).await {
        Ok(reserved) => reserved,
        Err(_) => Reserved::Away,
    }
}

async fn placed(sim: &Sim, c: usize, asking: &Asking) -> Result<Reserved, Fail> {
    for _ in 0..TRIES {
        let ring = sim.w().controls[c].ring.clone();
        let ids: Vec<NodeId> = ring.ring.members().iter().map(|member| member.id.clone()).collect();
        let loads: BTreeMap<NodeId, Load> = sim
            .pg(Proc::C(c), |pg, _| {
                let load = |id: &NodeId| u32::try_from(pg.streams(id)).unwrap_or(u32::MAX);
                ids.iter().map(|id| (id.clone(), Load { streams: load(id), ..Load::default() })).collect()
            })
            .await?;
        let decision = decided(ring, loads, &asking.stream, &Policy::default());
        let Some(first) = decision.order(&asking.nodes).into_iter().next() else { return Ok(Reserved::NoNode) };
        let publisher = Publisher {
            stream: asking.stream.clone(),
            session: asking.session,
            node: first.node.clone(),
            service: first.service.clone(),
            credential: asking.credential.clone(),
            edge: Some(asking.edge),
            takeover: asking.takeover,
        };
        let room = decision.room(&first.node);
        match claiming::claim(sim, c, &publisher, None, asking.takeover, room.as_ref()).await? {
            Claimed::Granted { epoch } => return Ok(Reserved::Yes { node: first.node, service: first.service, epoch }),
            Claimed::NoRoom => sim.w().seen("decision made anew for the bound"),
            Claimed::Again | Claimed::Busy => return Ok(Reserved::Busy),
        }
    }
    Ok(Reserved::NoNode)
}

/// An edge could not open the session after all.
pub(crate) async fn give_up(sim: Sim, c: usize, stream: StreamId, session: SessionId, epoch: u64) -> bool {
    sim.pg(Proc::C(c), |pg, _| pg.give_up(&stream, session, epoch)).await.is_ok()
}

/// Where a stream is: by Postgres, else by the table.
pub(crate) async fn route(sim: Sim, c: usize, stream: StreamId) -> Option<(NodeId, ServiceId)> {
    match sim.pg(Proc::C(c), |pg, _| pg.claims.get(&stream).cloned()).await {
        Ok(claim) => claim.and_then(|claim| match claim.state {
            State::Live { owner, .. } => Some((owner.node, owner.service)),
            State::Free { .. } | State::Reserved { .. } => None,
        }),
        Err(_) => table::home(&sim, c, &stream),
    }
}

/// What an edge met at a node; the node's prober hears of it too.
pub(crate) async fn report(
    sim: Sim,
    c: usize,
    edge: EdgeId,
    node: NodeId,
    service: ServiceId,
    met: Met,
    forwarded: bool,
) {
    health::feed(&sim, c, &node, Input::Word(Witness::Edge(edge.clone()), service.clone(), met));
    if forwarded {
        return;
    }
    let prober = {
        let w = sim.w();
        let order = w.controls[c].others.order(&node, super::unix_ms(&w, c));
        order.into_iter().next().and_then(|(id, url)| Some((id, url?.parse::<usize>().ok()?)))
    };
    if let Some((id, other)) = prober {
        let there = sim.clone();
        let told = sim.call(Proc::C(c), Proc::C(other), 1_500, async move {
            Box::pin(report(there, other, edge, node, service, met, true)).await;
        });
        if told.await.is_err() {
            sim.w().controls[c].others.missed(&id);
        }
    }
}
