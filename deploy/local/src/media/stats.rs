//! What a running client has seen so far.

use std::time::Duration;

/// Where a session is in its life; it only moves downwards in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum State {
    /// The answer is applied; ICE and DTLS are under way.
    #[default]
    Connecting,
    /// Media may flow both ways.
    Connected,
    /// `stop` was called and the session is deleted.
    Stopped,
    /// The other side closed, ICE consent ran out, or the source ended.
    Lost,
}

impl State {
    /// True once no frame can follow.
    pub fn ended(self) -> bool {
        match self {
            Self::Connecting | Self::Connected => false,
            Self::Stopped | Self::Lost => true,
        }
    }

    /// Lower-case word for logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
}

/// Counters of one session: a publisher counts what it sent, a viewer what came out of the depacketiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Where the session is.
    pub state: State,
    /// Video frames; at a viewer only those that parsed as an H.264 access unit.
    pub frames_video: u64,
    /// Those of `frames_video` that are IDR pictures.
    pub keyframes: u64,
    /// Opus packets.
    pub frames_audio: u64,
    /// Video frames a viewer got that did not parse; 0 at a publisher.
    pub frames_bad: u64,
    /// Datagrams that arrived, of any kind: also a publisher hears from its node each second.
    pub datagrams: u64,
    /// Times the viewer's RTP was not contiguous; 0 at a publisher.
    pub gaps: u64,
    /// Payload bytes of all counted frames, without RTP, SRTP and UDP headers.
    pub bytes: u64,
    /// From the POST to ICE and DTLS being up.
    pub connected_after: Option<Duration>,
    /// From the POST to the first video frame that counted.
    pub first_frame_after: Option<Duration>,
}
