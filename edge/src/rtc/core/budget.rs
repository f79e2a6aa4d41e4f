//! How much one source, and all strangers together, may ask of the relay before they are known.

use super::Mono;
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
};

/// Datagrams that one address may send in a second without being known. Clients behind one NAT share it, and each needs a few only.
pub(super) const PER_SOURCE: u16 = 1_000;
/// Counters; sources share one when their hashes do.
const COUNTERS: usize = 16_384;

/// A count per source and second, in a table that never grows.
pub struct Budget {
    counters: Box<[(u32, u16)]>,
    seed: u64,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").finish_non_exhaustive()
    }
}

impl Budget {
    /// An empty table. `seed` is drawn by the caller, so that nobody can choose whom to share a counter with.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { counters: vec![(0, 0); COUNTERS].into_boxed_slice(), seed }
    }

    /// Takes one from the source's budget; false when it is used up for this second.
    pub fn take(&mut self, now: Mono, source: IpAddr) -> bool {
        let second = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let index = self.index(source);
        let Some((at, count)) = self.counters.get_mut(index) else { return false };
        if *at != second {
            (*at, *count) = (second, 0);
        }
        *count = count.saturating_add(1);
        *count <= PER_SOURCE
    }

    fn index(&self, source: IpAddr) -> usize {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        match source.to_canonical() {
            IpAddr::V4(ip) => ip.to_bits().hash(&mut hasher),
            // Whoever has one IPv6 address has a /64.
            IpAddr::V6(ip) => (ip.to_bits() >> 64).hash(&mut hasher),
        }
        usize::try_from(hasher.finish() % COUNTERS as u64).unwrap_or_default()
    }
}

/// So many a second, with a burst of one second's worth.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    per_second: u32,
    left: u32,
    second: u64,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn new(per_second: u32) -> Self {
        Self { per_second, left: per_second, second: 0 }
    }

    /// Takes one, if there is one left.
    pub const fn take(&mut self, now: Mono) -> bool {
        if self.second != now.as_secs() {
            (self.second, self.left) = (now.as_secs(), self.per_second);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}
