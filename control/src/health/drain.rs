//! What a drain's deadline ends, batch by batch, and what is left until then.

use crate::{
    app::State,
    domain::{claims::Owner, drain as rules, sessions::Filter},
    sessions::live,
    store::pg::{
        claims::{self, Which},
        kicks,
    },
};
use kit::{kv::KvError, pg::PgError};
use proto::{
    NodeId,
    api::Drain,
    session::{EndReason, Role, Session},
};
use std::sync::Arc;
use time::OffsetDateTime;

/// Between two batches of one node, in milliseconds.
const BATCH_EVERY_MS: u64 = 1_000;
/// Sessions looked through.
const SESSIONS_MAX: usize = 100_000;

/// The drain of a node, with what is left on it; `None` when it does not drain. With Redis away nothing is counted.
pub async fn shown(state: &State, node: &NodeId) -> Option<Drain> {
    let enrolment = state.nodes.enrolment(node)?;
    let (since, deadline) = enrolment.cordoned_at.zip(enrolment.drain_deadline)?;
    let left = sessions(state, node).await.unwrap_or_default();
    Some(Drain {
        since,
        deadline,
        deadline_ms: u64::try_from(deadline.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
        remaining: rules::remaining(&left),
    })
}

async fn sessions(state: &State, node: &NodeId) -> Result<Vec<Session>, KvError> {
    let all = state.sessions.list(Filter::default(), None, SESSIONS_MAX).await?;
    let here = all.into_iter().map(|known| known.session);
    Ok(here.filter(|session| session.node == *node && session.closed_at.is_none()).collect())
}

/// Ends the next batch of a node whose deadline is over, in a task of its own: one at a time of each node.
pub fn spawn_if_due(state: &Arc<State>, node: &NodeId, now_ms: u64) {
    let deadline = state.nodes.enrolment(node).and_then(|enrolment| enrolment.drain_deadline);
    if deadline.is_none_or(|deadline| deadline > OffsetDateTime::now_utc()) || !state.health.begin_drain(node, now_ms) {
        return;
    }
    let (state, node) = (Arc::clone(state), node.clone());
    tokio::spawn(async move {
        match batch(&state, &node).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(%node, ended, "the drain's deadline is over; sessions are ended"),
            Err(why) => {
                tracing::warn!(%node, why, "what is left on a draining node cannot be ended yet; it is tried again")
            }
        }
        state.health.finish(&node, |busy| busy.drain = false);
    });
}

async fn batch(state: &State, node: &NodeId) -> Result<usize, String> {
    let left = sessions(state, node).await.map_err(|error| error.to_string())?;
    let goes = rules::next(&left);
    let (publishers, viewers): (Vec<&Session>, Vec<&Session>) =
        left.iter().filter(|session| goes.contains(&session.id)).partition(|session| session.role == Role::Publish);
    end(state, &publishers, &viewers).await.map_err(|error| error.to_string())?;
    state.health.metrics.drained("publish", publishers.len());
    state.health.metrics.drained("play", viewers.len());
    Ok(goes.len())
}

fn owner(session: &Session) -> Owner {
    Owner { node: session.node.clone(), service: session.service.clone(), client: session.client_id.clone() }
}

/// Only these very connections: a stream that lives on another node by now is let be.
async fn end(state: &State, publishers: &[&Session], viewers: &[&Session]) -> Result<(), PgError> {
    let reason = EndReason::StreamMoved;
    for session in publishers {
        for ended in claims::end(&state.pg, Which::Client(&owner(session)), reason).await? {
            live::ended(state, &ended, reason).await;
            state.media.claim("ended");
        }
    }
    let owed: Vec<Owner> = publishers.iter().chain(viewers).map(|session| owner(session)).collect();
    if owed.is_empty() {
        return Ok(());
    }
    kicks::owe(&state.pg, &owed, claims::reason_word(reason), 0).await?;
    for session in publishers.iter().chain(viewers) {
        if state.sessions.close(session.id, reason).await.is_err() {
            state.metrics.redis_skipped("session");
        }
    }
    state.kicker.owed(owed.len());
    Ok(())
}

impl super::Fitness {
    fn begin_drain(&self, node: &NodeId, now_ms: u64) -> bool {
        let mut nodes = self.lock();
        let Some(entry) = nodes.get_mut(node) else { return false };
        if entry.busy.drain || now_ms.saturating_sub(entry.drained_ms) < BATCH_EVERY_MS {
            return false;
        }
        (entry.busy.drain, entry.drained_ms) = (true, now_ms);
        true
    }
}
