//! Heartbeats: what a node says of itself, and what its restart ends.

use crate::{
    app::State,
    domain::{
        health::Input,
        nodes::{VersionVerdict, version},
    },
    health,
    nodes::Beat,
    sessions::live,
    store::pg::{
        claims::{self, Which},
        kicks,
    },
};
use kit::{
    clock,
    kv::{Cmd, KvError},
    pg::PgError,
};
use proto::{NodeId, ServiceId, fleet::NodeInfo, keys, session::EndReason};
use std::sync::Arc;

/// Takes in a heartbeat. What follows from a restart is done after the answer: SRS sends heartbeats from a timer that must not wait.
pub async fn heard(state: &Arc<State>, info: NodeInfo) {
    let beat = state.nodes.hear(info.clone());
    if beat == Beat::Stale {
        tracing::info!(node = %info.id, "a heartbeat of a run that is over came late");
        return;
    }
    // With the bandwidth that follows from the beat before.
    let info = state.nodes.info(&info.id).unwrap_or(info);
    if let Err(error) = write(state, &info).await
        && error != KvError::Away
    {
        tracing::error!(%error, node = %info.id, "a heartbeat cannot be written to Redis");
    }
    health::run::feed(state, &info.id, Input::Beat(info.service.clone()), clock::unix_ms());
    if beat == Beat::Same {
        return;
    }
    let (verdict, lines) = version(&info.version, state.config.allow_unknown_srs);
    if verdict != VersionVerdict::Fine {
        tracing::warn!(node = %info.id, version = %info.version.escape_debug(), known = ?lines, "SRS of this version has known faults");
    }
}

async fn write(state: &State, info: &NodeInfo) -> Result<(), KvError> {
    let json = serde_json::to_vec(info).map_err(|_| KvError::Shape)?;
    state.kv.one(Cmd::hset(keys::NODES, info.id.as_str(), json)).await.map(|_| ())
}

/// Counts the nodes that were heard by what is known of their versions.
pub fn count_versions(state: &State) {
    let heard = state.nodes.all().into_iter().filter_map(|(_, info)| info);
    let verdicts: Vec<VersionVerdict> =
        heard.map(|info| version(&info.version, state.config.allow_unknown_srs).0).collect();
    for one in VersionVerdict::ALL {
        let nodes = verdicts.iter().filter(|verdict| **verdict == one).count();
        state.health.metrics.count_versions(one, nodes);
    }
}

/// Ends all that other runs of a node carried: claims, sessions, owed kicks.
///
/// # Errors
/// [`PgError`].
pub async fn restarted(state: &State, node: &NodeId, service: &ServiceId) -> Result<(), PgError> {
    let ended = claims::end(&state.pg, Which::Node(node, Some(service)), EndReason::NodeLost).await?;
    for publisher in &ended {
        live::ended(state, publisher, EndReason::NodeLost).await;
    }
    state.media.claims("lost", ended.len());
    kicks::forget_other_runs(&state.pg, node, service).await?;
    close_sessions(state, node, Some(service));
    Ok(())
}

/// Closes the sessions on a node, but for those of one run.
pub fn close_sessions(state: &State, node: &NodeId, spare: Option<&ServiceId>) {
    let count = state.sessions.lose(node, spare);
    if count > 0 {
        tracing::info!(%node, count, "sessions ended with their node");
    }
}
