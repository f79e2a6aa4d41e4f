//! Who numbered which changes, and which of them arrived.

use crate::limits::{ORIGINS_MAX, RANGES_MAX};
use proto::ControlId;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// One life of a control node: it numbers its changes from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The control node.
    pub control: ControlId,
    /// Its life; a later one has a higher number (its start in unix milliseconds does).
    pub incarnation: u64,
}

/// No origin: an entry that nobody vouches for.
pub(crate) const NO_ORIGIN: u16 = u16::MAX;

/// How much of an origin's changes a node has, in short.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Have {
    /// All up to this number.
    pub(crate) upto: u64,
    /// The highest number; above `upto` when some in between are missing.
    pub(crate) top: u64,
    /// How many in all.
    pub(crate) held: u64,
    /// Which ones beyond the first hole, as a hash; 0 without a hole. Two nodes may hold as many, and not the same.
    pub(crate) mark: u32,
}

impl Have {
    pub(crate) const fn all(upto: u64) -> Self {
        Self { upto, top: upto, held: upto, mark: 0 }
    }

    /// Whether there is something here that is not there.
    pub(crate) const fn exceeds(self, other: Self) -> bool {
        let more = self.upto > other.upto || self.top > other.top || self.held > other.held;
        // As many and not the same: each has what the other lacks.
        more || (self.upto == other.upto && self.held == other.held && self.mark != other.mark)
    }
}

/// Which numbers arrived: all up to one, and some ranges beyond a hole.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ranges {
    upto: u64,
    later: Vec<(u64, u64)>,
}

impl Ranges {
    /// All numbers up to this one arrived.
    #[cfg(test)]
    pub(crate) const fn upto(&self) -> u64 {
        self.upto
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        seq <= self.upto || self.later.iter().any(|(from, to)| (*from..=*to).contains(&seq))
    }

    /// Whether something arrived beyond a hole.
    #[cfg(test)]
    pub(crate) const fn has_hole(&self) -> bool {
        !self.later.is_empty()
    }

    /// In short.
    pub(crate) fn have(&self) -> Have {
        let later = self.later.iter().map(|(from, to)| to.saturating_sub(*from).saturating_add(1));
        let held = later.fold(self.upto, u64::saturating_add);
        let top = self.later.last().map_or(self.upto, |(_, to)| *to);
        Have { upto: self.upto, top, held, mark: self.mark() }
    }

    fn mark(&self) -> u32 {
        if self.later.is_empty() {
            return 0;
        }
        let bytes = self.later.iter().flat_map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()]).flatten();
        let hash = xxh3_64(&bytes.collect::<Vec<u8>>());
        // Never the mark of no hole.
        u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(1).max(1)
    }

    /// What arrived of a range, as (after, upto).
    pub(crate) fn within(&self, after: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let later = self.later.iter().map(|(from, to)| (from.saturating_sub(1), *to));
        let all = std::iter::once((0, self.upto)).chain(later);
        all.map(move |(start, end)| (start.max(after), end.min(to))).filter(|(start, end)| start < end)
    }

    /// The first hole: what is asked for, as (after, to).
    pub(crate) fn hole(&self) -> (u64, u64) {
        (self.upto, self.later.first().map_or(u64::MAX, |(from, _)| from.saturating_sub(1)))
    }

    /// All numbers after `after` up to `upto` arrived.
    pub(crate) fn add(&mut self, after: u64, upto: u64) {
        if upto <= self.upto || upto <= after {
            return;
        }
        let mut new = (after.saturating_add(1), upto);
        let mut kept = Vec::with_capacity(self.later.len().saturating_add(1));
        for (from, to) in self.later.drain(..) {
            if from <= new.1.saturating_add(1) && new.0 <= to.saturating_add(1) {
                new = (from.min(new.0), to.max(new.1));
            } else {
                kept.push((from, to));
            }
        }
        if new.0 <= self.upto.saturating_add(1) {
            self.upto = new.1;
        } else {
            let at = kept.partition_point(|(from, _)| *from < new.0);
            kept.insert(at, new);
            // What is furthest away is asked for again.
            kept.truncate(RANGES_MAX);
        }
        self.later = kept;
    }
}

/// What is known of one origin.
#[derive(Debug)]
pub(crate) struct OriginState {
    pub(crate) name: Origin,
    pub(crate) seen: Ranges,
    /// Its changes that still stand, by number.
    pub(crate) index: BTreeMap<u64, u32>,
    /// When it was last heard itself.
    pub(crate) heard_ms: Option<u64>,
    /// When a peer last spoke of it.
    pub(crate) mentioned_ms: u64,
    /// It said that it ends.
    pub(crate) left: bool,
    /// Up to which number it was looked through for entries to adopt.
    pub(crate) adopted_upto: u64,
}

/// All origins, with short numbers.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    all: Vec<Option<OriginState>>,
    by_name: BTreeMap<Origin, u16>,
}

impl Origins {
    pub(crate) fn find(&self, name: &Origin) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    /// The number of an origin; `None` when there are too many.
    pub(crate) fn take(&mut self, name: &Origin) -> Option<u16> {
        if let Some(at) = self.find(name) {
            return Some(at);
        }
        let state = OriginState {
            name: name.clone(),
            seen: Ranges::default(),
            index: BTreeMap::new(),
            heard_ms: None,
            mentioned_ms: 0,
            left: false,
            adopted_upto: 0,
        };
        let at = self.all.iter().position(Option::is_none).unwrap_or(self.all.len());
        if at >= ORIGINS_MAX {
            return None;
        }
        let number = u16::try_from(at).ok()?;
        match self.all.get_mut(at) {
            Some(place) => *place = Some(state),
            None => self.all.push(Some(state)),
        }
        self.by_name.insert(name.clone(), number);
        Some(number)
    }

    pub(crate) fn get(&self, at: u16) -> Option<&OriginState> {
        self.all.get(usize::from(at))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, at: u16) -> Option<&mut OriginState> {
        self.all.get_mut(usize::from(at))?.as_mut()
    }

    pub(crate) fn name(&self, at: u16) -> Option<&Origin> {
        self.get(at).map(|state| &state.name)
    }

    /// Forgets an origin that no entry names any more.
    pub(crate) fn forget(&mut self, at: u16) {
        if let Some(state) = self.all.get_mut(usize::from(at)).and_then(Option::take) {
            self.by_name.remove(&state.name);
        }
    }

    /// Whether the same control node began another life since.
    pub(crate) fn is_superseded(&self, name: &Origin) -> bool {
        let later = Origin { control: name.control.clone(), incarnation: name.incarnation.saturating_add(1) };
        self.by_name.range(later..).next().is_some_and(|(other, _)| other.control == name.control)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &OriginState)> {
        self.by_name.values().filter_map(|at| Some((*at, self.get(*at)?)))
    }

    /// Forgets which changes of others arrived.
    pub(crate) fn drop_others(&mut self, my: u16) {
        for (at, state) in self.all.iter_mut().zip(0_u16..).filter_map(|(state, at)| Some((at, state.as_mut()?))) {
            if at != my {
                state.seen = Ranges::default();
                state.index = BTreeMap::new();
                state.adopted_upto = 0;
            }
        }
    }

    pub(crate) fn index(&mut self, at: u16, seq: u64, what: u32) {
        if let Some(state) = self.get_mut(at) {
            state.index.insert(seq, what);
            state.adopted_upto = state.adopted_upto.min(seq.saturating_sub(1));
        }
    }

    pub(crate) fn unindex(&mut self, at: u16, seq: u64) {
        if let Some(state) = self.get_mut(at) {
            state.index.remove(&seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn holes_are_found_and_filled() {
        let mut seen = Ranges::default();
        seen.add(0, 3);
        seen.add(5, 7);
        seen.add(8, 9);
        assert_eq!((seen.upto(), seen.hole(), seen.contains(4), seen.contains(8)), (3, (3, 5), false, false));
        seen.add(3, 5);
        assert_eq!((seen.upto(), seen.hole()), (7, (7, 8)));
        seen.add(0, 8);
        assert_eq!((seen.upto(), seen.has_hole(), seen.hole()), (9, false, (9, u64::MAX)));
    }

    #[test]
    fn as_many_and_not_the_same_is_seen() {
        let with = |adds: &[(u64, u64)]| {
            let mut seen = Ranges::default();
            adds.iter().for_each(|(after, upto)| seen.add(*after, *upto));
            seen.have()
        };
        let (one, other) = (with(&[(0, 3), (4, 5), (8, 9)]), with(&[(0, 3), (6, 7), (8, 9)]));
        assert_eq!((one.upto, one.top, one.held), (other.upto, other.top, other.held));
        assert!(one.exceeds(other) && other.exceeds(one));
        assert!(!one.exceeds(one) && !with(&[(0, 9)]).exceeds(Have::all(9)));
    }

    proptest! {
        #[test]
        fn ranges_hold_what_was_added_and_nothing_else(adds in proptest::collection::vec((0_u64..60, 0_u64..6), 0..40)) {
            let (mut seen, mut truth) = (Ranges::default(), std::collections::BTreeSet::new());
            for (after, len) in adds {
                seen.add(after, after + len);
                truth.extend(after + 1..=after + len);
            }
            for seq in 1..80 {
                prop_assert_eq!(seen.contains(seq), truth.contains(&seq), "{}", seq);
            }
            let first_hole = (1..).find(|seq| !truth.contains(seq)).unwrap();
            prop_assert_eq!(seen.upto(), first_hole - 1);
        }
    }
}
