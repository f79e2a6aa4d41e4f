//! HLS: playlists and segments through the edge beside nginx with `proxy_cache`, in front of the same node.

use crate::{
    load::{Run, Source, Target, Until, closed},
    nginx,
    report::{Report, median},
    wire::{Conn, get},
    world::{HLS_SEGMENT_BYTES, World, ready},
};
use anyhow::{Context as _, ensure};
use kit::testing::free_port;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Each front's turn, and how often they take turns.
const TURN: Duration = Duration::from_secs(5);
const ROUNDS: u64 = 3;
const CONNECTIONS: usize = 64;
/// Viewers that ask for the same new segment at once.
const VIEWERS: usize = 1_000;
/// Wanted: nginx's requests for a CPU second, at most this many times the edge's (1 / 0.8).
const CPU_RATIO: f64 = 1.25;

/// Measures.
///
/// # Errors
/// A part does not start, or a front refuses what it should take.
pub async fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("HLS");
    let (world, streams) = World::start(1, true).await?;
    let stream = &streams.first().context("one stream")?.stream;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let workers = std::thread::available_parallelism()?.get();
    let nginx = nginx::start_cache(at.port(), world.node, workers, world.dir.path())?;
    ready(at, &world.dir.path().join("nginx.log")).await?;
    let own = viewer(world.edge, stream).await?;
    let by_edge = source(format!("/live/{own}"), format!("/live/{stream}.1.0.ts"));
    let by_nginx = source(format!("/live/{stream}.m3u8"), format!("/live/{stream}-0.ts"));
    let (mut edge, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = nginx.cpu_seconds()?;
        let run = closed(target(at, CONNECTIONS), Until::Time(TURN), 0, &by_nginx).await;
        peer.push(rate(&run, nginx.cpu_seconds()? - before, "nginx")?);
        let before = world.process.cpu_seconds()?;
        let run = closed(target(world.edge, CONNECTIONS), Until::Time(TURN), 0, &by_edge).await;
        edge.push(rate(&run, world.process.cpu_seconds()? - before, "the edge")?);
    }
    let size = HLS_SEGMENT_BYTES / 1024;
    report.add(format!("edge: requests for a CPU second, half of them segments of {size} KiB"), median(&edge), "");
    report.add("nginx, proxy_cache: the same", median(&peer), "");
    let ratio = median(&peer) / median(&edge);
    report.add_wanted("requests for a CPU second, nginx to edge", ratio, "times", CPU_RATIO);
    let before = world.segments.load(Ordering::Relaxed);
    let fresh = source(format!("/live/{own}"), format!("/live/{stream}.1.1.ts"));
    let odd: Source = Arc::new(move |_| fresh(1));
    let viewers = u64::try_from(VIEWERS).unwrap_or(0);
    closed(target(world.edge, VIEWERS), Until::Count(viewers), 0, &odd).await.all_good("the edge")?;
    let fetches = u32::try_from(world.segments.load(Ordering::Relaxed) - before)?;
    report.add_wanted(format!("fetches of a segment at the node, {VIEWERS} viewers"), f64::from(fetches), "", 1.0);
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rate(run: &Run, cpu: f64, who: &str) -> anyhow::Result<f64> {
    run.all_good(who)?;
    Ok(run.done as f64 / cpu.max(0.01))
}

/// The viewer's own playlist, named by the first.
async fn viewer(edge: SocketAddr, stream: &str) -> anyhow::Result<String> {
    let mut conn = Conn::new(edge);
    let answer = conn.ask(&get(&format!("/live/{stream}.m3u8"))).await?;
    let text = std::str::from_utf8(answer.body)?;
    ensure!(answer.status == 200, "the first playlist: {} {text}", answer.status);
    Ok(text.lines().last().context("it names one")?.to_owned())
}

/// A playlist, a segment, a playlist, and so on.
fn source(playlist: String, segment: String) -> Source {
    Arc::new(move |number| get(if number % 2 == 0 { &playlist } else { &segment }))
}

fn target(to: SocketAddr, connections: usize) -> Target {
    let wanted =
        |status, body: &[u8]| status == 200 && (body.starts_with(b"#EXTM3U") || body.len() == HLS_SEGMENT_BYTES);
    Target { to, connections, wanted }
}
