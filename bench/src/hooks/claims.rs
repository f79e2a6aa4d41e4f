//! Claims: reservations at the real control-api with PostgreSQL, all on one node, so that all of them wait for the one load that bounds it.

use super::cluster::Cluster;
use crate::{
    report::{Latencies, Report},
    wire::Conn,
};
use std::time::{Duration, Instant};

/// Streams that are reserved and given up in turn.
const STREAMS: u64 = 64;
const MEASURED: Duration = Duration::from_secs(10);
const WARM: Duration = Duration::from_secs(2);
/// Connections at once, in turn.
const CONNECTIONS: [u64; 2] = [1, 16];

/// Measures.
///
/// # Errors
/// A part does not start, or a claim is refused.
pub async fn run() -> anyhow::Result<Report> {
    let cluster = Cluster::start(usize::try_from(STREAMS)?).await?;
    let mut report = Report::new("claims");
    turn(&cluster, CONNECTIONS[1], WARM).await?;
    for connections in CONNECTIONS {
        let (rate, mut claims) = turn(&cluster, connections, MEASURED).await?;
        report.add(format!("claims, {connections} at once"), rate, "/s");
        report.add(format!("a claim, {connections} at once: p50"), claims.percentile(50), "ms");
        report.add(format!("a claim, {connections} at once: p99"), claims.percentile(99), "ms");
    }
    Ok(report)
}

/// Claims a second, each given up again, and their latencies without that of giving up.
#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
async fn turn(cluster: &Cluster, connections: u64, lasts: Duration) -> anyhow::Result<(f64, Latencies)> {
    let began = Instant::now();
    let one = |first: u64| async move {
        let mut conn = Conn::new(cluster.address);
        let (mut latencies, mut count) = (Latencies::default(), 0_u64);
        while began.elapsed() < lasts {
            // Nobody else's: `first`, and every `connections`-th one after it.
            let own = STREAMS / connections;
            let stream = cluster.stream(first + connections * (count % own));
            let at = Instant::now();
            let claimed = cluster.claim(&mut conn, stream).await?;
            latencies.add(at.elapsed());
            cluster.release(&mut conn, &claimed).await?;
            count += 1;
        }
        anyhow::Ok((count, latencies))
    };
    let (mut all, mut count) = (Latencies::default(), 0);
    for done in futures_util::future::join_all((0..connections).map(one)).await {
        let (own, latencies) = done?;
        count += own;
        all.join(latencies);
    }
    Ok((count as f64 / began.elapsed().as_secs_f64(), all))
}
