//! Tells the cluster that this edge is here, and what it carries: `ks:edges`, every 3 s and when it is about to end.

use crate::metrics::Metrics;
use kit::kv::{Cmd, Kv, KvError};
use proto::{
    EdgeId,
    fleet::{EdgeInfo, EdgeLoad, EdgeState},
    keys,
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Between two signs of life; an entry counts as alive for 10 s.
const EVERY: Duration = Duration::from_secs(3);

/// Entries this old are of edges that ended without signing off, and are removed.
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;

/// What stays the same of this edge, and where the rest is read.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Redis.
    pub kv: Kv,
    /// This edge.
    pub edge: EdgeId,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it is reached.
    pub url: String,
    /// What it counts.
    pub metrics: Metrics,
    /// Cancelled when it takes no more sessions.
    pub leaving: CancellationToken,
}

impl Registration {
    /// Signs until `stop`, then signs off.
    pub async fn run(self, stop: CancellationToken) {
        if let Err(error) = forget_the_dead(&self.kv).await {
            tracing::debug!(%error, "entries of edges that are long gone stay in Redis");
        }
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut counted, mut told_leaving) = ((Instant::now(), self.metrics.answered()), false);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.leaving.cancelled(), if !told_leaving => told_leaving = true,
                _ = ticks.tick() => {}
            }
            let (before, now) = (counted, (Instant::now(), self.metrics.answered()));
            let rate = rate(now.1.saturating_sub(before.1), now.0.saturating_duration_since(before.0));
            counted = now;
            self.sign(rate).await;
        }
        if let Err(error) = self.kv.one(Cmd::hdel(keys::EDGES, self.edge.as_str())).await {
            tracing::debug!(%error, "this edge's entry stays in Redis until it is stale");
        }
    }

    async fn sign(&self, requests_per_second: u64) {
        let (sessions, publishers) = (self.metrics.sessions(), self.metrics.publishers());
        let load = EdgeLoad { requests_per_second, publishers, viewers: sessions.saturating_sub(publishers) };
        let info = EdgeInfo {
            id: self.edge.clone(),
            listen: self.listen.to_string(),
            url: self.url.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sessions,
            load,
            state: if self.leaving.is_cancelled() { EdgeState::Draining } else { EdgeState::Ready },
            seen_at_ms: kit::clock::unix_ms(),
        };
        let json = match serde_json::to_vec(&info) {
            Ok(json) => json,
            Err(error) => {
                tracing::error!(%error, "an edge's entry cannot be written as JSON");
                return;
            }
        };
        if let Err(error) = self.kv.one(Cmd::hset(keys::EDGES, self.edge.as_str(), json)).await {
            tracing::debug!(%error, "this edge could not be told to Redis");
        }
    }
}

/// Requests a second, rounded; 0 when too little time has passed to say.
fn rate(requests: u64, over: Duration) -> u64 {
    let ms = u64::try_from(over.as_millis()).unwrap_or(u64::MAX);
    if ms < 500 { 0 } else { (requests.saturating_mul(1000) + ms / 2) / ms }
}

async fn forget_the_dead(kv: &Kv) -> Result<(), KvError> {
    let oldest = kit::clock::unix_ms().saturating_sub(FORGOTTEN_AFTER_MS);
    let entries = kv.one(Cmd::hgetall(keys::EDGES)).await?.map()?;
    let dead = entries
        .into_iter()
        .filter(|(_, json)| serde_json::from_slice::<EdgeInfo>(json).is_ok_and(|info| info.seen_at_ms < oldest));
    let removals: Vec<Cmd> = dead.map(|(id, _)| Cmd::hdel(keys::EDGES, &id)).collect();
    if !removals.is_empty() {
        kv.run(removals).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_a_second_are_rounded_and_a_moment_says_nothing() {
        assert_eq!(rate(10, Duration::from_secs(3)), 3);
        assert_eq!(rate(11, Duration::from_secs(3)), 4);
        assert_eq!(rate(1000, Duration::from_millis(10)), 0);
    }
}
