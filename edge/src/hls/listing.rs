//! A node's playlist as viewers see it: written once, and the viewer's value put between its pieces for each. Pure: time comes in.

use bytes::{Bytes, BytesMut};
use proto::{
    fleet::Placement,
    secret::sha256_hex,
    viewer,
    wire::m3u8::{Error, NodeName, Playlist, View},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Stands for the viewer's value while the pieces are cut: no playlist that was parsed holds it.
const MARK: &str = "\u{1}";
/// How long a segment may be asked for after the last playlist that named it: nodes delete files soon after.
const NAMED_FOR: Duration = Duration::from_secs(30);
/// How far before the first segment of a list its neighbours may be asked for, by number: another edge may have named them a moment ago.
const BEFORE: u64 = 4;
/// Characters of an entity tag.
const ETAG_LEN: usize = 20;

/// One state of a stream's playlist.
#[derive(Debug)]
pub(crate) struct Listing {
    at: Arc<Placement>,
    pieces: Vec<Bytes>,
    public: Bytes,
    etag: String,
    target: Duration,
    /// The node's numbers of the first and the last segment.
    numbers: (u64, u64),
    stale_upto: Option<u64>,
    named: HashMap<NodeName, Instant>,
    /// The latest segment, which every player can start from.
    last: NodeName,
    /// The beginning that the latest needs.
    map: Option<NodeName>,
    made: Instant,
}

impl Listing {
    /// Makes of a node's playlist what viewers of the placement see; `None` while it holds nothing of this publish. `before` is the last one that was
    /// made for the stream.
    ///
    /// # Errors
    /// The node is set up in a way that cannot be served.
    pub(super) fn make(
        bytes: &[u8],
        at: &Arc<Placement>,
        age: Duration,
        before: Option<&Self>,
        now: Instant,
    ) -> Result<Option<Self>, Error> {
        let list = Playlist::parse(bytes, &at.stream)?;
        let stale_upto = before.and_then(|before| before.stale_for(at));
        let view = View {
            stream: &at.stream,
            epoch: at.epoch,
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            stale_upto,
            viewer: Some(MARK),
        };
        let Some(from) = list.begins_at(&view) else { return Ok(None) };
        let shown = list.segments.get(from..).unwrap_or_default();
        let Some(last) = shown.last() else { return Ok(None) };
        let text = list.render(&view, from).ok_or(Error::Value { tag: "EXT-X-MEDIA-SEQUENCE" })?;
        let pieces: Vec<Bytes> = text
            .split(&format!("?{}={MARK}", viewer::PARAM))
            .map(|piece| Bytes::copy_from_slice(piece.as_bytes()))
            .collect();
        let public: Bytes = pieces.iter().flatten().copied().collect();
        let mut etag = sha256_hex(&public);
        etag.truncate(ETAG_LEN);
        let first = list.sequence.saturating_add(u64::try_from(from).unwrap_or(0));
        let count = u64::try_from(shown.len()).unwrap_or(0);
        let mut named: HashMap<NodeName, Instant> = before
            .filter(|before| before.at.epoch == at.epoch)
            .map(|before| before.named.iter().map(|(name, when)| (name.clone(), *when)).collect())
            .unwrap_or_default();
        named.retain(|_, when| now.saturating_duration_since(*when) < NAMED_FOR);
        let maps = shown.iter().filter_map(|segment| segment.map.as_ref());
        named.extend(shown.iter().map(|segment| &segment.name).chain(maps).map(|name| (name.clone(), now)));
        Ok(Some(Self {
            at: at.clone(),
            pieces,
            public,
            etag,
            target: Duration::from_secs(list.target_seconds),
            numbers: (first, first.saturating_add(count).saturating_sub(1)),
            stale_upto,
            last: last.name.clone(),
            map: last.map.clone(),
            named,
            made: now,
        }))
    }

    /// Up to which number the node's segments are of an earlier publish, when the stream is at `at` now.
    fn stale_for(&self, at: &Placement) -> Option<u64> {
        let same_run = self.at.node == at.node && self.at.service == at.service;
        if !same_run || self.at.epoch > at.epoch {
            return None;
        }
        if self.at.epoch == at.epoch { self.stale_upto } else { Some(self.numbers.1) }
    }

    /// The placement it was made for.
    pub(super) fn at(&self) -> &Arc<Placement> {
        &self.at
    }

    /// When it was made.
    pub(super) const fn made(&self) -> Instant {
        self.made
    }

    /// Upper bound of a segment's length.
    pub(super) const fn target(&self) -> Duration {
        self.target
    }

    /// Its entity tag; that of what each viewer gets.
    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    /// The latest segment.
    pub(super) const fn last(&self) -> &NodeName {
        &self.last
    }

    /// The beginning of an MP4 that the latest segment goes on from, if it is one.
    pub(super) const fn map(&self) -> Option<&NodeName> {
        self.map.as_ref()
    }

    /// Its text without viewer values.
    pub(super) fn public(&self) -> Bytes {
        self.public.clone()
    }

    /// Its text with a viewer's value in every URI.
    pub(super) fn for_viewer(&self, value: &str) -> Bytes {
        let each = value.len() + viewer::PARAM.len() + 2;
        let mut out = BytesMut::with_capacity(self.public.len() + self.pieces.len() * each);
        for (index, piece) in self.pieces.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b"?");
                out.extend_from_slice(viewer::PARAM.as_bytes());
                out.extend_from_slice(b"=");
                out.extend_from_slice(value.as_bytes());
            }
            out.extend_from_slice(piece);
        }
        out.freeze()
    }

    /// Whether a segment may be asked of the node: this list or a recent one named it, or its number is just before those named.
    pub(super) fn names(&self, name: &NodeName, now: Instant) -> bool {
        let recent = |when: &Instant| now.saturating_duration_since(*when) < NAMED_FOR;
        if self.named.get(name).is_some_and(recent) {
            return true;
        }
        let (first, last) = self.numbers;
        let near = |number: u64| number >= first.saturating_sub(BEFORE) && number <= last;
        let fresh = |number: u64| self.stale_upto.is_none_or(|stale| number > stale);
        name.kind() == self.last.kind() && name.number().is_some_and(|number| near(number) && fresh(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{NodeId, ServiceId, SessionId, StreamId, session::Protocol};

    fn at(node: &str, epoch: u64) -> Arc<Placement> {
        Arc::new(Placement {
            stream: StreamId::parse("cam").unwrap(),
            node: NodeId::parse(node).unwrap(),
            service: ServiceId::parse("run").unwrap(),
            epoch,
            session: SessionId::from_bytes([0; 16]),
            protocol: Protocol::Rtmp,
            since_ms: 0,
        })
    }

    fn list(first: u64, count: u64) -> String {
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-TARGETDURATION:2\n");
        (first..first + count).for_each(|n| text.push_str(&format!("#EXTINF:2.0, no desc\ncam-{n}.ts\n")));
        text
    }

    fn make(text: &str, at: &Arc<Placement>, before: Option<&Listing>, now: Instant) -> Option<Listing> {
        Listing::make(text.as_bytes(), at, Duration::from_secs(3600), before, now).unwrap()
    }

    #[test]
    fn a_viewers_value_stands_behind_every_uri_and_nowhere_in_the_public_text() {
        let one = make(&list(3, 2), &at("n1", 1), None, Instant::now()).unwrap();
        let public = String::from_utf8(one.public().to_vec()).unwrap();
        let own = String::from_utf8(one.for_viewer("VALUE").to_vec()).unwrap();
        assert!(public.ends_with("cam.1.3.ts\n#EXTINF:2.0, no desc\ncam.1.4.ts\n"), "{public}");
        assert_eq!(own.replace("?v=VALUE", ""), public);
        assert_eq!(own.matches("?v=VALUE\n").count(), 2);
        assert!(!public.contains(MARK));
    }

    #[test]
    fn names_are_good_for_a_while_after_they_were_last_told() {
        let start = Instant::now();
        let name = |text: &str| NodeName::parse(text).unwrap();
        let one = make(&list(10, 3), &at("n1", 1), None, start).unwrap();
        assert!(one.names(&name("12.ts"), start) && one.names(&name("6.ts"), start));
        assert!(
            !one.names(&name("5.ts"), start) && !one.names(&name("13.ts"), start) && !one.names(&name("12.m4s"), start)
        );
        let later = start + Duration::from_secs(20);
        let two = make(&list(20, 3), &at("n1", 1), Some(&one), later).unwrap();
        assert!(two.names(&name("10.ts"), later), "named 20 s ago");
        assert!(!two.names(&name("10.ts"), start + Duration::from_secs(31)));
        let moved = make(&list(0, 1), &at("n2", 2), Some(&two), later).unwrap();
        assert!(!moved.names(&name("20.ts"), later), "another epoch's");
    }

    #[test]
    fn what_was_seen_of_the_publish_before_is_not_shown_again() {
        let now = Instant::now();
        let one = make(&list(10, 3), &at("n1", 1), None, now).unwrap();
        assert!(make(&list(10, 3), &at("n1", 2), Some(&one), now).is_none(), "nothing new yet");
        let two = make(&list(11, 3), &at("n1", 2), Some(&one), now).unwrap();
        let text = String::from_utf8(two.public().to_vec()).unwrap();
        assert!(text.contains("cam.2.13.ts") && !text.contains("cam.2.12.ts"), "{text}");
        let three = make(&list(11, 4), &at("n1", 2), Some(&two), now).unwrap();
        assert!(!String::from_utf8(three.public().to_vec()).unwrap().contains("cam.2.12.ts"));
        assert!(make(&list(0, 3), &at("n2", 3), Some(&three), now).is_some(), "another node counts anew");
    }
}
