//! Bounds of what callers may cost before anybody knows them: seats for those that are known, and a budget of answers for those that are not.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Callers of one edge at most, each with a socket of its own towards a node.
pub const CALLERS_MAX: usize = 8_192;
/// Callers of one address at most: an audience behind one router.
pub const CALLERS_PER_ADDRESS_MAX: usize = 1_024;

/// Handshakes of unknown callers that one address may have answered, a second in the long run and at once.
const ANSWERS_PER_SECOND: u64 = 200;
const ANSWERS_BURST: u64 = 400;
/// Counters of the budget. Addresses that fall together share one.
const COUNTERS: usize = 8_192;
const MICROSECONDS: u64 = 1_000_000;

/// What counts as one address: an IPv6 host has a whole /64 to draw from.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// The seats of all shards; clones are the same.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

/// One seat. Dropped: it is free.
pub(super) struct Seat {
    seats: Seats,
    network: IpAddr,
}

impl Seats {
    /// A seat for a caller, if there is one left for it.
    pub(super) fn take(&self, from: IpAddr) -> Option<Seat> {
        let network = network(from);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= CALLERS_MAX || taken.by_network.get(&network).is_some_and(|n| *n >= CALLERS_PER_ADDRESS_MAX) {
            return None;
        }
        taken.all += 1;
        *taken.by_network.entry(network).or_default() += 1;
        Some(Seat { seats: self.clone(), network })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_network.get_mut(&self.network).map(|n| {
            *n = n.saturating_sub(1);
            *n
        });
        if left == Some(0) {
            taken.by_network.remove(&self.network);
        }
    }
}

/// Counts what unknown callers have answered, in a table of fixed size: nobody can make it grow.
pub(super) struct Budget {
    hasher: RandomState,
    /// When each counter owes nothing any more, in µs.
    free_at: Vec<u64>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), free_at: vec![0; COUNTERS] }
    }

    /// Whether one more may be answered to `from`.
    pub(super) fn spend(&mut self, from: IpAddr, now: Duration) -> bool {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let counters = u64::try_from(self.free_at.len()).unwrap_or(1).max(1);
        let index = usize::try_from(self.hasher.hash_one(network(from)) % counters).unwrap_or_default();
        let Some(free_at) = self.free_at.get_mut(index) else { return false };
        let cost = MICROSECONDS / ANSWERS_PER_SECOND;
        let next = (*free_at).max(now).saturating_add(cost);
        if next.saturating_sub(now) > cost * ANSWERS_BURST {
            return false;
        }
        *free_at = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all_seats_and_a_seat_comes_back() {
        let seats = Seats::default();
        let mut held: Vec<_> = (0..CALLERS_PER_ADDRESS_MAX).map(|_| seats.take(ip("192.0.2.1")).unwrap()).collect();
        assert!(seats.take(ip("192.0.2.1")).is_none());
        assert!(seats.take(ip("192.0.2.2")).is_some());
        held.pop();
        assert!(
            seats.take(ip("::ffff:192.0.2.1")).is_some(),
            "the same address, as a socket for both families sees it"
        );
        drop(held);
        assert!(seats.0.lock().unwrap().by_network.is_empty() && seats.0.lock().unwrap().all == 0);
    }

    #[test]
    fn no_number_of_addresses_takes_more_than_all_seats() {
        let seats = Seats::default();
        let wide = |n: usize| IpAddr::from([10, u8::try_from(n / 256).unwrap(), u8::try_from(n % 256).unwrap(), 1]);
        let held: Vec<_> = (0..CALLERS_MAX + 100).filter_map(|n| seats.take(wide(n))).collect();
        assert_eq!(held.len(), CALLERS_MAX);
    }

    #[test]
    fn a_flood_from_one_address_is_answered_at_its_rate() {
        let mut budget = Budget::new();
        let at = |ms| Duration::from_millis(ms);
        let answered = (0..10_000).filter(|_| budget.spend(ip("192.0.2.1"), at(0))).count();
        assert_eq!(answered, usize::try_from(ANSWERS_BURST).unwrap());
        assert!(!budget.spend(ip("192.0.2.1"), at(1)));
        assert!(budget.spend(ip("192.0.2.1"), at(6)), "a moment later");
        assert!(budget.spend(ip("2001:db8::1"), at(0)), "another address");
        assert_eq!(budget.free_at.len(), COUNTERS, "and nothing has grown");
    }
}
