//! Wires the parts together and runs them: build binds, run serves until told to stop.

use crate::{
    admit::Admission,
    config::{AuthMode, Config},
    control::Control,
    front::{Front, Parts},
    hooks::{Courier, Hooks},
    metrics::Metrics,
    nodes::{self, Nodes},
    registration,
    replica::{Replica, feed},
    routes,
    srs::SrsClient,
    stream::{Lookup, Registry},
};
use actix_web::{HttpServer, dev::Server, web};
use anyhow::Context as _;
use kit::{kv::Redis, shutdown::Tasks};
use proto::EdgeId;
use std::{net::SocketAddr, sync::Arc, time::Duration};
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
    parts: Arc<Parts>,
    front: Front,
    tasks: Tasks,
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
        for name in config.media.without_effect() {
            tracing::warn!(
                setting = name,
                "{name} has no effect: this edge relays no media; answers carry the node's own candidates"
            );
        }
        if config.auth == AuthMode::Open {
            tracing::warn!("EDGE_AUTH=open: anybody publishes and plays any stream here");
        }
        let listen = config.listen;
        let (parts, courier) = parts(config).await?;
        let parts = Arc::new(parts);
        nodes::round(&parts.nodes, &parts.srs, &parts.streams, &parts.metrics).await;
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
        let tasks = start(&parts, courier, address).await;
        Ok(Self { server: server.run(), address, parts, front, tasks })
    }

    /// The bound port, also when the setting was 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the HTTP front calls; for tests.
    #[must_use]
    pub const fn front(&self) -> &Front {
        &self.front
    }

    /// Serves until `shutdown` is cancelled, then lets requests in flight end.
    ///
    /// # Errors
    /// The server failed by itself.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(edge = %self.front.edge(), address = %self.address, "edge-gateway serves on {}", self.address);
        let handle = self.server.handle();
        let flows = self.parts.flows.clone();
        actix_web::rt::spawn(async move {
            shutdown.cancelled().await;
            // New connections wait; flows run on the server's threads, so they end before those do.
            handle.pause().await;
            flows.close();
            if tokio::time::timeout(FLOWS_END_WITHIN, flows.wait()).await.is_err() {
                tracing::warn!(left = flows.len(), "some sessions were still being opened at the end");
            }
            handle.stop(true).await;
        });
        let served = self.server.await;
        self.tasks.stop(TASKS_END_WITHIN).await;
        self.parts.streams.stop();
        served.context("the HTTP server failed")
    }
}

async fn parts(config: Config) -> anyhow::Result<(Parts, Courier)> {
    let edge =
        EdgeId::parse(&format!("edge-{}", kit::random::letters(EDGE_ID_LETTERS))).context("letters make an id")?;
    let metrics = Metrics::new().context("metrics have distinct names")?;
    let kv = Redis::connect(&config.redis).await.map_err(anyhow::Error::msg)?;
    let replica = Replica::new(config.secret.clone());
    let control = Control::new(&config.controls, replica.clone(), edge.clone(), metrics.clone())?;
    let srs = SrsClient::new(metrics.clone())?;
    let nodes = Nodes::new(&config.upstreams);
    let lookup = Lookup { kv: kv.clone(), replica: replica.clone(), control: control.clone() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(ARBITERS_MAX);
    let streams = Arc::new(Registry::new(threads, lookup, metrics.clone()));
    let admission =
        Admission::new(config.auth, config.rate_limit, kv.clone(), replica.clone(), control.clone(), metrics.clone());
    let flows = TaskTracker::new();
    let (hooks, courier) = Hooks::new(control.clone(), replica.clone(), streams.clone(), kv.clone(), metrics.clone())?;
    let parts = Parts { config, edge, metrics, kv, replica, nodes, streams, admission, control, srs, hooks, flows };
    Ok((parts, courier))
}

/// Starts the background tasks; returns once the replica was read for the first time, or could not be.
async fn start(parts: &Arc<Parts>, courier: Courier, address: SocketAddr) -> Tasks {
    let mut tasks = Tasks::default();
    let stop = tasks.token();
    let listener: Arc<dyn feed::Listener> = parts.streams.clone();
    let mut feed = feed::Feed::new(parts.kv.clone(), parts.replica.clone(), listener, parts.metrics.clone());
    feed.first().await;
    tasks.spawn("replica", feed.run(stop.clone()));
    tasks.spawn("hooks", courier.run(stop.clone()));
    let (nodes, srs, streams) = (parts.nodes.clone(), parts.srs.clone(), parts.streams.clone());
    tasks.spawn("nodes", nodes::run(nodes, srs, streams, parts.metrics.clone(), stop.clone()));
    let (kv, edge, metrics) = (parts.kv.clone(), parts.edge.clone(), parts.metrics.clone());
    tasks.spawn("registration", registration::run(kv, edge, address, metrics, stop));
    tasks
}
