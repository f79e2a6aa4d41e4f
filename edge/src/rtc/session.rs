//! A relayed session: its one upstream socket, its client's paths, and what is counted of it. Shared by the shards its client's packets reach.

use super::{
    core::{Checked, Mono, Path, Paths, Peer},
    socket::Udp,
    tcp::Outbox,
};
use crate::front::Lease;
use proto::{
    SessionId,
    wire::stun::{IntegrityKey, Message, Transaction},
};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

struct State {
    paths: Paths,
    /// `None`: another edge gave the answer, and whose session it is was not found out yet.
    lease: Option<Lease>,
    /// The client's connections, each with the number in its [`Peer`].
    connections: Vec<(u64, Arc<Outbox>)>,
}

/// One session.
pub(super) struct Session {
    pub(super) id: SessionId,
    /// The node's WebRTC port.
    pub(super) node: SocketAddr,
    /// What its checks are signed with.
    pub(super) key: IntegrityKey,
    pub(super) upstream: Udp,
    state: Mutex<State>,
    over: AtomicBool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("node", &self.node).finish_non_exhaustive()
    }
}

impl Session {
    /// A session whose client was not heard yet.
    pub(super) fn new(now: Mono, id: SessionId, node: SocketAddr, key: IntegrityKey, upstream: Udp) -> Self {
        let state = State { paths: Paths::new(now), lease: None, connections: Vec::new() };
        Self { id, node, key, upstream, state: Mutex::new(state), over: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is passed on any more.
    pub(super) fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Stops it, in all shards at once.
    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whose it is. One that comes too late is given back.
    pub(super) fn adopt(&self, lease: Lease) {
        if self.over() {
            lease.detach();
            return;
        }
        let before = self.state().lease.replace(lease);
        if let Some(before) = before {
            before.detach();
        }
    }

    /// Whether it is to be closed: its end was told, or its client is silent.
    pub(super) fn due(&self, now: Mono) -> bool {
        let state = self.state();
        self.over()
            || state.paths.expired(now)
            || state.lease.as_ref().is_some_and(|lease| lease.token().is_cancelled())
    }

    /// Stops it and gives the lease back. A session that was only silent may go on at another edge; SRS tells when it is over.
    pub(super) fn close(&self) {
        self.stop();
        let lease = {
            let mut state = self.state();
            state.connections.clear();
            state.lease.take()
        };
        if let Some(lease) = lease {
            if lease.token().is_cancelled() { drop(lease) } else { lease.detach() }
        }
    }

    /// A check whose signature holds; `outbox` is where to write when it came by a connection.
    pub(super) fn checked(
        &self,
        now: Mono,
        path: Path,
        message: &Message<'_>,
        outbox: Option<&Arc<Outbox>>,
    ) -> Checked {
        let mut state = self.state();
        let changed = state.paths.check(now, path, message.transaction(), message.nominates());
        if let (Peer::Tcp(number, _), Some(outbox)) = (path.peer, outbox)
            && !state.connections.iter().any(|(known, _)| *known == number)
        {
            state.connections.push((number, outbox.clone()));
        }
        if let Some(Path { peer: Peer::Tcp(number, _), .. }) = changed.evicted {
            state.connections.retain(|(known, _)| *known != number);
        }
        changed
    }

    /// The client's bytes go to the node.
    ///
    /// # Errors
    /// The kernel's: they are lost.
    pub(super) fn up(&self, now: Mono, from: Peer, bytes: &[u8], size: usize) -> io::Result<()> {
        {
            let mut state = self.state();
            state.paths.heard(now, from);
            if let Some(lease) = &state.lease {
                lease.traffic().received(bytes.len() as u64);
            }
        }
        self.upstream.send_up(bytes, size, self.node)
    }

    /// The node's bytes go to the client: where.
    pub(super) fn down(&self, bytes: usize) -> Option<(Path, Option<Arc<Outbox>>)> {
        let state = self.state();
        let path = state.paths.chosen()?;
        if let Some(lease) = &state.lease {
            lease.traffic().sent(bytes as u64);
        }
        Some((path, state.outbox(path.peer)))
    }

    /// The node answered a check: where the answer goes.
    pub(super) fn answered(&self, transaction: &Transaction) -> Option<(Path, Option<Arc<Outbox>>)> {
        let mut state = self.state();
        let path = state.paths.answered(transaction)?;
        Some((path, state.outbox(path.peer)))
    }

    /// A connection was closed.
    pub(super) fn lost(&self, peer: Peer) {
        let mut state = self.state();
        state.paths.lost(peer);
        if let Peer::Tcp(number, _) = peer {
            state.connections.retain(|(known, _)| *known != number);
        }
    }
}

impl State {
    fn outbox(&self, peer: Peer) -> Option<Arc<Outbox>> {
        let Peer::Tcp(number, _) = peer else { return None };
        self.connections.iter().find(|(known, _)| *known == number).map(|(_, outbox)| outbox.clone())
    }
}
