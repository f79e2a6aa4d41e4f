//! The service: everything is made in [`App::build`], runs in [`App::run`], and ends within a deadline.

use crate::{
    away::Away,
    config::Config,
    error::ApiError,
    fleet::Fleet,
    gossip::{GossipSessions, task},
    health::{Fitness, controls::Controls},
    http::{cors, observe},
    jobs::{self, enrolments, news::News, unclaimed::Unclaimed},
    journal::Journal,
    kicker::Kicker,
    limits::Limits,
    metrics::{Metrics, media::MediaMetrics, nodes::NodeMetrics},
    nodes::Nodes,
    password::Hasher,
    placing::Placing,
    routes,
    secrets::{self, Secrets, seal::Sealer},
    sessions::{SessionView, edges::Edges},
    srs::Srs,
    streams::directory::Directory,
};
use actix_web::{
    HttpServer,
    dev::Server,
    middleware::{Condition, from_fn},
    web,
};
use kit::{
    kv::{Kv, Redis},
    pg::Pg,
    shutdown::Tasks,
    token::SharedKeys,
};
use proto::ControlId;
use secrecy::ExposeSecret as _;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long requests and background tasks may take to end after the stop signal.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a request's head may take to arrive.
const HEAD_MAX: Duration = Duration::from_secs(5);

/// What every handler and job shares.
#[derive(Debug)]
pub struct State {
    /// Settings.
    pub config: Config,
    /// This process, new at each start.
    pub id: ControlId,
    /// How edges reach it.
    pub url: String,
    /// Postgres.
    pub pg: Pg,
    /// Redis.
    pub kv: Kv,
    /// Signs and checks users' access tokens.
    pub access: SharedKeys,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Rate limits.
    pub limits: Limits,
    /// Counters.
    pub metrics: Metrics,
    /// Seals what stores keep for us.
    pub sealer: Sealer,
    /// Counters of hooks, claims, kicks, events and jobs.
    pub media: MediaMetrics,
    /// The media nodes as heard.
    pub nodes: Nodes,
    /// Publishers seen without a claim.
    pub unclaimed: Unclaimed,
    /// The media nodes as the whole cluster reads them.
    pub fleet: Fleet,
    /// The ring of the last membership.
    pub placing: Placing,
    /// The media nodes' health, judged here or told.
    pub health: Fitness,
    /// What is known without Postgres.
    pub away: Away,
    /// Accepted hooks that Postgres does not know of yet.
    pub journal: Journal,
    /// Asks media nodes.
    pub srs: Srs,
    /// Wakes the job that kicks.
    pub kicker: Kicker,
    /// The live session table.
    pub sessions: Arc<dyn SessionView>,
    /// The same, as its own task sees it.
    pub gossip: Arc<GossipSessions>,
    /// When each edge that holds sessions was last seen to live.
    pub edges: Edges,
    /// Pages of the directory.
    pub directory: Directory,
    /// Redis missed a change and must be refilled once it is back.
    pub redis_behind: AtomicBool,
    /// Unix milliseconds at which this process last saw Redis hold all it should; 0 for never.
    pub redis_whole_ms: AtomicU64,
    /// Events for open event streams.
    pub news: News,
    /// Cancelled when this process begins to stop: answers without an end must end then.
    pub stopping: CancellationToken,
    secrets: RwLock<Option<Arc<Secrets>>>,
}

impl State {
    /// The cluster's secrets as last read from Postgres.
    ///
    /// # Errors
    /// [`ApiError::NotReady`] while Postgres was never reached since the start.
    pub fn secrets(&self) -> Result<Arc<Secrets>, ApiError> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(ApiError::NotReady)
    }

    /// Replaces the cluster's secrets.
    pub fn set_secrets(&self, secrets: Secrets) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(secrets));
    }
}

/// A service that is bound but does not run yet.
#[derive(Debug)]
pub struct App {
    state: Arc<State>,
    server: ServerHandle,
    address: SocketAddr,
}

/// actix's server has no `Debug`.
struct ServerHandle(Server);

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl App {
    /// Binds and connects. Stores that are away are no error: readiness says so until they are back.
    ///
    /// # Errors
    /// A listen address that cannot be bound, settings that cannot work, or secrets sealed under another `JWT_SECRET`.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind(config.listen)?;
        let address = listener.local_addr()?;
        let state = Arc::new(state(config, address).await?);
        if let Err(error) = secrets::load(&state).await {
            match error {
                secrets::SecretsError::Store(error) => {
                    let cause = kit::telemetry::chain(&error);
                    tracing::warn!(cause, "the cluster's secrets cannot be read yet; not ready until they can");
                }
                fatal @ (secrets::SecretsError::Seal(_) | secrets::SecretsError::Damaged { .. }) => {
                    return Err(fatal.into());
                }
            }
        }
        if let Err(error) = enrolments::load(&state).await {
            let cause = kit::telemetry::chain(&error);
            tracing::warn!(
                cause,
                "the enrolled nodes cannot be read yet; those of NODES_BOOTSTRAP count until they can"
            );
        }
        let server = serve(Arc::clone(&state), listener)?;
        Ok(Self { state, server: ServerHandle(server), address })
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// What its handlers share.
    #[must_use]
    pub const fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Serves until `shutdown` is done, then drains.
    ///
    /// # Errors
    /// What the server failed with.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let mut tasks = Tasks::default();
        start_tasks(&mut tasks, &self.state);
        tracing::info!(address = %self.address, control = %self.state.id, "control-api listens");
        let handle = self.server.0.handle();
        let mut server = std::pin::pin!(self.server.0);
        let ended = tokio::select! {
            ended = &mut server => ended,
            () = shutdown => {
                tracing::info!("control-api stops");
                self.state.stopping.cancel();
                let stopped = async { tokio::join!(handle.stop(true), &mut server).1 };
                tokio::time::timeout(DRAIN, stopped).await.unwrap_or(Ok(()))
            }
        };
        tasks.stop(DRAIN).await;
        ended
    }
}

/// The background tasks.
fn start_tasks(tasks: &mut Tasks, state: &Arc<State>) {
    jobs::start(tasks, state);
    tasks.spawn("gossip", task::run(Arc::clone(state), tasks.token()));
    tasks.spawn("publish secrets", secrets::keep_published(Arc::clone(state), tasks.token()));
}

async fn state(config: Config, address: SocketAddr) -> anyhow::Result<State> {
    let operator = |setting: &'static str| move |why: String| anyhow::anyhow!("{setting}: {why}");
    let pg = Pg::new(&config.database_url, config.pool_size.get()).map_err(operator("DATABASE_URL"))?;
    let kv = Redis::connect(&config.redis).await.map_err(operator("REDIS_URL"))?;
    let previous = config.jwt.previous.as_ref().map(|secret| secret.expose_secret());
    let access = SharedKeys::new(config.jwt.current.expose_secret(), previous);
    let id = ControlId::parse(&format!("c-{}", kit::random::letters(10)))?;
    let metrics = Metrics::new();
    let media = MediaMetrics::new(metrics.book());
    let gossip = Arc::new(GossipSessions::new(&id, kv.clone(), &metrics));
    Ok(State {
        nodes: Nodes::new(enrolments::bootstrap(&config)),
        unclaimed: Unclaimed::default(),
        fleet: Fleet::default(),
        placing: Placing::default(),
        health: Fitness::new(Controls::new(id.clone()), NodeMetrics::new(metrics.book())),
        away: Away::default(),
        journal: Journal::default(),
        srs: Srs::new()?,
        kicker: Kicker::new(media.clone()),
        sessions: Arc::clone(&gossip) as Arc<dyn SessionView>,
        gossip,
        media: media.clone(),
        url: config.advertised(address),
        id,
        limits: Limits::new(kv.clone(), metrics.clone()),
        pg,
        kv,
        access,
        hasher: Hasher::new(config.workers),
        metrics,
        sealer: config.sealer(),
        edges: Edges::default(),
        directory: Directory::default(),
        redis_behind: AtomicBool::new(false),
        redis_whole_ms: AtomicU64::new(0),
        news: News::new(media.clone()),
        stopping: CancellationToken::new(),
        secrets: RwLock::new(None),
        config,
    })
}

fn serve(state: Arc<State>, listener: std::net::TcpListener) -> anyhow::Result<Server> {
    let workers = state.config.workers.get();
    let data = web::Data::from(state);
    let app = move || {
        let origins = &data.config.cors_origins;
        actix_web::App::new()
            .app_data(data.clone())
            .configure(routes::configure)
            .wrap(from_fn(observe::observe))
            .wrap(Condition::new(!origins.is_empty(), cors(origins)))
    };
    let server = HttpServer::new(app)
        .workers(workers)
        .client_request_timeout(HEAD_MAX)
        .shutdown_timeout(DRAIN.as_secs())
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
