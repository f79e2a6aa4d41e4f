//! Hook decisions: the real control-api with PostgreSQL and Redis, asked by a node that is played here.

pub mod claims;
mod cluster;

use crate::{
    load::{Source, Target, open},
    report::{Latencies, Report},
    wire::{Conn, post},
};
use cluster::{Cluster, Viewer};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Streams that are live while viewers come and go.
const STREAMS: usize = 20;
/// Hooks a second: half of them viewers who come, half viewers who leave.
const RATE: u64 = 2_000;
const WARM: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 64;
/// A viewer leaves this many hooks after it came: how many are there at once.
const STAYS: u64 = 4_000;
/// Publishers one after another, each a claim, an `on_publish` and an `on_unpublish`.
const PUBLISHERS: u64 = 500;
/// Wanted at [`RATE`], ms.
const P99_MS: f64 = 5.0;

/// Measures.
///
/// # Errors
/// A part does not start, or a hook is refused.
#[expect(clippy::cast_precision_loss, reason = "a rate is far below 2^52")]
pub async fn run() -> anyhow::Result<Report> {
    let cluster = Cluster::start(STREAMS).await?;
    let mut report = Report::new("hook decisions");
    let (published, mut claims, mut begun, mut ended) = publishers(&cluster).await?;
    report.add("publishers one after another", published, "/s");
    report.add("a claim: p50", claims.percentile(50), "ms");
    report.add("on_publish: p50", begun.percentile(50), "ms");
    report.add("on_publish: p99", begun.percentile(99), "ms");
    report.add("on_unpublish: p99", ended.percentile(99), "ms");

    cluster.publish_all().await?;
    let source = viewers(&cluster);
    let target = Target {
        to: cluster.address,
        connections: CONNECTIONS,
        wanted: |status, body| status == 200 && body == cluster::YES,
    };
    let warm = open(target, RATE, WARM, 0, &source).await;
    warm.all_good("hooks, warming up")?;
    let before = cluster.process.cpu_seconds()?;
    let first = warm.done + warm.unsent;
    let mut run = open(target, RATE, MEASURED, first, &source).await;
    let cpu = cluster.process.cpu_seconds()? - before;
    run.all_good("hooks")?;
    report.add("viewers' hooks asked for", RATE as f64, "/s");
    report.add("viewers' hooks answered", run.rate(), "/s");
    report.add("viewers' hooks that found no free connection", run.unsent as f64, "");
    report.add("viewers' hooks for a CPU second of control-api", run.done as f64 / cpu.max(0.01), "");
    report.add("viewers' hooks: p50", run.latencies.percentile(50), "ms");
    report.add_wanted("viewers' hooks: p99", run.latencies.percentile(99), "ms", P99_MS);
    Ok(report)
}

/// Each even number is a viewer who comes, each odd one a viewer who leaves, [`STAYS`] after it came.
fn viewers(cluster: &Cluster) -> Source {
    let viewer: Viewer = cluster.viewer();
    Arc::new(move |n| match n % 2 {
        0 => viewer.hook("on_play", n / 2),
        // At first nobody has come yet who could leave: then somebody unknown does, which SRS does too.
        _ => viewer.hook("on_stop", (n / 2).checked_sub(STAYS / 2).unwrap_or(u64::MAX - n)),
    })
}

/// Rate, and latencies of claims, `on_publish` and `on_unpublish`.
#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
async fn publishers(cluster: &Cluster) -> anyhow::Result<(f64, Latencies, Latencies, Latencies)> {
    let mut conn = Conn::new(cluster.address);
    let (mut claims, mut begun, mut ended) = (Latencies::default(), Latencies::default(), Latencies::default());
    let began = Instant::now();
    for number in 0..PUBLISHERS {
        let stream = cluster.stream(number);
        let at = Instant::now();
        let claimed = cluster.claim(&mut conn, stream).await?;
        claims.add(at.elapsed());
        let at = Instant::now();
        cluster.say(&mut conn, &claimed.hook("on_publish")).await?;
        begun.add(at.elapsed());
        let at = Instant::now();
        cluster.say(&mut conn, &claimed.hook("on_unpublish")).await?;
        ended.add(at.elapsed());
    }
    Ok((PUBLISHERS as f64 / began.elapsed().as_secs_f64(), claims, begun, ended))
}

/// A hook's request.
fn request(path: &str, body: &serde_json::Value) -> Vec<u8> {
    post(path, "application/json", "", body.to_string().as_bytes())
}
