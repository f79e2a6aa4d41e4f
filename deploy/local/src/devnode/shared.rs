//! What the parts of one node share, and the few steps in which a client comes and goes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use str0m::config::DtlsCert;
use tokio::sync::mpsc;

use super::hls::HlsStore;
use super::hooks::{Action, Extra, Hooks};
use super::ids;
use super::registry::{Client, Kind, Registry};
use super::sfu::Command;
use super::tap::Taps;

/// Reported as SRS's version: 5.x in shape, and never a number SRS had.
pub(crate) const VERSION: (u32, u32, u32) = (5, 0, 900);

/// Who this node says it is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) server_id: String,
    /// New at each start.
    pub(crate) service_id: String,
    pub(crate) pid: u32,
}

impl Identity {
    pub(crate) fn new(server_id: String) -> Self {
        Self { server_id, service_id: ids::random(8), pid: std::process::id() }
    }

    pub(crate) fn version() -> String {
        let (major, minor, revision) = VERSION;
        format!("{major}.{minor}.{revision}")
    }

    /// `Server` and `User-Agent`.
    pub(crate) fn software(&self) -> String {
        format!("keystone-devnode/{}", Self::version())
    }
}

/// Where the node listens, ports filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// HTTP API, WHIP and WHEP.
    pub api: SocketAddr,
    /// HLS and HTTP-FLV.
    pub http: SocketAddr,
    /// RTMP.
    pub rtmp: SocketAddr,
    /// WebRTC, UDP.
    pub rtc: SocketAddr,
    /// What answers name as the WebRTC address.
    pub candidate: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) endpoints: Endpoints,
    pub(crate) started: Instant,
    /// A session without packets ends after this, and a refused publisher keeps its name as long.
    pub(crate) session_timeout: Duration,
    pub(crate) hooks: Hooks,
    pub(crate) sfu: mpsc::Sender<Command>,
    pub(crate) hls: HlsStore,
    pub(crate) taps: Taps,
    pub(crate) certificate: Certificate,
    pub(crate) registry: Mutex<Registry>,
}

/// The DTLS certificate of this process; its key is not for logs.
pub(crate) struct Certificate(pub(crate) DtlsCert);

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate(..)")
    }
}

impl Shared {
    /// Time since start: the registry's clock.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The registry; never held across an await. It has no state that a panic could leave half done.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API's id of a stream, when it has one.
    pub(crate) fn stream_id(&self, url: &str) -> Option<String> {
        self.registry().streams.get(url).map(|stream| stream.id.clone())
    }

    /// A WebRTC session or an HTTP viewer is over, however it ended: forget it and tell.
    pub(crate) fn ended(&self, client_id: &str) {
        let mut registry = self.registry();
        let was_live = registry.held(client_id).is_some_and(|stream| stream.active);
        let Some((client, known)) = registry.remove(client_id) else { return };
        let left = registry.streams.contains_key(&client.subject.url);
        drop(registry);
        client.cancel.cancel();
        // SRS forgets a stream that never went live with its last client, before it tells of that client's end.
        let stream_id = known.filter(|_| was_live || left);
        let action = if client.kind.publishes() { Action::Unpublish } else { Action::Stop };
        self.hooks.tell(action, &client.subject, Extra::Stream(stream_id.as_deref()));
    }

    /// Ends a client as an operator wishes; false when there is none. The peer is not told, as at SRS.
    pub(crate) async fn kick(&self, client_id: &str) -> bool {
        let kind = self.registry().clients.get(client_id).map(|client| (client.kind, client.cancel.clone()));
        let Some((kind, cancel)) = kind else { return false };
        match kind {
            // The connection's own task sends the hooks of its end, in order.
            Kind::RtmpPublish | Kind::RtmpPlay | Kind::FlvPlay => cancel.cancel(),
            Kind::RtcPublish | Kind::RtcPlay => {
                // A session whose hook is still being asked has not joined yet, and shall not.
                cancel.cancel();
                self.drop_rtc(client_id).await;
            }
        }
        true
    }

    /// Takes a session's media down first, so that none flows after the hook said it ended.
    pub(crate) async fn drop_rtc(&self, client_id: &str) {
        let (done, gone) = tokio::sync::oneshot::channel();
        let leave = Command::Leave { client_id: client_id.to_owned(), done };
        if self.sfu.send(leave).await.is_ok() {
            // A media task that ended has no media left to take down.
            drop(gone.await);
        }
        self.ended(client_id);
    }

    /// Once a second: refused publishers whose time is up, byte counts, playlists nobody feeds any more.
    pub(crate) fn sweep(&self) {
        let expired = {
            let mut registry = self.registry();
            registry.sample();
            registry.expired(self.now())
        };
        for client_id in expired {
            self.ended(&client_id);
        }
        self.hls.dispose(self.now());
        self.taps.sweep();
    }

    /// Lists a client under its stream.
    pub(crate) fn add(&self, client: Client) -> Result<(), super::registry::Refused> {
        self.registry().add(client, ids::stream_id())
    }
}

/// What every task of a node holds.
pub(crate) type Node = Arc<Shared>;
