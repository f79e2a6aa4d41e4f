//! Dials back nodes that came, moved or failed before; what comes of it decides whether they join.

use crate::{
    app::State,
    dialback::dial,
    nodes::{Checked, Due},
};
use futures_util::{StreamExt as _, stream};
use kit::clock;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often it is looked who is due.
const EVERY: Duration = Duration::from_secs(1);
/// Nodes dialled at once.
const SIDE_BY_SIDE: usize = 64;

/// Dials until `stop`.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = state.nodes.wait_due() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        let due = state.nodes.due(clock::unix_ms());
        let all = stream::iter(due).for_each_concurrent(SIDE_BY_SIDE, |due| one(&state, due));
        tokio::select! {
            () = stop.cancelled() => return,
            () = all => {}
        }
        state.media.job_ran("dialback", clock::unix());
    }
}

async fn one(state: &State, Due { info, at }: Due) {
    let checks = dial(state, &info, at.as_ref()).await;
    let ok = checks.iter().all(|check| check.ok);
    for check in &checks {
        state.media.dialled(&check.check, check.ok);
    }
    let failed: Vec<String> =
        checks.iter().filter(|check| !check.ok).map(|check| format!("{}: {}", check.check, check.why)).collect();
    let checked = Checked { service: info.service.clone(), at, ok, checks, at_ms: clock::unix_ms() };
    if !state.nodes.checked(&info.id, checked) {
        return;
    }
    if ok {
        tracing::info!(node = %info.id, service = %info.service, "a node was dialled back; all is well");
    } else {
        tracing::warn!(node = %info.id, service = %info.service, ?failed, "a node was dialled back and does not join");
    }
}
