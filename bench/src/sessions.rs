//! What an edge remembers of a viewer: its memory at 10,000 held WHEP sessions.

use crate::{
    load::{Source, Target, Until, closed},
    report::Report,
    wire::post,
    world::World,
};
use std::{sync::Arc, time::Duration};

/// Streams that are watched.
const STREAMS: usize = 100;
/// Sessions opened first, so that pools, tables and threads have their size.
const FIRST: u64 = 2_000;
/// Sessions whose memory is counted.
const HELD: u64 = 10_000;
const CONNECTIONS: usize = 32;
/// Time for connections that the generator closed to be forgotten.
const SETTLE: Duration = Duration::from_secs(3);
/// Wanted: bytes of resident memory for a session.
const WANTED_BYTES: f64 = 1024.0;
const OFFER: &str = include_str!("../fixtures/srs5-whep-offer.sdp");

/// Measures.
///
/// # Errors
/// A part does not start, or the edge refuses a viewer.
#[expect(clippy::cast_precision_loss, reason = "memory and counts are far below 2^52")]
pub async fn run() -> anyhow::Result<Report> {
    let (world, streams) = World::start(STREAMS, true).await?;
    let source: Source = Arc::new(move |n| {
        let index = usize::try_from(n).unwrap_or(0) % streams.len();
        let path = format!("/rtc/v1/whep/{}", streams[index].stream);
        post(&path, "application/sdp", "", OFFER.as_bytes())
    });
    let target = Target {
        to: world.edge,
        connections: CONNECTIONS,
        wanted: |status, body| status == 201 && body.starts_with(b"v=0"),
    };
    let mut report = Report::new("held WHEP sessions");
    let empty = world.process.resident()?;
    let warm = hold(&world, target, 0, FIRST, &source).await?;
    let full = hold(&world, target, FIRST, HELD, &source).await?;
    let each = full.saturating_sub(warm) as f64 / HELD as f64;
    report.add("resident memory without sessions", empty as f64 / 1_048_576.0, "MiB");
    report.add(format!("resident memory with {FIRST} sessions"), warm as f64 / 1_048_576.0, "MiB");
    report.add(format!("resident memory with {} sessions", FIRST + HELD), full as f64 / 1_048_576.0, "MiB");
    let most = full.saturating_sub(empty) as f64 / (FIRST + HELD) as f64;
    report.add_wanted(format!("for each of the {HELD} between"), each, "bytes", WANTED_BYTES);
    report.add_wanted("for each of all of them, everything that grew included", most, "bytes", WANTED_BYTES);
    Ok(report)
}

async fn hold(world: &World, target: Target, first: u64, count: u64, source: &Source) -> anyhow::Result<u64> {
    let run = closed(target, Until::Count(count), first, source).await;
    run.all_good("the edge")?;
    tokio::time::sleep(SETTLE).await;
    world.process.resident()
}
