//! What control-api does without being asked. Every job may run on several control nodes at once without harm; a lease only saves work.

pub mod adopt;
pub mod dialback;
pub mod edges;
pub mod enrolments;
pub mod homes;
pub mod news;
pub mod nodes;
pub mod rebuild;
pub mod reconcile;
pub mod samples;
pub mod unclaimed;

use crate::{
    app::State,
    kicker,
    store::pg::{claims, kicks, refresh, resets, stream_keys, tokens},
};
use futures_util::future::BoxFuture;
use kit::{clock, kv::Cmd, shutdown::Tasks};
use proto::keys;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often reservations that ran out are freed.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// How often the presence of this process and of the nodes is looked after.
const NODES_EVERY: Duration = Duration::from_secs(1);
/// How often each node is compared with the tables.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked which edges are gone.
const EDGES_EVERY: Duration = Duration::from_secs(2);
/// How often hooks that wait for Postgres are handed in: two publishers of one stream are told apart within this time of its return.
const JOURNAL_EVERY: Duration = Duration::from_millis(500);
/// How often the last homes of all streams are read.
const HOMES_EVERY: Duration = Duration::from_secs(5);
/// How often an empty Redis is looked for.
const REBUILD_EVERY: Duration = Duration::from_secs(1);
/// How often viewers and bitrates are written down.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How often what is too old is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Why a job did not end well. It is tried again at its next turn.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;
type Turn = for<'a> fn(&'a Arc<State>) -> BoxFuture<'a, Result<(), JobError>>;

/// Starts all jobs.
pub fn start(tasks: &mut Tasks, state: &Arc<State>) {
    let mut every = |name: &'static str, period: Duration, turn: Turn| {
        tasks.spawn(name, repeat(Arc::clone(state), tasks.token(), name, period, turn));
    };
    every("expire", EXPIRE_EVERY, |state| Box::pin(expire(state)));
    every("nodes", NODES_EVERY, |state| Box::pin(nodes::run_once(state)));
    every("reconcile", RECONCILE_EVERY, |state| Box::pin(reconcile::run_once(state)));
    every("edges", EDGES_EVERY, |state| Box::pin(edges::run_once(state)));
    every("journal", JOURNAL_EVERY, |state| Box::pin(crate::journal::run_once(state)));
    every("homes", HOMES_EVERY, |state| Box::pin(homes::run_once(state)));
    every("rebuild", REBUILD_EVERY, |state| Box::pin(rebuild::run_once(state)));
    every("samples", SAMPLE_EVERY, |state| Box::pin(samples::run_once(state)));
    every("prune", PRUNE_EVERY, |state| Box::pin(prune(state)));
    let token = tasks.token();
    tasks.spawn("health", crate::health::run::run(Arc::clone(state), token.clone()));
    tasks.spawn("kicks", kick(Arc::clone(state), token.clone()));
    tasks.spawn("dialback", dialback::run(Arc::clone(state), token.clone()));
    tasks.spawn("enrolments", enrolments::run(Arc::clone(state), token.clone()));
    tasks.spawn("news", news::run(Arc::clone(state), token));
}

/// Runs a job's turn now and then every `period`, until `stop`.
async fn repeat(state: Arc<State>, stop: CancellationToken, name: &'static str, period: Duration, turn: Turn) {
    let mut clock = tokio::time::interval(period);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        let done = turn(&state).await;
        report(&state, name, &mut failing, done);
    }
}

/// Counts a turn; a failure is told once, and again only after a success.
fn report(state: &State, name: &'static str, failing: &mut bool, done: Result<(), JobError>) {
    match done {
        Ok(()) => {
            state.media.job_ran(name, clock::unix());
            if std::mem::take(failing) {
                tracing::info!(job = name, "job works again");
            }
        }
        Err(error) if *failing => tracing::debug!(job = name, %error, "job failed again"),
        Err(error) => {
            tracing::warn!(job = name, error = %kit::telemetry::chain(&*error), "job failed; it is tried again");
            *failing = true;
        }
    }
}

/// Carries out kicks: at once when woken, again when those of refused clients are due, and now and then what others left.
async fn kick(state: Arc<State>, stop: CancellationToken) {
    let mut failing = false;
    let mut again = kicker::EVERY;
    loop {
        let woken = tokio::select! {
            () = stop.cancelled() => return,
            () = state.kicker.wait() => true,
            () = tokio::time::sleep(again) => false,
        };
        again = if woken { kicker::AFTER_REFUSAL } else { kicker::EVERY };
        let done = kicker::run_once(&state).await.map(|_| ()).map_err(JobError::from);
        report(&state, "kicks", &mut failing, done);
    }
}

async fn expire(state: &State) -> Result<(), JobError> {
    let expired = claims::expire(&state.pg).await?;
    state.media.claims("expired", expired);
    Ok(())
}

async fn prune(state: &State) -> Result<(), JobError> {
    crate::store::pg::samples::prune(&state.pg).await?;
    for given_up in kicks::give_up(&state.pg).await? {
        tracing::warn!(node = %given_up.node, client = %given_up.client, "a kick is given up: its node did not answer for long");
        state.media.kick("given_up");
    }
    let client = state.pg.get().await?;
    refresh::forget_old(&**client).await?;
    resets::forget_old(&**client).await?;
    tokens::forget_old(&**client).await?;
    stream_keys::forget_old(&**client).await?;
    Ok(())
}

/// Whether this process is to do a job's turn. With Redis away everybody does: the jobs bear it.
pub(crate) async fn lease(state: &State, job: &str, ttl: Duration) -> bool {
    let me = state.id.as_str();
    let taken = state.kv.one(Cmd::set_new(&keys::lease(job), me, ttl)).await;
    taken.map_or(true, |reply| !reply.is_nil())
}
