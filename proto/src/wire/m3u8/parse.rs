//! Reading a node's media playlist.

use super::names::NodeName;
use crate::ids::StreamId;

/// Longest playlist that is read, in bytes: 512 segments with 100 bytes each are under it.
pub const PLAYLIST_BYTES_MAX: usize = 64 * 1024;
/// Segments of one playlist.
pub const SEGMENTS_MAX: usize = 512;
/// Tags that are passed on though we do not know them: in front of all segments, and in front of one.
const TAGS_MAX: usize = 16;
/// Longest segment, in milliseconds: ten minutes. Also what a playlist's target may say.
const DURATION_MAX_MS: u64 = 600_000;

/// Why a playlist cannot be passed on. None of these is a client's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`PLAYLIST_BYTES_MAX`].
    #[error("has {got} bytes, at most {PLAYLIST_BYTES_MAX} are read")]
    TooLong {
        /// Its bytes.
        got: usize,
    },
    /// Not UTF-8, or without `#EXTM3U`.
    #[error("is no playlist")]
    NotPlaylist,
    /// It names playlists instead of segments, as SRS does with `hls_ctx on`.
    #[error("names other playlists: set `hls_ctx off; hls_ts_ctx off` in the node's hls section")]
    Multivariant,
    /// A number that does not read, is out of bounds, or is missing.
    #[error("the value of {tag} cannot be used")]
    Value {
        /// Which tag.
        tag: &'static str,
    },
    /// A segment or map with another name than `{stream}-…`, with a path or a query.
    #[error(
        "names a segment otherwise than `[stream]-[seq].ts`: see hls_ts_file and hls_ts_ctx in the node's hls section"
    )]
    Name,
    /// A tag that names further resources or keys, which cannot be passed on.
    #[error("uses {tag}, which cannot be passed on")]
    Unsupported {
        /// Which tag.
        tag: &'static str,
    },
    /// More segments or tags than are read.
    #[error("has too many {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its name after `{stream}-`.
    pub name: NodeName,
    /// Its length.
    pub duration_ms: u64,
    /// What stands behind `#EXTINF:`.
    pub(super) inf: &'a str,
    /// It does not go on where the one before ended.
    pub discontinuity: bool,
    /// The beginning it needs, by `EXT-X-MAP`.
    pub map: Option<NodeName>,
    /// Tags we do not know, in their order.
    pub(super) tags: Vec<&'a str>,
}

/// A media playlist as a node wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playlist<'a> {
    pub(super) version: Option<u64>,
    /// Upper bound of a segment's length, in seconds; at least 1.
    pub target_seconds: u64,
    /// The node's number of the first segment.
    pub sequence: u64,
    pub(super) discontinuities: Option<u64>,
    pub(super) head: Vec<&'a str>,
    /// In their order.
    pub segments: Vec<Segment<'a>>,
    pub(super) ended: bool,
}

/// Tags with a meaning of their own for the whole list.
const HEAD: [&str; 5] =
    ["#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-ALLOW-CACHE:", "#EXT-X-START:", "#EXT-X-PLAYLIST-TYPE:", "#EXT-X-DEFINE:"];
/// Tags that refer to what we would not rewrite.
const UNSUPPORTED: [(&str, &str); 10] = [
    ("#EXT-X-KEY", "EXT-X-KEY"),
    ("#EXT-X-SESSION-KEY", "EXT-X-SESSION-KEY"),
    ("#EXT-X-BYTERANGE", "EXT-X-BYTERANGE"),
    ("#EXT-X-PART", "EXT-X-PART"),
    ("#EXT-X-PRELOAD-HINT", "EXT-X-PRELOAD-HINT"),
    ("#EXT-X-RENDITION-REPORT", "EXT-X-RENDITION-REPORT"),
    ("#EXT-X-SKIP", "EXT-X-SKIP"),
    ("#EXT-X-SERVER-CONTROL", "EXT-X-SERVER-CONTROL"),
    ("#EXT-X-I-FRAMES-ONLY", "EXT-X-I-FRAMES-ONLY"),
    ("#EXT-X-DATERANGE", "EXT-X-DATERANGE"),
];

/// What was read in front of the next segment.
#[derive(Default)]
struct Next<'a> {
    inf: Option<(&'a str, u64)>,
    discontinuity: bool,
    tags: Vec<&'a str>,
}

impl<'a> Playlist<'a> {
    /// Reads a playlist of `stream`.
    ///
    /// # Errors
    /// [`Error`]: the node is set up in a way that cannot be served; tell its operator.
    pub fn parse(bytes: &'a [u8], stream: &StreamId) -> Result<Self, Error> {
        if bytes.len() > PLAYLIST_BYTES_MAX {
            return Err(Error::TooLong { got: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::NotPlaylist)?;
        let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        if lines.next() != Some("#EXTM3U") {
            return Err(Error::NotPlaylist);
        }
        let mut list = Playlist {
            version: None,
            target_seconds: 0,
            sequence: 0,
            discontinuities: None,
            head: Vec::new(),
            segments: Vec::new(),
            ended: false,
        };
        let (mut next, mut map) = (Next::default(), None);
        for line in lines {
            if line.starts_with("#EXT") {
                list.tag(line, &mut next, &mut map, stream)?;
            } else if !line.starts_with('#') {
                list.segment(line, std::mem::take(&mut next), map.clone(), stream)?;
            }
        }
        if list.target_seconds == 0 {
            return Err(Error::Value { tag: "EXT-X-TARGETDURATION" });
        }
        Ok(list)
    }

    fn segment(&mut self, uri: &str, next: Next<'a>, map: Option<NodeName>, stream: &StreamId) -> Result<(), Error> {
        let name = NodeName::of_uri(uri, stream).ok_or(Error::Name)?;
        let (inf, duration_ms) = next.inf.ok_or(Error::Value { tag: "EXTINF" })?;
        if self.segments.len() >= SEGMENTS_MAX {
            return Err(Error::TooMany { what: "segments" });
        }
        let Next { discontinuity, tags, .. } = next;
        self.segments.push(Segment { name, duration_ms, inf, discontinuity, map, tags });
        Ok(())
    }

    fn tag(
        &mut self,
        line: &'a str,
        next: &mut Next<'a>,
        map: &mut Option<NodeName>,
        stream: &StreamId,
    ) -> Result<(), Error> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name {
            "#EXTINF" => next.inf = Some((value, duration(value).ok_or(Error::Value { tag: "EXTINF" })?)),
            "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
            "#EXT-X-MAP" => *map = Some(map_uri(value, stream)?),
            "#EXT-X-VERSION" => self.version = Some(number(value, 100, "EXT-X-VERSION")?),
            "#EXT-X-TARGETDURATION" => {
                // Of 0 (a node that has only a fragment of a second) one second is made: pollers divide by it.
                self.target_seconds = number(value, DURATION_MAX_MS / 1_000, "EXT-X-TARGETDURATION")?.max(1);
            }
            "#EXT-X-MEDIA-SEQUENCE" => self.sequence = number(value, u64::from(u32::MAX), "EXT-X-MEDIA-SEQUENCE")?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuities = Some(number(value, u64::from(u32::MAX), "EXT-X-DISCONTINUITY-SEQUENCE")?);
            }
            "#EXT-X-ENDLIST" => self.ended = true,
            "#EXT-X-STREAM-INF" | "#EXT-X-I-FRAME-STREAM-INF" | "#EXT-X-MEDIA" => return Err(Error::Multivariant),
            _ => return self.unknown(line, next),
        }
        Ok(())
    }

    /// Keeps a tag that we do not know, unless it refers to something that we would have to know.
    fn unknown(&mut self, line: &'a str, next: &mut Next<'a>) -> Result<(), Error> {
        if let Some((_, tag)) = UNSUPPORTED.into_iter().find(|(known, _)| line.starts_with(known)) {
            return Err(Error::Unsupported { tag });
        }
        if line.contains("URI=") {
            return Err(Error::Unsupported { tag: "a tag with a URI" });
        }
        let kept = if HEAD.iter().any(|tag| line.starts_with(tag)) { &mut self.head } else { &mut next.tags };
        if kept.len() >= TAGS_MAX {
            return Err(Error::TooMany { what: "tags" });
        }
        kept.push(line);
        Ok(())
    }
}

fn number(text: &str, limit: u64, tag: &'static str) -> Result<u64, Error> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let value = if plain { text.parse().ok() } else { None };
    value.filter(|value| *value <= limit).ok_or(Error::Value { tag })
}

/// Milliseconds of `{seconds}[.{fraction}][,{title}]`, by whole numbers: what is written again is the text.
fn duration(value: &str) -> Option<u64> {
    let text = value.split(',').next().unwrap_or_default();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.len() <= 12 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let seconds: u64 = whole.parse().ok()?;
    let mut ms = 0_u64;
    let thousandths = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    for digit in thousandths {
        ms = ms.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?))?;
    }
    seconds.checked_mul(1_000)?.checked_add(ms).filter(|ms| *ms <= DURATION_MAX_MS)
}

/// The name in `URI="…"`; a map that is a part of its file is not passed on.
fn map_uri(value: &str, stream: &StreamId) -> Result<NodeName, Error> {
    if value.contains("BYTERANGE") {
        return Err(Error::Unsupported { tag: "EXT-X-BYTERANGE" });
    }
    let uri = value.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(uri, _)| uri);
    uri.and_then(|uri| NodeName::of_uri(uri, stream)).ok_or(Error::Name)
}
