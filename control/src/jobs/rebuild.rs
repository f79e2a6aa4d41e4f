//! Fills Redis again when it lost its data, or lacks changes made while it was away: tokens, revocations, placements, sessions.
//!
//! Whether a single-use token was used is known to Redis alone. So after a loss those come back that were issued since this process last saw Redis
//! whole, and nobody can have used; older ones are gone, which is the safe side.

use super::{JobError, lease, reconcile};
use crate::{
    app::State,
    store::{
        cache::{self, BEHIND, WHOLE},
        pg::{claims, tokens},
    },
};
use kit::{clock, kv::Cmd};
use proto::{api::Token, keys};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Rows read at once.
const BATCH: i64 = 1_000;
/// Longer than a rebuild of a million tokens takes; given up early when it is done.
const LEASE: Duration = Duration::from_secs(30);

/// One turn: nothing, when Redis is whole.
///
/// # Errors
/// A store that is away.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    cache::catch_up(state).await;
    let now_ms = clock::unix_ms();
    let found = state.kv.one(Cmd::get(keys::FILLED)).await?;
    let lost = match found.text() {
        Some(WHOLE) => {
            state.redis_whole_ms.store(now_ms, Ordering::Relaxed);
            return Ok(());
        }
        Some(BEHIND) => false,
        _ => true,
    };
    if !lease(state, "rebuild", LEASE).await {
        return Ok(());
    }
    let done = fill(state, lost).await;
    state.kv.one(Cmd::del(&keys::lease("rebuild"))).await?;
    done
}

async fn fill(state: &State, lost: bool) -> Result<(), JobError> {
    tracing::info!(lost, "filling Redis from Postgres");
    let tokens = fill_tokens(state, lost).await?;
    let live = claims::live(&state.pg, None).await?;
    for held in &live {
        reconcile::repair(state, held).await?;
    }
    // A number without news: who read Redis before it was filled finds that something was missed, and reads it again.
    let skip = Cmd::on("INCR", keys::EVENTS_NUMBER);
    state.kv.run(vec![skip, Cmd::set(keys::FILLED, WHOLE, None)]).await?;
    state.redis_whole_ms.store(clock::unix_ms(), Ordering::Relaxed);
    state.media.rebuilt();
    tracing::info!(tokens, streams = live.len(), "Redis is filled");
    Ok(())
}

async fn fill_tokens(state: &State, lost: bool) -> Result<usize, JobError> {
    let whole_ms = state.redis_whole_ms.load(Ordering::Relaxed);
    let (mut after, mut count) = (None, 0_usize);
    loop {
        let client = state.pg.get().await?;
        let rows = tokens::unexpired(&**client, after, BATCH).await?;
        drop(client);
        let Some(last) = rows.last() else { return Ok(count) };
        after = Some(last.id);
        let mut commands = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.revoked_at.is_some() {
                commands.extend(cache::revocation(row));
            } else if !lost || !row.single_use || is_new(row, whole_ms) {
                commands.push(cache::token(&row.id, cache::unix(row.expires_at)));
            }
        }
        count = count.saturating_add(rows.len());
        if !commands.is_empty() {
            state.kv.run(commands).await?;
        }
    }
}

/// Issued since Redis was last seen whole by this process (never: 0 tells nothing).
fn is_new(token: &Token, whole_ms: u64) -> bool {
    whole_ms > 0 && token.created_at.unix_timestamp_nanos() / 1_000_000 >= i128::from(whole_ms)
}
