//! What `keystone demo` prints: one line a second, as a table for people or as JSON for programs.

use crate::media::Stats;
use serde::Serialize;
use std::{ops::AddAssign, time::Duration};

/// Frames and bytes that came out at the far end, over all sessions of the demo's viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Video frames that parsed.
    pub video: u64,
    /// Audio packets.
    pub audio: u64,
    /// Payload bytes of both.
    pub bytes: u64,
}

impl From<Stats> for Received {
    fn from(stats: Stats) -> Self {
        Self { video: stats.frames_video, audio: stats.frames_audio, bytes: stats.bytes }
    }
}

impl AddAssign for Received {
    fn add_assign(&mut self, more: Self) {
        self.video += more.video;
        self.audio += more.audio;
        self.bytes += more.bytes;
    }
}

/// One line. Counters grow from the begin of the demo; `kbps` is of the time since the line before, in the last line of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Seconds since the publisher was accepted.
    pub t: u64,
    /// The stream's id.
    pub stream: String,
    /// The media node that has it, as the API says; null while it is not live.
    pub node: Option<String>,
    /// The edge that answered the viewer; null before the first answer.
    pub edge: Option<String>,
    /// `srs` or `builtin`.
    pub media: &'static str,
    /// Whether the API says that the stream is live.
    pub live: bool,
    /// Viewers, as the API says.
    pub viewers: u64,
    /// Video frames that came out and parsed.
    pub frames_video: u64,
    /// Audio packets that came out.
    pub frames_audio: u64,
    /// Payload bytes of both.
    pub bytes: u64,
    /// Kilobits a second.
    pub kbps: u64,
    /// Only in the last line, where it is true.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total: bool,
}

/// Kilobits a second of `bytes` in `time`, rounded down; 0 for no time.
#[must_use]
pub fn kbps(bytes: u64, time: Duration) -> u64 {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    bytes.saturating_mul(8).checked_div(ms).unwrap_or(0)
}

/// The line above the table.
#[must_use]
pub fn head() -> String {
    format!(
        "{:>5}  {:<12}  {:<8}  {:<8}  {:<7}  {:>7}  {:>6}  {:>6}  {:>7}",
        "time", "stream", "node", "edge", "media", "viewers", "video", "audio", "kbit/s"
    )
}

impl Line {
    /// The line of the table; `edge` by the name that `keystone up` gave it.
    #[must_use]
    pub fn row(&self, edge: Option<&str>) -> String {
        let node = self.node.as_deref().unwrap_or("-");
        let when = if self.total { "total".to_owned() } else { format!("{}s", self.t) };
        format!(
            "{when:>5}  {:<12}  {node:<8}  {:<8}  {:<7}  {:>7}  {:>6}  {:>6}  {:>7}",
            self.stream,
            edge.unwrap_or("-"),
            self.media,
            self.viewers,
            self.frames_video,
            self.frames_audio,
            self.kbps
        )
    }

    /// The line as JSON.
    ///
    /// # Panics
    /// Never: a struct of texts and numbers has a JSON form.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a struct of texts and numbers has a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            t: 3,
            stream: "6u0h2k8q1xwz".into(),
            node: Some("node-0".into()),
            edge: Some("e1".into()),
            media: "srs",
            live: true,
            viewers: 1,
            frames_video: 84,
            frames_audio: 142,
            bytes: 300_000,
            kbps: 812,
            total: false,
        }
    }

    #[test]
    fn json_has_the_documented_keys_and_total_only_at_the_end() {
        let keys = |line: &Line| {
            let value: serde_json::Value = serde_json::from_str(&line.json()).unwrap();
            value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
        };
        let mut wanted: std::collections::BTreeSet<String> = [
            "t",
            "stream",
            "node",
            "edge",
            "media",
            "live",
            "viewers",
            "frames_video",
            "frames_audio",
            "bytes",
            "kbps",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(keys(&line()), wanted);
        wanted.insert("total".to_owned());
        assert_eq!(keys(&Line { total: true, ..line() }), wanted);
    }

    #[test]
    fn rows_stand_under_their_heads() {
        let row = line().row(Some("edge-1"));
        assert_eq!(row.len(), head().len());
        for (name, value) in [("stream", "6u0h"), ("node", "node-0"), ("edge", "edge-1"), ("media", "srs")] {
            assert_eq!(head().find(name), row.find(value), "{row}");
        }
    }

    #[test]
    fn rates_do_not_divide_by_nothing() {
        assert_eq!(kbps(125_000, Duration::from_secs(1)), 1_000);
        assert_eq!(kbps(1, Duration::ZERO), 0);
    }
}
