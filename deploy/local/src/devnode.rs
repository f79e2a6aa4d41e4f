//! `keystone-devnode`: a small stand-in for an SRS media node that carries real media, for development and tests only.
//!
//! It speaks SRS 5's WHIP and WHEP, RTMP in and out, HTTP-FLV and HLS out, HTTP hooks, heartbeat and the part of the
//! HTTP API that services use, with SRS's orders and oddities (`docs/srs.md`): errors are connections closed without a
//! word, a publisher takes its name before the hook is asked, queries are read as loosely. It names itself in the
//! `Server` header and in `data.software` of `/api/v1/versions`; no service ever branches on that.
//!
//! What it lacks, on purpose or not:
//! - SRT, HTTP-TS, DVR, forward, edge and origin clusters, HTTPS, Basic auth, `/metrics`;
//! - any transcoding: RTMP's AAC is not heard over WHEP, what came by WHIP is not seen over RTMP and HTTP-FLV, RTMP
//!   streams have HLS only with H.264 and AAC both; H.265, AV1, VP8 are not taken;
//! - B-frames over WHEP (the stream is then not shown there), simulcast, TURN, ICE-TCP, trickle ICE and ICE restart;
//! - the JSON API `/rtc/v1/publish/` and `/play/`, JSONP, virtual hosts other than the default, `hls_ctx`;
//! - one publish per RTMP connection; a refused WHIP never carries media here, at SRS it can.
//!
//! One task owns all WebRTC sessions and one UDP socket, so it serves tens of viewers, not thousands.

mod api;
mod fanout;
mod flv;
mod heartbeat;
mod hls;
mod hooks;
mod http;
mod ids;
mod mp4;
mod offer;
mod peer;
mod query;
mod registry;
mod rtc_hls;
mod rtmp;
mod rtmp_media;
mod rtmp_wire;
mod sfu;
mod shared;
mod system;
mod tap;
mod whip;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::hooks::Hooks;
use self::shared::{Certificate, Identity, Node, Shared};

pub use self::shared::Endpoints;

/// A WebRTC session without packets ends after this, as at SRS.
const SESSION_TIMEOUT: Duration = Duration::from_secs(30);

/// UDP socket buffers asked of the kernel, bytes.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Settings of one node. Port 0 lets the system choose; [`DevNode::endpoints`] says what it chose.
#[derive(Clone)]
pub struct DevNodeConfig {
    /// `server_id` of hooks, heartbeat and API.
    pub node_id: String,
    /// HTTP API, WHIP and WHEP.
    pub listen_api: SocketAddr,
    /// HLS and HTTP-FLV.
    pub listen_http: SocketAddr,
    /// RTMP.
    pub listen_rtmp: SocketAddr,
    /// WebRTC, UDP.
    pub listen_rtc: SocketAddr,
    /// Address in answers; clients send their media there, to the port of `listen_rtc`.
    pub candidate: IpAddr,
    /// One URL for all hooks; `None` allows everything. It holds a secret.
    pub hook_url: Option<String>,
    /// Where to beat; it holds a secret.
    pub heartbeat_url: Option<String>,
    /// Between two beats.
    pub heartbeat_interval: Duration,
}

impl std::fmt::Debug for DevNodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevNodeConfig")
            .field("node_id", &self.node_id)
            .field("listen_api", &self.listen_api)
            .field("listen_http", &self.listen_http)
            .field("listen_rtmp", &self.listen_rtmp)
            .field("listen_rtc", &self.listen_rtc)
            .field("candidate", &self.candidate)
            .field("hooks", &self.hook_url.is_some())
            .field("heartbeat", &self.heartbeat_url.is_some())
            .finish_non_exhaustive()
    }
}

impl DevNodeConfig {
    /// A node on 127.0.0.1 with free ports, no hooks and no heartbeat.
    pub fn local(node_id: impl Into<String>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            node_id: node_id.into(),
            listen_api: any,
            listen_http: any,
            listen_rtmp: any,
            listen_rtc: any,
            candidate: any.ip(),
            hook_url: None,
            heartbeat_url: None,
            heartbeat_interval: Duration::from_secs(5),
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum DevNodeError {
    /// An address could not be bound.
    #[error("cannot listen on {what} {addr}: {source}")]
    Bind {
        /// Which listener.
        what: &'static str,
        /// The address wanted.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The HTTP client for hooks could not be made.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// No DTLS certificate could be made.
    #[error("no DTLS certificate could be made")]
    Certificate,
}

/// A running node. Dropping it stops it, like a crash; [`DevNode::stop`] waits for the end.
#[derive(Debug)]
pub struct DevNode {
    node: Node,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl DevNode {
    /// Where it listens.
    pub fn endpoints(&self) -> Endpoints {
        self.node.endpoints
    }

    /// `http://` and the API's address, without a slash at the end.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.node.endpoints.api)
    }

    /// `http://` and the HLS address, without a slash at the end.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.node.endpoints.http)
    }

    /// Stops at once. Like SRS it sends no hook for those still connected.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::warn!(%error, "node task failed");
            }
        }
    }
}

impl Drop for DevNode {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Starts a node and runs it until `shutdown` resolves.
///
/// # Errors
/// As [`start`].
pub async fn run(config: DevNodeConfig, shutdown: impl Future<Output = ()>) -> Result<(), DevNodeError> {
    let node = start(config).await?;
    let Endpoints { api, http, rtmp, rtc, .. } = node.endpoints();
    tracing::info!(%api, %http, %rtmp, %rtc, "media node listens");
    shutdown.await;
    node.stop().await;
    Ok(())
}

/// Binds everything, then serves.
///
/// # Errors
/// `Bind`: an address is taken or not ours. `Http`, `Certificate`: the crypto library failed.
pub async fn start(config: DevNodeConfig) -> Result<DevNode, DevNodeError> {
    start_with_timeout(config, SESSION_TIMEOUT).await
}

/// As [`start`], with another time after which a silent WebRTC session ends and a refused publisher's name is free
/// again; SRS calls it `stun_timeout` and takes 30 s, tests take less.
///
/// # Errors
/// As [`start`].
pub async fn start_with_timeout(config: DevNodeConfig, session_timeout: Duration) -> Result<DevNode, DevNodeError> {
    let api = bind_tcp("api", config.listen_api).await?;
    let http = bind_tcp("http", config.listen_http).await?;
    let rtmp = bind_tcp("rtmp", config.listen_rtmp).await?;
    let rtc = bind_udp(config.listen_rtc).await?;
    let rtc_addr = local("rtc", config.listen_rtc, rtc.local_addr())?;
    let endpoints = Endpoints {
        api: local("api", config.listen_api, api.local_addr())?,
        http: local("http", config.listen_http, http.local_addr())?,
        rtmp: local("rtmp", config.listen_rtmp, rtmp.local_addr())?,
        rtc: rtc_addr,
        candidate: SocketAddr::new(config.candidate, rtc_addr.port()),
    };
    let certificate = str0m::crypto::from_feature_flags().dtls_provider.generate_certificate();
    let identity = Identity::new(config.node_id);
    let (hooks, jobs) = Hooks::new(identity.clone(), config.hook_url)?;
    let (sfu, commands) = mpsc::channel(sfu::COMMANDS_MAX);
    let node: Node = Arc::new(Shared {
        identity,
        endpoints,
        started: Instant::now(),
        session_timeout,
        hooks,
        sfu,
        hls: hls::HlsStore::default(),
        taps: tap::Taps::default(),
        certificate: Certificate(certificate.ok_or(DevNodeError::Certificate)?),
        registry: Mutex::default(),
    });
    let cancel = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let software = node.identity.software();
    let (at, on) = (Arc::clone(&node), cancel.clone());
    tasks.spawn(async move { at.hooks.tell_in_order(jobs, on).await });
    tasks.spawn(sfu::Sfu::new(Arc::clone(&node), rtc).run(commands, cancel.clone()));
    let at = Arc::clone(&node);
    tasks.spawn(http::serve(api, software.clone(), move |call| api_call(Arc::clone(&at), call), cancel.clone()));
    let at = Arc::clone(&node);
    tasks.spawn(http::serve(http, software, move |call| http_call(Arc::clone(&at), call), cancel.clone()));
    tasks.spawn(rtmp::serve(Arc::clone(&node), rtmp, cancel.clone()));
    tasks.spawn(sweep(Arc::clone(&node), cancel.clone()));
    if let Some(url) = config.heartbeat_url {
        tasks.spawn(heartbeat::run(Arc::clone(&node), url, config.heartbeat_interval, cancel.clone()));
    }
    Ok(DevNode { node, cancel, tasks })
}

/// The API port: WHIP and WHEP, and everything else.
async fn api_call(node: Node, call: http::Call) -> http::Answer {
    if let Some(answer) = whip::redirect(&call.path, &call.query) {
        return answer;
    }
    if whip::is_mine(&call.path) {
        // A session is some 20 kB until it is handed to the media task.
        return Box::pin(whip::handle(node, call)).await;
    }
    api::handle(node, call).await
}

/// The HTTP port: HTTP-FLV and HLS.
async fn http_call(node: Node, call: http::Call) -> http::Answer {
    if call.path.ends_with(".flv") { flv::handle(node, call).await } else { node.hls.answer(&call) }
}

async fn sweep(node: Node, cancel: CancellationToken) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = seconds.tick() => node.sweep(),
        }
    }
}

async fn bind_tcp(what: &'static str, addr: SocketAddr) -> Result<TcpListener, DevNodeError> {
    TcpListener::bind(addr).await.map_err(|source| DevNodeError::Bind { what, addr, source })
}

async fn bind_udp(addr: SocketAddr) -> Result<UdpSocket, DevNodeError> {
    let failed = |source| DevNodeError::Bind { what: "rtc", addr, source };
    let socket = UdpSocket::bind(addr).await.map_err(failed)?;
    let raw = socket2::SockRef::from(&socket);
    raw.set_recv_buffer_size(SOCKET_BUFFER_BYTES).map_err(failed)?;
    raw.set_send_buffer_size(SOCKET_BUFFER_BYTES).map_err(failed)?;
    Ok(socket)
}

fn local(what: &'static str, addr: SocketAddr, found: std::io::Result<SocketAddr>) -> Result<SocketAddr, DevNodeError> {
    found.map_err(|source| DevNodeError::Bind { what, addr, source })
}
