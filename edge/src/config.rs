//! Settings, read once at start. The only place of this crate that sees the environment.

mod rtmps;
mod upstream;

pub use rtmps::Rtmps;
pub use upstream::{Upstream, UpstreamError, WEIGHT_MAX};

use crate::{
    admit::RateLimit,
    hls::{Ffmpeg, Settings as HlsSettings},
};
use kit::{
    env::{Env, EnvError},
    net::{Networks, TrustedProxies},
    telemetry::LogFormat,
};
use proto::secret::{ClusterSecret, Keyring};
use secrecy::ExposeSecret as _;
use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};
use url::Url;

/// Most nodes in `SRS_UPSTREAM`: what one reservation may propose.
pub const UPSTREAMS_MAX: usize = proto::internal::PROPOSED_NODES_MAX;
/// Longest `EDGE_DRAIN_SECONDS`.
pub const DRAIN_SECONDS_MAX: u64 = 600;
/// Shortest `EDGE_SECRET`, in bytes.
pub const SECRET_LEN_MIN: usize = 16;

/// Least and most `EDGE_HLS_CACHE`, in MiB: under the least, one segment may not fit.
pub const HLS_CACHE_MIB: (u64, u64) = (32, 65_536);

const DRAIN_SECONDS: u64 = 5;
const HLS_CACHE: u64 = 256;
const HTTP_PORT: u16 = 8082;
const RTMP_PORT: u16 = 1935;
const SRT_PORT: u16 = 10080;
const RTC_PORT: u16 = 8000;

/// Everything an operator may set.
#[derive(Debug, Clone)]
pub struct Config {
    /// `EDGE_LISTEN`: address of the HTTP front; default `0.0.0.0:8082`. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `EDGE_BASE_URL`: origin written into `Location`, without a path; default: made from each request.
    pub base_url: Option<Url>,
    /// `EDGE_CORS_ORIGINS`: origins whose pages may call; default `*`.
    pub cors: CorsOrigins,
    /// `TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed; default loopback.
    pub trusted_proxies: TrustedProxies,
    /// `EDGE_HOOKS_FROM`: where media nodes' hooks may come from; default loopback and private networks.
    pub hooks_from: Networks,
    /// `EDGE_METRICS_FROM`: who may read `/metrics`; default loopback and private networks.
    pub metrics_from: Networks,
    /// `EDGE_AUTH`: `token` (default) or `open`.
    pub auth: AuthMode,
    /// `EDGE_RATE_LIMIT`: `{per second}:{burst}` of each kind of request from one address, or `off`; default `50:200`. Publishing
    /// gets a fifth of it.
    pub rate_limit: RateLimit,
    /// `EDGE_SECRET`, `EDGE_SECRET_PREVIOUS`: the cluster secret, at least [`SECRET_LEN_MIN`] bytes; default: read from Redis.
    pub secret: Option<Keyring>,
    /// Where Redis is.
    pub redis: kit::kv::RedisConfig,
    /// `CONTROL_API_URL`: comma list of control-api origins; default: the ones alive in Redis.
    pub controls: Vec<Url>,
    /// `SRS_UPSTREAM`: media nodes besides, and above, the ones that control-api has enrolled; at most [`UPSTREAMS_MAX`], default none.
    pub upstreams: Vec<Upstream>,
    /// `EDGE_ZONE`: nodes of this zone are preferred for new streams; default: all alike.
    pub zone: Option<String>,
    /// `EDGE_ADVERTISE_URL`: how the cluster reaches this edge; default the listen address, or this machine's own when that is a wildcard.
    pub advertise: Option<Url>,
    /// `EDGE_DRAIN_SECONDS`: how long an edge that was told to end goes on for load balancers to notice, 0 to [`DRAIN_SECONDS_MAX`]; default 5.
    pub drain: Duration,
    /// Media listeners and the WebRTC relay.
    pub media: MediaSettings,
    /// `EDGE_HLS_CACHE`: MiB of memory that cached segments may take, [`HLS_CACHE_MIB`]; default 256.
    pub hls: HlsSettings,
    /// `EDGE_FFMPEG`: the program that cuts thumbnails, or `off`; default `ffmpeg` from the `PATH`. Without one there are none.
    pub ffmpeg: Ffmpeg,
    /// `LOG_FORMAT`: `json` (default) or `text`.
    pub log_format: LogFormat,
    /// `RUST_LOG`.
    pub log_filter: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where traces of sessions go, e.g. `http://collector:4318`; default: nowhere.
    pub otlp: Option<Url>,
}

/// Listeners for media, and whether WebRTC media passes through this edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSettings {
    /// `WEBRTC_RELAY`: `on` (default), or `off`: answers then carry the node's own candidates, and media goes there.
    pub webrtc_relay: Switch,
    /// `WEBRTC_TCP`: `on` (default), or `off`: answers then carry no TCP candidate, and the port is open for UDP only.
    pub webrtc_tcp: Switch,
    /// `WEBRTC_PUBLIC_ADDR`: `ip[:port]` list put into answers when the relay is on; default: the listen address.
    pub webrtc_public: Vec<PublicAddr>,
    /// `EDGE_RTMP_LISTEN`; default `0.0.0.0:1935`.
    pub rtmp: Listen,
    /// `RTMP_TLS_CERT`, `RTMP_TLS_KEY` and `EDGE_RTMPS_LISTEN`; default none.
    pub rtmps: Option<Rtmps>,
    /// `EDGE_SRT_LISTEN`, UDP; default `0.0.0.0:10080`.
    pub srt: Listen,
    /// `EDGE_RTC_LISTEN`, UDP and TCP; default `0.0.0.0:8000`.
    pub rtc: Listen,
}

/// Which origins' pages may call the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All of them: `*`.
    Any,
    /// These, as browsers write them in `Origin`.
    List(Vec<String>),
}

impl FromStr for CorsOrigins {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| origin(part).map(|url| url.origin().ascii_serialization()))
            .collect::<Result<_, _>>()
            .map(Self::List)
    }
}

/// Who may publish and play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// Holders of a token or stream key; public and unlisted streams are played by anybody.
    #[default]
    Token,
    /// Anybody publishes and plays every stream there is: for a closed network.
    Open,
}

impl FromStr for AuthMode {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "token" => Ok(Self::Token),
            "open" => Ok(Self::Open),
            _ => Err("must be `token` or `open`"),
        }
    }
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// `on`.
    On,
    /// `off`.
    Off,
}

impl FromStr for Switch {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("must be `on` or `off`"),
        }
    }
}

/// A socket address, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Listen there.
    On(SocketAddr),
    /// Do not listen.
    Off,
}

/// An address put into answers, with a port if it is not the listener's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicAddr {
    /// The address.
    pub ip: std::net::IpAddr,
    /// The port, if it differs.
    pub port: Option<u16>,
}

impl FromStr for PublicAddr {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = text.parse::<SocketAddr>().map(|at| Self { ip: at.ip(), port: Some(at.port()) });
        whole
            .or_else(|_| text.parse().map(|ip| Self { ip, port: None }))
            .map_err(|_| "must be ip or ip:port, comma-separated")
    }
}

/// Reads an origin: `http` or `https`, a host, no path, query or user.
fn origin(text: &str) -> Result<Url, &'static str> {
    const WHY: &str = "must be an origin like https://live.example.com, without a path";
    let url: Url = text.parse().map_err(|_| WHY)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let scheme = matches!(url.scheme(), "http" | "https");
    if bare && scheme && url.host().is_some() && url.password().is_none() { Ok(url) } else { Err(WHY) }
}

/// Reads `host:port` with a numeric host, or `:port`.
fn address(text: &str, port: u16) -> Result<SocketAddr, String> {
    let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let short = text.strip_prefix(':').and_then(|rest| rest.parse().ok()).map(any);
    short.or_else(|| text.parse().ok()).ok_or_else(|| format!("must be an address like 0.0.0.0:{port}"))
}

fn listen(env: &mut Env, name: &'static str, port: u16) -> Listen {
    let set = env.read(name, |text| if text == "off" { Ok(Listen::Off) } else { address(text, port).map(Listen::On) });
    set.unwrap_or(Listen::On(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
}

fn secret(env: &mut Env) -> Option<Keyring> {
    let mut one = |name: &'static str| {
        let text = env.secret(name)?;
        if text.expose_secret().len() < SECRET_LEN_MIN {
            env.mistake(name, &format!("must have at least {SECRET_LEN_MIN} bytes"));
        }
        Some(ClusterSecret::from_setting(text.expose_secret()))
    };
    let (current, previous) = (one("EDGE_SECRET"), one("EDGE_SECRET_PREVIOUS"));
    if current.is_none() && previous.is_some() {
        env.mistake("EDGE_SECRET_PREVIOUS", "is set without EDGE_SECRET");
    }
    Some(Keyring { current: current?, previous })
}

fn upstreams(env: &mut Env) -> Vec<Upstream> {
    let Some(text) = env.text("SRS_UPSTREAM") else { return Vec::new() };
    match upstream::parse_list(&text) {
        Ok(list) => list,
        Err(why) => {
            env.mistake("SRS_UPSTREAM", &why.to_string());
            Vec::new()
        }
    }
}

fn cache(text: &str) -> Result<HlsSettings, String> {
    let (least, most) = HLS_CACHE_MIB;
    let mib = text.parse().ok().filter(|mib| (least..=most).contains(mib));
    mib.map(mebibytes).ok_or_else(|| format!("must be whole MiB, {least} to {most}"))
}

const fn mebibytes(mib: u64) -> HlsSettings {
    HlsSettings { bytes: mib * 1024 * 1024 }
}

fn drain(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds <= DRAIN_SECONDS_MAX);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("must be whole seconds, at most {DRAIN_SECONDS_MAX}"))
}

impl Config {
    /// How the cluster reaches an edge that is bound to `bound`.
    #[must_use]
    pub fn advertised(&self, bound: SocketAddr) -> String {
        match &self.advertise {
            Some(url) => url.origin().ascii_serialization(),
            None if bound.ip().is_unspecified() => {
                format!("http://{}", SocketAddr::new(kit::net::own_address(), bound.port()))
            }
            None => format!("http://{bound}"),
        }
    }

    /// Reads the settings out of `env`.
    ///
    /// # Errors
    /// Every variable that is missing or malformed, together, without values. The process then exits with [`kit::env::EXIT_CODE`].
    pub fn read(mut env: Env) -> Result<Self, EnvError> {
        let env_mut = &mut env;
        let http = env_mut.read("EDGE_LISTEN", |text| address(text, HTTP_PORT));
        let media = MediaSettings {
            webrtc_relay: env_mut.or("WEBRTC_RELAY", Switch::On),
            webrtc_tcp: env_mut.or("WEBRTC_TCP", Switch::On),
            webrtc_public: env_mut.list("WEBRTC_PUBLIC_ADDR"),
            rtmp: listen(env_mut, "EDGE_RTMP_LISTEN", RTMP_PORT),
            rtmps: rtmps::read(env_mut),
            srt: listen(env_mut, "EDGE_SRT_LISTEN", SRT_PORT),
            rtc: listen(env_mut, "EDGE_RTC_LISTEN", RTC_PORT),
        };
        let controls = env_mut.read("CONTROL_API_URL", |text| {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| origin(part).map_err(str::to_owned)).collect::<Result<Vec<_>, _>>()
        });
        let config = Self {
            listen: http.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, HTTP_PORT))),
            base_url: env_mut.read("EDGE_BASE_URL", |text| origin(text).map_err(str::to_owned)),
            cors: env_mut.or("EDGE_CORS_ORIGINS", CorsOrigins::Any),
            trusted_proxies: env_mut.or("TRUSTED_PROXIES", TrustedProxies::default()),
            hooks_from: env_mut.or("EDGE_HOOKS_FROM", Networks::private()),
            metrics_from: env_mut.or("EDGE_METRICS_FROM", Networks::private()),
            auth: env_mut.or("EDGE_AUTH", AuthMode::Token),
            rate_limit: env_mut.or("EDGE_RATE_LIMIT", RateLimit::default()),
            secret: secret(env_mut),
            redis: kit::kv::RedisConfig::read(env_mut),
            controls: controls.unwrap_or_default(),
            upstreams: upstreams(env_mut),
            zone: env_mut.text("EDGE_ZONE"),
            advertise: env_mut.read("EDGE_ADVERTISE_URL", |text| origin(text).map_err(str::to_owned)),
            drain: env_mut.read("EDGE_DRAIN_SECONDS", drain).unwrap_or(Duration::from_secs(DRAIN_SECONDS)),
            media,
            hls: env_mut.read("EDGE_HLS_CACHE", cache).unwrap_or(mebibytes(HLS_CACHE)),
            ffmpeg: match env_mut.text("EDGE_FFMPEG").as_deref() {
                Some("off") => Ffmpeg::Off,
                name => Ffmpeg::Program { name: name.unwrap_or("ffmpeg").to_owned(), path: env_mut.text("PATH") },
            },
            log_format: env_mut.or("LOG_FORMAT", LogFormat::Json),
            log_filter: env_mut.text("RUST_LOG"),
            otlp: env_mut.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
        };
        env.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, EnvError> {
        Config::read(Env::new(vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))))
    }

    #[test]
    fn the_guides_two_settings_are_enough() {
        let config = read(&[("SRS_UPSTREAM", "http://127.0.0.1:1985"), ("REDIS_ADDR", "127.0.0.1:6379")]).unwrap();
        assert_eq!(config.listen, "0.0.0.0:8082".parse().unwrap());
        assert_eq!(config.cors, CorsOrigins::Any);
        assert_eq!(config.auth, AuthMode::Token);
        assert_eq!(config.advertised("10.0.0.7:8082".parse().unwrap()), "http://10.0.0.7:8082");
        assert!(!config.advertised(config.listen).contains("0.0.0.0"));
        assert!(config.secret.is_none() && config.controls.is_empty());
        assert_eq!(config.media.webrtc_relay, Switch::On);
        let on = |port: u16| Listen::On(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        assert_eq!([config.media.rtmp, config.media.srt, config.media.rtc], [on(1935), on(10080), on(8000)]);
    }

    #[test]
    fn every_mistake_is_told_at_once_and_without_values() {
        let error = read(&[
            ("SRS_UPSTREAM", "ftp://hunter2"),
            ("EDGE_LISTEN", "hunter2"),
            ("EDGE_BASE_URL", "https://a.example/rtc"),
            ("EDGE_SECRET", "hunter2"),
            ("EDGE_AUTH", "hunter2"),
            ("EDGE_HOOKS_FROM", "hunter2"),
            ("WEBRTC_RELAY", "hunter2"),
            ("EDGE_RTMP_LISTEN", "hunter2"),
            ("CONTROL_API_URL", "hunter2"),
            ("EDGE_ADVERTISE_URL", "hunter2"),
            ("EDGE_DRAIN_SECONDS", "601"),
            ("EDGE_HLS_CACHE", "1"),
        ])
        .unwrap_err();
        assert_eq!(error.lines().len(), 12, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn nodes_may_come_from_the_cluster_alone() {
        let config = read(&[("EDGE_ZONE", "fra"), ("EDGE_ADVERTISE_URL", "http://edge-1:80/")]).unwrap();
        assert!(config.upstreams.is_empty());
        assert_eq!(config.zone.as_deref(), Some("fra"));
        assert_eq!(config.advertised(config.listen), "http://edge-1");
        assert_eq!(config.drain, Duration::from_secs(5));
    }

    #[test]
    fn media_listeners_move_and_are_switched_off() {
        let config = read(&[
            ("SRS_UPSTREAM", "http://127.0.0.1:1985"),
            ("WEBRTC_RELAY", "off"),
            ("EDGE_RTMP_LISTEN", ":1936"),
            ("EDGE_SRT_LISTEN", "off"),
        ])
        .unwrap();
        assert_eq!(config.media.webrtc_relay, Switch::Off);
        assert_eq!(config.media.rtmp, Listen::On("0.0.0.0:1936".parse().unwrap()));
        assert_eq!(config.media.srt, Listen::Off);
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let list: CorsOrigins = "https://A.example:443, http://b.example:8080/".parse().unwrap();
        assert_eq!(list, CorsOrigins::List(vec!["https://a.example".into(), "http://b.example:8080".into()]));
        assert!("a.example".parse::<CorsOrigins>().is_err());
    }
}
