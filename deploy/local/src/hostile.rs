//! `keystone hostile`: live streams through an edge that is being attacked, and what their viewers notice of it.
//!
//! One stream comes by WHIP and goes out by WHEP, one comes by RTMP and goes out by HTTP-FLV, both through the edge under attack. First a
//! look without an attack, then each attack in turn. A stutter, loss, or an edge that grows fails the run. Everything stays on loopback.

mod attack;
mod bytes;
mod page;
pub mod row;
mod watch;

pub use attack::{Attack, Done, Target};
pub use row::{Flow, Row};

use crate::{
    api::{Api, ApiError},
    chaos::Stall,
    cli::{self, repository},
    cluster::Cluster,
    config::Config,
    matrix::clients::{self, Door},
    media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle, Source, TestPicture},
    plan::{ClusterError, Options, PortBase},
    ports::Shape,
    say,
    secrets::random_text,
    tools::MediaChoice,
    up::{cancel_on_signal, finish},
};
use proto::{
    api::{CreateStream, NewStream},
    stream::Visibility,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{process::Child, time::Instant};
use tokio_util::sync::CancellationToken;
use watch::Watch;

/// From the publishers' start to pictures at both viewers.
const SEATED_WITHIN: Duration = Duration::from_secs(25);
/// Between two tries to watch.
const TRY_EVERY: Duration = Duration::from_millis(300);
/// Between two looks at the edge's memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After each attack, so that its end does not fall into the next.
const REST: Duration = Duration::from_secs(2);
/// Files that 5,000 connections need here and in the edge, which inherits the limit.
const FILES: u64 = 16_384;

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum HostileError {
    /// The cluster did not come up.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The API said no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A stream beside the attacks did not begin.
    #[error("{what}: {why}")]
    Stream {
        /// Which.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// Too few files may be open.
    #[error("this process may open {0} files, 5,000 connections need {FILES}: raise `ulimit -n`")]
    Files(u64),
    /// The page could not be written.
    #[error("{}: {source}", file.display())]
    Page {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The quiet look first, then one for each attack.
    pub rows: Vec<Row>,
    /// `SRS 5.0.216` or `the built-in node`.
    pub media: String,
    /// How long each was looked at.
    pub lasts: Duration,
}

/// Runs the command. Exit code 1 when a viewer would have noticed.
///
/// # Errors
/// What kept it from being done at all.
pub async fn command(args: cli::Hostile, config: Config) -> anyhow::Result<ExitCode> {
    let root = repository(&std::env::current_dir()?);
    let cancel = cancel_on_signal()?;
    let scratch = std::env::temp_dir().join(format!("keystone-hostile-{}", std::process::id()));
    let data = args.data.clone().unwrap_or_else(|| scratch.clone());
    raise_files()?;
    let outcome = match Box::pin(run(&args, &data, &root, &config, &cancel)).await {
        Err(HostileError::Cluster(ClusterError::Cancelled)) => {
            say::note("hostile: interrupted; all of it was ended");
            return Ok(ExitCode::FAILURE);
        }
        outcome => outcome?,
    };
    if let Some(file) = &args.write {
        let page = page::markdown(&outcome);
        std::fs::write(file, page).map_err(|source| HostileError::Page { file: file.clone(), source })?;
    }
    let broken: usize = outcome.rows.iter().map(|row| row.broken().len()).sum();
    say::out(&format!("{} attacks: {broken} things that a viewer or an operator would notice", outcome.rows.len() - 1));
    if data == scratch && broken == 0 {
        std::fs::remove_dir_all(&scratch)?;
    } else if broken > 0 {
        say::note(&format!("hostile: logs are in {}", data.join("log").display()));
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets this process and its children open as many files as the system allows, [`FILES`] at most.
fn raise_files() -> Result<(), HostileError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let wanted = Rlimit { current: Some(limit.current.unwrap_or(0).max(FILES.min(most))), maximum: limit.maximum };
    if most < FILES || setrlimit(Resource::Nofile, wanted).is_err() {
        return Err(HostileError::Files(most));
    }
    Ok(())
}

async fn run(
    args: &cli::Hostile,
    data: &Path,
    root: &Path,
    config: &Config,
    cancel: &CancellationToken,
) -> Result<Outcome, HostileError> {
    let options = Options {
        shape: Shape { controls: 1, edges: 1, nodes: 1 },
        ports: PortBase::Free,
        media: args.media,
        data: data.to_owned(),
        ..Options::in_repository(root)
    };
    let mut cluster = Cluster::start(options, config, cancel).await?;
    let played = tokio::select! {
        played = play(args, &mut cluster) => played,
        () = cancel.cancelled() => Err(ClusterError::Cancelled.into()),
    };
    let media = match &cluster.plan().media {
        MediaChoice::Srs { version, .. } => format!("SRS {version}"),
        MediaChoice::Builtin { .. } => "the built-in node".to_owned(),
    };
    finish(cluster).await;
    Ok(Outcome { rows: played?, media, lasts: args.lasts })
}

async fn play(args: &cli::Hostile, cluster: &mut Cluster) -> Result<Vec<Row>, HostileError> {
    let stage = Stage::open(cluster).await?;
    let attacks = if args.only.is_empty() { Attack::ALL.to_vec() } else { args.only.clone() };
    let mut rows = Vec::new();
    for attack in std::iter::once(None).chain(attacks.into_iter().map(Some)) {
        let row = stage.look(attack, args.lasts).await;
        page::lines(&row).iter().for_each(|line| say::out(line));
        rows.push(row);
        tokio::time::sleep(REST).await;
    }
    stage.close().await;
    Ok(rows)
}

/// The streams beside the attacks.
struct Stage {
    target: Target,
    edge: u32,
    publisher: SessionHandle,
    _encoder: Child,
    webrtc: Watch,
    flv: Watch,
}

impl Stage {
    async fn open(cluster: &mut Cluster) -> Result<Self, HostileError> {
        let edge = cluster.children().running().into_iter().find(|(name, _)| *name == "edge-0").map(|(_, pid)| pid);
        let edge = edge.ok_or_else(|| HostileError::Stream { what: "edge-0", why: "it does not run".to_owned() })?;
        let ports = cluster.plan().ports;
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let target = Target {
            rtc: at(ports.edge_rtc(0)),
            srt: at(ports.edge_srt(0)),
            rtmp: at(ports.edge_rtmp(0)),
            http: at(ports.edge_http(0)),
        };
        let door = Door {
            http: format!("http://{}", target.http),
            rtmp: target.rtmp.to_string(),
            srt: target.srt.to_string(),
        };
        let owner = account(cluster).await?;
        let (web, rtmp) = (stream(&owner).await?, stream(&owner).await?);
        let failed = |what: &'static str| move |why: MediaError| HostileError::Stream { what, why: why.to_string() };
        let local_ip = Some(cluster.plan().candidate());
        let publisher = media::publish(PublishOptions {
            via: None,
            url: format!("{}/rtc/v1/whip/{}", door.http, web.stream.id),
            token: Some(web.stream_key),
            local_ip,
            source: Source::TestPicture(TestPicture::default()),
        })
        .await
        .map_err(failed("publishing by WHIP"))?;
        let id = rtmp.stream.id.to_string();
        let (program, args) = clients::publisher(crate::matrix::Source::Rtmp, &door, &id, &rtmp.stream_key)
            .expect("RTMP is published by a program");
        let encoder = clients::start(program, &args)
            .map_err(|error| HostileError::Stream { what: "publishing by RTMP", why: format!("{program}: {error}") })?;
        let viewer = PlayOptions { url: format!("{}/rtc/v1/whep/{}", door.http, web.stream.id), token: None, local_ip };
        let viewer =
            until("watching by WHEP", async || media::play(viewer.clone()).await.map_err(|error| error.to_string()));
        let viewer = viewer.await?;
        let url = format!("{}/live/{id}.flv", door.http);
        let response = until("watching by HTTP-FLV", async || {
            let response = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
            let response = response.get(&url).send().await.map_err(|error| error.without_url().to_string())?;
            if response.status().is_success() { Ok(response) } else { Err(response.status().to_string()) }
        });
        let response = response.await?;
        Ok(Self {
            target,
            edge,
            publisher,
            _encoder: encoder,
            webrtc: Watch::webrtc(viewer),
            flv: Watch::flv(response),
        })
    }

    /// Looks on while `attack` is under way, or without any.
    async fn look(&self, attack: Option<Attack>, lasts: Duration) -> Row {
        let (stop, done) = (CancellationToken::new(), Arc::new(Done::default()));
        drop((self.webrtc.take(), self.flv.take()));
        let (before, stall, began) = (self.memory(), Stall::start(), Instant::now());
        let task = attack.map(|attack| tokio::spawn(attack.run(self.target, Arc::clone(&done), stop.clone())));
        let mut most = before;
        while began.elapsed() < lasts {
            tokio::time::sleep(LOOK_EVERY).await;
            most = most.max(self.memory());
        }
        let text = attack.map_or_else(|| "–".to_owned(), |_| done.text(began.elapsed()));
        let (webrtc, flv, stall) = (self.webrtc.take(), self.flv.take(), stall.end());
        stop.cancel();
        if let Some(task) = task {
            // An attack that failed is told of by itself; nothing is lost with its task.
            drop(task.await);
        }
        tokio::time::sleep(REST).await;
        let title = attack.map_or("none", Attack::title).to_owned();
        Row { title, done: text, webrtc, flv, memory: (before, most, self.memory()), stall }
    }

    /// Resident memory of the edge, bytes; 0 when it is gone.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.edge)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1_024
    }

    async fn close(self) {
        // The cluster ends right after.
        drop(self.publisher.stop().await);
    }
}

/// Tries until it works; between a publisher's first packets and a stream to watch lies a moment.
async fn until<T>(what: &'static str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> Result<T, HostileError> {
    let end = Instant::now() + SEATED_WITHIN;
    loop {
        match tokio::time::timeout_at(end, attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(_)) if Instant::now() < end => tokio::time::sleep(TRY_EVERY).await,
            Ok(Err(why)) => return Err(HostileError::Stream { what, why }),
            Err(_) => return Err(HostileError::Stream { what, why: "no answer".to_owned() }),
        }
    }
}

async fn account(cluster: &Cluster) -> Result<Api, ApiError> {
    let anyone = Api::new(&cluster.admin().api);
    let (email, password) = ("hostile@keystone.local", random_text());
    anyone.register(email, &password, "Hostile").await?;
    anyone.sign_in(email, &password).await
}

async fn stream(owner: &Api) -> Result<NewStream, ApiError> {
    owner.create_stream(&CreateStream { title: "Beside".to_owned(), visibility: Visibility::Public }).await
}
