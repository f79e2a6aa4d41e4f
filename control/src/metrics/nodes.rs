//! What is counted of the media nodes' health.

use super::keep;
use crate::domain::{health::Cause, nodes::VersionVerdict};
use kit::metrics::Book;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};
use proto::node::{Met, NodeState};
use std::time::Duration;

/// Upper bounds of a probe's time, in seconds; it is given up after one.
const PROBE_SECONDS: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0];
/// Upper bounds of the time from a node's last sign of life to the verdict, in seconds; 3 s is what is wanted.
const DETECT_SECONDS: [f64; 9] = [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 15.0, 30.0];

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    nodes: IntGaugeVec,
    probes: HistogramVec,
    verdicts: IntCounterVec,
    detect: Histogram,
    witnesses: IntCounterVec,
    versions: IntGaugeVec,
    drained: IntCounterVec,
}

/// The word of what was met.
#[must_use]
pub const fn met_word(met: Met) -> &'static str {
    match met {
        Met::Answered => "answered",
        Met::Refused => "refused",
        Met::Silent => "silent",
        Met::OtherRun => "other_run",
    }
}

impl NodeMetrics {
    /// Registers everything.
    #[must_use]
    pub fn new(book: &Book) -> Self {
        let opts = |name: &str, help: &str| Opts::new(format!("keystone_control_{name}"), help);
        let seconds = |name: &str, help: &str, bounds: &[f64]| {
            HistogramOpts::new(format!("keystone_control_{name}"), help).buckets(bounds.to_vec())
        };
        let probes = seconds("node_probe_seconds", "Probes of media nodes, by what was met", &PROBE_SECONDS);
        let detect = seconds("node_detect_seconds", "From a node's last sign of life to its end", &DETECT_SECONDS);
        let made = Self {
            nodes: keep(book, IntGaugeVec::new(opts("nodes", "Media nodes by state"), &["state"])),
            probes: keep(book, HistogramVec::new(probes, &["met"])),
            verdicts: keep(
                book,
                IntCounterVec::new(opts("node_verdicts_total", "Changes of a node's state, and why"), &["to", "cause"]),
            ),
            detect: keep(book, Histogram::with_opts(detect)),
            witnesses: keep(
                book,
                IntCounterVec::new(opts("node_witnesses_total", "Words of other witnesses"), &["by", "met"]),
            ),
            versions: keep(
                book,
                IntGaugeVec::new(
                    opts("node_versions", "Media nodes by what is known of their version of SRS"),
                    &["verdict"],
                ),
            ),
            drained: keep(
                book,
                IntCounterVec::new(opts("node_drained_total", "What a drain's deadline ended"), &["role"]),
            ),
        };
        // A series that begins with its first event has no increase for an alert to see.
        for cause in [Cause::TwoRefused, Cause::TwoMissed, Cause::Silence] {
            made.verdicts.with_label_values(&[NodeState::Down.as_str(), cause.as_str()]).reset();
        }
        made
    }

    /// How many nodes are in a state.
    pub fn count(&self, state: &'static str, nodes: usize) {
        self.nodes.with_label_values(&[state]).set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }

    /// How many nodes run a version that is `fine`, has known faults (`warn`), or is not let in (`refuse`).
    pub fn count_versions(&self, verdict: VersionVerdict, nodes: usize) {
        self.versions.with_label_values(&[verdict.as_str()]).set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }

    /// A probe ended.
    pub fn probed(&self, met: Met, took: Duration) {
        self.probes.with_label_values(&[met_word(met)]).observe(took.as_secs_f64());
    }

    /// A state changed.
    pub fn verdict(&self, to: NodeState, cause: Cause) {
        self.verdicts.with_label_values(&[to.as_str(), cause.as_str()]).inc();
    }

    /// A node was found gone this long after its last sign of life.
    pub fn detected(&self, ms: u64) {
        self.detect.observe(Duration::from_millis(ms).as_secs_f64());
    }

    /// An edge (`edge`) or another control node (`control`) told what it met.
    pub fn witness(&self, by: &'static str, met: Met) {
        self.witnesses.with_label_values(&[by, met_word(met)]).inc();
    }

    /// A drain's deadline ended publishers or viewers.
    pub fn drained(&self, role: &'static str, count: usize) {
        self.drained.with_label_values(&[role]).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}
