//! Names of segments: as a node writes them into its playlist, and as viewers see them.

use crate::ids::StreamId;

/// Longest segment name that is looked at, in bytes.
pub const NAME_LEN_MAX: usize = 160;
/// Longest part of a node's name after the stream, in bytes, extension included.
const REST_LEN_MAX: usize = 64;

/// What a segment's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// `.ts`: MPEG transport stream.
    Ts,
    /// `.m4s`: fragment of an MP4.
    M4s,
    /// `.mp4`: beginning of an MP4, named by `EXT-X-MAP`.
    Init,
}

impl SegmentKind {
    fn of(extension: &str) -> Option<Self> {
        match extension {
            "ts" => Some(Self::Ts),
            "m4s" => Some(Self::M4s),
            "mp4" => Some(Self::Init),
            _ => None,
        }
    }

    /// The media type it is served as.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Ts => "video/mp2t",
            Self::M4s | Self::Init => "video/mp4",
        }
    }
}

/// The part of a node's segment name after `{stream}-`, e.g. `17.ts` or `init0.mp4`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Box<str>);

impl NodeName {
    /// Reads `{rest}`: letters, digits, `-`, `_`, then one of the extensions. No dot, slash, escape or query, so it cannot leave its folder.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (stem, extension) = text.rsplit_once('.')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = text.len() <= REST_LEN_MAX && !stem.is_empty() && stem.bytes().all(plain);
        (fits && SegmentKind::of(extension).is_some()).then(|| Self(text.into()))
    }

    /// Reads a URI of a node's playlist: a bare file name that begins with the stream's.
    #[must_use]
    pub fn of_uri(uri: &str, stream: &StreamId) -> Option<Self> {
        Self::parse(uri.strip_prefix(stream.as_str())?.strip_prefix('-')?)
    }

    /// Its characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> SegmentKind {
        self.0.rsplit_once('.').and_then(|(_, extension)| SegmentKind::of(extension)).unwrap_or(SegmentKind::Ts)
    }

    /// Its number, if that is all its name is (`[seq]`).
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let (stem, _) = self.0.rsplit_once('.')?;
        let digits = stem.len() <= 15 && stem.bytes().all(|b| b.is_ascii_digit());
        if digits { stem.parse().ok() } else { None }
    }

    /// The file at the node, under its application's folder.
    #[must_use]
    pub fn at_node(&self, stream: &StreamId) -> String {
        format!("{stream}-{}", self.0)
    }
}

/// A segment as viewers name it: `{stream}.{epoch}.{rest}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SegmentName {
    /// The stream.
    pub stream: StreamId,
    /// The epoch of the publish that made it.
    pub epoch: u64,
    /// What the node calls it.
    pub rest: NodeName,
}

impl SegmentName {
    /// Reads a file name; `None` for whatever this cluster did not write. An epoch has one spelling, so a segment has one name.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        if file.len() > NAME_LEN_MAX {
            return None;
        }
        let (stream, tail) = file.split_once('.')?;
        let (epoch, rest) = tail.split_once('.')?;
        let canonical = epoch.bytes().all(|b| b.is_ascii_digit()) && (epoch == "0" || !epoch.starts_with('0'));
        let epoch = if canonical { epoch.parse().ok()? } else { return None };
        Some(Self { stream: StreamId::parse(stream).ok()?, epoch, rest: NodeName::parse(rest)? })
    }
}

impl std::fmt::Display for SegmentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.stream, self.epoch, self.rest.as_str())
    }
}
