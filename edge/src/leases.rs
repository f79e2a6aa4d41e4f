//! Sessions whose media passes this edge: what each has carried, and a way to end each at once.
//!
//! Whatever says that a session is over (news of a kick, a revocation, a move, the loss of its node) says so to the replica, which ends its
//! lease here; the relay waits for that and stops.

use proto::{
    SessionId,
    session::{Protocol, Role},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// Bytes of one session. Counters only: nothing is ordered by them.
#[derive(Debug, Default)]
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Bytes came from the client.
    pub fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes went to the client.
    pub fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that came from the client so far.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that went to the client so far.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// One session that is held.
#[derive(Debug)]
pub struct Kept {
    role: Role,
    protocol: Protocol,
    ended: CancellationToken,
    traffic: Traffic,
}

impl Kept {
    /// What it does.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// How its media travels.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Cancelled when the session is over.
    #[must_use]
    pub const fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// What passed.
    #[must_use]
    pub const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Ends it.
    pub fn end(&self) {
        self.ended.cancel();
    }
}

/// All of them; every clone is the same. Bounded by the listeners, which admit only so many connections.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<HashMap<SessionId, Arc<Kept>>>>);

impl Leases {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<SessionId, Arc<Kept>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Holds a session.
    #[must_use]
    pub fn add(&self, session: SessionId, role: Role, protocol: Protocol) -> Arc<Kept> {
        let kept = Arc::new(Kept { role, protocol, ended: CancellationToken::new(), traffic: Traffic::default() });
        self.with(|all| all.insert(session, kept.clone()));
        kept
    }

    /// Forgets one.
    pub fn remove(&self, session: &SessionId) {
        self.with(|all| all.remove(session));
    }

    /// Ends one, if it is held here.
    pub fn end(&self, session: &SessionId) {
        if let Some(kept) = self.with(|all| all.get(session).cloned()) {
            kept.end();
        }
    }

    /// Those held now.
    #[must_use]
    pub fn all(&self) -> Vec<(SessionId, Arc<Kept>)> {
        self.with(|all| all.iter().map(|(session, kept)| (*session, kept.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_ended_by_its_id_and_forgotten_by_its_relay() {
        let leases = Leases::default();
        let (one, other) = (SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
        let kept = leases.add(one, Role::Publish, Protocol::Rtmp);
        let second = leases.add(other, Role::Play, Protocol::Srt);
        leases.end(&one);
        assert!(kept.ended().is_cancelled() && !second.ended().is_cancelled());
        kept.traffic().received(3);
        kept.traffic().received(4);
        leases.remove(&other);
        let left: Vec<_> = leases.all().into_iter().map(|(id, kept)| (id, kept.traffic().received_bytes())).collect();
        assert_eq!(left, [(one, 7)]);
        leases.end(&other);
    }
}
