//! Tells the cluster that this edge is here: `ks:edges`, every 3 s.

use crate::metrics::Metrics;
use kit::kv::{Cmd, Kv};
use proto::{EdgeId, fleet::EdgeInfo, keys};
use std::{net::SocketAddr, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between two signs of life; an entry counts as alive for 10 s.
const EVERY: Duration = Duration::from_secs(3);

/// Signs until `stop`, then signs off.
pub async fn run(kv: Kv, edge: EdgeId, listen: SocketAddr, metrics: Metrics, stop: CancellationToken) {
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
