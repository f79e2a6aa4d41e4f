//! What came of dialling nodes back, and how often they may speak.

use crate::domain::{
    limit::{Rule, Taken, take},
    nodes::SILENT_MS,
};
use proto::{NodeId, ServiceId, api::NodeCheck, fleet::NodeInfo, node::NodeAddresses};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Heartbeats of one node: SRS sends one in 2 to 10 s.
const HEARTBEATS: Rule = Rule { name: "heartbeat", burst: 20, every_ms: 50 };
/// A node that failed is dialled again after so long, in milliseconds.
const AGAIN_MS: u64 = 5_000;

/// What came of dialling a node back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The run that was dialled.
    pub service: ServiceId,
    /// Where; `None` when nobody knows.
    pub at: Option<NodeAddresses>,
    /// Whether all was well.
    pub ok: bool,
    /// Each thing that was tried.
    pub checks: Vec<NodeCheck>,
    /// Unix milliseconds.
    pub at_ms: u64,
}

impl Checked {
    /// Whether the node must be dialled (again): it is another run, elsewhere, or failed a while ago.
    #[must_use]
    pub fn is_due(last: Option<&Self>, info: &NodeInfo, at: Option<&NodeAddresses>, now_ms: u64) -> bool {
        if now_ms.saturating_sub(info.seen_at_ms) >= SILENT_MS {
            return false;
        }
        last.is_none_or(|last| {
            let again = !last.ok && now_ms.saturating_sub(last.at_ms) >= AGAIN_MS;
            again || last.service != info.service || last.at.as_ref() != at
        })
    }
}

/// One node's.
#[derive(Debug, Default)]
struct One {
    checked: Option<Checked>,
    /// Why its last heartbeat was not taken in.
    refused: Option<String>,
    /// See [`take`].
    beats_paid_off_ms: u64,
}

/// All nodes'; as many as are enrolled.
#[derive(Debug, Default)]
pub(super) struct Checks {
    nodes: Mutex<BTreeMap<NodeId, One>>,
    pub(super) due: Notify,
}

impl Checks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, One>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, enrolled: impl Fn(&NodeId) -> bool) {
        self.lock().retain(|node, _| enrolled(node));
    }

    pub(super) fn of(&self, node: &NodeId) -> (Option<Checked>, Option<String>) {
        self.lock().get(node).map(|one| (one.checked.clone(), one.refused.clone())).unwrap_or_default()
    }

    /// Whether a verdict is another than before.
    pub(super) fn learn(&self, node: &NodeId, checked: Checked) -> bool {
        let mut nodes = self.lock();
        let one = nodes.entry(node.clone()).or_default();
        let changed = one.checked.as_ref().is_none_or(|last| last.checks != checked.checks);
        one.checked = Some(checked);
        changed
    }

    /// Whether the reason is another than before.
    pub(super) fn refuse(&self, node: &NodeId, why: Option<String>) -> bool {
        let mut nodes = self.lock();
        let one = nodes.entry(node.clone()).or_default();
        let changed = one.refused != why;
        one.refused = why;
        changed
    }

    /// Takes one heartbeat; else milliseconds until one is taken.
    pub(super) fn beat(&self, node: &NodeId, now_ms: u64) -> Result<(), u64> {
        let mut nodes = self.lock();
        let one = nodes.entry(node.clone()).or_default();
        match take(HEARTBEATS, one.beats_paid_off_ms, now_ms) {
            Taken::Allowed(next) => {
                one.beats_paid_off_ms = next;
                Ok(())
            }
            Taken::Refused(wait_ms) => Err(wait_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(service: &str) -> NodeInfo {
        serde_json::from_value(serde_json::json!({ "id": "n1", "service": service, "seen_at_ms": 100_000 })).unwrap()
    }

    #[test]
    fn a_node_is_dialled_when_it_is_new_elsewhere_or_failed() {
        let at = NodeAddresses { api: "192.0.2.1:1".into(), ..NodeAddresses::default() };
        let service = ServiceId::parse("s1").unwrap();
        let mut last = Checked { service, at: Some(at.clone()), ok: true, checks: Vec::new(), at_ms: 100_000 };
        let due = |last: Option<&Checked>, service, at, now_ms| Checked::is_due(last, &info(service), at, now_ms);
        assert!(due(None, "s1", Some(&at), 100_000));
        assert!(!due(Some(&last), "s1", Some(&at), 114_999));
        assert!(due(Some(&last), "s2", Some(&at), 100_001), "restarted");
        assert!(due(Some(&last), "s1", None, 100_001), "elsewhere");
        assert!(!due(None, "s1", Some(&at), 100_000 + SILENT_MS), "silent: nobody is there to join");
        last.ok = false;
        assert!(!due(Some(&last), "s1", Some(&at), 104_999) && due(Some(&last), "s1", Some(&at), 105_000));
    }

    #[test]
    fn of_ten_thousand_heartbeats_in_a_second_forty_are_taken_and_others_are_not_kept_out() {
        let checks = Checks::default();
        let (one, two) = (NodeId::parse("n1").unwrap(), NodeId::parse("n2").unwrap());
        let taken = (0..10_000).filter(|at| checks.beat(&one, 1_000_000 + at / 10).is_ok()).count();
        assert_eq!(taken, 20 + 19, "20 at once and one each 50 ms");
        assert_eq!(checks.beat(&two, 1_000_999), Ok(()));
        assert!(checks.beat(&one, 1_000_999).is_err_and(|wait_ms| wait_ms <= 50));
    }
}
