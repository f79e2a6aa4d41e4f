//! Tells control-api of this edge's HLS sessions, and ends those that nobody watches any more.

use super::{
    Hls, Inner,
    viewers::{Viewer, Viewers},
};
use crate::control::Control;
use kit::kv::{Cmd, Kv};
use proto::{
    EdgeId, SessionId,
    internal::{SESSIONS_ALIVE_SECONDS, SESSIONS_BATCH_MAX, SessionsAnswer, SessionsRequest},
    keys,
    session::EndReason,
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Between two looks at what is to be told.
const EVERY: Duration = Duration::from_millis(250);
/// Between two looks for silent sessions.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// After a call that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it is known that another edge served a session.
const SHOWN_FOR: Duration = Duration::from_secs(12);
/// Keys asked for in one round trip.
const KEYS_MAX: usize = 500;
/// Batches told in one turn.
const BATCHES_MAX: usize = 64;

/// The task.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) hls: Hls,
    pub(crate) edge: EdgeId,
    pub(crate) control: Control,
    pub(crate) kv: Kv,
}

impl Report {
    /// Runs until `stop`. The sessions are not ended then: other edges take them up when their viewers come.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.forever()).await;
        self.flush().await;
    }

    async fn forever(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut sweep_at, mut alive_at) =
            (Instant::now(), Instant::now() + Duration::from_secs(SESSIONS_ALIVE_SECONDS));
        loop {
            ticks.tick().await;
            if !self.flush().await {
                tokio::time::sleep(AGAIN).await;
            }
            let now = Instant::now();
            if now >= sweep_at {
                sweep_at = now + SWEEP_EVERY;
                self.sweep().await;
            }
            if now >= alive_at {
                alive_at = now + Duration::from_secs(SESSIONS_ALIVE_SECONDS);
                self.alive().await;
            }
        }
    }

    fn inner(&self) -> &Arc<Inner> {
        self.hls.inner()
    }

    fn viewers(&self) -> &Viewers {
        &self.inner().viewers
    }

    /// Tells what began and ended; false when no control-api took it.
    async fn flush(&self) -> bool {
        for _ in 0..BATCHES_MAX {
            let batch = self.viewers().take();
            if batch.opened.is_empty() && batch.closed.is_empty() {
                return true;
            }
            let request = SessionsRequest {
                edge: self.edge.clone(),
                opened: batch.opened.clone(),
                closed: batch.closed.clone(),
                alive: Vec::new(),
            };
            match self.control.sessions(&request).await {
                Ok(answer) => {
                    self.viewers().told(&batch.opened, &answer.elsewhere.iter().copied().collect());
                    self.heard(&answer);
                }
                Err(error) => {
                    tracing::debug!(%error, "HLS sessions could not be told yet");
                    self.viewers().put_back(batch);
                    return false;
                }
            }
        }
        true
    }

    fn heard(&self, answer: &SessionsAnswer) {
        for ended in &answer.ended {
            self.inner().parts.replica.learn_ended(ended.id, ended.reason);
        }
        self.viewers().unknown(&answer.unknown);
    }

    /// Names all own sessions, so that both sides find out what got lost.
    async fn alive(&self) {
        for part in self.viewers().mine().chunks(SESSIONS_BATCH_MAX) {
            let request = SessionsRequest {
                edge: self.edge.clone(),
                opened: Vec::new(),
                closed: Vec::new(),
                alive: part.to_vec(),
            };
            match self.control.sessions(&request).await {
                Ok(answer) => self.heard(&answer),
                Err(error) => {
                    tracing::debug!(%error, "HLS sessions could not be confirmed");
                    return;
                }
            }
        }
    }

    /// Ends sessions that are silent here and everywhere else.
    async fn sweep(&self) {
        let now_ms = self.viewers().now_ms();
        let shown: Vec<Cmd> = self
            .viewers()
            .to_show(now_ms)
            .iter()
            .map(|session| Cmd::set(&keys::hls_seen(session), "1", Some(SHOWN_FOR)))
            .collect();
        for part in shown.chunks(KEYS_MAX) {
            if let Err(error) = self.kv.run(part.to_vec()).await {
                tracing::debug!(%error, "other edges cannot be told which of their sessions are served here");
            }
        }
        let silent = self.viewers().silent(now_ms);
        let elsewhere = self.served_elsewhere(&silent).await;
        for viewer in silent {
            let session = viewer.record.0.id;
            if elsewhere.contains(&session) && !viewer.kept.ended().is_cancelled() {
                Viewers::seen_elsewhere(&viewer, now_ms);
                continue;
            }
            self.viewers().end(&session, EndReason::ClientLeft);
            self.inner().parts.replica.leases().remove(&session);
        }
        self.inner().parts.metrics.hls().viewers(self.hls.viewers(), self.hls.cached_bytes());
    }

    /// Own sessions that another edge has served lately. With Redis away this edge's own sight is all there is.
    async fn served_elsewhere(&self, silent: &[Arc<Viewer>]) -> HashSet<SessionId> {
        let own: Vec<SessionId> =
            silent.iter().filter(|viewer| viewer.is_mine()).map(|viewer| viewer.record.0.id).collect();
        let mut found = HashSet::new();
        for part in own.chunks(KEYS_MAX) {
            let asked = part.iter().map(|session| Cmd::get(&keys::hls_seen(session))).collect();
            let Ok(replies) = self.kv.run(asked).await else { break };
            found.extend(part.iter().zip(replies).filter(|(_, reply)| !reply.is_nil()).map(|(session, _)| *session));
        }
        found
    }
}
