//! One thread of the relay: its public sockets, the connections it accepted, and the upstream sockets of the sessions that came to it first.
//!
//! A client's datagrams reach the shard that the kernel's hash of its address names, which sends them on itself, whoever reads that session's
//! upstream socket. A turn takes one batch from every socket that has something, so that a flood on one does not hold up the others. Nothing is
//! allocated for a datagram. Bounds: [`super::socket::Batch`], [`CONNECTIONS_MAX`](super::tcp::CONNECTIONS_MAX), the gate's addresses, the relay's
//! upstream sockets.

mod client;
mod connection;
mod node;

use super::{
    core::{Gate, Mono, Path, Peer, Quarantine},
    places::Places,
    relay::Shared,
    session::Session,
    socket::{Batch, Public, Udp},
    tcp::{Connection, Outbox},
};
use crate::metrics::rtc::Counts;
use mio::{Events, Interest, Poll, Token, Waker, unix::SourceFd};
use std::{
    collections::{HashSet, VecDeque},
    io,
    net::SocketAddr,
    os::fd::AsRawFd as _,
    sync::Arc,
    time::Duration,
};

/// Between two looks at what is over: ends are acted on within this, where they are not at once.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// Readiness events taken in one turn.
const EVENTS: usize = 1_024;
/// Numbers of one kind of socket; the kind is above them in a token.
const KIND_SHIFT: u32 = 32;

/// What a readiness event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Wake,
    Public(usize),
    Listener(usize),
    Upstream(usize),
    Connection(usize),
}

impl Source {
    const fn token(self) -> Token {
        let (kind, at) = match self {
            Self::Wake => (0, 0),
            Self::Public(at) => (1, at),
            Self::Listener(at) => (2, at),
            Self::Upstream(at) => (3, at),
            Self::Connection(at) => (4, at),
        };
        Token((kind << KIND_SHIFT) | at)
    }

    const fn of(token: Token) -> Self {
        let at = token.0 & ((1 << KIND_SHIFT) - 1);
        match token.0 >> KIND_SHIFT {
            1 => Self::Public(at),
            2 => Self::Listener(at),
            3 => Self::Upstream(at),
            4 => Self::Connection(at),
            _ => Self::Wake,
        }
    }
}

/// What everything in a shard sends through and counts in.
struct Ways {
    udp: Vec<Udp>,
    counts: Counts,
    /// Room for an answer to a check.
    answer: Vec<u8>,
}

impl Ways {
    /// Datagrams that one call may send.
    fn segments_max(&self) -> usize {
        self.udp.first().map_or(1, Udp::segments_max)
    }

    /// Sends the node's datagrams to a client.
    fn send(&mut self, (path, outbox): (Path, Option<Arc<Outbox>>), bytes: &[u8], size: usize) {
        let count = bytes.len().div_ceil(size.max(1)) as u64;
        let taken = match (path.peer, outbox) {
            (Peer::Udp(to), _) => {
                let socket = self.udp.iter().find(|udp| udp.is_v4() == to.is_ipv4());
                socket.is_some_and(|udp| udp.send(bytes, size, to, path.local).is_ok())
            }
            (Peer::Tcp(..), Some(outbox)) => {
                bytes.chunks(size.max(1)).map(|one| outbox.write(one)).min().unwrap_or(true)
            }
            (Peer::Tcp(..), None) => false,
        };
        if taken {
            self.counts.down.0 += count;
            self.counts.down.1 += bytes.len() as u64;
        } else {
            self.counts.lost += count;
        }
        self.counts.any = true;
    }

    /// Sends a client's datagrams to its node.
    fn up(&mut self, now: Mono, session: &Session, from: Peer, bytes: &[u8], size: usize) {
        let count = bytes.len().div_ceil(size.max(1)) as u64;
        if session.up(now, from, bytes, size).is_ok() {
            self.counts.up.0 += count;
            self.counts.up.1 += bytes.len() as u64;
        } else {
            self.counts.lost += count;
        }
        self.counts.any = true;
    }
}

pub(super) struct Shard {
    shared: Arc<Shared>,
    number: usize,
    poll: Poll,
    gate: Gate<Arc<Session>>,
    ways: Ways,
    listeners: Vec<mio::net::TcpListener>,
    /// Those whose upstream socket is read here.
    sessions: Places<Arc<Session>>,
    connections: Places<Connection>,
    /// Connections without a verified check, oldest first; proved and closed ones among them are passed over.
    unproved: VecDeque<(usize, u64)>,
    unproved_count: usize,
    quarantine: Quarantine<Arc<Session>>,
    batch: Batch,
    /// Room for joining datagrams.
    joined: Vec<u8>,
    /// Sockets that may have more.
    ready: VecDeque<Source>,
    queued: HashSet<Source>,
    sweep_at: Mono,
}

impl Shard {
    /// Registers the sockets. The waker ends a wait.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn new(shared: Arc<Shared>, number: usize, public: Public, seed: u64) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Source::Wake.token())?;
        let Public { udp, tcp: mut listeners } = public;
        for (at, one) in udp.iter().enumerate() {
            let fd = one.socket.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Source::Public(at).token(), Interest::READABLE)?;
        }
        for (at, one) in listeners.iter_mut().enumerate() {
            poll.registry().register(one, Source::Listener(at).token(), Interest::READABLE)?;
        }
        let ways = Ways { udp, counts: Counts::default(), answer: Vec::new() };
        let shard = Self {
            shared,
            number,
            poll,
            gate: Gate::new(seed),
            ways,
            listeners,
            sessions: Places::default(),
            connections: Places::default(),
            unproved: VecDeque::new(),
            unproved_count: 0,
            quarantine: Quarantine::default(),
            batch: Batch::new(),
            joined: Vec::new(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            sweep_at: Mono::ZERO,
        };
        Ok((shard, waker))
    }

    /// Works until the relay stops.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.shared.stopping() {
            let wait =
                if self.ready.is_empty() { self.sweep_at.saturating_sub(self.shared.now()) } else { Duration::ZERO };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the WebRTC relay cannot wait for packets; this thread ends");
                break;
            }
            events.iter().map(|event| Source::of(event.token())).for_each(|source| self.wants(source));
            self.turn();
            let now = self.shared.now();
            if now >= self.sweep_at {
                self.sweep(now);
                self.sweep_at = now + SWEEP_EVERY;
            }
            self.shared.metrics().count(&mut self.ways.counts);
        }
        self.end();
    }

    fn wants(&mut self, source: Source) {
        if source != Source::Wake && self.queued.insert(source) {
            self.ready.push_back(source);
        }
    }

    /// One batch from each socket that has something.
    fn turn(&mut self) {
        let now = self.shared.now();
        for _ in 0..self.ready.len() {
            let Some(source) = self.ready.pop_front() else { return };
            self.queued.remove(&source);
            let more = match source {
                Source::Wake => false,
                Source::Public(at) => self.take_clients(now, at),
                Source::Listener(at) => self.accept(now, at),
                Source::Upstream(at) => self.take_node(at),
                Source::Connection(at) => self.take_connection(now, at),
            };
            if more {
                self.wants(source);
            }
        }
    }

    /// A session came here first: its upstream socket is read here.
    fn hold(&mut self, session: &Arc<Session>) {
        let at = self.sessions.put(session.clone());
        let fd = session.upstream.socket.as_raw_fd();
        let source = Source::Upstream(at);
        if let Err(error) = self.poll.registry().register(&mut SourceFd(&fd), source.token(), Interest::READABLE) {
            tracing::error!(%error, "a session's socket cannot be watched; it is closed");
            session.stop();
        }
    }

    /// Acts on what is over.
    fn sweep(&mut self, now: Mono) {
        let due: Vec<usize> = self.sessions.iter().filter(|(_, one)| one.due(now)).map(|(at, _)| at).collect();
        due.into_iter().for_each(|at| self.close(now, at));
        self.gate.keep(|_, session| !session.over());
        self.sweep_connections(now);
        while self.quarantine.release(now).is_some() {
            self.shared.released();
            self.shared.metrics().released();
        }
        if self.number == 0 {
            self.shared.sweep();
        }
    }

    fn close(&mut self, now: Mono, at: usize) {
        let Some(session) = self.sessions.take(at) else { return };
        session.close();
        let fd = session.upstream.socket.as_raw_fd();
        if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&fd)) {
            tracing::debug!(%error, "a socket was not watched");
        }
        session.upstream.retire();
        self.shared.closed(&session);
        self.shared.metrics().closed();
        tracing::debug!(session.id = %session.id, "a session is not relayed any more");
        self.quarantine.put(now, session);
    }

    /// Gives everything back: the process goes on without the relay for a moment.
    fn end(mut self) {
        let all: Vec<usize> = self.sessions.iter().map(|(at, _)| at).collect();
        let now = self.shared.now();
        all.into_iter().for_each(|at| self.close(now, at));
    }
}

/// Whether a path's address is known to this shard as this session's.
fn maps(gate: &Gate<Arc<Session>>, from: SocketAddr, session: &Arc<Session>) -> bool {
    gate.get(from).is_some_and(|known| Arc::ptr_eq(known, session))
}
