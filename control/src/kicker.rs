//! Carries out kicks: those written down, by whichever control node takes them first, and those that a takeover waits for.

use crate::{
    app::State,
    domain::claims::Owner,
    metrics::media::MediaMetrics,
    srs::{Kicked, SrsError},
    store::pg::kicks,
};
use kit::pg::PgError;
use proto::{NodeId, node::NodeState};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Kicks taken at once.
const BATCH: u8 = 32;
/// After a refused WHIP SRS still holds the session while it reads our answer; kicked before that, it would end a session that it is about to
/// refuse.
pub const AFTER_REFUSAL: Duration = Duration::from_millis(AFTER_REFUSAL_MS.unsigned_abs());
/// The same as Postgres takes it.
const AFTER_REFUSAL_MS: i64 = 200;
/// How long a takeover waits for a kicked client to be gone; SRS needs a few milliseconds, a player of HTTP-FLV up to 3 s.
const LET_GO_MAX: Duration = Duration::from_millis(1_500);
/// Between two looks at a client that was kicked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Kicks remembered while Postgres is away.
const UNWRITTEN_MAX: usize = 1024;

/// Wakes the job that carries out kicks, and remembers what could not be written down.
#[derive(Debug)]
pub struct Kicker {
    wake: Notify,
    unwritten: Mutex<VecDeque<Owner>>,
    metrics: MediaMetrics,
}

impl Kicker {
    /// Nothing owed.
    #[must_use]
    pub fn new(metrics: MediaMetrics) -> Self {
        Self { wake: Notify::new(), unwritten: Mutex::default(), metrics }
    }

    /// Kicks were written down.
    pub fn owed(&self, count: usize) {
        for _ in 0..count {
            self.metrics.kick("owed");
        }
        self.wake.notify_one();
    }

    /// Waits until kicks are owed.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }

    /// A kick could not be written down; it is done from memory, the oldest forgotten first.
    fn remember(&self, client: Owner) {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        if unwritten.len() >= UNWRITTEN_MAX
            && let Some(oldest) = unwritten.pop_front()
        {
            tracing::warn!(node = %oldest.node, client = %oldest.client, "a kick is given up: too many wait while Postgres is away");
            self.metrics.kick("given_up");
        }
        unwritten.push_back(client);
    }

    /// Several that could not be written down.
    pub fn remember_all(&self, clients: Vec<Owner>) {
        for client in clients {
            self.remember(client);
        }
    }

    /// The oldest, at most a batch; those of `away` wait.
    fn take_unwritten(&self, away: &[NodeId]) -> Vec<Owner> {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        unwritten.retain(|client| {
            let stays = taken.len() >= usize::from(BATCH) || away.contains(&client.node);
            if !stays {
                taken.push(client.clone());
            }
            stays
        });
        taken
    }
}

/// Writes down that a refused client must be kicked. Call it before the refusal is answered.
pub async fn owe_refused(state: &State, client: &Owner) {
    if let Err(error) = kicks::owe(&state.pg, std::slice::from_ref(client), "refused", AFTER_REFUSAL_MS).await {
        tracing::warn!(%error, node = %client.node, "a kick could not be written down; it is done from memory");
        state.kicker.remember(client.clone());
    }
    state.kicker.owed(1);
}

/// Kicks a client now and waits until its node has let go of it.
///
/// A takeover needs that: SRS answers a kick before it frees the stream's name, and the next publisher would find it busy. What fails stays written
/// down and is tried again.
pub async fn now(state: &State, client: &Owner) {
    state.media.kick("owed");
    if !kick(state, client).await {
        return;
    }
    if let Err(error) = kicks::done_client(&state.pg, client).await {
        tracing::warn!(%error, "a kick that was done could not be struck out; it is tried again");
    }
    if tokio::time::timeout(LET_GO_MAX, let_go(state, client)).await.is_err() {
        tracing::warn!(node = %client.node, client = %client.client, "a kicked client is still there");
    }
}

/// Returns when the node does not know the client any more.
async fn let_go(state: &State, client: &Owner) {
    let Some(api) = state.nodes.api(&client.node) else { return };
    while let Ok(Some(_)) | Err(SrsError::Away(_)) = state.srs.client(&api, &client.service, &client.client).await {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Carries out what is due. How many were due.
///
/// # Errors
/// [`PgError`].
pub async fn run_once(state: &State) -> Result<usize, PgError> {
    let enrolled = state.nodes.enrolments();
    let away = enrolled.keys().filter(|node| state.health.state(node) == Some(NodeState::Down));
    let away: Vec<NodeId> = away.cloned().collect();
    // Side by side: a node that does not answer must not make the others wait.
    let tries = state.kicker.take_unwritten(&away).into_iter().map(|client| async move {
        if !kick(state, &client).await {
            state.kicker.remember(client);
        }
    });
    futures_util::future::join_all(tries).await;
    let due = kicks::due(&state.pg, i64::from(BATCH), &away).await?;
    let tries = due.iter().map(|owed| async { kick(state, &owed.client).await.then_some(owed.id) });
    let done: Vec<i64> = futures_util::future::join_all(tries).await.into_iter().flatten().collect();
    if !done.is_empty() {
        kicks::done(&state.pg, &done).await?;
    }
    Ok(due.len())
}

/// True when the client is gone for good.
async fn kick(state: &State, client: &Owner) -> bool {
    let Some(api) = state.nodes.api(&client.node) else { return false };
    match state.srs.kick(&api, &client.service, &client.client).await {
        Ok(Kicked::Ended | Kicked::Unknown) | Err(SrsError::OtherRun | SrsError::Gone) => {
            state.media.kick("done");
            true
        }
        Err(error @ SrsError::Away(_)) => {
            tracing::debug!(%error, node = %client.node, "a kick failed; it is tried again");
            state.media.kick("failed");
            false
        }
    }
}

/// How often due kicks are looked for without being woken.
pub const EVERY: Duration = Duration::from_secs(1);
