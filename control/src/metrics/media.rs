//! What is counted of hooks, claims, kicks, events and jobs.

use super::keep;
use crate::domain::{hooks::Refusal, told::Verdict};
use kit::metrics::Book;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use proto::srs::hook::Action;
use std::time::Duration;

/// Upper bounds of the hook histogram, in seconds; 5 ms is the bound wanted of p99.
const SECONDS: [f64; 10] = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1, 0.5, 5.0];

/// How a hook was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// SRS was told yes.
    Accepted,
    /// It was the end of something that was not (or no longer) known: nothing was changed.
    Nothing,
    /// SRS was told no.
    Refused(Refusal),
}

impl Answered {
    const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Nothing => "nothing",
            Self::Refused(refusal) => refusal.as_str(),
        }
    }
}

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub struct MediaMetrics {
    hooks: IntCounterVec,
    hook_seconds: HistogramVec,
    claims: IntCounterVec,
    kicks: IntCounterVec,
    strangers: IntCounterVec,
    heartbeats: IntCounterVec,
    dialled: IntCounterVec,
    tokens_unchecked: IntCounter,
    listeners: IntGauge,
    events: IntCounterVec,
    jobs: IntGaugeVec,
    rebuilds: IntCounter,
    journal: IntCounterVec,
}

impl MediaMetrics {
    /// Registers everything.
    ///
    /// # Panics
    /// Only if two metrics had one name.
    #[must_use]
    pub fn new(book: &Book) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            keep(book, IntCounterVec::new(Opts::new(format!("keystone_control_{name}"), help), labels))
        };
        let counter = |name: &str, help: &str| keep(book, IntCounter::new(format!("keystone_control_{name}"), help));
        let histogram =
            HistogramOpts::new("keystone_control_hook_seconds", "Time to decide a hook.").buckets(SECONDS.to_vec());
        let made = Self {
            hooks: counters("hooks_total", "Hooks of media nodes by action and verdict.", &["action", "verdict"]),
            hook_seconds: keep(book, HistogramVec::new(histogram, &["action"])),
            claims: counters("claims_total", "Publisher claims by what became of them.", &["outcome"]),
            kicks: counters("kicks_total", "Kicks owed to media nodes: owed, done, failed, given up.", &["what"]),
            strangers: counters("strangers_total", "Calls of media nodes' hooks by somebody who is none.", &["what"]),
            heartbeats: counters("heartbeats_total", "Heartbeats of media nodes by what became of them.", &["what"]),
            dialled: counters("dialbacks_total", "Ports of media nodes dialled back, by outcome.", &["check", "ok"]),
            tokens_unchecked: counter("tokens_by_database_total", "Tokens checked in Postgres because Redis was away."),
            listeners: keep(book, IntGauge::new("keystone_control_event_listeners", "Open event streams.")),
            events: counters(
                "events_total",
                "Events heard, and event streams cut because their reader was slow.",
                &["what"],
            ),
            jobs: keep(
                book,
                IntGaugeVec::new(
                    Opts::new(
                        "keystone_control_job_last_run_seconds",
                        "Unix time at which a job last ended well here.",
                    ),
                    &["job"],
                ),
            ),
            journal: counters(
                "journal_total",
                "Hooks accepted while Postgres was away: kept, lost (the journal was full), written, void.",
                &["what"],
            ),
            rebuilds: counter("redis_rebuilds_total", "Times this process filled an empty Redis again."),
        };
        // A series that begins with its first event has no increase for an alert to see.
        ["owed", "done", "failed", "given_up"].iter().for_each(|what| made.kicks.with_label_values(&[*what]).reset());
        ["kept", "lost", "written", "void"].iter().for_each(|what| made.journal.with_label_values(&[*what]).reset());
        ["secret", "name"].iter().for_each(|what| made.strangers.with_label_values(&[*what]).reset());
        ["reserved", "confirmed", "lost", "busy"]
            .iter()
            .for_each(|word| made.claims.with_label_values(&[*word]).reset());
        made
    }

    /// A hook was answered.
    pub fn hook(&self, action: Action, answered: Answered, took: Duration) {
        self.hooks.with_label_values(&[action.as_str(), answered.word()]).inc();
        self.hook_seconds.with_label_values(&[action.as_str()]).observe(took.as_secs_f64());
    }

    /// A body was no hook at all.
    pub fn hook_unread(&self) {
        self.hooks.with_label_values(&["unread", Refusal::Malformed.as_str()]).inc();
    }

    /// A claim was `reserved`, `confirmed`, `direct`, `taken_over`, `busy`, `over_bound`, `released`, `expired`, `ended`, `lost`, `reconciled`, `provisional` or
    /// `provisional_live` (Postgres away), or `conflict` (two met).
    pub fn claim(&self, outcome: &'static str) {
        self.claims.with_label_values(&[outcome]).inc();
    }

    /// Several at once.
    pub fn claims(&self, outcome: &'static str, count: usize) {
        self.claims.with_label_values(&[outcome]).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// A kick was `owed`, `done`, `failed` or `given_up`.
    pub fn kick(&self, what: &'static str) {
        self.kicks.with_label_values(&[what]).inc();
    }

    /// Somebody without the node's secret (`secret`), or a node under another's name (`name`), called a hook.
    pub fn stranger(&self, what: &'static str) {
        self.strangers.with_label_values(&[what]).inc();
    }

    /// A heartbeat was taken in or refused.
    pub fn heartbeat(&self, verdict: Verdict) {
        self.heartbeats.with_label_values(&[verdict.as_str()]).inc();
    }

    /// A node's port was dialled back; `check` is one of our own words.
    pub fn dialled(&self, check: &str, ok: bool) {
        self.dialled.with_label_values(&[check, if ok { "yes" } else { "no" }]).inc();
    }

    /// A token was checked in Postgres because Redis was away.
    pub fn token_by_database(&self) {
        self.tokens_unchecked.inc();
    }

    /// An event stream opened (1) or closed (-1).
    pub fn listeners(&self, by: i64) {
        self.listeners.add(by);
    }

    /// An event was `heard`, or an event stream was cut because its reader was `slow`.
    pub fn event(&self, what: &'static str) {
        self.events.with_label_values(&[what]).inc();
    }

    /// A job ended well.
    pub fn job_ran(&self, job: &'static str, now_unix: u64) {
        self.jobs.with_label_values(&[job]).set(i64::try_from(now_unix).unwrap_or(i64::MAX));
    }

    /// Hooks were `kept` in the journal, `lost` because it was full, `written` down from it, or `void` by then.
    pub fn journal(&self, what: &'static str, count: usize) {
        self.journal.with_label_values(&[what]).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// An empty Redis was filled.
    pub fn rebuilt(&self) {
        self.rebuilds.inc();
    }
}
