//! Hands the journal in, and publishes what this edge tells the others. One task an edge; it ends with the process, after a last try.

use super::Hooks;
use crate::control::ControlError;
use kit::kv::{Cmd, Kv, placed};
use proto::{
    event::{Event, Told},
    fleet::Placement,
    journal::{BATCH_MAX, JournalRequest},
    keys,
};
use reqwest::StatusCode;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Between two tries while no control-api takes the journal.
const AGAIN: Duration = Duration::from_millis(500);
/// How long Redis keeps a placement that no control-api knows of, unless it is told again: control-api may find it void.
const PLACED_FOR: Duration = Duration::from_secs(60);
/// Every so many tries, about 5 s, streams that only the journal knows of are told again: a Redis that was away or flushed lacks them.
const TELL_AGAIN_EVERY: u32 = 10;
/// Streams told again at once at most.
const TOLD_AGAIN_MAX: usize = 1_000;
/// How long the last try may take when the process ends.
const LAST_TRY: Duration = Duration::from_secs(2);

/// The task.
#[derive(Debug)]
pub(crate) struct Courier {
    hooks: Hooks,
    kv: Kv,
    news: mpsc::Receiver<Event>,
    /// Entries handed in at once; 1 while it is looked for the one that control-api refuses.
    batch: usize,
}

impl Courier {
    pub(super) const fn new(hooks: Hooks, kv: Kv, news: mpsc::Receiver<Event>) -> Self {
        Self { hooks, kv, news, batch: BATCH_MAX }
    }

    /// Runs until `stop`, then tries once more.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.forever()).await;
        if tokio::time::timeout(LAST_TRY, self.hand_in()).await != Ok(true) {
            let left = self.hooks.state(|state| state.journal.len());
            tracing::warn!(
                left,
                "hooks that no control-api knows of are lost with this edge: the next reconciliation finds what they were about"
            );
        }
    }

    async fn forever(&mut self) {
        let mut tries = 0_u32;
        loop {
            let left = !self.hooks.state(|state| state.journal.is_empty());
            tokio::select! {
                biased;
                Some(event) = self.news.recv() => {
                    self.publish(event).await;
                    continue;
                }
                () = self.hooks.0.wake.notified() => {}
                () = tokio::time::sleep(AGAIN), if left => {}
            }
            if self.hand_in().await {
                tries = 0;
                continue;
            }
            tries = tries.wrapping_add(1);
            if tries.is_multiple_of(TELL_AGAIN_EVERY) {
                self.tell_again();
            }
        }
    }

    async fn publish(&self, event: Event) {
        let mut commands = Vec::new();
        if let Event::StreamLive { placement, .. } = &event {
            commands.push(placed::place(placement, PLACED_FOR));
        } else if let Event::StreamEnded { stream, epoch, .. } = &event {
            commands.push(placed::unplace(stream, *epoch));
        }
        // Unnumbered: the numbers are those of control-api's news, none of which this stands for.
        let Ok(json) = serde_json::to_vec(&Told { n: 0, event }) else { return };
        commands.push(Cmd::publish(keys::EVENTS, json));
        if let Err(error) = self.kv.run(commands).await {
            tracing::debug!(%error, "other edges did not hear of a stream");
        }
    }

    fn tell_again(&self) {
        let unknown: Vec<Placement> = self.hooks.state(|state| {
            let here = state.bound.publishers().filter(|(client, _)| state.journal.has(client));
            here.map(|(_, placement)| placement).take(TOLD_AGAIN_MAX).collect()
        });
        for placement in unknown {
            self.hooks.tell(&Event::StreamLive { placement, owner: None });
        }
    }

    /// Hands in batch by batch; whether nothing is left.
    async fn hand_in(&mut self) -> bool {
        loop {
            let Some(batch) = self.hooks.state(|state| state.journal.batch(self.batch)) else { return true };
            let count = batch.entries.len();
            let answer = self.hooks.0.control.journal(&JournalRequest { entries: batch.entries.clone() }).await;
            match answer {
                Ok(()) => {
                    self.batch = BATCH_MAX;
                    self.hooks.0.metrics.hooks().handed_in(count);
                    tracing::info!(count, "control-api took hooks that were answered here");
                }
                Err(ControlError::Refused(status)) if is_about_content(status) && count > 1 => {
                    self.batch = 1;
                    continue;
                }
                Err(ControlError::Refused(status)) if is_about_content(status) => {
                    self.batch = BATCH_MAX;
                    self.hooks.0.metrics.hooks().dropped(count);
                    tracing::error!(%status, "control-api refuses an entry of the journal of hooks; it is dropped");
                }
                Err(error) => {
                    tracing::debug!(%error, "the journal of hooks could not be handed in");
                    self.hooks.state(|state| self.hooks.show(state, true));
                    return false;
                }
            }
            self.hooks.state(|state| {
                state.journal.taken(&batch);
                self.hooks.show(state, false);
            });
        }
    }
}

/// Whether trying the same again is of no use.
fn is_about_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY)
}
