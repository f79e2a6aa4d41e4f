//! HLS out: fragmented MP4 in memory, from RTMP publishers with H.264 and AAC, and from WHIP publishers with H.264
//! and Opus.
//!
//! `/live/{stream}.m3u8` names `{stream}-{n}.m4s` and one `{stream}-init{n}.mp4`; numbers go on over a change of
//! publisher, with a discontinuity. No viewer context and no hooks for viewers (SRS with `hls_ctx off`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;

use super::hooks::{Action, Extra};
use super::http::{Answer, Call, reply};
use super::query::stream_url;
use super::registry::Subject;
use super::shared::Node;

/// A segment ends at the first keyframe after this many seconds.
const SEGMENT_SECONDS: f64 = 2.0;
/// Segments named in a playlist; two more are kept for late readers.
const WINDOW: usize = 6;
const KEPT: usize = WINDOW + 2;
/// Longest segment, bytes: a publisher that sends no keyframe is cut here.
const SEGMENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A playlist nobody feeds goes after this (SRS: `hls_dispose`).
const DISPOSE_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Segment {
    number: u64,
    seconds: f64,
    data: Bytes,
    /// Number of the init segment it belongs to.
    init: u64,
}

/// One stream's playlist.
#[derive(Debug, Default)]
struct Playlist {
    segments: VecDeque<Segment>,
    init: BTreeMap<u64, Bytes>,
    next: u64,
    fed: Duration,
}

/// A finished segment, for `on_hls`.
#[derive(Debug, PartialEq)]
pub(crate) struct Cut {
    pub(crate) number: u64,
    pub(crate) seconds: f64,
}

/// Collects one publisher's samples into segments. Pure.
#[derive(Debug)]
pub(crate) struct Segmenter {
    timescale: f64,
    begin: Option<u64>,
    data: Vec<u8>,
}

impl Segmenter {
    /// `timescale`: ticks a second of the video track.
    pub(crate) fn new(timescale: u32) -> Self {
        Self { timescale: f64::from(timescale.max(1)), begin: None, data: Vec::new() }
    }

    /// Adds a sample; `video` is its time in ticks and whether it is a keyframe, absent for audio.
    /// Gives the segment that ended before it.
    pub(crate) fn push(&mut self, data: &[u8], video: Option<(u64, bool)>) -> Option<(f64, Bytes)> {
        let mut done = None;
        if let Some((ticks, key)) = video {
            let elapsed = u32::try_from(ticks.saturating_sub(*self.begin.get_or_insert(ticks))).unwrap_or(u32::MAX);
            let seconds = f64::from(elapsed) / self.timescale;
            let full = key && seconds >= SEGMENT_SECONDS || self.data.len() > SEGMENT_BYTES_MAX;
            if full {
                self.begin = Some(ticks);
                done = Some((seconds, Bytes::from(std::mem::take(&mut self.data))));
            }
        }
        // Sound from before the first picture would begin a segment that no player can start.
        if self.begin.is_some() {
            self.data.extend_from_slice(data);
        }
        done
    }
}

/// A publisher's segment is done: keeps it and tells of it.
pub(crate) fn finished(node: &Node, subject: &Subject, seconds: f64, data: Bytes) {
    let Some(cut) = node.hls.append(&subject.url, seconds, data, node.now()) else { return };
    let stem = subject.url.trim_start_matches('/');
    let (file, playlist) = (format!("{stem}-{}.m4s", cut.number), format!("{stem}.m3u8"));
    let stream_id = node.stream_id(&subject.url);
    let extra = Extra::Segment {
        stream_id: stream_id.as_deref(),
        file: &file,
        playlist: &playlist,
        seconds: cut.seconds,
        number: cut.number,
    };
    node.hooks.tell(Action::Hls, subject, extra);
}

/// All playlists of a node, by `/app/stream`.
#[derive(Debug, Default)]
pub(crate) struct HlsStore(Mutex<BTreeMap<String, Playlist>>);

impl HlsStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Playlist>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A publisher's init segment; segments from now on belong to it.
    pub(crate) fn begin(&self, url: &str, init: Bytes, now: Duration) {
        let mut playlists = self.lock();
        let playlist = playlists.entry(url.to_owned()).or_default();
        playlist.init.insert(playlist.next, init);
        playlist.fed = now;
    }

    /// Appends a finished segment.
    pub(crate) fn append(&self, url: &str, seconds: f64, data: Bytes, now: Duration) -> Option<Cut> {
        let mut playlists = self.lock();
        let playlist = playlists.get_mut(url)?;
        let init = *playlist.init.last_key_value()?.0;
        let number = playlist.next;
        playlist.segments.push_back(Segment { number, seconds, data, init });
        playlist.next = playlist.next.saturating_add(1);
        playlist.fed = now;
        while playlist.segments.len() > KEPT {
            playlist.segments.pop_front();
        }
        let oldest = playlist.segments.front().map_or(number, |segment| segment.init);
        playlist.init.retain(|number, _| *number >= oldest);
        Some(Cut { number, seconds })
    }

    /// Drops playlists that were not fed for [`DISPOSE_AFTER`].
    pub(crate) fn dispose(&self, now: Duration) {
        self.lock().retain(|_, playlist| now.saturating_sub(playlist.fed) < DISPOSE_AFTER);
    }

    /// Answers a `GET` below `/`; 404 for what there is not.
    pub(crate) fn answer(&self, call: &Call) -> Answer {
        match self.find(&call.path) {
            Some((kind, data)) => reply(StatusCode::OK, kind, data),
            None => reply(StatusCode::NOT_FOUND, "text/plain", "Not Found"),
        }
    }

    fn find(&self, path: &str) -> Option<(&'static str, Bytes)> {
        let (app, file) = path.strip_prefix('/')?.rsplit_once('/')?;
        let playlists = self.lock();
        if let Some(stream) = file.strip_suffix(".m3u8") {
            let playlist = playlists.get(&stream_url(app, stream))?;
            return Some(("application/vnd.apple.mpegurl", playlist.text(stream)?.into()));
        }
        let (stream, rest) = file.rsplit_once('-')?;
        let playlist = playlists.get(&stream_url(app, stream))?;
        if let Some(number) = rest.strip_prefix("init").and_then(|rest| rest.strip_suffix(".mp4")) {
            return Some(("video/mp4", playlist.init.get(&number.parse().ok()?)?.clone()));
        }
        let number: u64 = rest.strip_suffix(".m4s")?.parse().ok()?;
        let segment = playlist.segments.iter().find(|segment| segment.number == number)?;
        Some(("video/mp4", segment.data.clone()))
    }
}

impl Playlist {
    /// `None` until there is a segment.
    fn text(&self, stream: &str) -> Option<String> {
        let shown = || self.segments.iter().skip(self.segments.len().saturating_sub(WINDOW));
        let first = shown().next()?;
        let longest = shown().map(|segment| segment.seconds).fold(0.0, f64::max).ceil();
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-TARGETDURATION:{longest}\n",
            first.number
        );
        let mut init = None;
        for segment in shown() {
            if init != Some(segment.init) {
                let gap = if init.is_some() { "#EXT-X-DISCONTINUITY\n" } else { "" };
                text.push_str(&format!("{gap}#EXT-X-MAP:URI=\"{stream}-init{}.mp4\"\n", segment.init));
                init = Some(segment.init);
            }
            text.push_str(&format!("#EXTINF:{:.3},\n{stream}-{}.m4s\n", segment.seconds, segment.number));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_ends_at_a_keyframe_after_two_seconds() {
        let mut segmenter = Segmenter::new(1_000);
        assert_eq!(segmenter.push(b"early sound", None), None);
        for (ticks, key) in [(0, true), (1_000, true), (1_999, true), (2_500, false)] {
            assert_eq!(segmenter.push(b"v", Some((ticks, key))), None);
        }
        assert_eq!(segmenter.push(b"a", None), None);
        let (seconds, data) = segmenter.push(b"k", Some((3_000, true))).unwrap();
        assert_eq!((seconds, data.as_ref()), (3.0, b"vvvva".as_slice()));
    }

    #[test]
    fn numbers_go_on_over_a_change_of_publisher() {
        let store = HlsStore::default();
        let url = "/live/s";
        store.begin(url, Bytes::from_static(b"one"), Duration::ZERO);
        assert!(store.find("/live/s.m3u8").is_none(), "no segment yet");
        store.append(url, 2.0, Bytes::from_static(b"0"), Duration::ZERO);
        store.begin(url, Bytes::from_static(b"two"), Duration::ZERO);
        store.append(url, 2.1, Bytes::from_static(b"1"), Duration::ZERO);
        let (_, text) = store.find("/live/s.m3u8").unwrap();
        let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:3\n\
             #EXT-X-MAP:URI=\"s-init0.mp4\"\n#EXTINF:2.000,\ns-0.m4s\n#EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"s-init1.mp4\"\n#EXTINF:2.100,\ns-1.m4s\n";
        assert_eq!(text, expected);
        assert_eq!(store.find("/live/s-init0.mp4").unwrap().1, "one");
        assert_eq!(store.find("/live/s-1.m4s").unwrap().1, "1");
        for path in ["/live/s-2.m4s", "/live/t.m3u8", "/x", "", "/live/s-.m4s", "/live/s-init9.mp4"] {
            assert!(store.find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn old_segments_and_silent_playlists_go() {
        let store = HlsStore::default();
        store.begin("/live/s", Bytes::new(), Duration::ZERO);
        for number in 0..20 {
            let cut = store.append("/live/s", 2.0, Bytes::new(), Duration::ZERO);
            assert_eq!(cut, Some(Cut { number, seconds: 2.0 }));
        }
        assert!(store.find("/live/s-11.m4s").is_none() && store.find("/live/s-12.m4s").is_some());
        let text = store.find("/live/s.m3u8").unwrap().1;
        assert!(String::from_utf8_lossy(&text).contains("MEDIA-SEQUENCE:14"));
        store.dispose(DISPOSE_AFTER);
        assert!(store.find("/live/s.m3u8").is_none());
    }
}
