//! Which control nodes are alive, and which of them probes a node.

use crate::domain::members::probers;
use proto::{ControlId, EdgeId, NodeId, fleet::ControlInfo};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A control node that did not renew its entry for this long probes nothing, in milliseconds; it renews it each second.
pub const ALIVE_MS: u64 = 3_500;
/// Control nodes that are kept in mind.
const CONTROLS_MAX: usize = 256;

/// One of the others.
#[derive(Debug, Clone)]
struct Other {
    url: String,
    seen_at_ms: u64,
    /// When it was read that `seen_at_ms` grew, by this process's own clock: clocks differ.
    heard_ms: u64,
    /// It did not answer after it was heard last.
    missed: bool,
}

#[derive(Debug, Default)]
struct Inside {
    others: BTreeMap<ControlId, Other>,
    read_ms: u64,
}

/// The control nodes this process knows of.
#[derive(Debug)]
pub struct Controls {
    me: ControlId,
    inside: Mutex<Inside>,
}

impl Controls {
    /// Nobody else is known.
    #[must_use]
    pub fn new(me: ControlId) -> Self {
        Self { me, inside: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what Redis says of all of them.
    pub fn learn(&self, infos: Vec<ControlInfo>, now_ms: u64) {
        let mut inside = self.lock();
        let first = inside.read_ms == 0;
        inside.read_ms = now_ms;
        for info in infos.into_iter().filter(|info| info.id != self.me).take(CONTROLS_MAX) {
            let known = inside.others.get(&info.id);
            if known.is_some_and(|other| other.seen_at_ms >= info.seen_at_ms) {
                continue;
            }
            // Of one never heard before it is not known whether its entry still grows.
            let heard_ms = if known.is_none() && first { now_ms.min(info.seen_at_ms) } else { now_ms };
            let other = Other { url: info.url, seen_at_ms: info.seen_at_ms, heard_ms, missed: false };
            inside.others.insert(info.id, other);
        }
        inside.others.retain(|_, other| now_ms.saturating_sub(other.heard_ms) < 60_000);
    }

    /// Whether Redis told of the others lately. If not, nobody knows who is alive, and everybody judges for itself.
    #[must_use]
    pub fn is_informed(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.lock().read_ms) < ALIVE_MS
    }

    /// One did not answer: it probes nothing until it is heard again.
    pub fn missed(&self, control: &ControlId) {
        if let Some(other) = self.lock().others.get_mut(control) {
            other.missed = true;
        }
    }

    /// How many are known, this one included: what a round of probes is stretched by while nobody knows who is alive.
    #[must_use]
    pub fn known(&self) -> u64 {
        u64::try_from(self.lock().others.len()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Those that are alive, in the order in which they would probe a node, with their URLs; `None` is this process.
    #[must_use]
    pub fn order(&self, node: &NodeId, now_ms: u64) -> Vec<(ControlId, Option<String>)> {
        let inside = self.lock();
        let alive = inside.others.iter().filter(|(_, o)| !o.missed && now_ms.saturating_sub(o.heard_ms) < ALIVE_MS);
        let ids: Vec<&ControlId> = alive.map(|(id, _)| id).chain(std::iter::once(&self.me)).collect();
        let url = |id: &ControlId| inside.others.get(id).map(|other| other.url.clone());
        probers(ids, node).into_iter().map(|id| (id.clone(), url(id))).collect()
    }

    /// Whether this process probes a node.
    #[must_use]
    pub fn is_ours(&self, node: &NodeId, now_ms: u64) -> bool {
        !self.is_informed(now_ms) || self.order(node, now_ms).first().is_none_or(|(_, url)| url.is_none())
    }

    /// This process's name as a caller of internal routes.
    #[must_use]
    pub fn caller(&self) -> Option<EdgeId> {
        EdgeId::parse(self.me.as_str()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: &str, seen_at_ms: u64) -> ControlInfo {
        ControlInfo {
            id: ControlId::parse(id).unwrap(),
            url: format!("http://{id}"),
            version: String::new(),
            seen_at_ms,
        }
    }

    #[test]
    fn every_node_has_one_prober_and_a_dead_ones_nodes_find_another() {
        let (a, b) = (Controls::new(ControlId::parse("a").unwrap()), Controls::new(ControlId::parse("b").unwrap()));
        let nodes: Vec<NodeId> = (0..20).map(|n| NodeId::parse(&format!("n{n}")).unwrap()).collect();
        for now in [10_000, 11_000] {
            for controls in [&a, &b] {
                controls.learn(vec![info("a", now), info("b", now)], now);
            }
        }
        for node in &nodes {
            assert_ne!(a.is_ours(node, 11_500), b.is_ours(node, 11_500));
        }
        // b's clock is an hour behind: only that its entry grows counts.
        let c = Controls::new(ControlId::parse("a").unwrap());
        c.learn(vec![info("b", 1_000)], 10_000);
        assert!(nodes.iter().all(|node| c.is_ours(node, 10_100)), "not known to be alive");
        c.learn(vec![info("b", 2_000)], 11_000);
        assert!(nodes.iter().any(|node| !c.is_ours(node, 11_100)));
        a.missed(&ControlId::parse("b").unwrap());
        assert!(nodes.iter().all(|node| a.is_ours(node, 11_500)));
        assert!(nodes.iter().all(|node| b.is_ours(node, 11_000 + ALIVE_MS)), "with Redis away everybody judges");
    }

    #[test]
    fn a_dead_controls_entry_gives_it_nothing() {
        let a = Controls::new(ControlId::parse("a").unwrap());
        a.learn(vec![info("b", 10_000)], 10_000);
        a.learn(vec![info("b", 10_000)], 14_000);
        let node = NodeId::parse("n1").unwrap();
        assert!(a.is_ours(&node, 14_000));
        assert_eq!(a.known(), 2);
    }
}
