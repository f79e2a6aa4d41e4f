//! Which edges are gone, so that the sessions they carried alone are over: those that hold sessions and show no sign of life for their lease.
//!
//! Only that an edge's sign changes counts, by this process's own clock: clocks differ, and Redis may have been flushed.

use proto::{EdgeId, internal::EDGE_LEASE_SECONDS};
use std::collections::BTreeMap;

/// Edges that hold sessions, and when each was last seen to live.
#[derive(Debug, Default)]
pub struct Leases(BTreeMap<EdgeId, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Its own word.
    sign_ms: u64,
    /// Ours.
    at_ms: u64,
}

impl Leases {
    /// Takes in what was read: edges that hold sessions, and the last sign of each edge there is. Gives those that are gone.
    pub fn judge(&mut self, holding: &[EdgeId], signs: &BTreeMap<EdgeId, u64>, now_ms: u64) -> Vec<EdgeId> {
        self.0.retain(|edge, _| holding.contains(edge));
        let mut gone = Vec::new();
        for edge in holding {
            let sign_ms = signs.get(edge).copied();
            let seen = self.0.entry(edge.clone()).or_insert(Seen { sign_ms: sign_ms.unwrap_or(0), at_ms: now_ms });
            if let Some(sign_ms) = sign_ms.filter(|sign_ms| *sign_ms != seen.sign_ms) {
                *seen = Seen { sign_ms, at_ms: now_ms };
            }
            if now_ms.saturating_sub(seen.at_ms) >= EDGE_LEASE_SECONDS.saturating_mul(1_000) {
                gone.push(edge.clone());
            }
        }
        gone
    }

    /// Nothing could be read: no time passes for anybody.
    pub fn blind(&mut self, now_ms: u64) {
        self.0.values_mut().for_each(|seen| seen.at_ms = now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(name: &str) -> EdgeId {
        EdgeId::parse(name).unwrap()
    }

    #[test]
    fn an_edge_is_gone_when_its_sign_stands_still() {
        let mut leases = Leases::default();
        let (holding, sign) =
            ([edge("a"), edge("b")], |a: u64, b: u64| BTreeMap::from([(edge("a"), a), (edge("b"), b)]));
        assert!(leases.judge(&holding, &sign(1, 1), 0).is_empty());
        assert!(leases.judge(&holding, &sign(2, 1), 10_000).is_empty());
        assert_eq!(leases.judge(&holding, &sign(3, 1), 15_000), [edge("b")]);
        assert_eq!(leases.judge(&[edge("b")], &BTreeMap::new(), 16_000), [edge("b")], "signed off, or flushed");
        assert!(leases.judge(&[], &BTreeMap::new(), 17_000).is_empty());
        assert!(
            leases.judge(&[edge("b")], &BTreeMap::new(), 18_000).is_empty(),
            "it holds some again: its time begins anew"
        );
    }

    #[test]
    fn no_time_passes_while_nothing_can_be_read() {
        let mut leases = Leases::default();
        let holding = [edge("a")];
        assert!(leases.judge(&holding, &BTreeMap::from([(edge("a"), 1)]), 0).is_empty());
        leases.blind(60_000);
        assert!(leases.judge(&holding, &BTreeMap::from([(edge("a"), 1)]), 61_000).is_empty());
        assert_eq!(leases.judge(&holding, &BTreeMap::from([(edge("a"), 1)]), 75_000), holding);
    }
}
