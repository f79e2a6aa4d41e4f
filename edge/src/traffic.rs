//! Tells Redis what each session that passes this edge carries: `ks:traffic:{edge}`, every 5 s, only what changed.

use crate::leases::Leases;
use kit::kv::{Cmd, Kv};
use proto::{EdgeId, SessionId, keys, traffic::Sample};
use std::{collections::HashMap, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between two counts.
const EVERY: Duration = Duration::from_secs(5);
/// Samples written in one command, and commands in one round trip.
const FIELDS_MAX: usize = 250;
const COMMANDS_MAX: usize = 20;

/// Counts and writes.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) kv: Kv,
    pub(crate) edge: EdgeId,
    pub(crate) leases: Leases,
}

/// What changed since the last count.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    written: Vec<(SessionId, Sample)>,
    gone: Vec<SessionId>,
}

impl Reporter {
    /// Runs until `stop`; then nothing of this edge is left.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.forever()).await;
        if let Err(error) = self.kv.one(Cmd::del(&keys::traffic(&self.edge))).await {
            tracing::debug!(%error, "what sessions carried here stays in Redis until it runs out");
        }
    }

    async fn forever(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = HashMap::new();
        loop {
            ticks.tick().await;
            let now: Vec<(SessionId, u64, u64)> = self
                .leases
                .all()
                .into_iter()
                .map(|(id, kept)| (id, kept.traffic().received_bytes(), kept.traffic().sent_bytes()))
                .collect();
            let mut next = last.clone();
            let changes = changes(&mut next, &now, kit::clock::unix_ms());
            // What could not be written is a change the next time too.
            if self.write(&changes).await {
                last = next;
            }
        }
    }

    async fn write(&self, changes: &Changes) -> bool {
        let key = keys::traffic(&self.edge);
        let mut commands: Vec<Cmd> = Vec::new();
        for part in changes.written.chunks(FIELDS_MAX) {
            let add =
                |command: Cmd, (id, sample): &(SessionId, Sample)| command.arg(id.to_string()).arg(sample.encode());
            commands.push(part.iter().fold(Cmd::on("HSET", &key), add));
        }
        for part in changes.gone.chunks(FIELDS_MAX) {
            commands.push(part.iter().fold(Cmd::on("HDEL", &key), |command, id| command.arg(id.to_string())));
        }
        if commands.is_empty() {
            return true;
        }
        commands.push(Cmd::expire(&key, Duration::from_secs(keys::TRAFFIC_TTL_SECONDS)));
        for part in commands.chunks(COMMANDS_MAX) {
            if let Err(error) = self.kv.run(part.to_vec()).await {
                tracing::debug!(%error, "what sessions carry could not be told");
                return false;
            }
        }
        true
    }
}

/// Compares counts with the last ones. A session whose bytes stand still is written once more, with a bitrate of 0.
fn changes(last: &mut HashMap<SessionId, Sample>, now: &[(SessionId, u64, u64)], now_ms: u64) -> Changes {
    let mut changes = Changes::default();
    for (id, received, sent) in now.iter().copied() {
        let before = last.get(&id).copied();
        let was = before.unwrap_or(Sample { at_ms: now_ms, ..Sample::default() });
        let bytes = received.saturating_sub(was.received).saturating_add(sent.saturating_sub(was.sent));
        let kbps = if before.is_some() { kbps(bytes, now_ms.saturating_sub(was.at_ms)) } else { 0 };
        let sample = Sample { received, sent, kbps, at_ms: now_ms };
        let changed = bytes > 0 || kbps != was.kbps || before.is_none();
        if changed {
            changes.written.push((id, sample));
            last.insert(id, sample);
        } else if let Some(kept) = last.get_mut(&id) {
            kept.at_ms = now_ms;
        }
    }
    let here: std::collections::HashSet<SessionId> = now.iter().map(|(id, ..)| *id).collect();
    changes.gone = last.keys().filter(|id| !here.contains(id)).copied().collect();
    last.retain(|id, _| here.contains(id));
    changes
}

/// Bits a millisecond are kilobits a second.
fn kbps(bytes: u64, over_ms: u64) -> u64 {
    bytes.saturating_mul(8).checked_div(over_ms).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_written_and_a_standstill_once() {
        let id = |n| SessionId::from_bytes([n; 16]);
        let mut last = HashMap::new();
        let first = changes(&mut last, &[(id(1), 0, 1_000), (id(2), 0, 0)], 10_000);
        assert_eq!(first.written.len(), 2, "each is told once it is there");
        let second = changes(&mut last, &[(id(1), 0, 626_000), (id(2), 0, 0)], 15_000);
        assert_eq!(second.written, [(id(1), Sample { received: 0, sent: 626_000, kbps: 1_000, at_ms: 15_000 })]);
        let third = changes(&mut last, &[(id(1), 0, 626_000), (id(2), 0, 0)], 20_000);
        assert_eq!(third.written, [(id(1), Sample { received: 0, sent: 626_000, kbps: 0, at_ms: 20_000 })]);
        assert_eq!(changes(&mut last, &[(id(1), 0, 626_000)], 25_000), Changes { written: vec![], gone: vec![id(2)] });
        let back = changes(&mut last, &[(id(1), 0, 632_250)], 30_000);
        assert_eq!(back.written[0].1.kbps, 10, "over the last count, not since the last change");
    }
}
