//! `keystone demo`: a cluster, publishers and viewers, and a line a second about what comes out.
//!
//! A test picture goes in by WHIP and out by WHEP; where ffmpeg can, one more stream goes in by RTMP and one by SRT through the edges, each
//! with a viewer of its own.
//! Everything goes the way a customer's would: an account, streams and tokens from the API, media through Caddy and an edge.

mod encoder;
mod stage;

use crate::{
    api::ApiError,
    child::Death,
    cli::{Demo, repository},
    cluster::Cluster,
    config::Config,
    demo_line::{Line, head},
    media::MediaError,
    plan::{ClusterError, Scope},
    report, say,
    up::{cancel_on_signal, finish},
};
use stage::{Show, Stage};
use std::{process::ExitCode, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Why there was nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The API said no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// WHIP or WHEP said no.
    #[error("{what}: {source}")]
    Media {
        /// Publishing or watching.
        what: &'static str,
        /// What was said.
        source: MediaError,
    },
}

/// Runs the command. Exit code 0 only if video and audio frames came out at the far end.
///
/// # Errors
/// What kept the cluster, the publisher or the viewer from starting.
pub async fn run(args: Demo, config: Config) -> anyhow::Result<ExitCode> {
    let root = repository(&std::env::current_dir()?);
    let cancel = cancel_on_signal()?;
    let mut cluster = match Cluster::start(args.cluster.options(&root, Scope::All), &config, &cancel).await {
        Ok(cluster) => cluster,
        Err(ClusterError::Cancelled) => return Ok(ExitCode::FAILURE),
        Err(error) => return Err(error.into()),
    };
    if !args.json {
        report::table(&cluster).iter().for_each(|line| say::out(line));
        say::out("");
    }
    let result = show(&args, &mut cluster, &cancel).await;
    finish(cluster).await;
    Ok(result?)
}

async fn show(args: &Demo, cluster: &mut Cluster, cancel: &CancellationToken) -> Result<ExitCode, DemoError> {
    let mut stage = tokio::select! {
        stage = Stage::open(cluster) => stage?,
        () = cancel.cancelled() => return Ok(ExitCode::FAILURE),
    };
    if !args.json {
        say::out(&head());
    }
    let mut ticks = interval(LINE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let end = args.lasts.map(|lasts| Instant::now() + lasts);
    let death = loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break None,
            () = until(end) => break None,
            death = cluster.died() => break Some(death),
            _ = ticks.tick() => {
                for show in &stage.shows {
                    print(args.json, &stage, show, &show.line(false).await);
                }
            }
        }
        stage.keep_going().await;
    };
    let mut missing = Vec::new();
    // The main stream's total is the last line.
    for show in stage.shows.iter().rev() {
        let total = show.line(true).await;
        print(args.json, &stage, show, &total);
        missing.extend(show.missing(&total));
    }
    stage.close().await;
    Ok(verdict(&missing, death.as_ref()))
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn print(json: bool, stage: &Stage, show: &Show, line: &Line) {
    if json {
        say::out(&line.json());
    } else {
        say::out(&line.row(stage.edge_name(show)));
    }
}

fn verdict(missing: &[String], death: Option<&Death>) -> ExitCode {
    if let Some(death) = death {
        say::note(&format!("keystone: {death}"));
    }
    missing.iter().for_each(|what| say::note(&format!("keystone: no {what} came out at the far end")));
    if death.is_none() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
