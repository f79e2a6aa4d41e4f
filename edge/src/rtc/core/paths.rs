//! One session's client: where it is, and where media goes.

use super::{IDLE, Mono};
use proto::wire::stun::Transaction;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Addresses of one client that are kept at most: a laptop checks from Wi-Fi and Ethernet, IPv4 and IPv6.
pub const PATHS_MAX: usize = 6;
/// Checks under way that are remembered at most; the oldest is forgotten, and its client asks again.
const PENDING_MAX: usize = 8;
/// When the chosen path is silent for this long, another that proves itself takes its place without being nominated.
pub(super) const SILENT: Duration = Duration::from_secs(2);

/// The other end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address that sends datagrams.
    Udp(SocketAddr),
    /// A connection, by a number that is never used again, and its address.
    Tcp(u64, SocketAddr),
}

impl Peer {
    /// Its address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Udp(address) | Self::Tcp(_, address) => *address,
        }
    }
}

/// A way between the client and this edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The client's end.
    pub peer: Peer,
    /// The address the client sent to, which answers must come from.
    pub local: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    path: Path,
    heard: Mono,
}

/// What a signed check changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// The path was not known before: its address must be mapped.
    pub fresh: bool,
    /// This one had to make room.
    pub evicted: Option<Path>,
    /// Media went somewhere else before.
    pub moved: bool,
}

/// The paths of one session.
#[derive(Debug)]
pub struct Paths {
    known: [Option<Known>; PATHS_MAX],
    chosen: Option<Path>,
    pending: [Option<(Transaction, Path)>; PENDING_MAX],
    next: usize,
    heard: Mono,
}

impl Paths {
    /// A client that was not heard yet.
    #[must_use]
    pub const fn new(now: Mono) -> Self {
        Self { known: [None; PATHS_MAX], chosen: None, pending: [None; PENDING_MAX], next: 0, heard: now }
    }

    /// A check whose signature holds came in.
    ///
    /// Media goes to the path that the client nominates; to the first one until it does, as clients expect whose network loses the nomination; and to
    /// any other once the chosen one has been silent.
    pub fn check(&mut self, now: Mono, path: Path, transaction: Transaction, nominates: bool) -> Checked {
        let (fresh, evicted) = self.note(now, path);
        if let Some(slot) = self.pending.get_mut(self.next) {
            *slot = Some((transaction, path));
        }
        self.next = (self.next + 1) % PENDING_MAX;
        self.heard = now;
        let silent = self
            .chosen
            .is_none_or(|chosen| self.find(chosen.peer).is_none_or(|known| now.saturating_sub(known.heard) >= SILENT));
        let before = self.chosen;
        if nominates || silent {
            self.chosen = Some(path);
        }
        Checked {
            fresh,
            evicted,
            moved: before.is_some_and(|before| before.peer != path.peer && self.chosen == Some(path)),
        }
    }

    /// The node answered a check: where the answer must go, once.
    pub fn answered(&mut self, transaction: &Transaction) -> Option<Path> {
        let slot = self.pending.iter_mut().find(|slot| slot.is_some_and(|(asked, _)| asked == *transaction))?;
        slot.take().map(|(_, path)| path)
    }

    /// Something else came from the client.
    pub fn heard(&mut self, now: Mono, from: Peer) {
        self.heard = now;
        if let Some(known) = self.known.iter_mut().flatten().find(|known| known.path.peer == from) {
            known.heard = now;
        }
    }

    /// Where media goes.
    #[must_use]
    pub const fn chosen(&self) -> Option<Path> {
        self.chosen
    }

    /// A connection was closed.
    pub fn lost(&mut self, peer: Peer) {
        for slot in &mut self.known {
            if slot.is_some_and(|known| known.path.peer == peer) {
                *slot = None;
            }
        }
        for slot in &mut self.pending {
            if slot.is_some_and(|(_, path)| path.peer == peer) {
                *slot = None;
            }
        }
        if self.chosen.is_some_and(|path| path.peer == peer) {
            // The one heard last, until the client nominates.
            self.chosen = self.known.iter().flatten().max_by_key(|known| known.heard).map(|known| known.path);
        }
    }

    /// Whether the client was silent for too long.
    #[must_use]
    pub fn expired(&self, now: Mono) -> bool {
        now.saturating_sub(self.heard) >= IDLE
    }

    fn find(&self, peer: Peer) -> Option<&Known> {
        self.known.iter().flatten().find(|known| known.path.peer == peer)
    }

    fn note(&mut self, now: Mono, path: Path) -> (bool, Option<Path>) {
        if let Some(known) = self.known.iter_mut().flatten().find(|known| known.path.peer == path.peer) {
            *known = Known { path, heard: now };
            return (false, None);
        }
        let chosen = self.chosen.map(|chosen| chosen.peer);
        // An empty place, else the longest silent one that media does not go to.
        let place = self.known.iter_mut().min_by_key(|slot| {
            slot.map_or((false, Mono::ZERO), |known| {
                (Some(known.path.peer) == chosen, known.heard.max(Mono::from_nanos(1)))
            })
        });
        let evicted = place.and_then(|place| place.replace(Known { path, heard: now })).map(|known| known.path);
        (true, evicted)
    }
}
