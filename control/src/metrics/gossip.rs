//! What is counted of the gossip of control nodes.

use super::keep;
use ::gossip::{Error, Event, Size};
use kit::metrics::Book;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use std::time::Duration;

/// Upper bounds of the lag, in seconds.
const SECONDS: [f64; 9] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub struct GossipMetrics {
    messages: IntCounterVec,
    bytes: IntCounterVec,
    changes: IntCounterVec,
    lag: Histogram,
    gaps: IntCounterVec,
    refused: IntCounterVec,
    adopted: IntCounter,
    diverged: IntCounter,
    sessions: IntGaugeVec,
    peers: IntGauge,
}

impl GossipMetrics {
    /// Registers everything.
    ///
    /// # Panics
    /// Only if two metrics had one name.
    #[must_use]
    pub fn new(book: &Book) -> Self {
        let name = |name: &str| format!("keystone_control_gossip_{name}");
        let counters = |short: &str, help: &str, labels: &[&str]| {
            keep(book, IntCounterVec::new(Opts::new(name(short), help), labels))
        };
        let counter = |short: &str, help: &str| keep(book, IntCounter::new(name(short), help));
        let lag = HistogramOpts::new(name("lag_seconds"), "Age of changes of other control nodes when they arrive.");
        let refused = counters("refused_total", "Messages refused, by reason.", &["reason"]);
        for word in Error::WORDS {
            refused.with_label_values(&[word]);
        }
        let sessions = Opts::new(name("sessions"), "Sessions in the table of this control node.");
        Self {
            messages: counters("messages_total", "Messages of control nodes.", &["way"]),
            bytes: counters("bytes_total", "Bytes of messages of control nodes.", &["way"]),
            changes: counters(
                "changes_total",
                "Changes of the table, by what and where they were met.",
                &["what", "by"],
            ),
            lag: keep(book, Histogram::with_opts(lag.buckets(SECONDS.to_vec()))),
            gaps: counters(
                "gaps_total",
                "Messages missed: backlog, reconnect, unsent; ranges and snapshots asked for, answered, not answered; replicas dropped.",
                &["what"],
            ),
            refused,
            adopted: counter("adopted_total", "Sessions of dead control nodes adopted by this one."),
            diverged: counter("diverged_total", "Tables found different without a reason: a fault."),
            sessions: keep(book, IntGaugeVec::new(sessions, &["state"])),
            peers: keep(book, IntGauge::new(name("peers"), "Other control nodes heard.")),
        }
    }

    fn bytes(&self, way: &'static str, len: usize) {
        self.messages.with_label_values(&[way]).inc();
        self.bytes.with_label_values(&[way]).inc_by(u64::try_from(len).unwrap_or(u64::MAX));
    }

    /// A message arrived, the echoes of our own included.
    pub fn received(&self, len: usize) {
        self.bytes("received", len);
    }

    /// A message was sent.
    pub fn sent(&self, len: usize) {
        self.bytes("sent", len);
    }

    /// A session was `opened` or `closed`, here or elsewhere.
    pub fn change(&self, what: &'static str, here: bool) {
        self.changes.with_label_values(&[what, if here { "this_node" } else { "other_node" }]).inc();
    }

    /// Something was missed: `backlog`, `reconnect`, `unsent`.
    pub fn gap(&self, what: &'static str) {
        self.gaps.with_label_values(&[what]).inc();
    }

    /// A message was refused.
    pub fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Something happened to the gossip.
    pub fn event(&self, event: &Event) {
        match event {
            Event::Applied { lag_ms, .. } => self.lag.observe(Duration::from_millis(*lag_ms).as_secs_f64()),
            Event::Asked { snapshot: true, .. } => self.gap("snapshot"),
            Event::Asked { snapshot: false, .. } => self.gap("range"),
            Event::Answered { .. } => self.gap("answered"),
            Event::Unanswered => self.gap("unanswered"),
            Event::Adopted { entries, .. } => self.adopted.inc_by(u64::try_from(*entries).unwrap_or(u64::MAX)),
            Event::Dropped { .. } => self.gap("dropped"),
            Event::Diverged { .. } => self.diverged.inc(),
            Event::Ready => {}
        }
    }

    /// The size of the table, read at scrape.
    pub fn size(&self, size: &Size) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.sessions.with_label_values(&["open"]).set(number(size.open));
        self.sessions.with_label_values(&["ended"]).set(number(size.ended));
        self.peers.set(number(size.peers));
    }
}
