//! Heartbeats: what a node says of itself, and what its restart ends.

use crate::{
    app::State,
    domain::nodes::{VersionVerdict, version},
    nodes::Beat,
    sessions::live,
    store::cache::event,
    store::pg::{
        claims::{self, Which},
        kicks,
    },
};
use kit::{
    kv::{Cmd, KvError},
    pg::PgError,
};
use proto::{NodeId, ServiceId, event::Event, fleet::NodeInfo, keys, session::EndReason};
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
    if let Err(error) = write(state, &info, beat).await
        && error != KvError::Away
    {
        tracing::error!(%error, node = %info.id, "a heartbeat cannot be written to Redis");
    }
    if beat == Beat::Same {
        return;
    }
    let (verdict, lines) = version(&info.version);
    if verdict != VersionVerdict::Fine {
        tracing::warn!(node = %info.id, version = %info.version.escape_debug(), known = ?lines, "SRS of this version has known faults");
    }
    let state = Arc::clone(state);
    // One task a run of a node: bounded by how often nodes restart.
    tokio::spawn(async move {
        if let Err(error) = restarted(&state, &info.id, &info.service).await {
            tracing::warn!(%error, node = %info.id, "what a node's old run held cannot be freed yet; the reconciliation does it");
        }
    });
}

async fn write(state: &State, info: &NodeInfo, beat: Beat) -> Result<(), KvError> {
    let json = serde_json::to_vec(info).map_err(|_| KvError::Shape)?;
    let hash = keys::NODES;
    let mut commands = vec![
        Cmd::on("HEXISTS", hash).arg(info.id.as_str()),
        Cmd::hset(hash, info.id.as_str(), json),
        Cmd::del(&keys::node_down(&info.id)),
    ];
    if beat == Beat::Restarted {
        commands.push(event(&Event::NodeDown { node: info.id.clone() }));
        commands.push(event(&Event::NodeUp { node: info.id.clone() }));
    }
    let replies = state.kv.run(commands).await?;
    let number = |at: usize| replies.get(at).map_or(Ok(1), kit::kv::Reply::int);
    // New to everybody, or silent until now.
    if beat != Beat::Restarted && (number(0)? == 0 || number(2)? == 1) {
        state.kv.one(event(&Event::NodeUp { node: info.id.clone() })).await?;
    }
    Ok(())
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
    close_sessions(state, node, Some(service)).await;
    Ok(())
}

/// Closes the sessions on a node, but for those of one run.
pub async fn close_sessions(state: &State, node: &NodeId, spare: Option<&ServiceId>) {
    let Ok(open) = state.sessions.of_node(node.clone()).await else { return };
    for entry in open.iter().filter(|entry| Some(&entry.service) != spare) {
        if state.sessions.close(entry.session, EndReason::NodeLost).await.is_err() {
            state.metrics.redis_skipped("session");
            return;
        }
    }
}
