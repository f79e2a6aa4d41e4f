//! What is counted of media nodes, and of sessions that end with them.

use super::Maker;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use proto::node::Met;

/// Counters of media nodes; cheap to clone.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    nodes: IntGaugeVec,
    membership: IntGauge,
    lost: IntCounter,
    reports: IntCounterVec,
    sessions_lost: IntCounter,
    expelled: IntCounterVec,
}

impl NodeMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let nodes = "Media nodes of the membership and of SRS_UPSTREAM, by whether they are used.";
        let made = Self {
            nodes: make.keep(IntGaugeVec::new(Opts::new("keystone_edge_nodes", nodes), &["state"]))?,
            membership: make
                .gauge("keystone_edge_membership_version", "Version of the membership in use; 0 before the first.")?,
            lost: make.counter(
                "keystone_edge_nodes_lost_total",
                "Times that a media node was lost or had another run, so that what it carried was gone.",
            )?,
            reports: make.counters(
                "keystone_edge_node_reports_total",
                "What control-api was told of media nodes, by what was met.",
                &["met"],
            )?,
            sessions_lost: make.counter(
                "keystone_edge_sessions_lost_total",
                "Sessions opened here that ended with their node or with their stream's move.",
            )?,
            expelled: make.counters(
                "keystone_edge_sessions_expelled_total",
                "Viewers ended because their token was revoked, by whether their node did it.",
                &["outcome"],
            )?,
        };
        // A series that begins with its first event has no increase for an alert to see.
        ["ended", "failed"].iter().for_each(|outcome| made.expelled.with_label_values(&[*outcome]).reset());
        ["answered", "refused", "silent", "other_run"]
            .iter()
            .for_each(|met| made.reports.with_label_values(&[*met]).reset());
        Ok(made)
    }

    /// Nodes that are used, of all there are, and the version of the membership that says so.
    pub fn known(&self, up: usize, all: usize, version: u64) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.nodes.with_label_values(&["up"]).set(number(up));
        self.nodes.with_label_values(&["down"]).set(number(all.saturating_sub(up)));
        self.membership.set(i64::try_from(version).unwrap_or(i64::MAX));
    }

    /// A node was lost, or has another run.
    pub fn lost(&self) {
        self.lost.inc();
    }

    /// control-api was told of a node.
    pub fn reported(&self, met: Met) {
        let word = match met {
            Met::Answered => "answered",
            Met::Refused => "refused",
            Met::Silent => "silent",
            Met::OtherRun => "other_run",
        };
        self.reports.with_label_values(&[word]).inc();
    }

    /// Sessions ended with their node or their stream's move.
    pub fn sessions_lost(&self, count: usize) {
        self.sessions_lost.inc_by(count.try_into().unwrap_or(u64::MAX));
    }

    /// Sessions ended because their token was revoked; `failed` of `all` could not be ended at their node.
    pub fn expelled(&self, all: usize, failed: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.expelled.with_label_values(&["ended"]).inc_by(count(all.saturating_sub(failed)));
        self.expelled.with_label_values(&["failed"]).inc_by(count(failed));
    }
}
