//! Presence: tells the cluster of this process, learns the nodes that others heard, tells when a node falls silent.

use super::JobError;
use crate::{
    app::State,
    domain::nodes::NodeState,
    hooks::heartbeat,
    sessions::live,
    srs::SrsError,
    store::{
        cache::event,
        pg::claims::{self, Which},
    },
};
use kit::{clock, kv::Cmd};
use proto::{
    NodeId,
    event::Event,
    fleet::{ControlInfo, NodeInfo},
    keys,
    session::EndReason,
};
use std::{sync::Arc, time::Duration};

/// A silence that was told is remembered so long, unless the node is heard again.
const TOLD: Duration = Duration::from_secs(24 * 3600);

/// One turn.
///
/// # Errors
/// A store that is away.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    let learned = present(state).await;
    // Silence is judged also while Redis is away: this process may be the one that hears the nodes.
    for (node, info) in state.nodes.all() {
        if state.nodes.state(&node, clock::unix_ms()) == Some(NodeState::Down)
            && let Some(info) = info
        {
            silent(state, &node, &info).await?;
        }
    }
    learned
}

async fn present(state: &Arc<State>) -> Result<(), JobError> {
    let info = ControlInfo {
        id: state.id.clone(),
        url: state.url.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seen_at_ms: clock::unix_ms(),
    };
    let json = serde_json::to_vec(&info)?;
    let commands = vec![Cmd::hset(keys::CONTROLS, state.id.as_str(), json), Cmd::hgetall(keys::NODES)];
    let heard = state.kv.run(commands).await?.pop().ok_or("no answer")?.map()?;
    let infos = heard.values().filter_map(|value| serde_json::from_slice::<NodeInfo>(value).ok()).collect();
    for info in state.nodes.merge(infos) {
        heartbeat::restarted(state, &info.id, &info.service).await?;
    }
    Ok(())
}

/// A node is not heard any more. If its process is gone too, what it carried is over; if only the heartbeats are missing, it may still carry it.
async fn silent(state: &State, node: &NodeId, info: &NodeInfo) -> Result<(), JobError> {
    let told = state.kv.one(Cmd::set_new(&keys::node_down(node), "1", TOLD)).await;
    if told.is_ok_and(|reply| !reply.is_nil()) {
        tracing::warn!(%node, "a media node is silent");
        state.kv.one(event(&Event::NodeDown { node: node.clone() })).await?;
    }
    if claims::live(&state.pg, Some(node)).await?.is_empty()
        && state.sessions.on_nodes(vec![node.clone()]).await? == [0]
    {
        return Ok(());
    }
    let gone = match state.nodes.api(node) {
        None => true,
        Some(api) => matches!(state.srs.streams(&api, &info.service).await, Err(SrsError::Gone | SrsError::OtherRun)),
    };
    if gone {
        let ended = claims::end(&state.pg, Which::Node(node, None), EndReason::NodeLost).await?;
        for publisher in &ended {
            live::ended(state, publisher, EndReason::NodeLost).await;
        }
        state.media.claims("lost", ended.len());
        heartbeat::close_sessions(state, node, None).await;
    }
    Ok(())
}
