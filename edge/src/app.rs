//! Wires the parts together and runs them: build binds, run serves until told to stop.

use crate::{config::Config, front::Front, metrics::Metrics, routes};
use actix_web::{HttpServer, dev::Server, web};
use anyhow::Context as _;
use kit::shutdown::Tasks;
use proto::EdgeId;
use std::{net::SocketAddr, time::Duration};
use tokio_util::sync::CancellationToken;

/// Seconds that requests in flight get to end.
const DRAIN_SECONDS: u64 = 10;
/// How long background tasks get to end after the last request.
const TASKS_END_WITHIN: Duration = Duration::from_secs(3);
/// Characters of the random part of an edge id.
const EDGE_ID_LETTERS: usize = 8;

/// A bound edge, not yet serving.
pub struct App {
    server: Server,
    address: SocketAddr,
    front: Front,
    tasks: Tasks,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("address", &self.address).finish_non_exhaustive()
    }
}

impl App {
    /// Connects to Redis (and goes on without it if it is away), starts the background tasks and binds the HTTP port.
    ///
    /// Runs inside an actix system, and [`crate::stream`]'s arbiters belong to it.
    ///
    /// # Errors
    /// The port is taken, or a client cannot be built.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let edge = EdgeId::parse(&format!("edge-{}", kit::random::letters(EDGE_ID_LETTERS)))
            .context("an edge id is made of letters")?;
        let listen = config.listen;
        let tasks = Tasks::default();
        let metrics = Metrics::new().context("metrics have distinct names")?;
        let front = Front::build(config, edge, metrics);
        let data = web::Data::new(front.clone());
        let server = HttpServer::new(move || actix_web::App::new().app_data(data.clone()).configure(routes::configure))
            .shutdown_timeout(DRAIN_SECONDS)
            .disable_signals()
            .bind(listen)
            .with_context(|| format!("cannot listen on {listen}"))?;
        let address = server.addrs().first().copied().context("a bound server has an address")?;
        Ok(Self { server: server.run(), address, front, tasks })
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
        let stopping = async move {
            shutdown.cancelled().await;
            handle.stop(true).await;
        };
        actix_web::rt::spawn(stopping);
        let served = self.server.await;
        self.tasks.stop(TASKS_END_WITHIN).await;
        served.context("the HTTP server failed")
    }
}
