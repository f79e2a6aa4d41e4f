//! Compares each node with the tables: claims whose publisher is gone, sessions whose client is gone, placements that Redis lost.
//!
//! The tables are read before the node is asked, and what is younger than [`GRACE_MS`] is let be, so that a client that comes while we look is not
//! taken for one that is gone.

use super::{JobError, adopt, lease, unclaimed};
use crate::{
    app::State,
    claiming::{read_watch, write_watch},
    domain::claims::{Owner, judge},
    hooks::heartbeat,
    sessions::{Known, OnNode, live},
    srs::SrsError,
    store::pg::claims::{self, Held, Which},
};
use kit::{clock, kv::Cmd};
use proto::{
    NodeId, ServiceId, SessionId,
    fleet::{NodeInfo, Placement},
    keys,
    session::EndReason,
    srs::api::Client,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// What is younger is not judged, in milliseconds: SRS lists a client before its hook, but answers may cross.
const GRACE_MS: u64 = 5_000;
/// One control node compares a node at a time; shorter than the period, so that any may do the next turn.
const LEASE: Duration = Duration::from_millis(4_500);
/// How long watched byte counts are kept when nobody compares any more.
const WATCH_TTL: Duration = Duration::from_secs(60);

/// One turn over all nodes that were heard.
///
/// # Errors
/// The first store that was away; a node that does not answer is no error of the job.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    let heard = state.nodes.all().into_iter().filter_map(|(_, info)| info);
    let nodes: Vec<NodeInfo> = heard.collect();
    let all = state.gossip.take_compare_all();
    for done in futures_util::future::join_all(nodes.iter().map(|info| one(state, info, all))).await {
        done?;
    }
    Ok(())
}

async fn one(state: &State, info: &NodeInfo, all: bool) -> Result<(), JobError> {
    let sessions = state.sessions.of_node(info.id.clone()).await?;
    // What nobody else vouches for, only this process can compare.
    let unsure = all || sessions.iter().any(|entry| !entry.sure);
    if !lease(state, &format!("reconcile:{}", info.id), LEASE).await && !unsure {
        return Ok(());
    }
    let Some(api) = state.nodes.api(&info.id) else { return Ok(()) };
    let live = claims::live(&state.pg, Some(&info.id)).await?;
    match state.srs.clients(&api, &info.service).await {
        Ok(clients) => {
            // The node itself has just said that this is its run: whatever another one held is over. A restart that came while Postgres was
            // away could not be written down then.
            if live.iter().any(|held| held.from.service != info.service) {
                heartbeat::restarted(state, &info.id, &info.service).await?;
            }
            let present: HashSet<&str> = clients.iter().map(|client| client.id.as_str()).collect();
            unclaimed::put_out(state, info, &clients).await?;
            publishers(state, info, &live, &present).await?;
            compare(state, info, &sessions, &present).await?;
            if state.gossip.ready() {
                adopt::viewers(state, info, &live, &sessions, &clients).await?;
            }
            renew(state, &live, &sessions.iter().map(|entry| entry.session).collect()).await?;
            watch(state, &info.id, &info.service, &live, &clients).await
        }
        Err(SrsError::OtherRun) => {
            tracing::info!(node = %info.id, "a node was restarted; its next heartbeat tells its new run");
            Ok(())
        }
        Err(error @ (SrsError::Gone | SrsError::Away(_))) => {
            tracing::debug!(node = %info.id, %error, "a node cannot be compared");
            Ok(())
        }
    }
}

/// Ends sessions whose client the node does not know, or whose run is over; confirms those that only this process knows since a long cut.
async fn compare(state: &State, info: &NodeInfo, sessions: &[OnNode], present: &HashSet<&str>) -> Result<(), JobError> {
    let now_ms = clock::unix_ms();
    if sessions.iter().any(|entry| entry.service != info.service) {
        state.sessions.lose(&info.id, Some(&info.service));
    }
    for entry in sessions.iter().filter(|entry| entry.service == info.service) {
        let old = now_ms.saturating_sub(entry.opened_ms) >= GRACE_MS;
        if old && !present.contains(entry.client.as_str()) {
            state.sessions.close(entry.session, EndReason::Reconciled).await?;
        } else if !entry.sure {
            state.sessions.confirm(entry.session);
        }
    }
    Ok(())
}

/// Frees claims whose publisher the node does not know.
async fn publishers(state: &State, info: &NodeInfo, live: &[Held], present: &HashSet<&str>) -> Result<(), JobError> {
    let now_ms = clock::unix_ms();
    for held in live.iter().filter(|held| held.from.service == info.service) {
        let old = now_ms.saturating_sub(held.since_ms) >= GRACE_MS;
        if !old || present.contains(held.from.client.as_str()) {
            continue;
        }
        tracing::warn!(stream = %held.stream, node = %info.id, session = %held.session, "a publisher was found gone");
        for ended in claims::end(&state.pg, Which::Client(&held.from), EndReason::Reconciled).await? {
            live::ended(state, &ended, EndReason::Reconciled).await;
            state.media.claim("reconciled");
        }
    }
    Ok(())
}

/// Keeps placements from running out, and makes good what Redis lost of live publishers.
async fn renew(state: &State, live: &[Held], known: &HashSet<SessionId>) -> Result<(), JobError> {
    if live.is_empty() {
        return Ok(());
    }
    let found = state.kv.run(live.iter().map(|held| Cmd::get(&keys::placement(&held.stream))).collect()).await?;
    let mut keep = Vec::with_capacity(live.len());
    for (held, found) in live.iter().zip(found) {
        let placed = found.json::<Placement>()?.is_some_and(|placement| placement.epoch >= held.epoch);
        if placed && known.contains(&held.session) {
            keep.push(live::keep(&held.stream));
        } else {
            repair(state, held).await?;
        }
    }
    if !keep.is_empty() {
        state.kv.run(keep).await?;
    }
    Ok(())
}

/// Writes a live publisher's placement and session again. It may end at this very moment, and its end must not be undone: so Postgres is asked
/// before, and after too, since an end that comes later than that removes them by itself.
pub(super) async fn repair(state: &State, held: &Held) -> Result<(), JobError> {
    if !still_live(state, held).await? {
        return Ok(());
    }
    state.kv.one(live::place(&held.placement())).await?;
    let known = Known { session: held.session(), owner: held.owner, credential: Some(held.credential.clone()) };
    state.sessions.open(known).await?;
    if !still_live(state, held).await? {
        state.kv.one(live::unplace(&held.stream, held.epoch)).await?;
        state.sessions.close(held.session, EndReason::Reconciled).await?;
    }
    Ok(())
}

async fn still_live(state: &State, held: &Held) -> Result<bool, JobError> {
    let present = claims::of_stream(&state.pg, &held.stream).await?;
    Ok(present.and_then(|present| present.live).is_some_and(|now| now.epoch == held.epoch))
}

/// Remembers publishers' byte counts, so that a takeover can tell a silent one at once.
async fn watch(
    state: &State,
    node: &NodeId,
    service: &ServiceId,
    live: &[Held],
    clients: &[Client],
) -> Result<(), JobError> {
    let publishing: HashSet<&Owner> = live.iter().map(|held| &held.from).collect();
    let ids: HashSet<&str> = publishing.iter().map(|owner| owner.client.as_str()).collect();
    let counts: Vec<&Client> = clients.iter().filter(|client| ids.contains(client.id.as_str())).collect();
    if counts.is_empty() {
        return Ok(());
    }
    let key = keys::node_watch(node);
    let before = state.kv.one(Cmd::hgetall(&key)).await?.map()?;
    let before: HashMap<&str, &str> =
        before.iter().filter_map(|(field, value)| Some((field.as_str(), std::str::from_utf8(value).ok()?))).collect();
    let now_ms = clock::unix_ms();
    // Written anew as a whole, so that clients that left do not pile up.
    let mut commands = vec![Cmd::del(&key)];
    for client in counts {
        let field = format!("{service}/{}", client.id);
        let (_, watch) = judge(before.get(field.as_str()).and_then(|text| read_watch(text)), client.recv_bytes, now_ms);
        commands.push(Cmd::hset(&key, &field, write_watch(watch)));
    }
    commands.push(Cmd::expire(&key, WATCH_TTL));
    state.kv.run(commands).await?;
    Ok(())
}
