//! WHIP POST: the edge, with tokens checked and streams claimed, beside nginx, which checks nothing, in front of the same node.

use crate::{
    load::{Run, Source, Target, Until, closed, open},
    nginx,
    process::Process,
    report::{Report, median},
    wire::post,
    world::{Published, World, ready},
};
use anyhow::ensure;
use kit::testing::free_port;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Streams, each published by its own token in turn; every POST is a new publisher's.
const STREAMS: usize = 20_000;
/// Each front's turn at full load, and how often they take turns.
const FULL: Duration = Duration::from_secs(8);
const ROUNDS: u64 = 3;
/// Each front's turn at half load.
const HALF: Duration = Duration::from_secs(15);
const CONNECTIONS: usize = 32;
/// More than are busy at once at half load, so that a slow answer delays no other request.
const CONNECTIONS_OPEN: usize = 128;
/// Wanted: the edge's CPU time for a POST, at most this many times nginx's.
const CPU_RATIO: f64 = 2.0;
/// Wanted: at half load the 99th percentile grows by less than this, ms.
const ADDED_P99_MS: f64 = 2.0;
const OFFER: &str = include_str!("../fixtures/srs5-whip-offer.sdp");

/// What a front did at full load.
#[derive(Debug, Default)]
struct Full {
    per_cpu_second: Vec<f64>,
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Both fronts and the node behind them.
struct Fronts {
    world: World,
    nginx: Process,
    nginx_at: SocketAddr,
    by_edge: Source,
    by_srs: Source,
}

impl Fronts {
    /// Fresh ones: an edge asks after its sessions a minute after it opened them, which is another thing than opening.
    async fn start() -> anyhow::Result<Self> {
        let (world, streams) = World::start(STREAMS, false).await?;
        let nginx_at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let workers = std::thread::available_parallelism()?.get();
        let nginx = nginx::start(nginx_at.port(), world.node, workers, world.dir.path())?;
        // It has no such page itself: the node's 200 comes through it.
        ready(nginx_at, &world.dir.path().join("nginx.log")).await?;
        let (by_edge, by_srs) = sources(streams);
        Ok(Self { world, nginx, nginx_at, by_edge, by_srs })
    }
}

/// Measures.
///
/// # Errors
/// A part does not start, or a front refuses what it should take.
pub async fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("WHIP POST");
    let rate = full_load(&mut report).await?;
    half_load(rate, &mut report).await?;
    Ok(report)
}

/// The fronts take turns; gives half of what the edge does a second.
async fn full_load(report: &mut Report) -> anyhow::Result<u64> {
    let Fronts { world, nginx, nginx_at, by_edge, by_srs } = Fronts::start().await?;
    let (mut edge, mut peer) = (Full::default(), Full::default());
    let mut number = 0;
    for _ in 0..ROUNDS {
        let before = nginx.cpu_seconds()?;
        let run = closed(target(nginx_at, CONNECTIONS), Until::Time(FULL), number, &by_srs).await;
        peer.note(run, nginx.cpu_seconds()? - before, "nginx")?;
        let before = world.process.cpu_seconds()?;
        let run = closed(target(world.edge, CONNECTIONS), Until::Time(FULL), number, &by_edge).await;
        number += run.done + run.failed;
        edge.note(run, world.process.cpu_seconds()? - before, "the edge")?;
    }
    edge.tell("edge", report);
    peer.tell("nginx", report);
    let ratio = median(&peer.per_cpu_second) / median(&edge.per_cpu_second);
    report.add_wanted("full load: CPU for a POST, edge to nginx", ratio, "times", CPU_RATIO);
    Ok(half(&edge))
}

async fn half_load(rate: u64, report: &mut Report) -> anyhow::Result<()> {
    let Fronts { world, nginx: _running, nginx_at, by_edge, by_srs } = Fronts::start().await?;
    let run = open(target(world.node, CONNECTIONS_OPEN), rate, HALF, 0, &by_srs).await;
    let direct = at_half(run, "the node itself", rate, report)?;
    let run = open(target(nginx_at, CONNECTIONS_OPEN), rate, HALF, 0, &by_srs).await;
    at_half(run, "nginx", rate, report)?;
    let run = open(target(world.edge, CONNECTIONS_OPEN), rate, HALF, 0, &by_edge).await;
    let through = at_half(run, "edge", rate, report)?;
    report.add_wanted("half load: p99 that the edge adds to the node's own", through - direct, "ms", ADDED_P99_MS);
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and positive")]
fn half(edge: &Full) -> u64 {
    (median(&edge.rate) / 2.0) as u64
}

impl Full {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn note(&mut self, mut run: Run, cpu: f64, who: &str) -> anyhow::Result<()> {
        run.all_good(who)?;
        self.per_cpu_second.push(run.done as f64 / cpu.max(0.01));
        self.rate.push(run.rate());
        self.p50.push(run.latencies.percentile(50));
        self.p99.push(run.latencies.percentile(99));
        Ok(())
    }

    fn tell(&self, who: &str, report: &mut Report) {
        report.add(format!("full load, {who}: POSTs for a CPU second"), median(&self.per_cpu_second), "");
        report.add(format!("full load, {who}: POSTs"), median(&self.rate), "/s");
        report.add(format!("full load, {who}: p50"), median(&self.p50), "ms");
        report.add(format!("full load, {who}: p99"), median(&self.p99), "ms");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is far below 2^52")]
fn at_half(mut run: Run, who: &str, rate: u64, report: &mut Report) -> anyhow::Result<f64> {
    run.all_good(who)?;
    ensure!(run.unsent == 0, "{who} at {rate}/s: {} requests found no free connection", run.unsent);
    let (p50, p99) = (run.latencies.percentile(50), run.latencies.percentile(99));
    report.add(format!("half load, {who}: POSTs"), rate as f64, "/s");
    report.add(format!("half load, {who}: p50"), p50, "ms");
    report.add(format!("half load, {who}: p99"), p99, "ms");
    Ok(p99)
}

fn target(to: SocketAddr, connections: usize) -> Target {
    Target { to, connections, wanted: |status, body| status == 201 && body.starts_with(b"v=0") }
}

/// The same POST for the edge and in SRS's own form.
fn sources(streams: Vec<Published>) -> (Source, Source) {
    let streams = Arc::new(streams);
    let of = |n: u64, streams: &[Published]| usize::try_from(n).unwrap_or(0) % streams.len();
    let edge = {
        let streams = Arc::clone(&streams);
        move |n| {
            let Published { stream, token } = &streams[of(n, &streams)];
            let bearer = format!("Authorization: Bearer {token}\r\n");
            post(&format!("/rtc/v1/whip/{stream}"), "application/sdp", &bearer, OFFER.as_bytes())
        }
    };
    let srs = move |n| {
        let Published { stream, token } = &streams[of(n, &streams)];
        let path = format!("/rtc/v1/whip/?app=live&stream={stream}&token={token}");
        post(&path, "application/sdp", "", OFFER.as_bytes())
    };
    (Arc::new(edge), Arc::new(srs))
}
