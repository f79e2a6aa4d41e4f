//! What control-api counts. Labels are closed: route patterns, methods, statuses and our own words, never a stream or an address.

pub mod cluster;
pub mod gossip;
pub mod media;
pub mod nodes;

use crate::{app::State, hooks::heartbeat};
use kit::metrics::Book;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector,
};
use std::time::Duration;

/// Upper bounds of the latency histogram, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    book: Book,
    requests: IntCounterVec,
    seconds: HistogramVec,
    sign_ins: IntCounterVec,
    refreshes: IntCounterVec,
    limited: IntCounterVec,
    limits_local: IntCounterVec,
    redis_skipped: IntCounterVec,
    tokens: IntCounterVec,
    postgres: IntGaugeVec,
    postgres_up: IntGauge,
    redis_up: IntGauge,
    stale: IntCounter,
    cluster: cluster::ClusterMetrics,
}

impl Metrics {
    /// Registers everything with a registry of its own.
    ///
    /// # Panics
    /// Only if two metrics here had one name.
    #[must_use]
    pub fn new() -> Self {
        let book = Book::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            keep(&book, IntCounterVec::new(Opts::new(format!("keystone_control_{name}"), help), labels))
        };
        let requests = counter("http_requests_total", "Requests answered.", &["route", "method", "status"]);
        let sign_ins = counter("sign_ins_total", "Sign-in tries by outcome.", &["outcome"]);
        // A series that begins with its first event has no increase for an alert to see.
        ["ok", "wrong", "limited", "busy"].iter().for_each(|outcome| sign_ins.with_label_values(&[*outcome]).reset());
        let refreshes = counter("refreshes_total", "Refresh tokens presented, by outcome.", &["outcome"]);
        let limited = counter("rate_limited_total", "Requests refused by a rate limit.", &["limit"]);
        let limits_local = counter(
            "rate_limit_fallback_total",
            "Requests counted in this process because Redis was away.",
            &["limit"],
        );
        let redis_skipped =
            counter("redis_skipped_total", "Writes to Redis left for later because it was away.", &["what"]);
        let tokens = counter("tokens_total", "Publish and play tokens issued and revoked.", &["action", "what"]);
        let options =
            HistogramOpts::new("keystone_control_http_request_seconds", "Time to answer.").buckets(SECONDS.to_vec());
        let seconds = keep(&book, HistogramVec::new(options, &["route", "method"]));
        let options = Opts::new("keystone_control_postgres_connections", "Connections to Postgres.");
        let postgres = keep(&book, IntGaugeVec::new(options, &["state"]));
        let postgres_up = keep(&book, IntGauge::new("keystone_control_postgres_up", "1 while Postgres answers."));
        let redis_up = keep(&book, IntGauge::new("keystone_control_redis_connected", "1 while Redis is connected."));
        let stale = IntCounter::new(
            "keystone_control_stale_answers_total",
            "Lists answered from memory because Postgres was away.",
        );
        let stale = keep(&book, stale);
        let cluster = cluster::ClusterMetrics::new(&book);
        book.keep_process("keystone_control", env!("CARGO_PKG_VERSION")).expect("names here are unique");
        Self {
            book,
            requests,
            seconds,
            sign_ins,
            refreshes,
            limited,
            limits_local,
            redis_skipped,
            tokens,
            postgres,
            postgres_up,
            redis_up,
            stale,
            cluster,
        }
    }

    /// Where other parts of this service register theirs.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// A request was answered.
    pub fn http_answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let mut digits = [b'0'; 3];
        for (digit, unit) in digits.iter_mut().zip([100, 10, 1]) {
            *digit = b'0' + u8::try_from(status / unit % 10).unwrap_or_default();
        }
        let status = std::str::from_utf8(&digits).unwrap_or_default();
        let method = known_method(method);
        self.requests.with_label_values(&[route, method, status]).inc();
        self.seconds.with_label_values(&[route, method]).observe(took.as_secs_f64());
    }

    /// Somebody tried to sign in: `ok`, `wrong`, `limited` or `busy`.
    pub fn signed_in(&self, outcome: &'static str) {
        self.sign_ins.with_label_values(&[outcome]).inc();
    }

    /// A refresh token was presented: `rotated`, `repeated`, `reused` or `refused`.
    pub fn refreshed(&self, outcome: &'static str) {
        self.refreshes.with_label_values(&[outcome]).inc();
    }

    /// A request was refused by a limit.
    pub fn limited(&self, limit: &'static str) {
        self.limited.with_label_values(&[limit]).inc();
    }

    /// A request was counted in this process because Redis was away.
    pub fn limited_locally(&self, limit: &'static str) {
        self.limits_local.with_label_values(&[limit]).inc();
    }

    /// A list was answered from memory because Postgres was away.
    pub fn answered_stale(&self) {
        self.stale.inc();
    }

    /// A write to Redis was left for a later rebuild.
    pub fn redis_skipped(&self, what: &'static str) {
        self.redis_skipped.with_label_values(&[what]).inc();
    }

    /// A publish or play token was `issued` or `revoked`.
    pub fn token(&self, action: &'static str, what: &'static str) {
        self.tokens.with_label_values(&[action, what]).inc();
    }

    /// Whether Postgres answered just now.
    pub fn postgres_up(&self, up: bool) {
        self.postgres_up.set(i64::from(up));
    }

    /// Everything as Prometheus text. Gauges of stored things are read now.
    ///
    /// # Errors
    /// A bug: a metric that cannot be written.
    pub fn text(&self, state: &State) -> Result<String, prometheus::Error> {
        let (in_use, all) = state.pg.in_use();
        self.postgres.with_label_values(&["in_use"]).set(i64::try_from(in_use).unwrap_or(i64::MAX));
        self.postgres.with_label_values(&["open"]).set(i64::try_from(all).unwrap_or(i64::MAX));
        self.redis_up.set(i64::from(state.kv.connected()));
        state.gossip.size_at_scrape();
        heartbeat::count_versions(state);
        self.cluster.read(state);
        self.book.text()
    }
}

/// Registers one of ours.
///
/// # Panics
/// Two of one name, or a name that is none: a bug that every start and every test meets.
fn keep<C: Collector + Clone + 'static>(book: &Book, metric: Result<C, prometheus::Error>) -> C {
    book.keep(metric).expect("names here are well formed and unique")
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A client may send any method; the label must not grow with them.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_metrics_lists_all_of_them() {
        let metrics = Metrics::new();
        drop(media::MediaMetrics::new(metrics.book()));
        drop(nodes::NodeMetrics::new(metrics.book()));
        drop(gossip::GossipMetrics::new(metrics.book()));
        let page = include_str!("../../docs/metrics.md");
        metrics.book().compare(page, "keystone_control_").unwrap_or_else(|difference| panic!("{difference}"));
    }
}
