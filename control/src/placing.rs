//! Where a new publisher goes: [`crate::domain::placing`] over the last membership and what the nodes carry.

use crate::{
    app::State,
    domain::placing::{Decided, Nodes, decided},
    store::pg::claims,
};
use kit::{clock, pg::PgError};
use placement::{Load, Policy, RingError};
use proto::{NodeId, StreamId, node::SrtPort};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// The ring of the last membership, so that it is not built for each decision.
#[derive(Debug, Default)]
pub struct Placing(RwLock<Option<Arc<Nodes>>>);

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum PlacingError {
    /// What the nodes carry is not known.
    #[error(transparent)]
    Store(#[from] PgError),
    /// The membership makes no ring.
    #[error("the membership makes no ring")]
    Ring(#[from] RingError),
}

/// The nodes of the last membership; those this process heard itself while there is none.
///
/// # Errors
/// [`RingError`]: more nodes or weight than a ring takes, which enrolment does not let happen.
pub fn nodes(state: &State) -> Result<Arc<Nodes>, RingError> {
    let membership = state.fleet.membership();
    if membership.members.is_empty() {
        return Nodes::heard(&state.nodes.all(), clock::unix_ms()).map(Arc::new);
    }
    let cached = state.placing.0.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(nodes) = cached.filter(|nodes| nodes.version == membership.version) {
        return Ok(nodes);
    }
    let nodes = Arc::new(Nodes::of(&membership)?);
    *state.placing.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&nodes));
    Ok(nodes)
}

/// Decides where `stream` would go now, with the streams that Postgres counts and the clients and bandwidth of the last heartbeats.
///
/// `srt` is the kind of port that an SRT caller needs. It only looks: nothing is claimed, and by the time something is, [`crate::claiming`] looks again.
///
/// # Errors
/// [`PlacingError`].
pub async fn decision(state: &State, stream: &StreamId, srt: Option<SrtPort>) -> Result<Decided, PlacingError> {
    let nodes = nodes(state)?;
    let policy = Policy { unfit: &nodes.unfit(srt), ..Policy::default() };
    let streams = claims::streams_by_node(&state.pg).await?;
    let loads = loads(state, &nodes, streams).await;
    Ok(decided(nodes.clone(), loads, stream, &policy))
}

/// What each node carries. Clients are the greater of what SRS counts and of the open sessions; the latter are asked only where a limit needs them.
async fn loads(state: &State, nodes: &Nodes, streams: BTreeMap<NodeId, u32>) -> BTreeMap<NodeId, Load> {
    let limited = nodes.ring.members().iter().filter(|member| member.limits.clients.is_some());
    let limited: Vec<NodeId> = limited.map(|member| member.id.clone()).collect();
    let open = if limited.is_empty() {
        Vec::new()
    } else {
        state.sessions.on_nodes(limited.clone()).await.unwrap_or_default()
    };
    let open: BTreeMap<NodeId, u64> = limited.into_iter().zip(open).collect();
    let load = |id: &NodeId| {
        let info = state.nodes.info(id);
        let (counted, bandwidth_kbps) = info.map_or((0, 0), |info| (info.clients, info.bandwidth_kbps));
        let open = open.get(id).map_or(0, |count| u32::try_from(*count).unwrap_or(u32::MAX));
        Load { streams: streams.get(id).copied().unwrap_or_default(), clients: counted.max(open), bandwidth_kbps }
    };
    nodes.ring.members().iter().map(|member| (member.id.clone(), load(&member.id))).collect()
}
