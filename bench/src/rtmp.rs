//! RTMP publishers through the edge and through `HAProxy` as a TCP proxy: CPU seconds for a gigabyte, in one run.
//!
//! The load is the same for both: so many encoders in real time, each a key frame of 60 KB a second, pictures of 10 KB and sound between, and a
//! played node that reads and throws away. Its own CPU time and the load's are not counted, only the proxy's. `ways` measures by itself what the edge
//! could do with the bytes.

mod encoder;
mod hostile;
mod ways;

use crate::{
    process::Process,
    report::Report,
    world::{Published, World},
};
use anyhow::Context as _;
use encoder::{Encoder, sink};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use tokio::task::JoinSet;

/// Encoders at once.
const ENCODERS: usize = 100;
/// Of them, how many are let in at once: the edge bounds what one address has half open.
const OPENING: usize = 16;
/// How long they publish.
const FOR: Duration = Duration::from_secs(10);
/// Threads of either proxy.
const THREADS: usize = 2;
/// More CPU than this, as a share of the peer's, is too much.
const RATIO_MAX: f64 = 1.2;
const GB: f64 = 1e9;

/// Measures both.
///
/// # Errors
/// Something does not start, or a stream is refused.
pub async fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("rtmp");
    let node = sink().await?;
    let rtmp = SocketAddr::from((Ipv4Addr::LOCALHOST, kit::testing::free_port()));
    let (world, streams) = World::with_rtmp(ENCODERS, node.address, rtmp).await?;
    let edge = load(&world.process, rtmp, &streams).await?;
    let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, kit::testing::free_port()));
    let mut peers = Vec::new();
    for (name, splice) in [("HAProxy", false), ("HAProxy with splice", true)] {
        let haproxy = haproxy(proxy, node.address, splice, world.dir.path())?;
        until_listens(proxy).await?;
        peers.push((name, load(&haproxy, proxy, &streams).await?));
        drop(haproxy);
    }
    report.add("edge, CPU per GB", edge, "s");
    for (name, seconds) in &peers {
        report.add(format!("{name}, CPU per GB"), *seconds, "s");
    }
    let plain = peers.first().map_or(f64::NAN, |(_, seconds)| *seconds);
    report.add_wanted("edge / HAProxy", edge / plain, "×", RATIO_MAX);
    let victim = streams.first().context("there are streams")?;
    hostile::run(&mut report, &world.process, rtmp, victim, &node.seen).await?;
    ways::run(&mut report)?;
    Ok(report)
}

/// CPU seconds of `process` for a gigabyte.
async fn load(process: &Process, at: SocketAddr, streams: &[Published]) -> anyhow::Result<f64> {
    let mut encoders = Vec::new();
    for some in streams.chunks(OPENING) {
        let mut open = JoinSet::new();
        for stream in some {
            open.spawn(Encoder::open(at, format!("{}?token={}", stream.stream, stream.token)));
        }
        while let Some(opened) = open.join_next().await {
            encoders.push(opened??);
        }
    }
    let before = process.cpu_seconds()?;
    let mut sending = JoinSet::new();
    for (number, encoder) in encoders.into_iter().enumerate() {
        sending.spawn(encoder.publish(number, FOR));
    }
    let mut bytes = 0;
    while let Some(sent) = sending.join_next().await {
        bytes += sent??;
    }
    let spent = process.cpu_seconds()? - before;
    #[expect(clippy::cast_precision_loss, reason = "gigabytes")]
    Ok(spent / (bytes as f64 / GB))
}

fn haproxy(at: SocketAddr, node: SocketAddr, splice: bool, dir: &Path) -> anyhow::Result<Process> {
    let option = if splice { "    option splice-auto\n" } else { "" };
    let config = format!(
        "global\n    nbthread {THREADS}\n    maxconn 4096\ndefaults\n    mode tcp\n    timeout connect 2s\n    timeout client 60s\n    \
         timeout server 60s\n{option}listen rtmp\n    bind {at}\n    server node {node}\n"
    );
    let file = dir.join("haproxy.cfg");
    fs::write(&file, config)?;
    let path = file.to_str().context("a path of ours is text")?;
    Process::start(Path::new("haproxy"), &["-db", "-f", path], &[], &dir.join("haproxy.log"))
}

async fn until_listens(at: SocketAddr) -> anyhow::Result<()> {
    let listens = async {
        while tokio::net::TcpStream::connect(at).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), listens).await.with_context(|| format!("nothing listens on {at}"))
}
