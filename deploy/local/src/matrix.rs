//! `keystone matrix`: real SRS nodes behind two edges; every kind of publisher through the one, every kind of player through the other.
//!
//! A cell counts what its player decodes, and checks that publisher and player are sessions of the cluster's table, on the node that
//! placement names. What SRS cannot serve must be refused.

pub mod cell;
pub mod clients;
mod knock;
mod page;
mod round;

pub use cell::{Cell, Expect, Round, Seen, Sink, Source};

use crate::{
    api::{Api, ApiError},
    cli::{self, repository},
    cluster::Cluster,
    config::{Config, Media},
    plan::{ClusterError, Options, PortBase},
    ports::Shape,
    say,
    secrets::random_text,
    tools::MediaChoice,
    up::{cancel_on_signal, finish},
};
use clients::Door;
use round::Lab;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The whole run ends after this, whatever hangs.
const RUN_WITHIN: Duration = Duration::from_secs(6 * 60);

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The cluster did not come up.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The API said no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The page could not be written.
    #[error("{}: {source}", file.display())]
    Page {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("not done within {} s", RUN_WITHIN.as_secs())]
    Slow,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// One for each publisher.
    pub rounds: Vec<Round>,
    /// `SRS 5.0.216`.
    pub media: String,
    /// The whole run, from the first child.
    pub took: Duration,
}

/// Runs the command. Exit code 1 when a cell is not as it should be.
///
/// # Errors
/// What kept it from being done at all.
pub async fn command(args: cli::Matrix, config: Config) -> anyhow::Result<ExitCode> {
    let root = repository(&std::env::current_dir()?);
    let cancel = cancel_on_signal()?;
    let scratch = std::env::temp_dir().join(format!("keystone-matrix-{}", std::process::id()));
    let data = args.data.clone().unwrap_or_else(|| scratch.clone());
    if crate::tools::media(&config, Media::Srs).is_err() {
        say::note("matrix: skipped: no srs binary (SRS_BIN, or `srs` on the PATH)");
        return Ok(ExitCode::SUCCESS);
    }
    let sources = if args.only.is_empty() { Source::ALL.to_vec() } else { args.only.clone() };
    let ran = tokio::time::timeout(RUN_WITHIN, Box::pin(run(&sources, &data, &root, &config, &cancel)));
    let outcome = match ran.await {
        Err(_) => return Err(MatrixError::Slow.into()),
        Ok(Err(MatrixError::Cluster(ClusterError::Cancelled))) => {
            say::note("matrix: interrupted; all of it was ended");
            return Ok(ExitCode::FAILURE);
        }
        Ok(outcome) => outcome?,
    };
    let (wrong, skipped) = (page::wrong(&outcome.rounds), page::skipped(&outcome.rounds));
    skipped.iter().for_each(|line| say::out(&format!("skipped: {line}")));
    say::out(&format!("{} publishers, {} cells not as they should be", outcome.rounds.len(), wrong.len()));
    if let Some(file) = &args.write {
        let page = page::markdown(&outcome);
        std::fs::write(file, page).map_err(|source| MatrixError::Page { file: file.clone(), source })?;
    }
    if data == scratch && wrong.is_empty() {
        std::fs::remove_dir_all(&scratch)?;
    } else if !wrong.is_empty() {
        say::note(&format!("matrix: logs are in {}", data.display()));
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the clusters one after the other and plays every publisher to every player.
///
/// # Errors
/// What kept it from being done at all.
pub async fn run(
    sources: &[Source],
    data: &Path,
    root: &Path,
    config: &Config,
    cancel: &CancellationToken,
) -> Result<Outcome, MatrixError> {
    let began = Instant::now();
    let (mut rounds, mut media) = (Vec::new(), String::new());
    for encrypted in [false, true] {
        let sources: Vec<_> = sources.iter().copied().filter(|source| source.encrypted() == encrypted).collect();
        if sources.is_empty() {
            continue;
        }
        let folder = if encrypted { "encrypted" } else { "plain" };
        let options = Options {
            shape: Shape { controls: 2, edges: 2, nodes: 3 },
            ports: PortBase::Free,
            media: Some(Media::Srs),
            data: data.join(folder),
            rate_limits: false,
            srt_passphrase: encrypted.then(|| clients::PASSPHRASE.to_owned()),
            ..Options::in_repository(root)
        };
        let cluster = Cluster::start(options, config, cancel).await?;
        if let MediaChoice::Srs { version, .. } = &cluster.plan().media {
            media = format!("SRS {version}");
        }
        say::note(&format!("matrix: the {folder} cluster is up after {}", crate::chaos::seconds(began.elapsed())));
        let played = tokio::select! {
            played = play(&sources, &cluster, root) => played,
            () = cancel.cancelled() => Err(ClusterError::Cancelled.into()),
        };
        finish(cluster).await;
        rounds.extend(played?);
    }
    rounds.sort_by_key(|round| round.source);
    Ok(Outcome { rounds, media, took: began.elapsed() })
}

async fn play(sources: &[Source], cluster: &Cluster, root: &Path) -> Result<Vec<Round>, MatrixError> {
    let lab = Lab::open(cluster, root).await?;
    let mut rounds = Vec::new();
    for source in sources {
        let round = lab.round(*source).await;
        page::lines(&round).iter().for_each(|line| say::out(line));
        rounds.push(round);
    }
    Ok(rounds)
}

/// An account for the streams of a run.
async fn account(cluster: &Cluster) -> Result<Api, ApiError> {
    let anyone = Api::new(&cluster.admin().api);
    let (email, password) = (format!("matrix-{}@keystone.local", uuid::Uuid::new_v4().simple()), random_text());
    anyone.register(&email, &password, "Matrix").await?;
    anyone.sign_in(&email, &password).await
}

/// Where clients come in at edge `i`.
#[must_use]
pub fn door(cluster: &Cluster, i: u16) -> Door {
    let plan = cluster.plan();
    let media = |port| std::net::SocketAddr::new(plan.options.host, port).to_string();
    Door {
        http: format!("http://127.0.0.1:{}", plan.ports.edge_http(i)),
        rtmp: media(plan.ports.edge_rtmp(i)),
        srt: media(plan.ports.edge_srt(i)),
    }
}
