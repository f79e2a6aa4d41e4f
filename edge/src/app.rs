//! Wires the parts together and runs them: build binds, run serves until told to stop.

use crate::{
    admit::Admission,
    config::{AuthMode, Config, Listen, Switch},
    control::Control,
    front::{Front, Parts},
    hls::{self, Hls},
    hooks::{Courier, Hooks},
    metrics::Metrics,
    nodes::{Keeper, Nodes, poll, watch::Watch, witness},
    registration::Registration,
    replica::{Replica, feed},
    routes,
    rtc::{Relay, RelaySettings, adopt},
    rtmp::{Bound, Rtmp},
    srs::SrsClient,
    srt,
    stream::{Lookup, Registry},
    traffic::Reporter,
};
use actix_web::{HttpServer, dev::Server, web};
use anyhow::Context as _;
use kit::{kv::Redis, shutdown::Tasks};
use proto::{EdgeId, SessionId};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Seconds that requests in flight get to end.
const DRAIN_SECONDS: u64 = 10;
/// How long flows whose client has hung up get to end before the threads they run on do.
const FLOWS_END_WITHIN: Duration = Duration::from_secs(5);
/// How long background tasks get to end after the last request.
const TASKS_END_WITHIN: Duration = Duration::from_secs(3);
/// Characters of the random part of an edge id.
const EDGE_ID_LETTERS: usize = 8;
/// Threads for stream actors at most: they carry no media.
const ARBITERS_MAX: usize = 4;

/// A bound edge, not yet serving.
pub struct App {
    server: Server,
    address: SocketAddr,
    rtmp: Bound,
    parts: Arc<Parts>,
    front: Front,
    tasks: Tasks,
    srt: Option<srt::Listener>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("address", &self.address).finish_non_exhaustive()
    }
}

impl App {
    /// Connects to Redis (and goes on without it if it is away), asks the nodes who they are, and binds the HTTP port.
    ///
    /// Runs inside an actix system; the stream actors' threads belong to it.
    ///
    /// # Errors
    /// The port is taken, or a client cannot be built.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        if config.auth == AuthMode::Open {
            tracing::warn!("EDGE_AUTH=open: anybody publishes and plays any stream here");
        }
        let listen = config.listen;
        let (parts, inboxes) = parts(config).await?;
        let parts = Arc::new(parts);
        poll::round(&parts.keeper, &parts.srs).await;
        let front = Front::new(parts.clone());
        let data = web::Data::new(front.clone());
        let server = HttpServer::new(move || actix_web::App::new().app_data(data.clone()).configure(routes::configure))
            .shutdown_timeout(DRAIN_SECONDS)
            // A FIN is all that is heard of a browser tab that was closed, or through Caddy, while its session is being opened. It drops the
            // handler, so that a publisher nobody waits for does not hold its stream's name; a client that only closes its half looks the same.
            .h1_allow_half_closed(false)
            .disable_signals()
            .bind(listen)
            .with_context(|| format!("cannot listen on {listen}"))?;
        let address = server.addrs().first().copied().context("a bound server has an address")?;
        let rtmp = Rtmp::bind(&parts.config.media).await?;
        let srt = match parts.config.media.srt {
            Listen::On(at) => {
                Some(srt::Listener::start(at, &front).with_context(|| format!("cannot listen for SRT on {at}"))?)
            }
            Listen::Off => None,
        };
        let mut tasks = start(&parts, inboxes, address).await;
        let rtmp_at = rtmp.bound();
        tasks.spawn("rtmp", rtmp.run(front.clone(), tasks.token()));
        Ok(Self { server: server.run(), address, rtmp: rtmp_at, srt, parts, front, tasks })
    }

    /// The bound port for SRT, if it is not switched off.
    #[must_use]
    pub fn srt_port(&self) -> Option<u16> {
        self.srt.as_ref().map(|listener| listener.address().port())
    }

    /// The bound port, also when the setting was 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where RTMP is listened for, also when a port was 0.
    #[must_use]
    pub const fn rtmp(&self) -> Bound {
        self.rtmp
    }

    /// What the HTTP front calls; for tests.
    #[must_use]
    pub const fn front(&self) -> &Front {
        &self.front
    }

    /// Serves until `shutdown` is cancelled. Then it is not ready and takes no more sessions, so that load balancers turn to other edges, which
    /// serve its sessions as well; after `EDGE_DRAIN_SECONDS` it lets requests in flight end and is gone. Relayed media
    /// ends with the process: its clients come back through another edge.
    ///
    /// # Errors
    /// The server failed by itself.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(edge = %self.front.edge(), address = %self.address, "edge-gateway serves on {}", self.address);
        let handle = self.server.handle();
        let (flows, leaving, drain) = (self.parts.flows.clone(), self.parts.leaving.clone(), self.parts.config.drain);
        let srt = self.srt;
        actix_web::rt::spawn(async move {
            shutdown.cancelled().await;
            tracing::info!(
                seconds = drain.as_secs(),
                "this edge is about to end: it is not ready and takes no more sessions"
            );
            leaving.cancel();
            tokio::time::sleep(drain).await;
            // New connections wait; flows run on the server's threads, so they end before those do.
            handle.pause().await;
            if let Some(srt) = srt {
                srt.stop().await;
            }
            flows.close();
            if tokio::time::timeout(FLOWS_END_WITHIN, flows.wait()).await.is_err() {
                tracing::warn!(left = flows.len(), "some sessions were still being opened at the end");
            }
            handle.stop(true).await;
        });
        let served = self.server.await;
        if let Some(relay) = &self.parts.relay {
            relay.stop().await;
        }
        self.tasks.stop(TASKS_END_WITHIN).await;
        self.parts.streams.stop();
        served.context("the HTTP server failed")
    }
}

/// What the background tasks work through.
struct Inboxes {
    courier: Courier,
    signs: mpsc::Receiver<witness::Input>,
    adoptions: Option<mpsc::Receiver<SessionId>>,
}

/// The relay, and the sessions it took over.
type Running = (Arc<Relay>, mpsc::Receiver<SessionId>);

async fn parts(config: Config) -> anyhow::Result<(Parts, Inboxes)> {
    let edge =
        EdgeId::parse(&format!("edge-{}", kit::random::letters(EDGE_ID_LETTERS))).context("letters make an id")?;
    let metrics = Metrics::new().context("metrics have distinct names")?;
    let kv = Redis::connect(&config.redis).await.map_err(anyhow::Error::msg)?;
    let replica = Replica::new(config.secret.clone());
    let control = Control::new(&config.controls, replica.clone(), edge.clone(), metrics.clone())?;
    let srs = SrsClient::new(metrics.clone())?;
    let (nodes, signs) = Nodes::new(&config.upstreams, config.zone.as_deref());
    let lookup = Lookup {
        kv: kv.clone(),
        replica: replica.clone(),
        control: control.clone(),
        nodes: nodes.clone(),
        srs: srs.clone(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(ARBITERS_MAX);
    let streams = Arc::new(Registry::new(threads, lookup.clone(), metrics.clone()));
    let admission =
        Admission::new(config.auth, config.rate_limit, kv.clone(), replica.clone(), control.clone(), metrics.clone());
    let keeper =
        Keeper { nodes: nodes.clone(), streams: streams.clone(), replica: replica.clone(), metrics: metrics.clone() };
    let listener = Arc::new(keeper.clone());
    let (hooks, courier) = Hooks::new(control.clone(), replica.clone(), listener, kv.clone(), metrics.clone())?;
    let hls_parts = hls::Parts {
        edge: edge.clone(),
        admission: admission.clone(),
        replica: replica.clone(),
        nodes: nodes.clone(),
        keeper: keeper.clone(),
        lookup,
        origin: hls::Origin::new(metrics.clone())?,
        metrics: metrics.clone(),
    };
    let hls = Hls::new(hls_parts, config.hls, config.ffmpeg.clone());
    let (leaving, flows) = (CancellationToken::new(), TaskTracker::new());
    let (relay, adoptions) = relay(&config, &replica, &metrics)?.unzip();
    let parts = Parts {
        config,
        edge,
        metrics,
        kv,
        replica,
        nodes,
        keeper,
        streams,
        admission,
        control,
        srs,
        hooks,
        hls,
        relay,
        leaving,
        flows,
    };
    Ok((parts, Inboxes { courier, signs, adoptions }))
}

/// The WebRTC relay, unless it is switched off.
fn relay(config: &Config, replica: &Replica, metrics: &Metrics) -> anyhow::Result<Option<Running>> {
    let media = &config.media;
    let (Switch::On, Listen::On(listen)) = (media.webrtc_relay, media.rtc) else {
        tracing::info!("WebRTC media does not pass this edge: answers carry the nodes' own candidates");
        return Ok(None);
    };
    let tcp = media.webrtc_tcp == Switch::On;
    let settings = RelaySettings { listen, public: media.webrtc_public.clone(), tcp };
    let started = Relay::start(&settings, replica.clone(), metrics.rtc().clone());
    let (relay, adoptions) = started.with_context(|| {
        format!("cannot take WebRTC packets on {listen}: end what listens there, move EDGE_RTC_LISTEN, or set WEBRTC_RELAY=off")
    })?;
    tracing::info!(addresses = ?relay.addresses(), candidates = ?relay.hosts(), "WebRTC media passes this edge");
    Ok(Some((relay, adoptions)))
}

/// Starts the background tasks; returns once the replica was read for the first time, or could not be.
async fn start(parts: &Arc<Parts>, inboxes: Inboxes, address: SocketAddr) -> Tasks {
    let mut tasks = Tasks::default();
    let stop = tasks.token();
    let listener: Arc<dyn feed::Listener> = Arc::new(parts.keeper.clone());
    let mut feed = feed::Feed::new(parts.kv.clone(), parts.replica.clone(), listener, parts.metrics.clone());
    feed.first().await;
    tasks.spawn("replica", feed.run(stop.clone()));
    tasks.spawn("hooks", inboxes.courier.run(stop.clone()));
    tasks.spawn("nodes", poll::run(parts.keeper.clone(), parts.srs.clone(), stop.clone()));
    let watch = Watch::new(parts.keeper.clone(), parts.srs.clone(), parts.control.clone(), inboxes.signs);
    tasks.spawn("node watch", watch.run(stop.clone()));
    let registration = Registration {
        kv: parts.kv.clone(),
        edge: parts.edge.clone(),
        listen: address,
        url: parts.config.advertised(address),
        metrics: parts.metrics.clone(),
        leaving: parts.leaving.clone(),
    };
    let report = hls::report::Report {
        hls: parts.hls.clone(),
        edge: parts.edge.clone(),
        control: parts.control.clone(),
        kv: parts.kv.clone(),
    };
    let traffic = Reporter { kv: parts.kv.clone(), edge: parts.edge.clone(), leases: parts.replica.leases().clone() };
    tasks.spawn("traffic", traffic.run(stop.clone()));
    tasks.spawn("hls sessions", report.run(stop.clone()));
    if let (Some(relay), Some(adoptions)) = (&parts.relay, inboxes.adoptions) {
        tasks.spawn("rtc targets", relay.clone().keep_targets(parts.nodes.clone(), stop.clone()));
        tasks.spawn("rtc adoptions", adopt::run(parts.clone(), relay.clone(), adoptions, stop.clone()));
    }
    tasks.spawn("registration", registration.run(stop));
    tasks
}
