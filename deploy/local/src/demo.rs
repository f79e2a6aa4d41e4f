//! `keystone demo`: a cluster, a publisher that sends a test picture by WHIP, a viewer that counts what comes out by WHEP.
//!
//! Everything goes the way a customer's would: an account, a stream and tokens from the API, media through Caddy and an edge.

use crate::{
    api::{Api, ApiError},
    child::Death,
    cli::{Demo, repository},
    cluster::Cluster,
    config::Config,
    demo_line::{Line, Received, head, kbps},
    media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle, Source, TestPicture},
    plan::{ClusterError, Scope},
    report, say,
    secrets::random_text,
    tools::MediaChoice,
    up::{cancel_on_signal, finish},
};
use proto::{
    api::{CreateStream, CreateToken},
    ids::StreamId,
    session::Role,
    stream::Visibility,
};
use std::{collections::BTreeMap, net::IpAddr, process::ExitCode, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// From the publisher's 201 to the first answer to a viewer: its ICE, DTLS and first keyframe.
const VIEWABLE_WITHIN: Duration = Duration::from_secs(20);
/// Between two tries to watch or publish.
const TRY_EVERY: Duration = Duration::from_millis(500);

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
            _ = ticks.tick() => print(args.json, &stage, &stage.line(false).await),
        }
        stage.keep_going().await;
    };
    let total = stage.line(true).await;
    print(args.json, &stage, &total);
    stage.close().await;
    Ok(verdict(&total, death.as_ref()))
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn print(json: bool, stage: &Stage, line: &Line) {
    if json {
        say::out(&line.json());
    } else {
        say::out(&line.row(stage.edge_name()));
    }
}

fn verdict(total: &Line, death: Option<&Death>) -> ExitCode {
    if let Some(death) = death {
        say::note(&format!("keystone: {death}"));
    }
    let missing =
        [("video", total.frames_video), ("audio", total.frames_audio)].into_iter().filter(|(_, frames)| *frames == 0);
    let missing: Vec<_> = missing.map(|(what, _)| what).collect();
    if !missing.is_empty() {
        say::note(&format!("keystone: no {} came out at the far end", missing.join(" and no ")));
    }
    if death.is_none() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The two clients and what they have seen.
struct Stage {
    api: Api,
    origin: String,
    /// What both clients bind to: nodes answer from the address they were reached by.
    local_ip: IpAddr,
    stream: StreamId,
    media: &'static str,
    publish_token: String,
    play_token: String,
    publisher: Option<SessionHandle>,
    viewer: Option<SessionHandle>,
    /// Edge id → the name in the table.
    edges: BTreeMap<String, String>,
    edge: Option<String>,
    /// Of viewer sessions that have ended.
    before: Received,
    since: Instant,
    last: std::cell::Cell<(Instant, u64)>,
}

impl Stage {
    async fn open(cluster: &Cluster) -> Result<Self, DemoError> {
        let admin = cluster.admin();
        let anyone = Api::new(&admin.api);
        let edges = anyone.sign_in(&admin.email, &admin.password).await?.edges().await?;
        let edges = edges
            .items
            .into_iter()
            .filter_map(|edge| Some((edge.id.to_string(), edge_name(cluster, &edge.listen)?)))
            .collect();
        let (email, password) = (format!("demo-{}@keystone.local", short()), random_text());
        anyone.register(&email, &password, "Demo").await?;
        let api = anyone.sign_in(&email, &password).await?;
        let body = CreateStream { title: "Test picture".to_owned(), visibility: Visibility::Public };
        let stream = api.create_stream(&body).await?.stream.id;
        let token = async |action| {
            let body = CreateToken { action, ttl_seconds: Some(86_400), single_use: false, ip: None };
            api.create_token(&stream, &body).await.map(|issued| issued.token)
        };
        let now = Instant::now();
        let mut stage = Self {
            origin: cluster.origin(),
            local_ip: cluster.plan().candidate(),
            media: match cluster.plan().media {
                MediaChoice::Srs { .. } => "srs",
                MediaChoice::Builtin { .. } => "builtin",
            },
            publish_token: token(Role::Publish).await?,
            play_token: token(Role::Play).await?,
            publisher: None,
            viewer: None,
            edges,
            edge: None,
            before: Received::default(),
            since: now,
            last: std::cell::Cell::new((now, 0)),
            stream,
            api,
        };
        stage.publisher =
            Some(stage.publish().await.map_err(|source| DemoError::Media { what: "publishing by WHIP", source })?);
        stage.since = Instant::now();
        stage.last.set((stage.since, 0));
        let viewer = stage.watch_until(stage.since + VIEWABLE_WITHIN).await;
        stage.take_viewer(viewer.map_err(|source| DemoError::Media { what: "watching by WHEP", source })?);
        Ok(stage)
    }

    async fn publish(&self) -> Result<SessionHandle, MediaError> {
        let picture = TestPicture { label: self.stream.to_string(), ..TestPicture::default() };
        let options = PublishOptions {
            url: format!("{}/rtc/v1/whip/{}", self.origin, self.stream),
            token: Some(self.publish_token.clone()),
            local_ip: Some(self.local_ip),
            via: None,
            source: Source::TestPicture(picture),
        };
        media::publish(options).await
    }

    async fn watch(&self) -> Result<SessionHandle, MediaError> {
        let url = format!("{}/rtc/v1/whep/{}", self.origin, self.stream);
        media::play(PlayOptions { url, token: Some(self.play_token.clone()), local_ip: Some(self.local_ip) }).await
    }

    /// Tries until the stream can be watched: between the publisher's 201 and its first packets there is nothing to see.
    async fn watch_until(&self, deadline: Instant) -> Result<SessionHandle, MediaError> {
        loop {
            match self.watch().await {
                Err(MediaError::Refused { retry_after: Some(_), .. }) if Instant::now() < deadline => {
                    sleep(TRY_EVERY).await
                }
                result => return result,
            }
        }
    }

    /// Opens again what has ended, as a player and an encoder would; one try a line.
    async fn keep_going(&mut self) {
        if self.publisher.as_ref().is_none_or(|session| session.stats().state.ended()) {
            say::note("keystone: the publisher's session has ended, publishing again");
            self.publisher = self.publish().await.inspect_err(|error| say::note(&format!("keystone: {error}"))).ok();
        }
        if self.viewer.as_ref().is_none_or(|session| session.stats().state.ended()) {
            if let Some(ended) = self.viewer.take() {
                say::note("keystone: the viewer's session has ended, watching again");
                self.before += ended.stats().into();
            }
            match self.watch().await {
                Ok(viewer) => self.take_viewer(viewer),
                Err(error) => say::note(&format!("keystone: {error}")),
            }
        }
    }

    fn take_viewer(&mut self, viewer: SessionHandle) {
        self.edge = viewer.edge().map(str::to_owned);
        self.viewer = Some(viewer);
    }

    fn edge_name(&self) -> Option<&str> {
        let id = self.edge.as_deref()?;
        Some(self.edges.get(id).map_or(id, String::as_str))
    }

    /// What is so now. An API that does not answer shows as a stream that is not live.
    async fn line(&self, total: bool) -> Line {
        let live = self.api.stream(&self.stream).await.ok().and_then(|stream| stream.live);
        let mut received = self.before;
        if let Some(viewer) = &self.viewer {
            received += viewer.stats().into();
        }
        let now = Instant::now();
        let (last_at, last_bytes) = if total { (self.since, 0) } else { self.last.replace((now, received.bytes)) };
        Line {
            t: (now - self.since).as_secs(),
            stream: self.stream.to_string(),
            node: live.as_ref().map(|live| live.node.to_string()),
            edge: self.edge.clone(),
            media: self.media,
            live: live.is_some(),
            viewers: live.map_or(0, |live| live.viewers),
            frames_video: received.video,
            frames_audio: received.audio,
            bytes: received.bytes,
            kbps: kbps(received.bytes - last_bytes, now - last_at),
            total,
        }
    }

    /// Leaves as good clients do, and removes the stream.
    async fn close(self) {
        for session in [self.viewer, self.publisher].into_iter().flatten() {
            if let Err(error) = session.stop().await {
                say::note(&format!("keystone: {error}"));
            }
        }
        if let Err(error) = self.api.delete_stream(&self.stream).await {
            say::note(&format!("keystone: {error}"));
        }
    }
}

/// `edge-1` for the edge that listens on that edge's port.
fn edge_name(cluster: &Cluster, listen: &str) -> Option<String> {
    let plan = cluster.plan();
    let port: u16 = listen.rsplit(':').next()?.parse().ok()?;
    (0..plan.options.shape.edges).find(|i| plan.ports.edge_http(*i) == port).map(|i| format!("edge-{i}"))
}

fn short() -> String {
    random_text().to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).take(10).collect()
}
