//! What the WebRTC relay counts. Shards count for themselves and hand over once a turn, so that no packet waits for another's counter.

use super::Maker;
use crate::rtc::core::Drop;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

/// What one shard counted since it handed over last.
#[derive(Debug, Default)]
pub struct Counts {
    /// Datagrams from clients to nodes, and their bytes.
    pub up: (u64, u64),
    /// Datagrams from nodes to clients, and their bytes.
    pub down: (u64, u64),
    /// Datagrams that were not passed on, by [`Drop`]'s order.
    pub dropped: [u64; Drop::ALL.len()],
    /// Datagrams that the kernel, or a slow connection, did not take.
    pub lost: u64,
    /// Times media went to another address of the same client.
    pub moved: u64,
    /// Whether there is anything to hand over.
    pub any: bool,
}

impl Counts {
    /// Datagrams were not passed on.
    pub fn drop(&mut self, why: Drop, count: u64) {
        if let Some(at) = Drop::ALL.iter().position(|one| *one == why)
            && let Some(counter) = self.dropped.get_mut(at)
        {
            *counter += count;
        }
        self.any = true;
    }
}

/// The relay's counters.
#[derive(Debug, Clone)]
pub struct RtcMetrics {
    packets: IntCounterVec,
    bytes: IntCounterVec,
    dropped: IntCounterVec,
    lost: IntCounter,
    moved: IntCounter,
    sessions: IntGauge,
    taken_over: IntCounter,
    connections: IntGauge,
    quarantined: IntGauge,
}

impl RtcMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let metrics = Self {
            packets: make.counters(
                "keystone_edge_rtc_packets_total",
                "WebRTC datagrams passed on, towards the node (up) or the client (down).",
                &["direction"],
            )?,
            bytes: make.counters(
                "keystone_edge_rtc_bytes_total",
                "Bytes of the datagrams passed on.",
                &["direction"],
            )?,
            dropped: make.counters(
                "keystone_edge_rtc_dropped_total",
                "Datagrams from outside that were not passed on, by why.",
                &["reason"],
            )?,
            lost: make.counter(
                "keystone_edge_rtc_lost_total",
                "Datagrams that the kernel or a slow connection did not take.",
            )?,
            moved: make.counter("keystone_edge_rtc_moved_total", "Times a client went on at another address.")?,
            sessions: make.gauge("keystone_edge_rtc_sessions", "WebRTC sessions that pass this edge.")?,
            taken_over: make.counter(
                "keystone_edge_rtc_taken_over_total",
                "Sessions relayed here whose answer another edge gave.",
            )?,
            connections: make.gauge("keystone_edge_rtc_connections", "ICE-TCP connections.")?,
            quarantined: make
                .gauge("keystone_edge_rtc_quarantined", "Ports of ended sessions that are not used again yet.")?,
        };
        for direction in ["up", "down"] {
            metrics.packets.with_label_values(&[direction]).inc_by(0);
            metrics.bytes.with_label_values(&[direction]).inc_by(0);
        }
        for reason in Drop::ALL {
            metrics.dropped.with_label_values(&[reason.as_str()]).inc_by(0);
        }
        Ok(metrics)
    }

    /// Takes over what a shard counted.
    pub fn count(&self, counts: &mut Counts) {
        if !std::mem::take(&mut counts.any) {
            return;
        }
        for (direction, (packets, bytes)) in
            [("up", &mut counts.up), ("down", &mut counts.down)].map(|(d, c)| (d, std::mem::take(c)))
        {
            if packets > 0 {
                self.packets.with_label_values(&[direction]).inc_by(packets);
                self.bytes.with_label_values(&[direction]).inc_by(bytes);
            }
        }
        for (reason, count) in Drop::ALL.iter().zip(&mut counts.dropped) {
            if *count > 0 {
                self.dropped.with_label_values(&[reason.as_str()]).inc_by(std::mem::take(count));
            }
        }
        self.lost.inc_by(std::mem::take(&mut counts.lost));
        self.moved.inc_by(std::mem::take(&mut counts.moved));
    }

    /// A session's first check was admitted; `stranger`: another edge gave its answer.
    pub fn opened(&self, stranger: bool) {
        self.sessions.inc();
        if stranger {
            self.taken_over.inc();
        }
    }

    /// A session is not relayed any more; its port waits.
    pub fn closed(&self) {
        self.sessions.dec();
        self.quarantined.inc();
    }

    /// Sessions relayed now.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        u64::try_from(self.sessions.get()).unwrap_or(0)
    }

    /// A port may be used again.
    pub fn released(&self) {
        self.quarantined.dec();
    }

    /// A connection was accepted.
    pub fn connected(&self) {
        self.connections.inc();
    }

    /// A connection was closed.
    pub fn disconnected(&self) {
        self.connections.dec();
    }
}
