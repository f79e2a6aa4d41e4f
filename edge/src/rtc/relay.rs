//! What the shards share: which sessions there are, whether one may be relayed, and how many.

use super::{
    core::{Bucket, Check, Drop, Mono},
    session::Session,
    socket::Udp,
    targets::Targets,
};
use crate::{front::Lease, metrics::rtc::RtcMetrics, replica::Replica};
use proto::{SessionId, ice::PasswordKey, secret::ClusterSecret, wire::stun::IntegrityKey};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How long a client may take from its answer to its first check: SRS gives up after 30 to 35 s.
const ARRIVE_WITHIN: Duration = Duration::from_secs(35);
/// Sessions of other edges that are checked in a second at most: a flood of names nobody knows must not cost a signature each.
const UNKNOWN_PER_SECOND: u32 = 5_000;

/// A session whose client has not come yet.
struct Expected {
    node: SocketAddr,
    key: IntegrityKey,
    lease: Option<Lease>,
    until: Mono,
}

enum Slot {
    Expected(Box<Expected>),
    Open(Arc<Session>),
}

/// All of it.
pub(super) struct Shared {
    started: Instant,
    slots: Mutex<HashMap<SessionId, Slot>>,
    unknown: Mutex<Bucket>,
    passwords: Mutex<Vec<(ClusterSecret, PasswordKey)>>,
    replica: Replica,
    targets: Targets,
    metrics: RtcMetrics,
    /// Upstream sockets, those in quarantine included.
    upstreams: AtomicUsize,
    upstreams_max: usize,
    adopt: mpsc::Sender<SessionId>,
    stopping: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("upstreams", &self.upstreams).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        replica: Replica,
        targets: Targets,
        metrics: RtcMetrics,
        upstreams_max: usize,
        adopt: mpsc::Sender<SessionId>,
    ) -> Self {
        Self {
            started: Instant::now(),
            slots: Mutex::default(),
            unknown: Mutex::new(Bucket::new(UNKNOWN_PER_SECOND)),
            passwords: Mutex::default(),
            replica,
            targets,
            metrics,
            upstreams: AtomicUsize::new(0),
            upstreams_max,
            adopt,
            stopping: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> Mono {
        self.started.elapsed()
    }

    pub(super) const fn metrics(&self) -> &RtcMetrics {
        &self.metrics
    }

    pub(super) const fn targets(&self) -> &Targets {
        &self.targets
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells the shards to end, and gives back what nobody came for.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let left = std::mem::take(&mut *self.slots());
        for slot in left.into_values() {
            if let Slot::Expected(expected) = slot
                && let Some(lease) = expected.lease
            {
                lease.detach();
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<SessionId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client was told to come: its session is at `node`, its checks are signed with `key`.
    pub(super) fn expect(&self, node: SocketAddr, key: IntegrityKey, lease: Lease) {
        let until = self.now() + ARRIVE_WITHIN;
        let session = lease.session();
        let expected = Expected { node, key, lease: Some(lease), until };
        let before = self.slots().insert(session, Slot::Expected(Box::new(expected)));
        drop(before);
    }

    /// Ends a session here, at once and in all shards.
    pub(super) fn cut(&self, session: &SessionId) {
        let slot = self.slots().remove(session);
        if let Some(Slot::Open(open)) = slot {
            open.stop();
        }
    }

    /// Its shard is done with it.
    pub(super) fn closed(&self, session: &Arc<Session>) {
        let mut slots = self.slots();
        if matches!(slots.get(&session.id), Some(Slot::Open(open)) if Arc::ptr_eq(open, session)) {
            slots.remove(&session.id);
        }
    }

    /// An upstream socket was closed, or was not made.
    pub(super) fn released(&self) {
        self.upstreams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Drops sessions whose client never came, or that ended before it did.
    pub(super) fn sweep(&self) {
        let now = self.now();
        let mut gone = Vec::new();
        self.slots().retain(|_, slot| match slot {
            Slot::Open(_) => true,
            Slot::Expected(expected) => {
                let over = expected.lease.as_ref().is_none_or(|lease| lease.token().is_cancelled());
                let stays = now < expected.until && !over;
                if !stays {
                    gone.extend(expected.lease.take());
                }
                stays
            }
        });
        for lease in gone {
            tracing::debug!(session.id = %lease.session(), "a client that had its answer did not come");
            if lease.token().is_cancelled() { drop(lease) } else { lease.detach() }
        }
    }

    /// Whose check it is, if its signature holds. True: the session is new, and its upstream socket the caller's to read.
    pub(super) fn admit(&self, now: Mono, check: &Check<'_>) -> Result<(Arc<Session>, bool), Drop> {
        let known = match self.slots().get(&check.session) {
            Some(Slot::Open(open)) => Ok(open.clone()),
            Some(Slot::Expected(expected)) => Err(Some((expected.node, expected.key.clone()))),
            None => Err(None),
        };
        match known {
            Ok(open) => {
                check.message.verify(&open.key).map_err(|_| Drop::Integrity)?;
                if open.over() { Err(Drop::Over) } else { Ok((open, false)) }
            }
            Err(Some((node, key))) => {
                check.message.verify(&key).map_err(|_| Drop::Integrity)?;
                self.open(now, check.session, node, key)
            }
            Err(None) => {
                if !self.unknown.lock().unwrap_or_else(PoisonError::into_inner).take(now) {
                    return Err(Drop::Full);
                }
                let key = self.key(check)?;
                if self.replica.closed(&check.session) {
                    return Err(Drop::Over);
                }
                let node = self.targets.of_tag(check.node).ok_or(Drop::Node)?;
                self.open(now, check.session, node, key)
            }
        }
    }

    /// Makes the session, unless another shard was quicker.
    fn open(
        &self,
        now: Mono,
        id: SessionId,
        node: SocketAddr,
        key: IntegrityKey,
    ) -> Result<(Arc<Session>, bool), Drop> {
        if self.upstreams.fetch_add(1, Ordering::Relaxed) >= self.upstreams_max {
            self.released();
            return Err(Drop::Full);
        }
        let upstream = Udp::upstream(node).map_err(|error| {
            tracing::error!(%error, %node, "no socket towards a media node: {error}");
            self.released();
            Drop::Full
        })?;
        let session = Arc::new(Session::new(now, id, node, key, upstream));
        // What a lease's end does asks for the slots again: none is dropped while they are held.
        let (before, found) = {
            let mut slots = self.slots();
            match slots.get(&id) {
                Some(Slot::Open(open)) => (None, Some(open.clone())),
                Some(Slot::Expected(_)) | None => (slots.insert(id, Slot::Open(session.clone())), None),
            }
        };
        if let Some(found) = found {
            self.released();
            return if found.over() { Err(Drop::Over) } else { Ok((found, false)) };
        }
        let lease = match before {
            Some(Slot::Expected(expected)) => expected.lease,
            Some(Slot::Open(_)) | None => None,
        };
        let stranger = lease.is_none();
        if let Some(lease) = lease {
            session.adopt(lease);
        }
        self.metrics.opened(stranger);
        if stranger && self.adopt.try_send(id).is_err() {
            tracing::warn!("too many sessions of other edges at once: one is relayed without knowing whose it is");
        }
        Ok((session, true))
    }

    /// A session that was taken over turned out to be this.
    pub(super) fn adopted(&self, lease: Lease) {
        let open = match self.slots().get(&lease.session()) {
            Some(Slot::Open(open)) => Some(open.clone()),
            Some(Slot::Expected(_)) | None => None,
        };
        match open {
            Some(open) => open.adopt(lease),
            None => lease.detach(),
        }
    }

    /// The password of a ufrag that another edge made, if the check is signed with it.
    fn key(&self, check: &Check<'_>) -> Result<IntegrityKey, Drop> {
        let secrets = self.replica.secrets().ok_or(Drop::Integrity)?;
        let mut passwords = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        if !passwords.iter().map(|(secret, _)| secret).eq(secrets.keyring.all()) {
            *passwords = secrets.keyring.all().map(|secret| (secret.clone(), PasswordKey::of(secret))).collect();
        }
        let keys = passwords.iter().map(|(_, key)| IntegrityKey::new(&key.password(check.ufrag)));
        keys.into_iter().find(|key| check.message.verify(key).is_ok()).ok_or(Drop::Integrity)
    }
}
