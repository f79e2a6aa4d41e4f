//! The ring: every node at many points of the 64-bit circle, a key owned by the first point at or after its hash.
//!
//! A table over the hash's high bits, with as many slots as there are points, leads to within a point or two of the owner, so that a
//! lookup does not grow with the ring as bisection does.

use crate::member::{Member, State};
use proto::NodeId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Nodes on a ring at most.
pub const MEMBERS_MAX: usize = 1024;
/// Points of a node for each unit of its weight. 160 keep a node's share within about 8 % (one standard deviation) of its due; the bound
/// of [`crate::decide()`] does the rest.
pub const POINTS_PER_WEIGHT: u32 = 160;
/// Points of a ring at most: 14 bytes each, so 15 MB.
pub const POINTS_MAX: usize = 1 << 20;

/// Seeds of xxh3, one for points and one for keys. They and the layout of the hashed bytes never change: that would move every stream.
const POINT_SEED: u64 = u64::from_be_bytes(*b"ks.point");
const KEY_SEED: u64 = u64::from_be_bytes(*b"ks.key.1");

/// Words of the bit set that tells an [`Owners`] whom it has named.
const SEEN_WORDS: usize = MEMBERS_MAX / 64;

/// Why members make no ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// More members than [`MEMBERS_MAX`].
    #[error("{got} nodes, at most {limit} fit a ring")]
    TooManyMembers {
        /// Members given.
        got: usize,
        /// Members allowed.
        limit: usize,
    },
    /// Weights add up to more points than [`POINTS_MAX`].
    #[error("the weights make {got} points, at most {limit} fit a ring; use smaller weights")]
    TooManyPoints {
        /// Points asked for.
        got: usize,
        /// Points allowed.
        limit: usize,
    },
    /// Two members with one id.
    #[error("two nodes have the same id")]
    SameId,
}

/// Nodes on the circle.
#[derive(Debug, Clone)]
pub struct Ring {
    /// By id.
    members: Box<[Member]>,
    /// Ascending; `owners[i]` is the place in `members` of the node at `hashes[i]`.
    hashes: Box<[u64]>,
    owners: Box<[u16]>,
    /// For each value of a hash's high bits, the first point at or after the least such hash.
    slots: Box<[u32]>,
    /// What a hash is shifted right by to give its slot.
    shift: u32,
}

impl Ring {
    /// Builds a ring. The order of `members` does not matter; an empty ring owns nothing.
    ///
    /// # Errors
    /// [`RingError`]: too many nodes or points, or an id twice.
    pub fn build(members: &[Member]) -> Result<Self, RingError> {
        if members.len() > MEMBERS_MAX {
            return Err(RingError::TooManyMembers { got: members.len(), limit: MEMBERS_MAX });
        }
        let mut members: Box<[Member]> = members.into();
        members.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        if members.iter().zip(members.iter().skip(1)).any(|(one, next)| one.id == next.id) {
            return Err(RingError::SameId);
        }
        let weights: usize = members.iter().map(|member| usize::from(member.weight.get())).sum();
        let got = weights.saturating_mul(POINTS_PER_WEIGHT as usize);
        if got > POINTS_MAX {
            return Err(RingError::TooManyPoints { got, limit: POINTS_MAX });
        }
        let mut points: Vec<(u64, u16)> = Vec::with_capacity(got);
        for (place, member) in (0_u16..).zip(&members) {
            let own = xxh3_64_with_seed(member.id.as_str().as_bytes(), POINT_SEED);
            let count = u32::from(member.weight.get()).saturating_mul(POINTS_PER_WEIGHT);
            points.extend((0..count).map(|number| (xxh3_64_with_seed(&number.to_be_bytes(), own), place)));
        }
        points.sort_unstable();
        let bits = points.len().next_power_of_two().trailing_zeros().max(1);
        let shift = u64::BITS.saturating_sub(bits);
        let hashes: Box<[u64]> = points.iter().map(|(hash, _)| *hash).collect();
        let slots = slots(&hashes, bits);
        Ok(Self { owners: points.iter().map(|(_, place)| *place).collect(), members, hashes, slots, shift })
    }

    /// Its nodes, by id.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The node with this id.
    #[must_use]
    pub fn member(&self, id: &NodeId) -> Option<&Member> {
        self.members.binary_search_by(|member| member.id.cmp(id)).ok().and_then(|at| self.members.get(at))
    }

    /// Notes a node's state, for which no point moves. Returns whether the ring has the node.
    pub fn set_state(&mut self, id: &NodeId, state: State) -> bool {
        let found = self.members.binary_search_by(|member| member.id.cmp(id)).ok();
        let member = found.and_then(|at| self.members.get_mut(at));
        member.map(|member| member.state = state).is_some()
    }

    /// The node a key belongs on, whatever its state; `None` on an empty ring.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<&Member> {
        self.at(self.first(key))
    }

    /// All nodes, each once, in the order a key prefers them. Allocates nothing.
    #[must_use]
    pub fn owners(&self, key: &[u8]) -> Owners<'_> {
        Owners { ring: self, next: self.first(key), left: self.members.len(), seen: [0; SEEN_WORDS] }
    }

    /// The place of the first point at or after the key's hash; past the last one it is the first.
    fn first(&self, key: &[u8]) -> usize {
        let hash = xxh3_64_with_seed(key, KEY_SEED);
        let slot = usize::try_from(hash >> self.shift).unwrap_or(usize::MAX);
        let start = self.slots.get(slot).map_or(0, |at| *at as usize);
        let rest = self.hashes.get(start..).unwrap_or_default();
        let passed = rest.iter().take_while(|point| **point < hash).count();
        let at = start.saturating_add(passed);
        if at < self.hashes.len() { at } else { 0 }
    }

    fn at(&self, point: usize) -> Option<&Member> {
        self.owners.get(point).and_then(|place| self.members.get(usize::from(*place)))
    }
}

/// For each value of the `bits` high bits, how many points lie below it.
fn slots(hashes: &[u64], bits: u32) -> Box<[u32]> {
    let shift = u64::BITS.saturating_sub(bits);
    let mut below = 0_u32;
    let mut points = hashes.iter().peekable();
    (0..1_u64 << bits)
        .map(|slot| {
            while points.next_if(|hash| **hash >> shift < slot).is_some() {
                below = below.saturating_add(1);
            }
            below
        })
        .collect()
}

/// The nodes of a ring in a key's order; see [`Ring::owners`].
#[derive(Debug, Clone)]
pub struct Owners<'a> {
    ring: &'a Ring,
    next: usize,
    left: usize,
    seen: [u64; SEEN_WORDS],
}

impl Owners<'_> {
    /// Notes a node; whether it is new.
    fn note(&mut self, place: u16) -> bool {
        let bit = 1_u64 << (place % 64);
        match self.seen.get_mut(usize::from(place / 64)) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            Some(_) | None => false,
        }
    }
}

impl<'a> Iterator for Owners<'a> {
    type Item = &'a Member;

    fn next(&mut self) -> Option<&'a Member> {
        // Every node has a point, so as long as one is left the walk ends before it comes round.
        while self.left > 0 {
            let place = *self.ring.owners.get(self.next)?;
            self.next = self.next.saturating_add(1);
            if self.next >= self.ring.owners.len() {
                self.next = 0;
            }
            if self.note(place) {
                self.left = self.left.saturating_sub(1);
                return self.ring.members.get(usize::from(place));
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Owners<'_> {}
impl std::iter::FusedIterator for Owners<'_> {}
