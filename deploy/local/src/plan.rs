//! What a cluster will be, worked out before anything is started: programs, ports, folders, secrets.

use crate::{
    caddy::{Caddy, CaddyError},
    child::ChildError,
    config::{Config, Media},
    data::{DataDir, DataError, at},
    node::{self, Node, NodeError},
    ports::{PortError, Ports, Shape, first_taken, free_shift},
    postgres::{Postgres, PostgresError},
    redis::Redis,
    secrets::Secrets,
    services::{Programs, Settings},
    tools::{self, MediaChoice, ToolError},
    users::{self, RunAs},
};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

/// Shifts tried for [`PortBase::Free`] are multiples of this, so that clusters lie apart.
const FREE_STEP: u16 = 20;

/// How much of a cluster is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything.
    #[default]
    All,
    /// PostgreSQL, Redis and the media nodes: what a developer who runs the services from a terminal needs.
    Deps,
}

/// Where the ports begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortBase {
    /// The defaults plus this much.
    Shift(u16),
    /// The first shift whose ports are all free.
    Free,
    /// The defaults, whoever listens there: it is what this plan describes, started by something else.
    AsIs,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many of each.
    pub shape: Shape,
    /// Where the ports begin.
    pub ports: PortBase,
    /// Base of every URL, and where media of edges listens.
    pub host: IpAddr,
    /// Which media nodes; `None` leaves it to the configuration.
    pub media: Option<Media>,
    /// The cluster's folder.
    pub data: PathBuf,
    /// The built web page.
    pub web_root: PathBuf,
    /// How much of it.
    pub scope: Scope,
    /// Whether edges limit requests by address; a harness whose crowd comes from one address goes without.
    pub rate_limits: bool,
    /// The SRT passphrase of the media nodes; without one they take what is not encrypted.
    pub srt_passphrase: Option<String>,
}

impl Options {
    /// The defaults of `keystone up`, with everything of the repository at `root`.
    #[must_use]
    pub fn in_repository(root: &Path) -> Self {
        Self {
            shape: Shape::default(),
            ports: PortBase::Shift(0),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            media: None,
            data: root.join(".keystone"),
            web_root: root.join("web/dist"),
            scope: Scope::All,
            rate_limits: true,
            srt_passphrase: None,
        }
    }
}

/// Why a cluster cannot be started or did not come up. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Ports.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A program is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The database.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A child.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// A media node's configuration.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Caddy's configuration.
    #[error(transparent)]
    Caddy(#[from] CaddyError),
    /// The API said no.
    #[error(transparent)]
    Api(#[from] crate::api::ApiError),
    /// `--host` is an address that cannot be a base of URLs.
    #[error("--host {0} is not possible: give an address of this machine, not 0.0.0.0")]
    Host(IpAddr),
    /// Media nodes run and control-api does not count them as up.
    #[error("media nodes did not report to control-api within {within:?} ({states}); see {}", logs.display())]
    NodesSilent {
        /// The deadline.
        within: std::time::Duration,
        /// What control-api says of each.
        states: String,
        /// Where the logs are.
        logs: PathBuf,
    },
    /// The caller gave up while it was starting.
    #[error("ended before it was up")]
    Cancelled,
}

/// Everything that is decided before the first child starts.
#[derive(Debug)]
pub struct Plan {
    /// What was asked for.
    pub options: Options,
    /// The ports.
    pub ports: Ports,
    /// The cluster's folder, ours while this lives.
    pub data: DataDir,
    /// Secrets.
    pub secrets: Secrets,
    /// Which media nodes, and why.
    pub media: MediaChoice,
    /// The database.
    pub postgres: Postgres,
    /// The other store.
    pub redis: Redis,
    /// The media nodes.
    pub nodes: Vec<Node>,
    /// The services; `None` with [`Scope::Deps`].
    pub programs: Option<Programs>,
    /// The front; `None` with [`Scope::Deps`].
    pub caddy: Option<Caddy>,
    /// Our own program, which holds the built-in node.
    pub keystone: PathBuf,
}

impl Plan {
    /// Works everything out and takes the folder. Nothing is started.
    ///
    /// # Errors
    /// The first thing that stands in the way.
    pub fn make(options: Options, config: &Config) -> Result<Self, ClusterError> {
        let shape = options.shape.check()?;
        if options.host.is_unspecified() || options.host.is_multicast() {
            return Err(ClusterError::Host(options.host));
        }
        let found = Found::look(&options, config)?;
        let data = DataDir::open(&options.data)?;
        let ports = choose_ports(&options)?;
        let secrets = Secrets::load(&data, (0..shape.nodes).map(node::id))?;
        let env = config.passed_on.clone();
        let stores = stores_dir(&data, &secrets.cluster)?;
        let log = |name: &str| data.log(name);
        let postgres = Postgres {
            bin: found.postgres,
            stores: stores.clone(),
            user: users::of_store("postgres"),
            port: ports.postgres(),
            password: secrets.postgres.clone(),
            log: log("postgres"),
            env: env.clone(),
            durable: true,
        };
        let redis = Redis {
            program: found.redis,
            dir: stores.join("redis"),
            user: users::of_store("redis"),
            port: ports.redis(),
            password: secrets.redis.clone(),
            log: log("redis"),
            env: env.clone(),
        };
        let nodes = nodes(&options, ports, &secrets, &data, &env);
        let (programs, caddy) = found.front.map_or((None, None), |(control, edge, program)| {
            let caddy = Caddy {
                program,
                dir: data.join("caddy"),
                port: ports.caddy(),
                hook_port: ports.hooks(),
                host: options.host,
                controls: (0..shape.controls).map(|i| ports.control(i)).collect(),
                edges: (0..shape.edges).map(|i| ports.edge_http(i)).collect(),
                web_root: options.web_root.clone(),
                log: log("caddy"),
                env: env.clone(),
            };
            (Some(Programs { control, edge, logs: data.join("log"), env }), Some(caddy))
        });
        Ok(Self {
            options,
            ports,
            data,
            secrets,
            media: found.media,
            postgres,
            redis,
            nodes,
            programs,
            caddy,
            keystone: found.keystone,
        })
    }

    /// The address of the edges' WebRTC; a client bound to it reaches them.
    #[must_use]
    pub fn candidate(&self) -> IpAddr {
        self.options.host
    }

    /// What the services' settings are made from.
    #[must_use]
    pub fn settings(&self) -> Settings<'_> {
        Settings {
            ports: self.ports,
            host: self.options.host,
            postgres: &self.postgres,
            redis: &self.redis,
            secrets: &self.secrets,
            nodes: &self.nodes,
            rate_limits: self.options.rate_limits,
        }
    }
}

fn nodes(
    options: &Options,
    ports: Ports,
    secrets: &Secrets,
    data: &DataDir,
    env: &[(OsString, OsString)],
) -> Vec<Node> {
    let node = |index| Node {
        index,
        ports,
        secret: secrets.nodes[&node::id(index)].clone(),
        srt_passphrase: options.srt_passphrase.clone(),
        hooks: match options.scope {
            // Outlives any one process that takes hooks.
            Scope::All => ports.hooks(),
            // A developer runs one, by `make run-control`.
            Scope::Deps => ports.control(0),
        },
        dir: data.join(&node::id(index)),
        log: data.log(&node::id(index)),
        env: env.to_vec(),
    };
    (0..options.shape.nodes).map(node).collect()
}

/// The programs that the cluster is made of.
struct Found {
    media: MediaChoice,
    postgres: PathBuf,
    redis: PathBuf,
    keystone: PathBuf,
    /// control-api, edge-gateway and Caddy.
    front: Option<(PathBuf, PathBuf, PathBuf)>,
}

impl Found {
    fn look(options: &Options, config: &Config) -> Result<Self, ToolError> {
        let media = tools::media(config, options.media.unwrap_or(config.media))?;
        tools::system(config, "setpriv", "util-linux")?;
        let front = || {
            let control = tools::ours(config, "control-api")?;
            Ok((control, tools::ours(config, "edge-gateway")?, tools::system(config, "caddy", "caddy")?))
        };
        Ok(Self {
            postgres: tools::postgres_bin(config)?,
            redis: tools::system(config, "redis-server", "redis-server")?,
            keystone: match &media {
                MediaChoice::Builtin { .. } => tools::ours(config, "keystone")?,
                MediaChoice::Srs { .. } => PathBuf::new(),
            },
            front: match options.scope {
                Scope::All => Some(front()?),
                Scope::Deps => None,
            },
            media,
        })
    }
}

fn choose_ports(options: &Options) -> Result<Ports, PortError> {
    let wanted = |ports: Ports| match options.scope {
        Scope::All => ports.of_all(options.shape),
        Scope::Deps => ports.of_deps(options.shape),
    };
    match options.ports {
        PortBase::Free => free_shift(FREE_STEP, wanted),
        PortBase::AsIs => Ports::new(0),
        PortBase::Shift(shift) => {
            let ports = Ports::new(shift)?;
            match first_taken(&wanted(ports)) {
                None => Ok(ports),
                Some(port) => Err(PortError::Taken {
                    port: port.number,
                    what: port.what.clone(),
                    other: free_shift(FREE_STEP, wanted)?.shift(),
                }),
            }
        }
    }
}

/// Where the stores' files go: in the cluster's folder, unless the stores' users cannot get there (a checkout below `/root`); then in
/// a folder of `/var/tmp` named after the cluster, to which `stores` in the cluster's folder is a link.
fn stores_dir(data: &DataDir, cluster: &str) -> Result<PathBuf, DataError> {
    let users = [users::of_store("postgres"), users::of_store("redis")];
    if users.iter().all(|user| user.barred_at(data.root()).is_none()) {
        return Ok(data.root().to_path_buf());
    }
    let elsewhere = PathBuf::from(format!("/var/tmp/keystone-{cluster}"));
    match std::fs::create_dir(&elsewhere) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(at(&elsewhere)(error)),
    }
    let meta = elsewhere.symlink_metadata().map_err(at(&elsewhere))?;
    let owner = std::os::unix::fs::MetadataExt::uid(&meta);
    if !meta.is_dir() || owner != users::our_uid() {
        return Err(DataError::Foreign { path: elsewhere, owner, us: users::our_uid() });
    }
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&elsewhere, open).map_err(at(&elsewhere))?;
    let link = data.join("stores");
    if link.symlink_metadata().is_err() {
        std::os::unix::fs::symlink(&elsewhere, &link).map_err(at(&link))?;
    }
    Ok(elsewhere)
}

/// The user of the stores, for what is printed.
#[must_use]
pub fn store_users(plan: &Plan) -> Vec<String> {
    [&plan.postgres.user, &plan.redis.user]
        .into_iter()
        .filter_map(|user| match user {
            RunAs::Us => None,
            RunAs::Other { name, .. } => Some(name.clone()),
        })
        .collect()
}
