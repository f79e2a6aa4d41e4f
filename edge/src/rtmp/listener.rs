//! The ports: bound at start, accepting until told to stop.

use super::{
    conn::{self, Accepted},
    gate::{Full, Gate},
    threads::Threads,
};
use crate::{
    config::{Listen, MediaSettings},
    front::Front,
    metrics::rtmp::Refused,
};
use anyhow::Context as _;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How long accepting rests after the operating system refused it, usually for want of file descriptors.
const REST: Duration = Duration::from_millis(100);

impl Refused {
    pub(super) const fn of(full: Full) -> Self {
        match full {
            Full::All => Self::Full,
            Full::Address => Self::Address,
        }
    }
}

/// Where RTMP is listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bound {
    /// RTMP.
    pub plain: Option<SocketAddr>,
    /// RTMPS.
    pub tls: Option<SocketAddr>,
}

/// Bound ports, not yet accepting.
pub struct Rtmp {
    plain: Option<TcpListener>,
    tls: Option<(TcpListener, TlsAcceptor)>,
}

impl std::fmt::Debug for Rtmp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rtmp").field("bound", &self.bound()).finish()
    }
}

impl Rtmp {
    /// Binds what the settings ask for.
    ///
    /// # Errors
    /// A port is taken, or certificate and key cannot be used.
    pub async fn bind(media: &MediaSettings) -> anyhow::Result<Self> {
        let plain = match media.rtmp {
            Listen::On(at) => Some(listen("EDGE_RTMP_LISTEN", at).await?),
            Listen::Off => None,
        };
        let tls = match &media.rtmps {
            Some(rtmps) => {
                let config = kit::tls::server_config(&rtmps.cert, &rtmps.key).map_err(anyhow::Error::msg)?;
                let listener = listen("EDGE_RTMPS_LISTEN", rtmps.listen).await?;
                Some((listener, TlsAcceptor::from(Arc::new(config))))
            }
            None => None,
        };
        Ok(Self { plain, tls })
    }

    /// The bound addresses, also when a port was 0.
    #[must_use]
    pub fn bound(&self) -> Bound {
        let at = |listener: &TcpListener| listener.local_addr().ok();
        Bound { plain: self.plain.as_ref().and_then(at), tls: self.tls.as_ref().and_then(|(listener, _)| at(listener)) }
    }

    /// Accepts until `stop` is cancelled; connections end then.
    pub async fn run(self, front: Front, stop: CancellationToken) {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Threads::start(count, &stop, conn::serve);
        let gate = Gate::default();
        let (tls, acceptor) = self.tls.map_or((None, None), |(listener, acceptor)| (Some(listener), Some(acceptor)));
        loop {
            let (accepted, acceptor) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(self.plain.as_ref()) => (accepted, None),
                accepted = accept(tls.as_ref()) => (accepted, acceptor.clone()),
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!(%error, "an RTMP connection could not be accepted; trying again soon");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            let proxy = front.config().trusted_proxies.contains(peer);
            let place = match gate.enter((!proxy).then_some(peer)) {
                Ok(place) => place,
                Err(full) => {
                    // Nothing can be said before a handshake, and a handshake is what there is no room for.
                    front.metrics().rtmp().refused(Refused::of(full));
                    continue;
                }
            };
            match stream.into_std() {
                Ok(stream) => {
                    threads.give(Accepted { front: front.clone(), place, peer, proxy, tls: acceptor }, stream)
                }
                Err(error) => tracing::warn!(%error, "an RTMP connection could not be handed to its thread"),
            }
        }
        threads.ended().await;
    }
}

async fn listen(name: &str, at: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at} ({name}; `off` switches it off)"))
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(tokio::net::TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
