//! What follows when a publisher or viewer comes or goes: placement, session table and news in Redis, kicks at SRS.
//!
//! Postgres has decided before anything here runs. What Redis does not take is counted and made good by the reconciliation, so a failure here
//! is no failure of the caller.

use super::{Known, Opened};
use crate::{
    app::State,
    away,
    domain::{claims::Owner, sessions::Filter},
    store::cache::event,
    store::pg::{
        claims::{self, Ended, Held, Which},
        kicks,
    },
};
use kit::{
    kv::{Cmd, KvError, placed},
    pg::PgError,
};
use proto::{
    NodeId, ServiceId, SessionId, StreamId, UserId,
    event::Event,
    fleet::Placement,
    internal::Credential,
    keys,
    session::{EndReason, Role},
};
use std::time::Duration;

pub use kit::kv::placed::unplace;

/// How long a placement is kept unless it is renewed, which the reconciliation does every few seconds: a lost deletion heals by itself.
const PLACEMENT_TTL: Duration = Duration::from_secs(600);
/// Sessions looked through when a right is withdrawn.
const SESSIONS_MAX: usize = 100_000;

/// The command that makes a placement known.
#[must_use]
pub fn place(placement: &Placement) -> Cmd {
    placed::place(placement, PLACEMENT_TTL)
}

/// The command that keeps a placement from running out.
#[must_use]
pub fn keep(stream: &StreamId) -> Cmd {
    Cmd::expire(&keys::placement(stream), PLACEMENT_TTL)
}

fn skipped<T>(state: &State, what: &'static str, outcome: Result<T, KvError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            if error != KvError::Away {
                tracing::error!(%error, what, "Redis did not take what was decided");
            }
            state.metrics.redis_skipped(what);
            None
        }
    }
}

/// A publisher was confirmed. What its stream has left on other nodes is ended.
pub async fn published(state: &State, held: &Held) {
    state.away.live(held);
    let placement = held.placement();
    let live = Event::StreamLive { placement: placement.clone(), owner: held.owner };
    let known = Known { session: held.session(), owner: held.owner, credential: Some(held.credential.clone()) };
    let (placed, opened) =
        tokio::join!(state.kv.run(vec![place(&placement), event(&live)]), state.sessions.open(known));
    skipped(state, "placement", placed);
    skipped(state, "session", opened);
    tracing::info!(stream = %held.stream, node = %held.from.node, epoch = held.epoch, session = %held.session,
        protocol = held.protocol.as_str(), "stream is live");
    left_behind(state, &held.stream, &held.from.node, &held.from.service).await;
}

/// A publisher is gone.
pub async fn ended(state: &State, ended: &Ended, reason: EndReason) {
    away::forget(state, ended);
    if !ended.live {
        return;
    }
    let told =
        Event::StreamEnded { stream: ended.stream.clone(), epoch: ended.epoch, owner: Some(ended.owner), reason };
    let commands = vec![unplace(&ended.stream, ended.epoch), event(&told)];
    let (unplaced, closed) = tokio::join!(state.kv.run(commands), state.sessions.close(ended.session, reason));
    skipped(state, "placement", unplaced);
    skipped(state, "session", closed);
    tracing::info!(stream = %ended.stream, node = %ended.node, epoch = ended.epoch, session = %ended.session,
        ?reason, "stream has ended");
}

/// A publisher is gone, which Postgres cannot be told yet.
pub async fn unwritten_end(state: &State, stream: &StreamId, epoch: u64, session: SessionId, owner: Option<UserId>) {
    let reason = EndReason::ClientLeft;
    let told = Event::StreamEnded { stream: stream.clone(), epoch, owner, reason };
    let commands = vec![unplace(stream, epoch), event(&told)];
    let (unplaced, closed) = tokio::join!(state.kv.run(commands), state.sessions.close(session, reason));
    skipped(state, "placement", unplaced);
    skipped(state, "session", closed);
    tracing::info!(%stream, epoch, %session, "stream has ended, journaled");
}

/// Ends the viewers that a stream has on other nodes than its publisher's: kicked, closed, told. How many.
pub async fn left_behind(state: &State, stream: &StreamId, node: &NodeId, service: &ServiceId) -> usize {
    let filter = Filter { streams: Some(vec![stream.clone()]), role: Some(Role::Play) };
    let listed = state.sessions.list(filter, None, SESSIONS_MAX).await;
    let mut behind = skipped(state, "session", listed).unwrap_or_default();
    // An edge follows its viewers' stream by itself.
    let here = |known: &Known| known.session.node == *node && known.session.service == *service;
    behind.retain(|known| !here(known) && !known.session.is_edges_own());
    if behind.is_empty() {
        return 0;
    }
    let owners: Vec<Owner> = behind.iter().map(connection).collect();
    let reason = EndReason::StreamMoved;
    if let Err(error) = kicks::owe(&state.pg, &owners, claims::reason_word(reason), 0).await {
        tracing::warn!(%error, %stream, "kicks of viewers that a move left behind are done from memory");
        state.kicker.remember_all(owners);
    }
    for known in &behind {
        skipped(state, "session", state.sessions.close(known.session.id, reason).await);
    }
    state.kicker.owed(behind.len());
    tracing::info!(%stream, %node, viewers = behind.len(), "a stream has moved: who was left behind is ended");
    behind.len()
}

/// A viewer was let in. Without Redis nothing is known of its session, so a replayed ticket is not seen either.
pub async fn opened(state: &State, known: Known) -> Opened {
    let opened = state.sessions.open(known).await;
    skipped(state, "session", opened).unwrap_or(Opened::Open)
}

/// The session of a connection is over. True if there was one.
pub async fn closed(state: &State, client: &Owner, reason: EndReason) -> bool {
    let (node, service, client) = (client.node.clone(), client.service.clone(), client.client.clone());
    let closed = state.sessions.close_client(node, service, client, reason).await;
    skipped(state, "session", closed).flatten().is_some()
}

/// Whose sessions [`end_by`] ends.
#[derive(Debug, Clone)]
pub enum By {
    /// One.
    Session(SessionId),
    /// A stream's publisher and viewers: it was deleted.
    Stream(StreamId),
    /// Those a key or token let in: it was revoked. Viewers that an edge admitted are that edge's to end: only it knows their token.
    Credential(StreamId, Credential),
}

/// Ends sessions for good: frees claims, writes down the kicks, closes the sessions, tells everybody, and has the kicks carried out.
///
/// # Errors
/// [`PgError`] when the kicks could not be written down; nothing was ended then.
pub async fn end_by(state: &State, by: &By, reason: EndReason) -> Result<usize, PgError> {
    let viewers = viewers_of(state, by).await;
    let which = match by {
        By::Session(id) => Which::Session(*id),
        By::Stream(stream) => Which::Stream(stream),
        By::Credential(_, credential) => Which::Credential(credential),
    };
    let publishers = claims::end(&state.pg, which, reason).await?;
    // Those that an edge carries alone end by the news.
    let owners: Vec<Owner> = viewers.iter().filter(|known| !known.session.is_edges_own()).map(connection).collect();
    if !owners.is_empty() {
        kicks::owe(&state.pg, &owners, claims::reason_word(reason), 0).await?;
    }
    for publisher in &publishers {
        ended(state, publisher, reason).await;
    }
    for viewer in &viewers {
        skipped(state, "session", state.sessions.close(viewer.session.id, reason).await);
    }
    let count = publishers.iter().filter(|p| p.live).count().saturating_add(viewers.len());
    if count > 0 {
        state.kicker.owed(count);
    }
    Ok(count)
}

fn connection(known: &Known) -> Owner {
    let session = &known.session;
    Owner { node: session.node.clone(), service: session.service.clone(), client: session.client_id.clone() }
}

async fn viewers_of(state: &State, by: &By) -> Vec<Known> {
    let open = |known: &Known| known.session.role == Role::Play && known.session.closed_at.is_none();
    match by {
        By::Session(id) => {
            let found = skipped(state, "session", state.sessions.get(*id).await).flatten();
            found.into_iter().filter(open).collect()
        }
        By::Stream(stream) | By::Credential(stream, _) => {
            let filter = Filter { streams: Some(vec![stream.clone()]), role: Some(Role::Play) };
            let mut found =
                skipped(state, "session", state.sessions.list(filter, None, SESSIONS_MAX).await).unwrap_or_default();
            if let By::Credential(_, credential) = by {
                found.retain(|known| known.credential.as_ref() == Some(credential));
            }
            found
        }
    }
}
