//! Tells the cluster that this edge is here: `ks:edges`, every 3 s.

use crate::metrics::Metrics;
use kit::kv::{Cmd, Kv, KvError};
use proto::{EdgeId, fleet::EdgeInfo, keys};
use std::{net::SocketAddr, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between two signs of life; an entry counts as alive for 10 s.
const EVERY: Duration = Duration::from_secs(3);

/// Entries this old are of edges that ended without signing off, and are removed.
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;

/// Signs until `stop`, then signs off.
pub async fn run(kv: Kv, edge: EdgeId, listen: SocketAddr, metrics: Metrics, stop: CancellationToken) {
    if let Err(error) = forget_the_dead(&kv).await {
        tracing::debug!(%error, "entries of edges that are long gone stay in Redis");
    }
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let info = EdgeInfo {
            id: edge.clone(),
            listen: listen.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sessions: metrics.sessions(),
            seen_at_ms: kit::clock::unix_ms(),
        };
        let json = match serde_json::to_vec(&info) {
            Ok(json) => json,
            Err(error) => {
                tracing::error!(%error, "an edge's entry cannot be written as JSON");
                return;
            }
        };
        if let Err(error) = kv.one(Cmd::hset(keys::EDGES, edge.as_str(), json)).await {
            tracing::debug!(%error, "this edge could not be told to Redis");
        }
    }
    if let Err(error) = kv.one(Cmd::hdel(keys::EDGES, edge.as_str())).await {
        tracing::debug!(%error, "this edge's entry stays in Redis until it is stale");
    }
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
