//! What is counted of SRT.

use super::Maker;
use prometheus::{IntCounter, IntCounterVec, IntGauge};
use proto::wire::srt::{listener::Unwanted, session::Ended};

/// What became of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shaken {
    /// An induction was answered.
    Induction,
    /// A caller was led to a node, which accepted.
    Opened,
    /// A caller was refused with a reason.
    Refused,
    /// Another node was tried.
    Again,
    /// No seat was left.
    NoRoom,
    /// Dropped: its address has asked too much.
    Budget,
    /// Dropped: the cluster's secret is not known yet.
    NoSecret,
    /// Dropped: it is of no use.
    Unwanted(Unwanted),
}

impl Shaken {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Induction => "induction",
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::Again => "again",
            Self::NoRoom => "no_room",
            Self::Budget => "budget",
            Self::NoSecret => "no_secret",
            Self::Unwanted(Unwanted::Garbage) => "garbage",
            Self::Unwanted(Unwanted::NoConnection) => "no_connection",
            Self::Unwanted(Unwanted::Step) => "step",
            Self::Unwanted(Unwanted::Cookie) => "cookie",
        }
    }
}

const fn ended_word(why: Ended) -> &'static str {
    match why {
        Ended::CallerLeft => "caller_left",
        Ended::CallerSilent => "caller_silent",
        Ended::NodeEnded => "node_ended",
        Ended::NodeSilent => "node_silent",
        Ended::NodeGone => "node_gone",
        Ended::Cut => "cut",
    }
}

/// Counters of SRT; cheap to clone. Those of the media's way are looked up once.
#[derive(Debug, Clone)]
pub struct SrtMetrics {
    handshakes: IntCounterVec,
    callers: IntGauge,
    ended: IntCounterVec,
    to_node: Way,
    to_caller: Way,
}

/// One direction.
#[derive(Debug, Clone)]
pub struct Way {
    datagrams: IntCounter,
    lost: IntCounter,
}

impl Way {
    /// Datagrams were passed on, or not.
    pub fn passed(&self, all: usize, lost: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.datagrams.inc_by(count(all.saturating_sub(lost)));
        if lost > 0 {
            self.lost.inc_by(count(lost));
        }
    }
}

impl SrtMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let datagrams =
            make.counters("keystone_edge_srt_datagrams_total", "SRT datagrams passed on, by where to.", &["to"])?;
        let lost = make.counters(
            "keystone_edge_srt_datagrams_lost_total",
            "SRT datagrams that a full queue or a barred way lost here, by where to.",
            &["to"],
        )?;
        let way = |to: &str| Way { datagrams: datagrams.with_label_values(&[to]), lost: lost.with_label_values(&[to]) };
        Ok(Self {
            handshakes: make.counters(
                "keystone_edge_srt_handshakes_total",
                "What became of SRT handshakes and of datagrams of unknown callers.",
                &["outcome"],
            )?,
            callers: make.gauge(
                "keystone_edge_srt_callers",
                "SRT callers that hold a seat: being let in, open, or just over.",
            )?,
            ended: make.counters(
                "keystone_edge_srt_ended_total",
                "SRT sessions that ended, by who ended them.",
                &["by"],
            )?,
            to_node: way("node"),
            to_caller: way("caller"),
        })
    }

    /// A handshake came to something.
    pub fn shaken(&self, what: Shaken) {
        self.handshakes.with_label_values(&[what.as_str()]).inc();
    }

    /// A caller took a seat.
    pub fn seated(&self) {
        self.callers.inc();
    }

    /// A caller's seat is free.
    pub fn left(&self) {
        self.callers.dec();
    }

    /// A session is over.
    pub fn ended(&self, why: Ended) {
        self.ended.with_label_values(&[ended_word(why)]).inc();
    }

    /// Towards nodes.
    #[must_use]
    pub const fn to_node(&self) -> &Way {
        &self.to_node
    }

    /// Towards callers.
    #[must_use]
    pub const fn to_caller(&self) -> &Way {
        &self.to_caller
    }
}
