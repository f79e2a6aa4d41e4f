//! What the edge counts, as verbs. Labels are closed sets; no stream, token or address is ever one.

pub mod hls;
pub mod hooks;
pub mod nodes;
pub mod rtc;
pub mod rtmp;
pub mod srt;

use hls::HlsMetrics;
use hooks::HookMetrics;
use kit::metrics::Book;
use nodes::NodeMetrics;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector,
};
use proto::session::Role;
use rtc::RtcMetrics;
use rtmp::RtmpMetrics;
use srt::SrtMetrics;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Upper bounds of latency buckets, in seconds: a POST must be answered within 5.
const LATENCY_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0];

/// How a POST to a media node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamOutcome {
    /// 201.
    Accepted,
    /// No connection.
    Unreachable,
    /// Closed without an answer.
    HungUp,
    /// No answer in time.
    TimedOut,
    /// 409.
    Busy,
    /// 401 or 403.
    Refused,
    /// 400.
    Offer,
    /// Something else.
    BadAnswer,
}

impl UpstreamOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unreachable => "unreachable",
            Self::HungUp => "hung_up",
            Self::TimedOut => "timed_out",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Offer => "offer",
            Self::BadAnswer => "bad_answer",
        }
    }
}

/// What was decided with less than the full knowledge, because Redis or control-api was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degraded {
    /// A token passed on its signature.
    Token,
    /// A stream key was asked of control-api.
    Key,
    /// A rate limit was kept in memory.
    Limit,
    /// A stream's visibility could not be asked: it is what it was, or private.
    Visibility,
    /// A single-use token could not be given back.
    GiveBack,
    /// A session was taken to run because its node still has the same run.
    Session,
    /// A publisher was let in without a claim, because no control-api was there.
    Provisional,
    /// A viewer was sent to the stream's home on the ring, because nobody could be asked where it is.
    Ring,
}

impl Degraded {
    const ALL: [Self; 8] = [
        Self::Token,
        Self::Key,
        Self::Limit,
        Self::Visibility,
        Self::GiveBack,
        Self::Session,
        Self::Provisional,
        Self::Ring,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Key => "key",
            Self::Limit => "limit",
            Self::Visibility => "visibility",
            Self::GiveBack => "give_back",
            Self::Session => "session",
            Self::Provisional => "provisional",
            Self::Ring => "ring",
        }
    }
}

/// The edge's counters; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    book: Book,
    requests: IntCounterVec,
    latency: HistogramVec,
    admissions: IntCounterVec,
    degraded: IntCounterVec,
    upstream: IntCounterVec,
    upstream_latency: HistogramVec,
    actors: IntGauge,
    sessions: IntGauge,
    publishers: IntGauge,
    answered: Arc<AtomicU64>,
    unheard: IntCounter,
    news_lost: IntCounter,
    redis_up: IntGauge,
    control_away: IntCounter,
    nodes: NodeMetrics,
    hooks: HookMetrics,
    rtmp: RtmpMetrics,
    hls: HlsMetrics,
    rtc: RtcMetrics,
    srt: SrtMetrics,
}

/// Registers what it makes.
struct Maker(Book);

impl Maker {
    fn keep<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> prometheus::Result<C> {
        self.0.keep(made)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        self.keep(HistogramVec::new(HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec()), labels))
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.keep(IntCounter::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.keep(IntGauge::new(name, help))
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Two metrics of one name: a bug.
    pub fn new() -> prometheus::Result<Self> {
        let make = Maker(Book::new());
        make.0.keep_process("keystone_edge", env!("CARGO_PKG_VERSION"))?;
        let made = Self {
            requests: make.counters(
                "keystone_edge_http_requests_total",
                "HTTP requests answered, by route, method and status.",
                &["route", "method", "status"],
            )?,
            latency: make.seconds(
                "keystone_edge_http_request_seconds",
                "Time from a request's head to its answer.",
                &["route"],
            )?,
            admissions: make.counters(
                "keystone_edge_admissions_total",
                "Attempts to open a session, by role and verdict: `ok` or the code of the refusal.",
                &["role", "verdict"],
            )?,
            degraded: make.counters(
                "keystone_edge_degraded_total",
                "Decisions made without Redis or control-api, by what was missing.",
                &["what"],
            )?,
            upstream: make.counters(
                "keystone_edge_upstream_total",
                "POSTs to media nodes, by role and how they ended.",
                &["role", "outcome"],
            )?,
            upstream_latency: make.seconds(
                "keystone_edge_upstream_seconds",
                "Time a media node took to answer a POST, hooks included.",
                &["role"],
            )?,
            actors: make.gauge("keystone_edge_streams", "Stream actors running.")?,
            sessions: make.gauge("keystone_edge_sessions", "WHIP and WHEP sessions opened here that still run.")?,
            publishers: make.gauge("keystone_edge_publishers", "Those of keystone_edge_sessions that publish.")?,
            answered: Arc::default(),
            unheard: make.counter(
                "keystone_edge_unheard_total",
                "Sessions ended at once because the client was gone before the answer.",
            )?,
            news_lost: make.counter(
                "keystone_edge_news_lost_total",
                "Times that news from Redis was lost and everything was read again.",
            )?,
            redis_up: make.gauge("keystone_edge_redis_up", "1 while Redis answers.")?,
            control_away: make.counter(
                "keystone_edge_control_away_total",
                "Calls that a control-api did not answer, so that the next was asked.",
            )?,
            hooks: HookMetrics::new(&make)?,
            hls: HlsMetrics::new(&make)?,
            nodes: NodeMetrics::new(&make)?,
            rtmp: RtmpMetrics::new(&make)?,
            rtc: RtcMetrics::new(&make)?,
            srt: SrtMetrics::new(&make)?,
            book: make.0,
        };
        // A series that begins with its first event has no increase for an alert to see.
        Degraded::ALL.iter().for_each(|what| made.degraded.with_label_values(&[what.as_str()]).reset());
        Ok(made)
    }

    /// One HTTP request was answered. `route` is the pattern, never the path; `method` is upper case, `other` for unusual ones.
    pub fn http_answered(&self, route: &'static str, method: &'static str, status: u16, seconds: f64) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.latency.with_label_values(&[route]).observe(seconds);
    }

    /// An attempt to open a session was decided: `ok`, or the code of the refusal.
    pub fn admission(&self, role: Role, verdict: &'static str) {
        self.admissions.with_label_values(&[role.as_str(), verdict]).inc();
    }

    /// Something was decided without full knowledge.
    pub fn degraded(&self, what: Degraded) {
        self.degraded.with_label_values(&[what.as_str()]).inc();
    }

    /// A POST to a media node ended.
    pub fn upstream(&self, role: Role, outcome: UpstreamOutcome, took: Duration) {
        self.upstream.with_label_values(&[role.as_str(), outcome.as_str()]).inc();
        self.upstream_latency.with_label_values(&[role.as_str()]).observe(took.as_secs_f64());
    }

    /// A stream actor started.
    pub fn actor_started(&self) {
        self.actors.inc();
    }

    /// A stream actor ended.
    pub fn actor_ended(&self) {
        self.actors.dec();
    }

    /// A stream's sessions changed in number: all, and those that publish.
    pub fn sessions_changed(&self, before: (usize, usize), now: (usize, usize)) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.sessions.add(number(now.0).saturating_sub(number(before.0)));
        self.publishers.add(number(now.1).saturating_sub(number(before.1)));
    }

    /// Sessions that still run.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        u64::try_from(self.sessions.get()).unwrap_or(0)
    }

    /// Those of [`Metrics::sessions`] that publish.
    #[must_use]
    pub fn publishers(&self) -> u64 {
        u64::try_from(self.publishers.get()).unwrap_or(0)
    }

    /// HTTP requests answered since the start.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// A session was ended because nobody heard its answer.
    pub fn unheard(&self) {
        self.unheard.inc();
    }

    /// News was lost.
    pub fn news_lost(&self) {
        self.news_lost.inc();
    }

    /// Whether Redis answered the last refresh.
    pub fn redis_up(&self, up: bool) {
        self.redis_up.set(i64::from(up));
    }

    /// A control-api did not answer.
    pub fn control_away(&self) {
        self.control_away.inc();
    }

    /// Those of media nodes and of what ends with them.
    #[must_use]
    pub const fn nodes(&self) -> &NodeMetrics {
        &self.nodes
    }

    /// Those of the WebRTC relay.
    #[must_use]
    pub const fn rtc(&self) -> &RtcMetrics {
        &self.rtc
    }

    /// Those of SRT.
    #[must_use]
    pub const fn srt(&self) -> &SrtMetrics {
        &self.srt
    }

    /// Those of media nodes' hooks.
    #[must_use]
    pub const fn hooks(&self) -> &HookMetrics {
        &self.hooks
    }

    /// Those of RTMP.
    #[must_use]
    pub const fn rtmp(&self) -> &RtmpMetrics {
        &self.rtmp
    }

    /// Those of HLS, HTTP-FLV and thumbnails.
    #[must_use]
    pub const fn hls(&self) -> &HlsMetrics {
        &self.hls
    }

    /// Everything in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.book.text().unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written");
            String::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_metrics_lists_all_of_them() {
        let metrics = Metrics::new().unwrap();
        let page = include_str!("../../docs/metrics.md");
        metrics.book.compare(page, "keystone_edge_").unwrap_or_else(|difference| panic!("{difference}"));
    }
}
