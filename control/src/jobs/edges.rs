//! Ends the sessions of edges that are gone. Every control node watches; a lease only saves telling the same twice.

use super::{JobError, lease};
use crate::app::State;
use kit::{clock, kv::Cmd};
use proto::{EdgeId, fleet::EdgeInfo, keys};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// One control node ends them at a time.
const LEASE: Duration = Duration::from_millis(1_500);

/// One look.
///
/// # Errors
/// Redis away: nobody is judged then.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    let holding = state.sessions.edges();
    let signs = match signs(state).await {
        Ok(signs) => signs,
        Err(error) => {
            state.edges.blind(clock::unix_ms());
            return Err(error);
        }
    };
    let gone = state.edges.judge(&holding, &signs, clock::unix_ms());
    if gone.is_empty() || !lease(state, "edges", LEASE).await {
        return Ok(());
    }
    for edge in gone {
        let count = state.sessions.lose_edge(&edge);
        tracing::warn!(%edge, count, "an edge is gone: the sessions it carried alone are over");
    }
    Ok(())
}

/// Each edge's last sign of life.
async fn signs(state: &State) -> Result<BTreeMap<EdgeId, u64>, JobError> {
    let all = state.kv.one(Cmd::hgetall(keys::EDGES)).await?.map()?;
    let infos = all.values().filter_map(|json| serde_json::from_slice::<EdgeInfo>(json).ok());
    Ok(infos.map(|info| (info.id, info.seen_at_ms)).collect())
}
