//! Reads all live claims: into memory for the time without Postgres, and against the placements in Redis, which may have kept one that ended while
//! Redis did not listen.

use super::{JobError, lease};
use crate::{app::State, away, sessions::live, store::pg::claims};
use kit::{clock, kv::Cmd};
use proto::{StreamId, fleet::Placement, keys};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// One control node looks through the placements at a time; shorter than the period.
const LEASE: Duration = Duration::from_millis(4_500);
/// Placements asked for in one step.
const SCAN_COUNT: u32 = 500;
/// Steps of one look at most: more placements than there are ever streams.
const STEPS_MAX: usize = 10_000;
/// A placement that is younger was perhaps written while the claims were read, in milliseconds.
const GRACE_MS: u64 = 5_000;

/// One turn.
///
/// # Errors
/// A store that is away.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    let live = away::learn(state).await?;
    if !lease(state, "placements", LEASE).await {
        return Ok(());
    }
    let live: HashMap<&StreamId, u64> = live.iter().map(|held| (&held.stream, held.epoch)).collect();
    let mut seen = HashSet::new();
    let mut cursor = "0".to_owned();
    for _ in 0..STEPS_MAX {
        let scan =
            Cmd::new("SCAN").arg(&cursor).arg("MATCH").arg(keys::PLACEMENTS_PATTERN).arg("COUNT").num(SCAN_COUNT);
        let mut reply = state.kv.one(scan).await?.list()?.into_iter();
        let (next, page) = reply.next().zip(reply.next()).ok_or("no answer to a scan")?;
        let gets: Vec<Cmd> = page.texts()?.iter().map(|key| Cmd::get(key)).collect();
        if !gets.is_empty() {
            for found in state.kv.run(gets).await? {
                let placement = found.json::<Placement>().ok().flatten();
                let stale = placement.filter(|it| live.get(&it.stream).is_none_or(|epoch| *epoch > it.epoch));
                if let Some(placement) = stale.filter(|it| seen.insert(it.stream.clone())) {
                    remove(state, &placement).await?;
                }
            }
        }
        next.text().ok_or("no cursor")?.clone_into(&mut cursor);
        if cursor == "0" {
            break;
        }
    }
    Ok(())
}

/// Takes a placement out that no claim stands for, after asking Postgres once more.
async fn remove(state: &State, placement: &Placement) -> Result<(), JobError> {
    if clock::unix_ms().saturating_sub(placement.since_ms) < GRACE_MS {
        return Ok(());
    }
    let now = claims::of_stream(&state.pg, &placement.stream).await?.and_then(|present| present.live);
    if now.is_some_and(|held| held.epoch <= placement.epoch) {
        return Ok(());
    }
    tracing::warn!(stream = %placement.stream, epoch = placement.epoch, "a placement outlived its claim");
    live::unwritten_end(state, &placement.stream, placement.epoch, placement.session, None).await;
    state.media.claim("placement_removed");
    Ok(())
}
