//! Rate limits, counted in Redis for the whole cluster; in this process while Redis is away.

use crate::{
    domain::limit::{Rule, Taken, take},
    error::ApiError,
    metrics::Metrics,
};
use kit::{
    clock,
    kv::{Cmd, Kv, KvError},
};
use proto::keys;
use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// [`take`] inside Redis, by its clock. `ARGV`: milliseconds per request, burst. Answers 0 when allowed, else milliseconds to wait.
const SCRIPT: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local every, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local paid = tonumber(redis.call('GET', KEYS[1]) or '0')
if paid < now then paid = now end
local wait = paid + every - (now + every * burst)
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', paid + every), 'PX', paid + every - now)
return 0
";

/// Counters kept while Redis is away. Keys share one by chance when there are many; memory stays at 512 KiB.
const LOCAL_SLOTS: usize = 65_536;

/// The limits of this process and its cluster.
#[derive(Clone)]
pub struct Limits {
    kv: Kv,
    local: Arc<[AtomicU64]>,
    // Drawn per process, so that nobody can choose a key that shares another's counter.
    hasher: RandomState,
    metrics: Metrics,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Limits")
    }
}

impl Limits {
    /// No request counted yet.
    #[must_use]
    pub fn new(kv: Kv, metrics: Metrics) -> Self {
        let local = (0..LOCAL_SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { kv, local, hasher: RandomState::new(), metrics }
    }

    /// Counts one request of an address.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub async fn take_at(&self, rule: Rule, address: IpAddr) -> Result<(), ApiError> {
        self.take(rule, keys::limit_by_address(rule.name, subscriber(address))).await
    }

    /// Counts one request of a user or account.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub async fn take_for(&self, rule: Rule, id: &str) -> Result<(), ApiError> {
        self.take(rule, keys::limit_by_id(rule.name, id)).await
    }

    /// Forgets what a user or account has used up.
    pub async fn forgive(&self, rule: Rule, id: &str) {
        let key = keys::limit_by_id(rule.name, id);
        self.slot(&key).store(0, Ordering::Relaxed);
        if self.kv.one(Cmd::del(&key)).await.is_err() {
            self.metrics.redis_skipped("limit");
        }
    }

    async fn take(&self, rule: Rule, key: String) -> Result<(), ApiError> {
        let command = Cmd::eval(SCRIPT, &key).num(rule.every_ms).num(rule.burst);
        let wait_ms = match self.kv.one(command).await.and_then(|reply| reply.int()) {
            Ok(wait) => u64::try_from(wait).unwrap_or_default(),
            Err(error) => {
                if error != KvError::Away {
                    tracing::error!(%error, limit = rule.name, "a rate limit cannot be counted in Redis");
                }
                self.metrics.limited_locally(rule.name);
                self.take_locally(rule, &key, clock::unix_ms())
            }
        };
        if wait_ms == 0 {
            return Ok(());
        }
        self.metrics.limited(rule.name);
        Err(ApiError::RateLimited { retry_after: wait_ms.div_ceil(1000) })
    }

    /// Milliseconds to wait, 0 when allowed.
    fn take_locally(&self, rule: Rule, key: &str, now_ms: u64) -> u64 {
        let mut wait_ms = 0;
        let step = |paid_off| match take(rule, paid_off, now_ms) {
            Taken::Allowed(next) => Some(next),
            Taken::Refused(wait) => {
                wait_ms = wait;
                None
            }
        };
        match self.slot(key).fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(_) => 0,
            Err(_) => wait_ms,
        }
    }

    fn slot(&self, key: &str) -> &AtomicU64 {
        let slots = u64::try_from(LOCAL_SLOTS).unwrap_or(u64::MAX);
        let at = usize::try_from(self.hasher.hash_one(key) % slots).unwrap_or_default();
        &self.local[at]
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64, which is what one household gets.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}
