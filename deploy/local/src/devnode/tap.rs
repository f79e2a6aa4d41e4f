//! What RTMP and HTTP-FLV viewers get of a stream: its metadata, codec headers, the tags since the last keyframe, and
//! then every tag as it comes. Tags are passed on as the publisher sent them; nothing is decoded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;

/// Tags kept since the last keyframe; 10 s of 30 pictures and 47 AAC frames.
const CACHE_TAGS_MAX: usize = 800;
/// Bytes kept since the last keyframe.
const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Tags a viewer may lie behind before it is cut off.
const BEHIND_MAX: usize = 1_024;

/// Type of a tag, the same number in RTMP and FLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagKind {
    Audio = 8,
    Video = 9,
    Data = 18,
}

/// One message of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) kind: TagKind,
    pub(crate) timestamp_ms: u32,
    pub(crate) data: Bytes,
}

impl Tag {
    /// AVC's or AAC's codec header.
    fn is_header(&self) -> bool {
        match (self.kind, self.data.as_ref()) {
            (TagKind::Video, [first, 0, ..]) => first & 0x0f == 7,
            (TagKind::Audio, [first, 0, ..]) => first >> 4 == 10,
            _ => false,
        }
    }

    fn is_keyframe(&self) -> bool {
        self.kind == TagKind::Video && self.data.first().is_some_and(|first| first >> 4 == 1)
    }
}

/// What a viewer is sent.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Tag(Tag),
    /// The publisher left.
    End,
}

#[derive(Debug)]
struct Tap {
    live: bool,
    metadata: Option<Tag>,
    video_header: Option<Tag>,
    audio_header: Option<Tag>,
    cache: Vec<Tag>,
    cached_bytes: usize,
    viewers: broadcast::Sender<Item>,
}

impl Tap {
    fn new() -> Self {
        Self {
            live: false,
            metadata: None,
            video_header: None,
            audio_header: None,
            cache: Vec::new(),
            cached_bytes: 0,
            viewers: broadcast::Sender::new(BEHIND_MAX),
        }
    }

    fn clear(&mut self) {
        (self.metadata, self.video_header, self.audio_header) = (None, None, None);
        self.forget_pictures();
    }

    fn forget_pictures(&mut self) {
        self.cache.clear();
        self.cached_bytes = 0;
    }

    fn keep(&mut self, tag: &Tag) {
        match tag.kind {
            TagKind::Data => self.metadata = Some(tag.clone()),
            TagKind::Video if tag.is_header() => self.video_header = Some(tag.clone()),
            TagKind::Audio if tag.is_header() => self.audio_header = Some(tag.clone()),
            TagKind::Video | TagKind::Audio => {
                if tag.is_keyframe() {
                    self.forget_pictures();
                }
                if tag.is_keyframe() || !self.cache.is_empty() {
                    self.cached_bytes = self.cached_bytes.saturating_add(tag.data.len());
                    self.cache.push(tag.clone());
                }
                if self.cache.len() > CACHE_TAGS_MAX || self.cached_bytes > CACHE_BYTES_MAX {
                    self.forget_pictures();
                }
            }
        }
    }

    /// What a viewer needs before the next tag: metadata, headers, then the tags since the last keyframe.
    fn opening(&self) -> Vec<Tag> {
        let heads = [&self.metadata, &self.audio_header, &self.video_header];
        heads.into_iter().flatten().chain(&self.cache).cloned().collect()
    }
}

/// All streams of a node that came by RTMP, by `/app/stream`.
#[derive(Debug, Default)]
pub(crate) struct Taps(Mutex<BTreeMap<String, Tap>>);

impl Taps {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Tap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A publisher begins.
    pub(crate) fn begin(&self, url: &str) {
        let mut taps = self.lock();
        let tap = taps.entry(url.to_owned()).or_insert_with(Tap::new);
        tap.clear();
        tap.live = true;
    }

    /// A tag of the publisher.
    pub(crate) fn push(&self, url: &str, tag: Tag) {
        if let Some(tap) = self.lock().get_mut(url) {
            tap.keep(&tag);
            // Nobody watches: nothing to do.
            tap.viewers.send(Item::Tag(tag)).ok();
        }
    }

    /// The publisher left.
    pub(crate) fn end(&self, url: &str) {
        let mut taps = self.lock();
        if let Some(tap) = taps.get_mut(url) {
            tap.clear();
            tap.live = false;
            tap.viewers.send(Item::End).ok();
            if tap.viewers.receiver_count() == 0 {
                taps.remove(url);
            }
        }
    }

    /// A viewer of `url`, whether anybody publishes it or not.
    pub(crate) fn watch(&self, url: &str) -> Watch {
        let mut taps = self.lock();
        let tap = taps.entry(url.to_owned()).or_insert_with(Tap::new);
        let mut opening = tap.opening();
        opening.reverse();
        Watch { opening, items: tap.viewers.subscribe() }
    }

    /// Forgets streams that nobody publishes or watches.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|_, tap| tap.live || tap.viewers.receiver_count() > 0);
    }
}

/// One viewer's side of a stream.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Last first.
    opening: Vec<Tag>,
    items: broadcast::Receiver<Item>,
}

impl Watch {
    /// The next item; `None` when this viewer is too slow. Safe to drop before it is done.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        if let Some(tag) = self.opening.pop() {
            return Some(Item::Tag(tag));
        }
        // The sender lives as long as somebody watches.
        self.items.recv().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "/live/s";

    fn tag(kind: TagKind, data: &'static [u8]) -> Tag {
        Tag { kind, timestamp_ms: 7, data: Bytes::from_static(data) }
    }

    const VIDEO_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1];
    const AUDIO_HEADER: &[u8] = &[0xaf, 0, 0x12, 0x10];
    const KEY: &[u8] = &[0x17, 1, 0, 0, 0];
    const INTER: &[u8] = &[0x27, 1, 0, 0, 0];

    fn started() -> Taps {
        let taps = Taps::default();
        taps.begin(URL);
        for (kind, data) in [
            (TagKind::Data, &b"meta"[..]),
            (TagKind::Video, VIDEO_HEADER),
            (TagKind::Video, INTER),
            (TagKind::Audio, AUDIO_HEADER),
            (TagKind::Video, KEY),
            (TagKind::Video, INTER),
        ] {
            taps.push(URL, tag(kind, data));
        }
        taps
    }

    async fn tags(watch: &mut Watch, count: usize) -> Vec<Bytes> {
        let mut tags = Vec::new();
        for _ in 0..count {
            match watch.next().await {
                Some(Item::Tag(tag)) => tags.push(tag.data),
                other => panic!("{other:?}"),
            }
        }
        tags
    }

    #[tokio::test]
    async fn a_late_viewer_gets_headers_and_begins_at_a_keyframe() {
        let taps = started();
        let mut late = taps.watch(URL);
        taps.push(URL, tag(TagKind::Video, b"\x27next"));
        let got = tags(&mut late, 6).await;
        assert_eq!(got, [b"meta", AUDIO_HEADER, VIDEO_HEADER, KEY, INTER, b"\x27next"]);
        taps.end(URL);
        assert!(matches!(late.next().await, Some(Item::End)));
        // The next publisher's viewers see nothing of the last one.
        taps.begin(URL);
        assert!(taps.watch(URL).opening.is_empty());
    }

    #[tokio::test]
    async fn a_viewer_that_falls_behind_is_let_go() {
        let taps = started();
        let mut slow = taps.watch(URL);
        for _ in 0..=BEHIND_MAX {
            taps.push(URL, tag(TagKind::Video, INTER));
        }
        tags(&mut slow, 5).await;
        assert!(slow.next().await.is_none());
    }

    #[test]
    fn the_cache_is_bounded_and_nothing_is_kept_for_nobody() {
        let taps = started();
        for _ in 0..2_000 {
            taps.push(URL, tag(TagKind::Audio, b"\xaf\x01"));
        }
        assert!(taps.watch(URL).opening.len() <= CACHE_TAGS_MAX);
        taps.end(URL);
        drop(taps.watch("/live/other"));
        taps.sweep();
        assert!(taps.lock().is_empty());
    }
}
