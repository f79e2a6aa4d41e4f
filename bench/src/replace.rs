//! Detect and replace: a cluster of real processes with one publisher, whose media node is killed (SIGKILL).
//!
//! Measured from the kill: until every control-api and every edge holds the node down, until the publisher's POST is answered with 201 by another
//! node, until a viewer's is, and until that viewer has a picture.
//!
//! Publisher and viewer POST every 100 ms from the kill on, each once its last POST was answered, so that no client's patience is in the figures. In
//! further rounds nobody asks for anything until the node is known to be down: those say what the probes do alone.

mod stage;

use crate::report::{Latencies, Report};
use keystone::config::{Config, Media};
use stage::Stage;
use std::time::Duration;

/// Rounds with clients that ask.
const ROUNDS: u32 = 30;
/// Rounds without.
const IDLE_ROUNDS: u32 = 10;
/// The prober looks once a second. Kills are spread over that second, which rounds would else begin at the same place of.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Wanted of everything but the picture, ms.
const GOAL_MS: f64 = 3_000.0;

/// Times of one kind, all from the kill.
#[derive(Debug, Default)]
struct Times {
    known: Latencies,
    published: Latencies,
    watched: Latencies,
    seen: Latencies,
    back: Latencies,
    alone: Latencies,
}

/// Measures with these media nodes.
///
/// # Errors
/// A part does not start, or something does not come about within 30 s.
pub async fn run(media: Media) -> anyhow::Result<Report> {
    let name = match media {
        Media::Srs => "detect and replace, SRS",
        Media::Builtin | Media::Auto => "detect and replace, the built-in node",
    };
    let mut stage = Stage::open(media, &Config::from_process()?).await?;
    let times = Box::pin(rounds(&mut stage)).await;
    stage.close().await;
    Ok(report(name, &mut times?))
}

async fn rounds(stage: &mut Stage) -> anyhow::Result<Times> {
    let mut times = Times::default();
    stage.publish().await?;
    for round in 0..ROUNDS {
        let (node, back) = stage.settled().await?;
        if round > 0 {
            times.back.add(back);
        }
        tokio::time::sleep(PROBE_EVERY * round / ROUNDS).await;
        let lost = Box::pin(stage.kill(&node, true)).await?;
        times.known.add(lost.known);
        times.published.add(lost.published);
        times.watched.add(lost.watched);
        times.seen.add(lost.seen);
        stage.revive(&node).await?;
    }
    for round in 0..IDLE_ROUNDS {
        let (node, back) = stage.settled().await?;
        times.back.add(back);
        tokio::time::sleep(PROBE_EVERY * round / IDLE_ROUNDS).await;
        times.alone.add(Box::pin(stage.kill(&node, false)).await?.known);
        stage.revive(&node).await?;
    }
    Ok(times)
}

fn report(name: &'static str, times: &mut Times) -> Report {
    let mut report = Report::new(name);
    report.add("rounds", f64::from(ROUNDS), "");
    let mut add = |what: &str, times: &mut Latencies, wanted: bool| {
        report.add(format!("{what}: median"), times.percentile(50), "ms");
        if wanted {
            report.add_wanted(format!("{what}: p99"), times.percentile(99), "ms", GOAL_MS);
        } else {
            report.add(format!("{what}: p99"), times.percentile(99), "ms");
        }
        report.add(format!("{what}: max"), times.percentile(100), "ms");
    };
    add("every control-api and edge holds it down", &mut times.known, true);
    add("the publisher's POST is 201", &mut times.published, true);
    add("a viewer's POST is 201", &mut times.watched, true);
    add("that viewer has a picture", &mut times.seen, false);
    add("held down when nobody asks", &mut times.alone, true);
    add("up again after its start", &mut times.back, false);
    report
}
