//! Which publishers and players there are, what SRS can serve to whom, and when a cell is as it should be. Pure.

use proto::{session::Protocol, wire::srt::reject};

/// Least pictures and sounds of a cell that plays: a good part of [`super::clients::WATCH_SECONDS`].
pub const FRAMES_MIN: (u64, u64) = (40, 50);

/// Who publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Source {
    /// RTMP by ffmpeg.
    Rtmp,
    /// RTMP by GStreamer.
    RtmpGstreamer,
    /// SRT by ffmpeg (libsrt).
    Srt,
    /// The same, encrypted with a passphrase, to nodes that have it.
    SrtEncrypted,
    /// WHIP by `keystone`'s own client.
    Whip,
    /// WHIP by a JavaScript client in Chromium.
    WhipBrowser,
}

/// Who plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sink {
    /// WHEP by `keystone`'s own client.
    Whep,
    /// WHEP by aiortc.
    WhepAiortc,
    /// HLS by ffprobe.
    Hls,
    /// HTTP-FLV by ffprobe.
    HttpFlv,
    /// RTMP by ffprobe.
    Rtmp,
    /// SRT by ffprobe (libsrt).
    Srt,
}

/// What is right in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Picture and sound.
    Plays,
    /// SRS has it in no form for this player, who is told so at the door, with this code.
    Refused(u32),
}

impl Source {
    /// All, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Rtmp, Self::RtmpGstreamer, Self::Srt, Self::SrtEncrypted, Self::Whip, Self::WhipBrowser];

    /// For the table.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Rtmp => "RTMP, ffmpeg",
            Self::RtmpGstreamer => "RTMP, GStreamer",
            Self::Srt => "SRT, ffmpeg",
            Self::SrtEncrypted => "SRT encrypted, ffmpeg",
            Self::Whip => "WHIP, keystone",
            Self::WhipBrowser => "WHIP, Chromium",
        }
    }

    /// As its session says.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Rtmp | Self::RtmpGstreamer => Protocol::Rtmp,
            Self::Srt | Self::SrtEncrypted => Protocol::Srt,
            Self::Whip | Self::WhipBrowser => Protocol::Webrtc,
        }
    }

    /// Nodes must have the passphrase.
    #[must_use]
    pub const fn encrypted(self) -> bool {
        matches!(self, Self::SrtEncrypted)
    }

    /// What a player of this stream must find. SRS turns every source into RTMP, HTTP-FLV, HLS and WebRTC, and nothing into SRT.
    #[must_use]
    pub const fn expect(self, sink: Sink) -> Expect {
        match (sink, self.protocol()) {
            (Sink::Srt, Protocol::Rtmp | Protocol::Webrtc | Protocol::Hls | Protocol::HttpFlv) => {
                Expect::Refused(reject::NOT_SUPPORTED_MEDIA)
            }
            (Sink::Srt, Protocol::Srt)
            | (Sink::Whep | Sink::WhepAiortc | Sink::Hls | Sink::HttpFlv | Sink::Rtmp, _) => Expect::Plays,
        }
    }
}

impl Sink {
    /// All, in the order of the table. HLS last: its first segments take longest.
    pub const ALL: [Self; 6] = [Self::Whep, Self::WhepAiortc, Self::HttpFlv, Self::Rtmp, Self::Srt, Self::Hls];

    /// For the table.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Whep => "WHEP",
            Self::WhepAiortc => "WHEP, aiortc",
            Self::Hls => "HLS",
            Self::HttpFlv => "HTTP-FLV",
            Self::Rtmp => "RTMP",
            Self::Srt => "SRT",
        }
    }

    /// As its session says.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Whep | Self::WhepAiortc => Protocol::Webrtc,
            Self::Hls => Protocol::Hls,
            Self::HttpFlv => Protocol::HttpFlv,
            Self::Rtmp => Protocol::Rtmp,
            Self::Srt => Protocol::Srt,
        }
    }
}

/// What came of a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It played.
    Frames {
        /// Pictures that were decoded.
        video: u64,
        /// Packets of sound.
        audio: u64,
    },
    /// It was turned away: the code as far as its protocol has one, and the player's own words.
    Refused(Option<u32>, String),
    /// Neither.
    Failed(String),
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Who published.
    pub source: Source,
    /// Who played.
    pub sink: Sink,
    /// What it saw.
    pub seen: Seen,
    /// Nodes of the player's sessions of its protocol in `GET /v1/sessions` while it played.
    pub session_on: Vec<String>,
}

/// All cells of one publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Who published.
    pub source: Source,
    /// The node that `GET /v1/streams/{id}/route` names.
    pub node: Option<String>,
    /// Nodes of the publisher's sessions of its protocol.
    pub session_on: Vec<String>,
    /// Why there was no stream to play; the cells are then empty.
    pub failed: Option<String>,
    /// Why it was not tried.
    pub skipped: Option<String>,
    /// The players.
    pub cells: Vec<Cell>,
}

impl Round {
    /// One that was not tried.
    #[must_use]
    pub fn skipped(source: Source, why: &str) -> Self {
        Self { skipped: Some(why.to_owned()), ..Self::failed(source, String::new()) }
    }

    /// One without a stream.
    #[must_use]
    pub fn failed(source: Source, why: String) -> Self {
        Self { source, node: None, session_on: Vec::new(), failed: Some(why), skipped: None, cells: Vec::new() }
    }

    /// What is not as it should be.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        if self.skipped.is_some() {
            return Vec::new();
        }
        let title = self.source.title();
        if let Some(why) = &self.failed {
            return vec![format!("{title}: {why}")];
        }
        let mut wrong = Vec::new();
        let Some(node) = &self.node else { return vec![format!("{title}: no placement")] };
        if self.session_on.iter().ne([node]) {
            wrong.push(format!("{title}: placed on {node}, publisher's sessions on {:?}", self.session_on));
        }
        wrong.extend(self.cells.iter().filter_map(|cell| Some(format!("{title} → {}", cell.wrong(node)?))));
        wrong
    }
}

impl Cell {
    /// What is not as it should be, of a stream that is on `node`.
    #[must_use]
    pub fn wrong(&self, node: &str) -> Option<String> {
        let sink = self.sink.title();
        match (self.source.expect(self.sink), &self.seen) {
            (Expect::Plays, Seen::Frames { video, audio }) if *video < FRAMES_MIN.0 || *audio < FRAMES_MIN.1 => {
                Some(format!("{sink}: only {video} pictures and {audio} sounds"))
            }
            (Expect::Plays, Seen::Frames { .. }) if self.session_on.iter().ne([node]) => {
                Some(format!("{sink}: the stream is on {node}, the player's sessions on {:?}", self.session_on))
            }
            (Expect::Plays, Seen::Frames { .. }) => None,
            (Expect::Refused(code), Seen::Refused(Some(told), _)) if code == *told => None,
            (Expect::Refused(_), Seen::Frames { .. }) => Some(format!("{sink}: played, which SRS cannot")),
            (_, Seen::Refused(code, why)) => {
                let code = code.map(|code| format!(" with {code}")).unwrap_or_default();
                Some(format!("{sink}: refused{code}: {why}"))
            }
            (_, Seen::Failed(why)) => Some(format!("{sink}: {why}")),
        }
    }

    /// For the table.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.seen {
            Seen::Frames { video, audio } => format!("{video} + {audio}"),
            Seen::Refused(Some(code), _) => format!("refused, {code}"),
            Seen::Refused(None, _) => "refused".to_owned(),
            Seen::Failed(_) => "failed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(sink: Sink, seen: Seen, on: &[&str]) -> Cell {
        Cell { source: Source::Rtmp, sink, seen, session_on: on.iter().map(|node| (*node).to_owned()).collect() }
    }

    #[test]
    fn srt_is_played_only_from_srt() {
        let refused = |source: Source| {
            Sink::ALL.into_iter().filter(|sink| source.expect(*sink) != Expect::Plays).collect::<Vec<_>>()
        };
        for source in Source::ALL {
            let none = matches!(source, Source::Srt | Source::SrtEncrypted);
            assert_eq!(refused(source), if none { vec![] } else { vec![Sink::Srt] }, "{source:?}");
        }
    }

    #[test]
    fn a_cell_is_right_with_frames_a_session_on_the_node_and_never_by_luck() {
        let frames = |video, audio| Seen::Frames { video, audio };
        assert_eq!(cell(Sink::Hls, frames(100, 150), &["node-1"]).wrong("node-1"), None);
        for wrong in [
            cell(Sink::Hls, frames(100, 0), &["node-1"]),
            cell(Sink::Hls, frames(3, 150), &["node-1"]),
            cell(Sink::Hls, frames(100, 150), &["node-2"]),
            cell(Sink::Hls, frames(100, 150), &[]),
            cell(Sink::Hls, frames(100, 150), &["node-1", "node-1"]),
            cell(Sink::Hls, Seen::Refused(None, "no".into()), &[]),
            cell(Sink::Srt, frames(100, 150), &["node-1"]),
            cell(Sink::Srt, Seen::Failed("timeout".into()), &[]),
            cell(Sink::Srt, Seen::Refused(Some(1404), "no".into()), &[]),
            cell(Sink::Srt, Seen::Refused(None, "no".into()), &[]),
        ] {
            assert!(wrong.wrong("node-1").is_some(), "{wrong:?}");
        }
        assert_eq!(cell(Sink::Srt, Seen::Refused(Some(1415), "no".into()), &[]).wrong("node-1"), None);
    }

    #[test]
    fn a_round_needs_its_publisher_on_the_node_that_placement_names() {
        let round = |session: &str| Round {
            node: Some("node-1".into()),
            session_on: vec![session.into()],
            failed: None,
            ..Round::failed(Source::Whip, String::new())
        };
        assert!(round("node-1").wrong().is_empty());
        assert_eq!(round("node-0").wrong().len(), 1);
        assert_eq!(Round::failed(Source::Whip, "no answer".into()).wrong(), ["WHIP, keystone: no answer"]);
        assert!(Round::skipped(Source::RtmpGstreamer, "no gst-launch-1.0").wrong().is_empty());
    }
}
