//! Every setting of control-api, its variable, default and unit. Nothing else reads the environment.

use crate::{domain::account::Email, secrets::seal::Sealer};
use kit::{
    env::{Env, EnvError},
    kv::RedisConfig,
    net::{Networks, TrustedProxies},
    telemetry::LogFormat,
};
use proto::NodeId;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
};
use url::Url;

/// Shortest `JWT_SECRET`, in bytes.
const JWT_SECRET_BYTES_MIN: usize = 32;
/// Shortest `EDGE_SECRET`, in bytes.
const EDGE_SECRET_BYTES_MIN: usize = 16;
/// Shortest node secret, in bytes.
const NODE_SECRET_BYTES_MIN: usize = 8;

/// A secret and, while it is being rotated, the one before.
#[derive(Debug, Clone)]
pub struct Rotating {
    /// Makes and opens.
    pub current: SecretString,
    /// Only opens.
    pub previous: Option<SecretString>,
}

/// Where clients reach the cluster. What is `None` is taken from the request.
#[derive(Debug, Clone, Default)]
pub struct BaseUrls {
    /// Origin of the edges' HTTP. `EDGE_BASE_URL`.
    pub edge: Option<Url>,
    /// Origin of HLS and HTTP-FLV. `HLS_BASE_URL`, default `EDGE_BASE_URL`.
    pub hls: Option<Url>,
    /// RTMP without application. `RTMP_BASE_URL`, e.g. `rtmp://live.example.com:1935`.
    pub rtmp: Option<Url>,
    /// SRT. `SRT_BASE_URL`, e.g. `srt://live.example.com:10080`.
    pub srt: Option<Url>,
}

/// Settings, read once at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Postgres, pooled. `DATABASE_URL`, required.
    pub database_url: SecretString,
    /// Postgres without a pooler in between, for migrations. `DATABASE_URL_DIRECT`, default `DATABASE_URL`.
    pub database_url_direct: SecretString,
    /// Most connections to Postgres. `DATABASE_POOL_SIZE`, default 16.
    pub pool_size: NonZeroUsize,
    /// Redis. `REDIS_ADDR`, `REDIS_PASSWORD`, `REDIS_URL`.
    pub redis: RedisConfig,
    /// Signs users' access tokens and seals what Postgres keeps secret. `JWT_SECRET` (required, ≥ 32 bytes), `JWT_SECRET_PREVIOUS`.
    pub jwt: Rotating,
    /// Overrides the cluster secret that was made at migrate. `EDGE_SECRET` (≥ 16 bytes), `EDGE_SECRET_PREVIOUS`, default none.
    pub edge_secret: Option<Rotating>,
    /// HTTP listen address. `CONTROL_LISTEN`, default `0.0.0.0:8081`.
    pub listen: SocketAddr,
    /// How edges reach this process. `CONTROL_ADVERTISE_URL`, default the listen address, or this machine's own when that is a wildcard.
    pub advertise: Option<Url>,
    /// HTTP worker threads. `CONTROL_WORKERS`, default one a core.
    pub workers: NonZeroUsize,
    /// Nodes that are enrolled from the start. `NODES_BOOTSTRAP` (`id:secret[,…]`), default none.
    pub nodes: BTreeMap<NodeId, SecretString>,
    /// Those of them whose SRT port has a passphrase when they are enrolled. `NODES_SRT_ENCRYPTED` (`id[,…]`), default none.
    pub nodes_srt_encrypted: BTreeSet<NodeId>,
    /// Where nodes may be that were enrolled without addresses. `NODES_CIDR` (CIDR list), default loopback and private networks.
    pub nodes_cidr: Networks,
    /// Whether SRS of a major nobody has tried may join. `ALLOW_UNKNOWN_SRS` (`1`, `0`), default no.
    pub allow_unknown_srs: bool,
    /// Whose streams become those that a publisher of an edge with `EDGE_AUTH=open` names and that do not exist. `OPEN_STREAMS_OWNER` (an account's
    /// e-mail), default nobody's: such publishers are refused.
    pub open_streams_owner: Option<Email>,
    /// Whether anybody may register, or only admins make accounts. `REGISTRATION` (`open`, `closed`), default `open`.
    pub registration_open: bool,
    /// Where clients reach the cluster.
    pub urls: BaseUrls,
    /// Under which path a proxy shows this API. `PUBLIC_API_PATH`, default `/api`; cookies and the OpenAPI server carry it.
    pub public_path: String,
    /// Origins whose pages may call the API. `CONTROL_API_CORS_ORIGINS` (comma list), default none.
    pub cors_origins: Vec<String>,
    /// Whose `X-Forwarded-*` is believed. `TRUSTED_PROXIES` (CIDR list), default loopback.
    pub trusted_proxies: TrustedProxies,
    /// Shape of log lines. `LOG_FORMAT` (`json`, `text`), default `json`.
    pub log_format: LogFormat,
    /// Log filter. `RUST_LOG`, default `info` for our own crates.
    pub log_filter: Option<String>,
    /// Where traces of sessions go. `OTEL_EXPORTER_OTLP_ENDPOINT`, e.g. `http://collector:4318`; default: nowhere.
    pub otlp: Option<url::Url>,
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// Every missing or malformed variable at once; the process exits with [`kit::env::EXIT_CODE`].
    pub fn from_env(mut env: Env) -> Result<Self, EnvError> {
        let database_url =
            SecretString::from(env.required("DATABASE_URL", "a URL like postgres://user:password@host:5432/db"));
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let urls = base_urls(&mut env);
        let config = Self {
            database_url_direct: env.secret("DATABASE_URL_DIRECT").unwrap_or_else(|| database_url.clone()),
            database_url,
            pool_size: env.or("DATABASE_POOL_SIZE", NonZeroUsize::MIN.saturating_add(15)),
            redis: RedisConfig::read(&mut env),
            jwt: jwt(&mut env),
            edge_secret: rotating(&mut env, "EDGE_SECRET", "EDGE_SECRET_PREVIOUS", EDGE_SECRET_BYTES_MIN),
            listen: env.or("CONTROL_LISTEN", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8081))),
            advertise: env.read("CONTROL_ADVERTISE_URL", |raw| url(raw, &["http", "https"])),
            workers: env.or("CONTROL_WORKERS", cores),
            nodes: env.read("NODES_BOOTSTRAP", nodes).unwrap_or_default(),
            nodes_srt_encrypted: env.read("NODES_SRT_ENCRYPTED", node_ids).unwrap_or_default(),
            nodes_cidr: env.or("NODES_CIDR", Networks::private()),
            allow_unknown_srs: env.read("ALLOW_UNKNOWN_SRS", switch).unwrap_or_default(),
            open_streams_owner: env
                .read("OPEN_STREAMS_OWNER", |raw| Email::parse(raw).map_err(|bad| bad.rule.to_owned())),
            registration_open: env.read("REGISTRATION", registration).unwrap_or(true),
            urls,
            public_path: env.read("PUBLIC_API_PATH", public_path).unwrap_or_else(|| "/api".to_owned()),
            cors_origins: env.read("CONTROL_API_CORS_ORIGINS", origins).unwrap_or_default(),
            trusted_proxies: env.or("TRUSTED_PROXIES", TrustedProxies::default()),
            log_format: env.or("LOG_FORMAT", LogFormat::default()),
            log_filter: env.text("RUST_LOG"),
            otlp: env.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
        };
        env.finish(config)
    }

    /// Seals under `JWT_SECRET`.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        let previous = self.jwt.previous.as_ref().map(|secret| secret.expose_secret());
        Sealer::new(self.jwt.current.expose_secret(), previous)
    }

    /// The address told to edges: the setting, or `bound`, with this machine's own address in place of a wildcard.
    #[must_use]
    pub fn advertised(&self, bound: SocketAddr) -> String {
        match &self.advertise {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None if bound.ip().is_unspecified() => {
                format!("http://{}", SocketAddr::new(kit::net::own_address(), bound.port()))
            }
            None => format!("http://{bound}"),
        }
    }
}

fn registration(raw: &str) -> Result<bool, String> {
    match raw {
        "open" => Ok(true),
        "closed" => Ok(false),
        _ => Err("must be open or closed".to_owned()),
    }
}

fn jwt(env: &mut Env) -> Rotating {
    const WHAT: &str = "at least 32 random bytes, e.g. from `openssl rand -base64 48`";
    let missing = env.text("JWT_SECRET").is_none();
    let read = rotating(env, "JWT_SECRET", "JWT_SECRET_PREVIOUS", JWT_SECRET_BYTES_MIN);
    if missing {
        env.mistake("JWT_SECRET", &format!("is not set; it must be {WHAT}"));
    }
    read.unwrap_or_else(|| Rotating { current: SecretString::default(), previous: None })
}

fn rotating(env: &mut Env, current: &'static str, previous: &'static str, bytes_min: usize) -> Option<Rotating> {
    let read = Rotating { current: env.secret(current)?, previous: env.secret(previous) };
    let texts = [(current, Some(&read.current)), (previous, read.previous.as_ref())];
    for (name, text) in texts {
        if text.is_some_and(|text| text.expose_secret().len() < bytes_min) {
            env.mistake(name, &format!("is shorter than {bytes_min} bytes"));
        }
    }
    Some(read)
}

fn base_urls(env: &mut Env) -> BaseUrls {
    let edge = env.read("EDGE_BASE_URL", |raw| {
        let base = url(raw, &["http", "https"])?;
        if base.path() == "/" { Ok(base) } else { Err("must be an origin without a path (no /rtc)".to_owned()) }
    });
    BaseUrls {
        hls: env.read("HLS_BASE_URL", |raw| url(raw, &["http", "https"])).or_else(|| edge.clone()),
        rtmp: env.read("RTMP_BASE_URL", |raw| url(raw, &["rtmp", "rtmps"])),
        srt: env.read("SRT_BASE_URL", |raw| url(raw, &["srt"])),
        edge,
    }
}

fn url(raw: &str, schemes: &[&str]) -> Result<Url, String> {
    let read = Url::parse(raw).map_err(|_| format!("must be a URL like {}://host", schemes.join(":// or ")))?;
    if !schemes.contains(&read.scheme()) || read.host().is_none() {
        return Err(format!("must start with {}:// and name a host", schemes.join(":// or ")));
    }
    if read.query().is_some() || read.fragment().is_some() || read.password().is_some() {
        return Err("must have no query, fragment or password".to_owned());
    }
    Ok(read)
}

fn nodes(raw: &str) -> Result<BTreeMap<NodeId, SecretString>, String> {
    let mut nodes = BTreeMap::new();
    for part in raw.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (id, secret) = part.split_once(':').ok_or("each node must be id:secret")?;
        let id = NodeId::parse(id).map_err(|e| e.to_string())?;
        // The secret travels in a URL path, so it has the alphabet of one.
        let plain = secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if secret.len() < NODE_SECRET_BYTES_MIN || !plain {
            return Err(format!("the secret of {id} must be at least {NODE_SECRET_BYTES_MIN} letters, digits, - or _"));
        }
        if nodes.insert(id.clone(), SecretString::from(secret.to_owned())).is_some() {
            return Err(format!("{id} is named twice"));
        }
    }
    Ok(nodes)
}

fn node_ids(raw: &str) -> Result<BTreeSet<NodeId>, String> {
    let parts = raw.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| NodeId::parse(part).map_err(|e| e.to_string())).collect()
}

fn switch(raw: &str) -> Result<bool, String> {
    match raw {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err("must be 1 or 0".to_owned()),
    }
}

fn public_path(raw: &str) -> Result<String, String> {
    let path = raw.trim_end_matches('/');
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.'));
    if plain && (path.is_empty() || path.starts_with('/')) {
        Ok(path.to_owned())
    } else {
        Err("must be a path like /api, or / for none".to_owned())
    }
}

fn origins(raw: &str) -> Result<Vec<String>, String> {
    let parts = raw.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let origin = url(part, &["http", "https"])?;
            if origin.path() != "/" {
                return Err("each must be an origin like https://app.example.com, without a path".to_owned());
            }
            Ok(origin.origin().ascii_serialization())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, EnvError> {
        Config::from_env(Env::new(vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))))
    }

    const GOOD: [(&str, &str); 2] =
        [("DATABASE_URL", "postgres://u@h/d"), ("JWT_SECRET", "0123456789abcdef0123456789abcdef")];

    #[test]
    fn two_settings_are_enough() {
        let config = read(&GOOD).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:8081");
        assert_eq!(config.public_path, "/api");
        assert_eq!(config.database_url_direct.expose_secret(), "postgres://u@h/d");
        assert!(config.edge_secret.is_none() && config.nodes.is_empty() && config.cors_origins.is_empty());
        assert!(!config.advertised(config.listen).contains("0.0.0.0"));
        assert!(!format!("{config:?}").contains("0123456789abcdef"), "debug output shows a secret");
    }

    #[test]
    fn every_mistake_is_reported_at_once_without_values() {
        let error = read(&[
            ("JWT_SECRET", "hunter2"),
            ("EDGE_SECRET", "hunter3"),
            ("EDGE_BASE_URL", "https://h/rtc"),
            ("RTMP_BASE_URL", "http://h"),
            ("NODES_BOOTSTRAP", "n1:short"),
            ("NODES_SRT_ENCRYPTED", "n.1"),
            ("NODES_CIDR", "everywhere"),
            ("ALLOW_UNKNOWN_SRS", "perhaps"),
            ("OPEN_STREAMS_OWNER", "hunter2"),
            ("CONTROL_LISTEN", "nowhere"),
            ("CONTROL_API_CORS_ORIGINS", "https://a.example/path"),
            ("PUBLIC_API_PATH", "a b"),
        ])
        .unwrap_err();
        assert_eq!(error.lines().len(), 13, "{error}");
        assert!(!error.to_string().contains("hunter") && !error.to_string().contains("n1:short"), "{error}");
    }

    #[test]
    fn nodes_urls_and_origins_are_read() {
        let mut vars = GOOD.to_vec();
        vars.extend([
            ("NODES_BOOTSTRAP", "n1:secret-one, n2:secret-two"),
            ("EDGE_BASE_URL", "https://live.example.com"),
            ("CONTROL_API_CORS_ORIGINS", "https://a.example, http://localhost:5173/"),
            ("CONTROL_ADVERTISE_URL", "http://10.0.0.4:8081/"),
            ("PUBLIC_API_PATH", "/"),
        ]);
        let config = read(&vars).unwrap();
        assert_eq!(config.nodes.len(), 2);
        assert_eq!(config.urls.hls, config.urls.edge);
        assert_eq!(config.cors_origins, ["https://a.example", "http://localhost:5173"]);
        assert_eq!(config.advertised(config.listen), "http://10.0.0.4:8081");
        assert_eq!(config.public_path, "");
    }
}
