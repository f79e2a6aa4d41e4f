//! control-api and edge-gateway as children: which settings each gets.

use crate::{
    child::Spec, node::Node, ports::Ports, postgres::Postgres, ready::Ready, redis::Redis, secrets::Secrets,
    users::RunAs,
};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

/// The database that control-api has.
pub const DATABASE: &str = "keystone";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The services drain for at most 10 s by themselves.
const STOP_WITHIN: Duration = Duration::from_secs(12);
/// Migrations of an empty database, and making the first administrator (argon2id on a slow machine).
const ONE_OFF_WITHIN: Duration = Duration::from_secs(120);
/// Where `npm run dev` serves the page while it is being worked on.
const VITE_ORIGINS: &str = "http://localhost:5173,http://127.0.0.1:5173";

/// What the settings are made from.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The cluster's ports.
    pub ports: Ports,
    /// The address of every public URL.
    pub host: IpAddr,
    /// The database.
    pub postgres: &'a Postgres,
    /// The other store.
    pub redis: &'a Redis,
    /// Secrets.
    pub secrets: &'a Secrets,
    /// Media nodes.
    pub nodes: &'a [Node],
    /// Whether edges limit requests by address.
    pub rate_limits: bool,
}

/// Name and value of one variable.
pub type Var = (&'static str, String);

impl Settings<'_> {
    /// The origin that browsers and tools reach.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", std::net::SocketAddr::new(self.host, self.ports.caddy()))
    }

    /// What both services get.
    fn stores(&self) -> Vec<Var> {
        vec![
            ("REDIS_ADDR", self.redis.address().to_string()),
            ("REDIS_PASSWORD", self.redis.password.clone()),
            ("TRUSTED_PROXIES", "127.0.0.0/8,::1/128".to_owned()),
        ]
    }

    /// All settings of control-api but its listen address. `origin` is where clients reach everything.
    #[must_use]
    pub fn control(&self, origin: &str) -> Vec<Var> {
        let address = |port| std::net::SocketAddr::new(self.host, port);
        let encrypted =
            self.nodes.iter().filter(|node| node.srt_passphrase.is_some()).map(|node| node.id().to_string());
        let bootstrap = self.nodes.iter().map(|node| format!("{}:{}", node.id(), node.secret));
        let mut vars = self.stores();
        vars.extend([
            ("DATABASE_URL", self.postgres.url(DATABASE)),
            ("JWT_SECRET", self.secrets.jwt.clone()),
            ("NODES_BOOTSTRAP", bootstrap.collect::<Vec<_>>().join(",")),
            ("NODES_SRT_ENCRYPTED", encrypted.collect::<Vec<_>>().join(",")),
            ("EDGE_BASE_URL", origin.to_owned()),
            ("RTMP_BASE_URL", format!("rtmp://{}", address(self.ports.edge_rtmp(0)))),
            ("SRT_BASE_URL", format!("srt://{}", address(self.ports.edge_srt(0)))),
            ("CONTROL_API_CORS_ORIGINS", VITE_ORIGINS.to_owned()),
        ]);
        vars
    }

    /// All settings of edge-gateway but its listen addresses. It finds the control-api processes in Redis.
    #[must_use]
    pub fn edge(&self, origin: &str) -> Vec<Var> {
        let mut vars = self.stores();
        vars.extend([
            ("SRS_UPSTREAM", self.nodes.iter().map(Node::upstream).collect::<Vec<_>>().join(",")),
            ("EDGE_BASE_URL", origin.to_owned()),
            // Edges end with everything else: there is nobody to wait for.
            ("EDGE_DRAIN_SECONDS", "0".to_owned()),
        ]);
        if !self.rate_limits {
            vars.push(("EDGE_RATE_LIMIT", "off".to_owned()));
        }
        vars
    }

    /// What `keystone doctor` compares the cluster with: the settings of both services, `NAME=value` a line.
    #[must_use]
    pub fn for_doctor(&self) -> String {
        let origin = self.origin();
        let all = [self.control(&origin), self.edge(&origin), self.edge_listen(0)].concat();
        all.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// Where control-api `i` listens: on loopback, Caddy and the nodes are there too.
    #[must_use]
    pub fn control_listen(&self, i: u16) -> Vec<Var> {
        vec![("CONTROL_LISTEN", format!("127.0.0.1:{}", self.ports.control(i)))]
    }

    /// Where edge `i` listens: HTTP on loopback behind Caddy, media on `host`.
    #[must_use]
    pub fn edge_listen(&self, i: u16) -> Vec<Var> {
        let media = |port| std::net::SocketAddr::new(self.host, port).to_string();
        vec![
            ("EDGE_LISTEN", format!("127.0.0.1:{}", self.ports.edge_http(i))),
            ("EDGE_RTMP_LISTEN", media(self.ports.edge_rtmp(i))),
            ("EDGE_SRT_LISTEN", media(self.ports.edge_srt(i))),
            ("EDGE_RTC_LISTEN", media(self.ports.edge_rtc(i))),
            ("WEBRTC_PUBLIC_ADDR", media(self.ports.edge_rtc(i))),
        ]
    }
}

/// The programs and folders of the two services.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `control-api`.
    pub control: PathBuf,
    /// `edge-gateway`.
    pub edge: PathBuf,
    /// Folder of the logs.
    pub logs: PathBuf,
    /// What every child inherits.
    pub env: Vec<(OsString, OsString)>,
}

impl Programs {
    /// control-api `i`, serving.
    #[must_use]
    pub fn control_spec(&self, settings: &Settings<'_>, i: u16) -> Spec {
        let vars = [settings.control(&settings.origin()), settings.control_listen(i)].concat();
        self.service(format!("control-{i}"), &self.control, vars, settings.ports.control(i))
    }

    /// edge-gateway `i`, serving.
    #[must_use]
    pub fn edge_spec(&self, settings: &Settings<'_>, i: u16) -> Spec {
        let vars = [settings.edge(&settings.origin()), settings.edge_listen(i)].concat();
        self.service(format!("edge-{i}"), &self.edge, vars, settings.ports.edge_http(i))
    }

    /// A command of control-api that ends by itself, e.g. `migrate`.
    #[must_use]
    pub fn control_command(&self, settings: &Settings<'_>, name: &str, args: &[&str]) -> Spec {
        let vars = [settings.control(&settings.origin()), settings.control_listen(0)].concat();
        Spec {
            args: args.iter().map(OsString::from).collect(),
            ready_within: ONE_OFF_WITHIN,
            ..self.service(name.to_owned(), &self.control, vars, 0)
        }
    }

    fn service(&self, name: String, program: &Path, vars: Vec<Var>, port: u16) -> Spec {
        let mut env = self.env.clone();
        env.extend(vars.into_iter().map(|(name, value)| (name.into(), value.into())));
        Spec {
            log: self.logs.join(format!("{name}.log")),
            name,
            program: program.to_path_buf(),
            args: Vec::new(),
            env,
            dir: self.logs.clone(),
            user: RunAs::Us,
            ready: Ready::Http { url: format!("http://{}:{port}/readyz", Ipv4Addr::LOCALHOST) },
            ready_within: READY_WITHIN,
            stop: rustix::process::Signal::TERM,
            stop_within: STOP_WITHIN,
        }
    }
}
