//! What is counted of media nodes' hooks.

use super::Maker;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

/// What became of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A control-api answered.
    Forwarded,
    /// None did; answered with yes here.
    Accepted,
    /// None did; answered with no here.
    Refused,
    /// None did, and it is not for an edge to answer.
    Unanswered,
    /// From an address that may not call.
    Stranger,
    /// Too many from one address, or at once.
    Limited,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Stranger => "stranger",
            Self::Limited => "limited",
        }
    }
}

/// Counters of the hook forwarder; cheap to clone.
#[derive(Debug, Clone)]
pub struct HookMetrics {
    hooks: IntCounterVec,
    journal: IntGauge,
    dropped: IntCounter,
    handed_in: IntCounter,
}

impl HookMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            hooks: make.counters(
                "keystone_edge_hooks_total",
                "Hooks and heartbeats of media nodes that came here, by kind and what became of them.",
                &["kind", "outcome"],
            )?,
            journal: make
                .gauge("keystone_edge_hook_journal_entries", "Hooks answered here that no control-api knows of yet.")?,
            dropped: make.counter(
                "keystone_edge_hook_journal_dropped_total",
                "Journal entries that were lost: too many, or refused by control-api.",
            )?,
            handed_in: make
                .counter("keystone_edge_hook_journal_handed_in_total", "Journal entries that control-api took.")?,
        })
    }

    /// A hook was answered. `kind` is SRS's action, `heartbeat`, `register` or `unread`.
    pub fn hook(&self, kind: &'static str, outcome: Outcome) {
        self.hooks.with_label_values(&[kind, outcome.as_str()]).inc();
    }

    /// The journal has so many entries.
    pub fn journal(&self, entries: usize) {
        self.journal.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// Entries were lost.
    pub fn dropped(&self, entries: usize) {
        self.dropped.inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
    }

    /// Entries were handed in.
    pub fn handed_in(&self, entries: usize) {
        self.handed_in.inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
    }
}
