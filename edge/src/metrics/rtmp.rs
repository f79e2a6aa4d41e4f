//! What is counted of RTMP.

use super::Maker;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use proto::session::Role;

/// Why a connection got no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too many connections.
    Full,
    /// Too many from one address.
    Address,
    /// A socket that could not be set up.
    Socket,
    /// A bad PROXY header.
    Proxy,
    /// No TLS handshake.
    Tls,
    /// No handshake, or no wish, in time.
    Slow,
    /// Not RTMP, or against a limit.
    Protocol,
    /// Not admitted, or nobody could serve it: `keystone_edge_admissions_total` has the code.
    Admission,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Socket => "socket",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Slow => "slow",
            Self::Protocol => "protocol",
            Self::Admission => "admission",
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By the client.
    Client,
    /// By the media node.
    Node,
    /// By the cluster: kicked, revoked, moved.
    Cluster,
    /// It got no stream.
    Refused,
    /// Bytes that could not be followed.
    Protocol,
    /// A side that took nothing any more.
    Slow,
    /// This edge ended.
    Stopping,
}

impl Ended {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Node => "node",
            Self::Cluster => "cluster",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Slow => "slow",
            Self::Stopping => "stopping",
        }
    }
}

/// Counters of the RTMP listeners; cheap to clone.
#[derive(Debug, Clone)]
pub struct RtmpMetrics {
    connections: IntGaugeVec,
    relays: IntGaugeVec,
    refused: IntCounterVec,
    ended: IntCounterVec,
    bytes: IntCounterVec,
    dropped: IntCounter,
}

/// Counts one thing for as long as it is there.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Counted {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl RtmpMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            connections: make.gauges(
                "keystone_edge_rtmp_connections",
                "RTMP connections of clients, by transport (`tcp`, `tls`).",
                &["transport"],
            )?,
            relays: make.gauges("keystone_edge_rtmp_streams", "RTMP streams carried now, by role.", &["role"])?,
            refused: make.counters(
                "keystone_edge_rtmp_refused_total",
                "RTMP connections and wishes that got no stream, by reason.",
                &["reason"],
            )?,
            ended: make.counters(
                "keystone_edge_rtmp_ended_total",
                "RTMP connections that are over, by who or what ended them.",
                &["by"],
            )?,
            bytes: make.counters(
                "keystone_edge_rtmp_bytes_total",
                "Bytes of RTMP streams, `received` from clients and `sent` to them; counted each 4 MiB and at the end.",
                &["direction"],
            )?,
            dropped: make.counter(
                "keystone_edge_rtmp_dropped_messages_total",
                "Messages left out for players that were behind.",
            )?,
        })
    }

    /// A connection is there until this is dropped.
    #[must_use]
    pub fn opened(&self, tls: bool) -> Counted {
        Counted::new(self.connections.with_label_values(&[if tls { "tls" } else { "tcp" }]))
    }

    /// A stream is carried until this is dropped.
    #[must_use]
    pub fn relayed(&self, role: Role) -> Counted {
        Counted::new(self.relays.with_label_values(&[role.as_str()]))
    }

    /// A connection or a wish got no stream.
    pub fn refused(&self, why: Refused) {
        self.refused.with_label_values(&[why.as_str()]).inc();
    }

    /// A connection is over.
    pub fn ended(&self, by: Ended) {
        self.ended.with_label_values(&[by.as_str()]).inc();
    }

    /// Bytes passed, and messages were left out.
    pub fn passed(&self, received: u64, sent: u64, dropped: u64) {
        self.bytes.with_label_values(&["received"]).inc_by(received);
        self.bytes.with_label_values(&["sent"]).inc_by(sent);
        self.dropped.inc_by(dropped);
    }
}
