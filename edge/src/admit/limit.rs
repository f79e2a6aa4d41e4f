//! Rate limits per address: by the cluster's Redis, and in memory while it is away.

use super::script;
use crate::error::ApiError;
use kit::kv::{Cmd, Reply};
use proto::{keys, session::Role};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Addresses remembered at most while Redis is away; when full, those with nothing owed are dropped, then all.
const REMEMBERED_MAX: usize = 65_536;
const MICROSECONDS: u64 = 1_000_000;
/// Publishers get one request where others get so many.
const PUBLISH_SHARE: u32 = 5;

/// How many requests of one kind an address may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimit {
    /// As many as it likes.
    Off,
    /// So many.
    On {
        /// A second, in the long run; at least 1.
        per_second: u32,
        /// At once; at least 1.
        burst: u32,
    },
}

impl Default for RateLimit {
    /// 50 a second, 200 at once: a classroom behind one address joins within seconds.
    fn default() -> Self {
        Self::On { per_second: 50, burst: 200 }
    }
}

impl FromStr for RateLimit {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "must be `off` or {per second}:{burst}, e.g. 50:200";
        if text == "off" {
            return Ok(Self::Off);
        }
        let (per_second, burst) = text.split_once(':').ok_or(WHY)?;
        match (per_second.parse(), burst.parse()) {
            (Ok(per_second @ 1..=1_000_000), Ok(burst @ 1..=1_000_000)) => Ok(Self::On { per_second, burst }),
            _ => Err(WHY),
        }
    }
}

impl RateLimit {
    /// The limit of one kind of request. Publishers come one at a time where viewers come as an audience, and each POST of theirs may take a
    /// stream's name at a node, so they get a fifth.
    fn of(self, name: &str) -> Self {
        match self {
            Self::On { per_second, burst } if name == Role::Publish.as_str() => {
                Self::On { per_second: per_second.div_ceil(PUBLISH_SHARE), burst: burst.div_ceil(PUBLISH_SHARE) }
            }
            Self::On { .. } | Self::Off => self,
        }
    }

    /// Microseconds a request costs, and microseconds that may be owed.
    fn times(self) -> Option<(u64, u64)> {
        let Self::On { per_second, burst } = self else { return None };
        let cost = MICROSECONDS / u64::from(per_second).max(1);
        Some((cost.max(1), cost.max(1) * u64::from(burst)))
    }
}

/// Applies one [`RateLimit`]; clones share what they remember.
#[derive(Debug, Clone)]
pub struct Limiter {
    limit: RateLimit,
    remembered: Arc<Mutex<HashMap<(&'static str, IpAddr), u64>>>,
}

impl Limiter {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, remembered: Arc::default() }
    }

    /// What Redis is to run; `None` when there is no limit.
    #[must_use]
    pub fn command(&self, name: &'static str, client: IpAddr) -> Option<Cmd> {
        let (cost, owed) = self.limit.of(name).times()?;
        Some(script::limit(&keys::limit_by_address(name, network(client)), cost, owed))
    }

    /// Reads Redis's answer.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub fn verdict(reply: &Reply) -> Result<(), ApiError> {
        let wait = reply.int().ok().and_then(|us| u64::try_from(us).ok()).unwrap_or(0);
        refuse(wait)
    }

    /// Decides by memory; `now` is since the epoch.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub fn locally(&self, name: &'static str, client: IpAddr, now: Duration) -> Result<(), ApiError> {
        let Some((cost, owed)) = self.limit.of(name).times() else { return Ok(()) };
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX / 2);
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name, network(client));
        if remembered.len() >= REMEMBERED_MAX && !remembered.contains_key(&key) {
            remembered.retain(|_, free| *free > now);
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
        }
        let free = remembered.entry(key).or_insert(now);
        let next = (*free).max(now) + cost;
        let wait = next.saturating_sub(now).saturating_sub(owed);
        if wait == 0 {
            *free = next;
        }
        refuse(wait)
    }
}

fn refuse(wait_us: u64) -> Result<(), ApiError> {
    if wait_us == 0 {
        Ok(())
    } else {
        Err(ApiError::RateLimited { retry_after: wait_us.div_ceil(MICROSECONDS).max(1) })
    }
}

/// What counts as one address: an IPv6 host has a whole /64 to draw from.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let limiter = Limiter::new("2:3".parse().unwrap());
        let ip = IpAddr::from([192, 0, 2, 1]);
        let at = |ms| limiter.locally("x", ip, Duration::from_millis(ms));
        assert!(at(10_000).is_ok() && at(10_000).is_ok() && at(10_000).is_ok());
        assert_eq!(at(10_000), Err(ApiError::RateLimited { retry_after: 1 }));
        assert!(at(10_500).is_ok());
        assert!(at(10_500).is_err());
        assert!(limiter.locally("x", IpAddr::from([192, 0, 2, 2]), Duration::from_secs(10)).is_ok(), "another address");
        assert!(limiter.locally("y", ip, Duration::from_secs(10)).is_ok(), "another kind");
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_limit() {
        let limiter = Limiter::new("1:1".parse().unwrap());
        let at = |ip: &str| limiter.locally("x", ip.parse().unwrap(), Duration::from_secs(1));
        assert!(at("2001:db8::1").is_ok() && at("2001:db8::2").is_err() && at("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn the_setting_reads_or_says_why_not() {
        assert_eq!("off".parse(), Ok(RateLimit::Off));
        assert_eq!("5:10".parse(), Ok(RateLimit::On { per_second: 5, burst: 10 }));
        assert!(["", "5", "0:1", "5:0", "a:b"].iter().all(|bad| bad.parse::<RateLimit>().is_err()));
    }

    proptest! {
        #[test]
        fn never_more_than_rate_and_burst(per_second in 1_u32..20, burst in 1_u32..20, waits in proptest::collection::vec(0_u64..400, 1..100)) {
            let limiter = Limiter::new(RateLimit::On { per_second, burst });
            let (mut now, mut passed) = (0, 0_u64);
            for wait in waits {
                now += wait;
                if limiter.locally("x", IpAddr::from([1, 1, 1, 1]), Duration::from_millis(now)).is_ok() { passed += 1; }
            }
            prop_assert!(passed <= u64::from(burst) + now * u64::from(per_second) / 1000 + 1);
        }
    }
}
