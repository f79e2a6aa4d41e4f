//! Where streams were last: for a publisher who comes back while nobody can be asked.

use proto::{NodeId, StreamId};
use std::collections::{HashMap, VecDeque};

/// Ended streams remembered at most, about 200 bytes each; the ones that ended first are the first to go.
const HOMES_MAX: usize = 50_000;

/// Where a stream was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its node.
    pub node: NodeId,
    /// The last epoch heard of.
    pub epoch: u64,
}

/// Last homes of ended streams.
#[derive(Debug, Default)]
pub(super) struct Homes {
    by_stream: HashMap<StreamId, (u64, Home)>,
    /// In the order of their end, each with the number it was noted under; an older note of a stream has no effect.
    order: VecDeque<(u64, StreamId)>,
    noted: u64,
}

impl Homes {
    /// Where a stream was last.
    #[must_use]
    pub(super) fn get(&self, stream: &StreamId) -> Option<&Home> {
        self.by_stream.get(stream).map(|(_, home)| home)
    }

    /// Notes where a stream was when it ended.
    pub(super) fn note(&mut self, stream: StreamId, home: Home) {
        self.noted += 1;
        self.order.push_back((self.noted, stream.clone()));
        self.by_stream.insert(stream, (self.noted, home));
        while self.order.len() > HOMES_MAX {
            let Some((noted, stream)) = self.order.pop_front() else { return };
            if self.by_stream.get(&stream).is_some_and(|(last, _)| *last == noted) {
                self.by_stream.remove(&stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(epoch: u64) -> Home {
        Home { node: NodeId::parse("n1").unwrap(), epoch }
    }

    #[test]
    fn the_latest_are_kept() {
        let stream = |n: usize| StreamId::parse(&format!("s{n}")).unwrap();
        let mut homes = Homes::default();
        for n in 0..HOMES_MAX {
            homes.note(stream(n), home(1));
        }
        homes.note(stream(0), home(2));
        assert_eq!(homes.get(&stream(0)), Some(&home(2)), "noted again, so it is among the latest");
        homes.note(stream(HOMES_MAX), home(1));
        assert_eq!((homes.get(&stream(1)), homes.get(&stream(0))), (None, Some(&home(2))));
        assert!(homes.order.len() <= HOMES_MAX && homes.by_stream.len() <= HOMES_MAX);
    }
}
