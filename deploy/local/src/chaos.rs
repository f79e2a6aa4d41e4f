//! `keystone chaos`: a whole cluster with an audience, broken in every way that it promises to survive; the table says what each cost, and a
//! broken promise fails the run.
//!
//! Clients are real WebRTC sessions over Caddy and the edges, with one small keyframe a second; whoever loses media POSTs again, as a player
//! or an encoder would. Probes come anew all the time, so that the longest time without a good answer is known for each fault.

mod audience;
mod client;
mod eyes;
mod page;
mod row;
mod scenario;
mod tally;

pub use row::{HEAD, Kind, Limits, Row, seconds};
pub use tally::{At, ClientId, Doubles, Event, Losses, Try, What, longest_without, losses, percentile};

use crate::{
    api::{Api, ApiError},
    cli::{self, repository},
    cluster::Cluster,
    config::{Config, Media},
    media::{MediaError, Still},
    plan::{ClusterError, Options, PortBase},
    ports::Shape,
    say,
    secrets::random_text,
    tools::MediaChoice,
    up::{cancel_on_signal, finish},
};
pub(crate) use audience::Stall;
use audience::{Audience, Keyed, Scene};
use client::Edges;
use eyes::Eyes;
use proto::{api::CreateStream, stream::Visibility};
use scenario::Stage;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Streams that probes publish, one after the other.
const SPARE: u16 = 8;
/// Streams of one account: creating more at once meets the limit on changing requests (60, then 5 a second).
const STREAMS_PER_USER: usize = 40;
/// Between two pictures of a publisher.
const PICTURE_EVERY: Duration = Duration::from_secs(1);
/// A client gives a session up when nothing came for this long, as the web page does: three pictures.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait until the whole audience has media for the first time.
const SEATED_WITHIN: Duration = Duration::from_secs(60);

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The cluster did not come up.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The API said no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No picture to publish.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The page could not be written.
    #[error("{}: {source}", file.display())]
    Page {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What is done, and to what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many of each.
    pub shape: Shape,
    /// Publishers.
    pub publishers: u16,
    /// Viewers.
    pub viewers: u16,
    /// Which media nodes.
    pub media: Option<Media>,
    /// The faults, in order.
    pub faults: Vec<Kind>,
    /// How long Redis is stopped.
    pub redis_away: Duration,
    /// The cluster's folder.
    pub data: PathBuf,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// One for each fault.
    pub rows: Vec<Row>,
    /// `SRS 5.0.216` or `the built-in node`.
    pub media: String,
    /// Clients that had media before the first fault.
    pub seated: usize,
    /// The whole run, from the first child.
    pub took: Duration,
}

/// Runs the command. Exit code 1 when a promise was broken.
///
/// # Errors
/// What kept it from being done at all.
pub async fn command(args: cli::Chaos, config: Config) -> anyhow::Result<ExitCode> {
    let root = repository(&std::env::current_dir()?);
    let cancel = cancel_on_signal()?;
    let scratch = std::env::temp_dir().join(format!("keystone-chaos-{}", std::process::id()));
    let data = args.data.clone().unwrap_or_else(|| scratch.clone());
    let kinds = if args.only.is_empty() { Kind::ALL.to_vec() } else { args.only.clone() };
    let settings = Settings {
        shape: Shape { controls: args.control, edges: args.edge, nodes: args.nodes },
        publishers: args.publishers,
        viewers: args.viewers,
        media: args.media,
        faults: std::iter::repeat_n(kinds, usize::from(args.runs)).flatten().collect(),
        redis_away: args.redis_away,
        data: data.clone(),
    };
    let outcome = match Box::pin(run(&settings, &root, &config, &cancel)).await {
        Err(ChaosError::Cluster(ClusterError::Cancelled)) => {
            say::note("chaos: interrupted; all of it was ended");
            return Ok(ExitCode::FAILURE);
        }
        outcome => outcome?,
    };
    page::sum(&outcome).iter().for_each(|line| say::out(line));
    if let Some(file) = &args.write {
        let page = page::markdown(&settings, &outcome);
        std::fs::write(file, page).map_err(|source| ChaosError::Page { file: file.clone(), source })?;
    }
    let kept = outcome.rows.iter().all(|row| row.broken().is_empty());
    if data == scratch && kept {
        std::fs::remove_dir_all(&scratch)?;
    } else if !kept {
        say::note(&format!("chaos: logs are in {}", data.join("log").display()));
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the cluster and the audience, plays every fault, ends all of it.
///
/// # Errors
/// What kept it from being done at all.
pub async fn run(
    settings: &Settings,
    root: &Path,
    config: &Config,
    cancel: &CancellationToken,
) -> Result<Outcome, ChaosError> {
    let began = Instant::now();
    let options = Options {
        shape: settings.shape,
        ports: PortBase::Free,
        media: settings.media,
        data: settings.data.clone(),
        rate_limits: false,
        ..Options::in_repository(root)
    };
    let mut cluster = Cluster::start(options, config, cancel).await?;
    say::note(&format!("chaos: the cluster is up after {}, at {}", seconds(began.elapsed()), cluster.origin()));
    let played = tokio::select! {
        played = play(settings, &mut cluster) => played,
        () = cancel.cancelled() => Err(ClusterError::Cancelled.into()),
    };
    let media = match &cluster.plan().media {
        MediaChoice::Srs { version, .. } => format!("SRS {version}"),
        MediaChoice::Builtin { .. } => "the built-in node".to_owned(),
    };
    finish(cluster).await;
    let (rows, seated) = played?;
    Ok(Outcome { rows, media, seated, took: began.elapsed() })
}

async fn play(settings: &Settings, cluster: &mut Cluster) -> Result<(Vec<Row>, usize), ChaosError> {
    let scene = Scene {
        origin: cluster.origin(),
        local_ip: cluster.plan().candidate(),
        still: Still::draw(PICTURE_EVERY).await?,
        patience: PATIENCE,
        began: Instant::now(),
        edges: Edges::default(),
    };
    let mut streams = streams(cluster, usize::from(settings.publishers + SPARE)).await?;
    let spare = streams.split_off(usize::from(settings.publishers));
    let audience = Audience::start(scene, &streams, usize::from(settings.viewers)).await;
    let seated = audience.settled(SEATED_WITHIN).await;
    let clock = audience.scene.began.elapsed();
    say::note(&format!("chaos: {seated} of {} clients have media after {}", audience.size(), seconds(clock)));
    let eyes = Eyes::open(cluster).await?;
    let mut stage = Stage { cluster, eyes, audience: &audience, spare, redis_away: settings.redis_away };
    let mut rows = Vec::new();
    for kind in &settings.faults {
        let row = stage.play(*kind).await;
        page::lines(&row).iter().for_each(|line| say::out(line));
        rows.push(row);
    }
    Ok((rows, seated))
}

/// Makes streams that anybody may watch.
async fn streams(cluster: &Cluster, count: usize) -> Result<Vec<Keyed>, ApiError> {
    let anyone = Api::new(&cluster.admin().api);
    let mut made = Vec::with_capacity(count);
    let mut user = anyone.clone();
    for at in 0..count {
        if at % STREAMS_PER_USER == 0 {
            let (email, password) = (format!("chaos-{at}@keystone.local"), random_text());
            anyone.register(&email, &password, "Chaos").await?;
            user = anyone.sign_in(&email, &password).await?;
        }
        let body = CreateStream { title: format!("Chaos {at}"), visibility: Visibility::Public };
        let new = user.create_stream(&body).await?;
        made.push(Keyed { stream: new.stream.id, key: new.stream_key });
    }
    Ok(made)
}
