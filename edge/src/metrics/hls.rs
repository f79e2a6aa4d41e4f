//! What is counted of media fetched over HTTP: playlists, segments, HTTP-FLV, thumbnails.

use super::Maker;
use prometheus::{IntCounterVec, IntGauge};

/// A file of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// A playlist.
    Playlist,
    /// A segment, or the beginning of an MP4.
    Segment,
}

impl File {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Playlist => "playlist",
            Self::Segment => "segment",
        }
    }
}

/// How a fetch at a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// With the file.
    Found,
    /// The node has none.
    Absent,
    /// The node did not answer, or not as it should.
    Failed,
}

/// What became of a request for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// It was there.
    Kept,
    /// It was cut.
    Cut,
    /// It could not be cut.
    Failed,
}

/// Counters; cheap to clone.
#[derive(Debug, Clone)]
pub struct HlsMetrics {
    asked: IntCounterVec,
    fetched: IntCounterVec,
    pictures: IntCounterVec,
    viewers: IntGauge,
    bytes: IntGauge,
}

impl HlsMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            asked: make.counters(
                "keystone_edge_hls_requests_total",
                "Playlists and segments asked for, by whether they were in the cache.",
                &["file", "cache"],
            )?,
            fetched: make.counters(
                "keystone_edge_hls_fetches_total",
                "Playlists and segments asked of media nodes, by outcome.",
                &["file", "outcome"],
            )?,
            pictures: make.counters(
                "keystone_edge_thumbnails_total",
                "Thumbnails asked for, by what became of it.",
                &["outcome"],
            )?,
            viewers: make.gauge("keystone_edge_hls_viewers", "HLS sessions that this edge serves.")?,
            bytes: make.gauge("keystone_edge_hls_cache_bytes", "Memory that cached segments take.")?,
        })
    }

    /// A file was asked for.
    pub fn asked(&self, file: File, hit: bool) {
        self.asked.with_label_values(&[file.as_str(), if hit { "hit" } else { "miss" }]).inc();
    }

    /// A file was asked of a node.
    pub fn fetched(&self, file: File, outcome: Fetched) {
        let outcome = match outcome {
            Fetched::Found => "found",
            Fetched::Absent => "absent",
            Fetched::Failed => "failed",
        };
        self.fetched.with_label_values(&[file.as_str(), outcome]).inc();
    }

    /// A picture was asked for.
    pub fn picture(&self, outcome: Picture) {
        let outcome = match outcome {
            Picture::Kept => "kept",
            Picture::Cut => "cut",
            Picture::Failed => "failed",
        };
        self.pictures.with_label_values(&[outcome]).inc();
    }

    /// How many sessions are served, and what the cache takes.
    pub fn viewers(&self, count: usize, bytes: u64) {
        self.viewers.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
