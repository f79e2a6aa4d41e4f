//! Gauges of the whole cluster as this process knows it, read at scrape from memory.

use super::keep;
use crate::app::State;
use kit::{clock, metrics::Book};
use prometheus::{Gauge, IntGauge, IntGaugeVec, Opts};
use proto::node::NodeState;
use std::time::Duration;

/// Streams whose viewers are shown one by one, by rank and without a name: as many series, however many streams there are.
const RANKS: [&str; 10] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];

/// The gauges; clones share them.
#[derive(Debug, Clone)]
pub struct ClusterMetrics {
    sessions: IntGaugeVec,
    live: IntGauge,
    top: IntGaugeVec,
    placed: IntGaugeVec,
    heartbeat: Gauge,
    membership: IntGauge,
}

impl ClusterMetrics {
    /// Registers everything.
    ///
    /// # Panics
    /// Only if two metrics had one name.
    #[must_use]
    pub fn new(book: &Book) -> Self {
        let opts = |name: &str, help: &str| Opts::new(format!("keystone_control_{name}"), help);
        let gauges = |name: &str, help: &str, label: &str| keep(book, IntGaugeVec::new(opts(name, help), &[label]));
        let gauge = |name: &str, help: &str| keep(book, IntGauge::with_opts(opts(name, help)));
        let sessions = opts("sessions", "Open sessions of the whole cluster, by role and protocol.");
        let oldest = opts(
            "node_heartbeat_oldest_seconds",
            "Age of the last heartbeat of the node that has been silent longest, nodes that are down left out.",
        );
        Self {
            sessions: keep(book, IntGaugeVec::new(sessions, &["role", "protocol"])),
            live: gauge("live_streams", "Streams that have a publisher."),
            top: gauges("top_stream_viewers", "Viewers of the ten streams that have the most.", "rank"),
            placed: gauges(
                "node_streams",
                "Live streams on the node that has the most (`fullest`), on the one that has the fewest of those that take streams (`emptiest`), and on each in the mean, in thousandths (`mean_milli`).",
                "of",
            ),
            heartbeat: keep(book, Gauge::with_opts(oldest)),
            membership: gauge("membership_version", "Version of the membership that this process holds."),
        }
    }

    /// Reads them all.
    pub(super) fn read(&self, state: &State) {
        for (role, protocol, count) in state.gossip.open_by() {
            self.sessions.with_label_values(&[role.as_str(), protocol.as_str()]).set(number(count));
        }
        let (live, viewers) = state.gossip.busiest(RANKS.len());
        self.live.set(number(live));
        for (rank, viewers) in RANKS.iter().zip(viewers.into_iter().chain(std::iter::repeat(0))) {
            self.top.with_label_values(&[rank]).set(i64::from(viewers));
        }
        self.membership.set(i64::try_from(state.fleet.membership().version).unwrap_or(i64::MAX));
        self.nodes(state);
    }

    fn nodes(&self, state: &State) {
        let now_ms = clock::unix_ms();
        let publishers = state.gossip.publishers_by_node();
        let (mut streams, mut oldest) = (Vec::new(), 0);
        for (node, info) in state.nodes.all() {
            if matches!(state.health.state(&node), Some(NodeState::Up | NodeState::Suspect)) {
                streams.push(publishers.get(&node).copied().unwrap_or_default());
                oldest = oldest.max(info.map_or(0, |info| now_ms.saturating_sub(info.seen_at_ms)));
            }
        }
        let sum: u64 = streams.iter().map(|count| u64::from(*count)).sum();
        let mean = sum.saturating_mul(1000).checked_div(streams.len() as u64).unwrap_or_default();
        let set =
            |of: &str, count: u64| self.placed.with_label_values(&[of]).set(i64::try_from(count).unwrap_or(i64::MAX));
        set("fullest", streams.iter().max().copied().unwrap_or_default().into());
        set("emptiest", streams.iter().min().copied().unwrap_or_default().into());
        set("mean_milli", mean);
        self.heartbeat.set(Duration::from_millis(oldest).as_secs_f64());
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
