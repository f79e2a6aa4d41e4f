//! The WebRTC relay: one port for all clients, over UDP and ICE-TCP; behind it one upstream socket a session, because SRS tells sessions apart by
//! the address they come from (docs/webrtc-relay.md).
//!
//! [`core`] holds the rules. A [`shard`] is one thread with its own sockets, and never waits for another. [`Relay`] is what the rest of the edge
//! sees: whom to expect, whom to cut off, which candidates to put into answers.

pub(crate) mod adopt;
pub mod core;
mod framing;
mod places;
mod relay;
mod run;
mod session;
mod shard;
mod socket;
mod targets;
mod tcp;

use crate::{
    config::PublicAddr,
    front::Lease,
    metrics::rtc::RtcMetrics,
    nodes::{NodeAddress, Nodes},
    replica::Replica,
};
use mio::Waker;
use proto::{
    SessionId,
    wire::{
        sdp::{Host, Over},
        stun::IntegrityKey,
    },
};
use relay::Shared;
use shard::Shard;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};
use targets::Targets;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Threads at most; each serves some gigabits a second.
const SHARDS_MAX: usize = 16;
/// Sessions at most, those in quarantine included, whatever the process may open.
const UPSTREAMS_MAX: usize = 50_000;
/// Files kept free for everything else the process opens.
const FILES_LEFT: u64 = 2_048;
/// Sessions of other edges whose owner is being looked for at most.
const ADOPTIONS_MAX: usize = 1_024;

/// What the relay is told at the start.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// `EDGE_RTC_LISTEN`.
    pub listen: SocketAddr,
    /// `WEBRTC_PUBLIC_ADDR`; empty: the listen address.
    pub public: Vec<PublicAddr>,
    /// `WEBRTC_TCP`: whether clients may come over TCP.
    pub tcp: bool,
}

/// The running relay.
pub struct Relay {
    shared: Arc<Shared>,
    hosts: Vec<Host>,
    addresses: Vec<SocketAddr>,
    wakers: Vec<Waker>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("addresses", &self.addresses)
            .field("shards", &self.wakers.len())
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Binds the port and starts the threads. Sessions whose answer another edge gave come out of the receiver.
    ///
    /// # Errors
    /// The port is taken, or there are no threads or files to be had.
    pub fn start(
        settings: &RelaySettings,
        replica: Replica,
        metrics: RtcMetrics,
    ) -> io::Result<(Arc<Self>, mpsc::Receiver<SessionId>)> {
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(SHARDS_MAX);
        let (public, addresses) = socket::bind(settings.listen, settings.tcp, count)?;
        let hosts = hosts(settings, &addresses);
        let (adopt, adoptions) = mpsc::channel(ADOPTIONS_MAX);
        let shared = Arc::new(Shared::new(replica, Targets::default(), metrics, upstreams_max(), adopt));
        let (mut wakers, mut threads) = (Vec::new(), Vec::new());
        for (number, public) in public.into_iter().enumerate() {
            let seed = u64::from_ne_bytes(kit::random::bytes());
            let (shard, waker) = Shard::new(shared.clone(), number, public, seed)?;
            wakers.push(waker);
            threads.push(std::thread::Builder::new().name(format!("rtc-{number}")).spawn(move || shard.run())?);
        }
        Ok((Arc::new(Self { shared, hosts, addresses, wakers, threads: Mutex::new(threads) }), adoptions))
    }

    /// Sessions that pass here now.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.shared.metrics().sessions()
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The candidates for answers.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Resolves the nodes' addresses, again and again.
    pub async fn keep_targets(self: Arc<Self>, nodes: Nodes, stop: CancellationToken) {
        self.shared.targets().clone().keep(nodes, stop).await;
    }

    /// Where a node takes WebRTC packets; `None` when that cannot be found out now.
    pub async fn target(&self, node: &NodeAddress) -> Option<SocketAddr> {
        match self.shared.targets().of_node(&node.id) {
            Some(known) => Some(known),
            None => targets::resolve(&targets::endpoint(node)?).await,
        }
    }

    /// A client is about to be told to come here: its session is at `node`, its ICE checks are signed with `password`.
    pub fn expect(&self, node: SocketAddr, password: &str, lease: Lease) {
        self.shared.expect(node, IntegrityKey::new(password), lease);
    }

    /// Ends a session's relay at once, if it passes here.
    pub fn cut(&self, session: &SessionId) {
        self.shared.cut(session);
    }

    /// It was found out whose a session is that another edge gave the answer for.
    pub fn adopted(&self, lease: Lease) {
        self.shared.adopted(lease);
    }

    /// Ends the threads, and with them all relayed media.
    pub async fn stop(&self) {
        self.shared.stop();
        for waker in &self.wakers {
            if let Err(error) = waker.wake() {
                tracing::debug!(%error, "a relay thread is not woken; it ends by itself");
            }
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().map(JoinHandle::join).all(|end| end.is_ok()));
        if !matches!(joined.await, Ok(true)) {
            tracing::error!("a thread of the WebRTC relay panicked");
        }
    }
}

/// What answers say: the configured addresses, else those it is bound to, a wildcard being this machine's own.
fn hosts(settings: &RelaySettings, bound: &[SocketAddr]) -> Vec<Host> {
    let port = bound.first().map_or(settings.listen.port(), SocketAddr::port);
    let said = settings.public.iter().map(|public| SocketAddr::new(public.ip, public.port.unwrap_or(port)));
    let mut at: Vec<SocketAddr> = said.collect();
    if at.is_empty() {
        let ip = if settings.listen.ip().is_unspecified() { kit::net::own_address() } else { settings.listen.ip() };
        at.push(SocketAddr::new(ip, port));
    }
    let udp = at.iter().map(|at| Host { at: *at, over: Over::Udp });
    let tcp = at.iter().filter(|_| settings.tcp).map(|at| Host { at: *at, over: Over::Tcp });
    udp.chain(tcp).collect()
}

/// How many upstream sockets there may be: what the process may open, after asking for all it can get.
fn upstreams_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays where it is");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(FILES_LEFT)).unwrap_or(usize::MAX).clamp(1, UPSTREAMS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts_of(listen: &str, public: &[&str], tcp: bool) -> Vec<String> {
        let public = public.iter().map(|text| text.parse().unwrap()).collect();
        let settings = RelaySettings { listen: listen.parse().unwrap(), public, tcp };
        let bound = SocketAddr::new(settings.listen.ip(), 8000);
        hosts(&settings, &[bound]).iter().map(|host| format!("{:?} {}", host.over, host.at)).collect()
    }

    #[test]
    fn answers_carry_what_is_configured_else_what_is_bound() {
        assert_eq!(hosts_of("127.0.0.1:0", &[], true), ["Udp 127.0.0.1:8000", "Tcp 127.0.0.1:8000"]);
        assert_eq!(
            hosts_of("0.0.0.0:0", &["203.0.113.7", "[2001:db8::1]:9000"], false),
            ["Udp 203.0.113.7:8000", "Udp [2001:db8::1]:9000"]
        );
        assert!(!hosts_of("0.0.0.0:0", &[], true).iter().any(|host| host.contains("0.0.0.0")));
    }
}
