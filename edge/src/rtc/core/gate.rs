//! Which datagrams from outside are looked at any further.

use super::{Budget, Mono};
use proto::{
    SessionId,
    ice::{NodeTag, read_ufrag},
    wire::stun::{Message, is_stun},
};
use std::{collections::HashMap, net::SocketAddr};

/// Addresses that are mapped at most, in one shard: far above what its sessions can have.
pub(super) const ADDRESSES_MAX: usize = 262_144;

/// Why a datagram goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Its source sends too much for a stranger. It was not read.
    Budget,
    /// From a stranger, and no ICE check.
    Stranger,
    /// An ICE check that cannot be read.
    Malformed,
    /// The ufrag in it is none that an edge makes.
    Ufrag,
    /// Its signature is missing or wrong.
    Integrity,
    /// Its session has ended.
    Over,
    /// Nobody knows the node that its ufrag names, or where it is.
    Node,
    /// Too many sessions, or too many checks for sessions that this edge does not know.
    Full,
}

impl Drop {
    /// All of them, for the metrics.
    pub const ALL: [Self; 8] = [
        Self::Budget,
        Self::Stranger,
        Self::Malformed,
        Self::Ufrag,
        Self::Integrity,
        Self::Over,
        Self::Node,
        Self::Full,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Stranger => "stranger",
            Self::Malformed => "malformed",
            Self::Ufrag => "ufrag",
            Self::Integrity => "integrity",
            Self::Over => "over",
            Self::Node => "node",
            Self::Full => "full",
        }
    }
}

/// What to do with a datagram.
#[derive(Debug)]
pub enum Look<'m, 'b, S> {
    /// It belongs to this session: pass it on as it is.
    Pass(&'m S),
    /// An ICE check that says it belongs to this session. Its signature has not been checked yet.
    Check(Check<'b>),
    /// Drop it.
    Drop(Drop),
}

/// An ICE check that can be read.
#[derive(Debug, Clone, Copy)]
pub struct Check<'b> {
    /// The whole message.
    pub message: Message<'b>,
    /// The server's ufrag in it: what its password is made from.
    pub ufrag: &'b str,
    /// Which node that ufrag names.
    pub node: NodeTag,
    /// Which session it names.
    pub session: SessionId,
}

/// The addresses that are known in one shard. `S` is how the shell holds a session.
#[derive(Debug)]
pub struct Gate<S> {
    known: HashMap<SocketAddr, S>,
    budget: Budget,
}

impl<S> Gate<S> {
    /// Nobody is known. `seed` is drawn by the caller.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { known: HashMap::new(), budget: Budget::new(seed) }
    }

    /// Looks at one datagram.
    pub fn look<'m, 'b>(&'m mut self, now: Mono, from: SocketAddr, datagram: &'b [u8]) -> Look<'m, 'b, S> {
        let stun = is_stun(datagram);
        // A check has to prove itself also when its source is known: it says where media goes.
        match self.known.get(&from) {
            Some(session) if !stun => Look::Pass(session),
            Some(session) => match Message::parse(datagram) {
                Ok(message) if message.is_check() => judge(message),
                // Answers and indications change nothing here.
                Ok(_) => Look::Pass(session),
                Err(_) => Look::Drop(Drop::Malformed),
            },
            None if !self.budget.take(now, from.ip()) => Look::Drop(Drop::Budget),
            None if !stun => Look::Drop(Drop::Stranger),
            None => match Message::parse(datagram) {
                Ok(message) if message.is_check() => judge(message),
                Ok(_) => Look::Drop(Drop::Stranger),
                Err(_) => Look::Drop(Drop::Malformed),
            },
        }
    }

    /// Takes one from a source's budget; what a new connection costs.
    pub fn take(&mut self, now: Mono, from: SocketAddr) -> bool {
        self.budget.take(now, from.ip())
    }

    /// Maps an address to a session. False: there are too many.
    pub fn learn(&mut self, from: SocketAddr, session: S) -> bool {
        if self.known.len() >= ADDRESSES_MAX && !self.known.contains_key(&from) {
            return false;
        }
        self.known.insert(from, session);
        true
    }

    /// The session at an address.
    #[must_use]
    pub fn get(&self, from: SocketAddr) -> Option<&S> {
        self.known.get(&from)
    }

    /// Forgets an address.
    pub fn forget(&mut self, from: SocketAddr) {
        self.known.remove(&from);
    }

    /// Keeps only what is wanted.
    pub fn keep(&mut self, mut wanted: impl FnMut(&SocketAddr, &S) -> bool) {
        self.known.retain(|from, session| wanted(from, session));
    }
}

/// Reads whom a check is for.
pub(in crate::rtc) fn judge<'m, 'b, S>(message: Message<'b>) -> Look<'m, 'b, S> {
    let Some((ufrag, _)) = message.ufrags() else { return Look::Drop(Drop::Ufrag) };
    match read_ufrag(ufrag) {
        Some((node, session)) => Look::Check(Check { message, ufrag, node, session }),
        None => Look::Drop(Drop::Ufrag),
    }
}
