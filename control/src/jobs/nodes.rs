//! Presence: tells the cluster of this process, learns who else is there and what others heard of the nodes.

use super::JobError;
use crate::{
    app::State,
    domain::health::Input,
    health::{members, run::feed},
};
use kit::{clock, kv::Cmd};
use proto::{
    NodeId, ServiceId,
    fleet::{ControlInfo, NodeInfo},
    keys,
};
use std::{collections::BTreeMap, sync::Arc};

/// A control node that was not heard for this long is forgotten, in milliseconds.
const FORGOTTEN_MS: u64 = 3_600_000;

/// One turn.
///
/// # Errors
/// Redis away.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    let now_ms = clock::unix_ms();
    let info = ControlInfo {
        id: state.id.clone(),
        url: state.url.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seen_at_ms: now_ms,
    };
    let mut commands = vec![
        Cmd::hset(keys::CONTROLS, state.id.as_str(), serde_json::to_vec(&info)?),
        Cmd::hgetall(keys::CONTROLS),
        Cmd::hgetall(keys::NODES),
        Cmd::hgetall(keys::NODE_SIGNS),
        Cmd::get(keys::MEMBERS),
    ];
    for (node, service, at_ms) in state.health.unshared(now_ms) {
        commands.push(Cmd::hset(keys::NODE_SIGNS, node.as_str(), format!("{service} {at_ms}")));
    }
    let mut replies = state.kv.run(commands).await?.into_iter().skip(1);
    let mut next = || replies.next().ok_or("no answer");
    let (controls, nodes, signs, membership) = (next()?.map()?, next()?.map()?, next()?.map()?, next()?.json()?);
    // The states first: whoever judges from now on begins with them.
    members::learn(state, membership.unwrap_or_default());
    let controls: Vec<ControlInfo> = controls.values().filter_map(|value| serde_json::from_slice(value).ok()).collect();
    forget(state, &controls, now_ms).await?;
    state.health.controls.learn(controls, now_ms);
    heard(state, nodes.values().filter_map(|value| serde_json::from_slice(value).ok()).collect(), now_ms);
    let text = |value: &[u8]| std::str::from_utf8(value).ok().map(str::to_owned);
    signs_of(state, &signs.iter().filter_map(|(node, value)| Some((node.clone(), text(value)?))).collect(), now_ms);
    // What is not as this process judges it is told again: Redis may have lost it.
    state.health.stir();
    Ok(())
}

async fn forget(state: &State, controls: &[ControlInfo], now_ms: u64) -> Result<(), JobError> {
    let old = controls.iter().filter(|control| now_ms.saturating_sub(control.seen_at_ms) > FORGOTTEN_MS);
    let commands: Vec<Cmd> = old.map(|control| Cmd::hdel(keys::CONTROLS, control.id.as_str())).collect();
    if !commands.is_empty() {
        state.kv.run(commands).await?;
    }
    Ok(())
}

/// Heartbeats that other control nodes heard.
fn heard(state: &Arc<State>, infos: Vec<NodeInfo>, now_ms: u64) {
    let newer = |info: &NodeInfo| match state.nodes.info(&info.id) {
        // Clocks differ: of one that was known, only that its time grew counts.
        Some(known) => (info.seen_at_ms > known.seen_at_ms).then_some(now_ms),
        None => Some(now_ms.min(info.seen_at_ms)),
    };
    let beats: Vec<(NodeId, ServiceId, u64)> =
        infos.iter().filter_map(|info| Some((info.id.clone(), info.service.clone(), newer(info)?))).collect();
    state.nodes.merge(infos);
    for (node, service, at_ms) in beats {
        if state.nodes.info(&node).is_some_and(|info| info.service == service) {
            feed(state, &node, Input::Heard(service), at_ms);
        }
    }
}

/// Hooks that other control nodes heard.
fn signs_of(state: &Arc<State>, signs: &BTreeMap<String, String>, now_ms: u64) {
    for (node, text) in signs {
        let read =
            text.split_once(' ').and_then(|(service, at)| Some((ServiceId::parse(service).ok()?, at.parse().ok()?)));
        if let (Ok(node), Some((service, at_ms))) = (NodeId::parse(node), read) {
            state.health.signed(&node, &service, at_ms, now_ms);
        }
    }
}
