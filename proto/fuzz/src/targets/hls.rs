//! Playlists of nodes, names of segments, and viewer values.

use super::any;
use data_encoding::BASE64URL_NOPAD;
use proto::{
    StreamId,
    secret::{ClusterSecret, Keyring, Purpose, mac},
    viewer::Viewer,
    wire::m3u8::{Playlist, SegmentName, View},
};
use std::sync::LazyLock;

static STREAM: LazyLock<StreamId> = LazyLock::new(|| StreamId::parse("cam").expect("a name"));
static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring { current: ClusterSecret::from_setting("fuzz"), previous: None });

/// A playlist that is read is written with names of ours only, and not much longer than it was.
pub(crate) fn playlist(data: &[u8]) {
    let Ok(list) = Playlist::parse(data, &STREAM) else { return };
    let view = View { stream: &STREAM, epoch: 7, age_ms: 60_000, stale_upto: None, viewer: Some("v") };
    let Some(from) = list.begins_at(&view) else { return };
    let Some(text) = list.render(&view, from) else { return };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split('?').next().unwrap_or_default();
        let name = SegmentName::parse(name).unwrap_or_else(|| panic!("{line} is none of our names"));
        assert_eq!((&name.stream, name.epoch), (&*STREAM, 7));
    }
    assert!(text.len() <= 512 + 64 * data.len(), "{} bytes from {}", text.len(), data.len());
}

/// A segment's name has one spelling.
pub(crate) fn segment(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(name) = SegmentName::parse(text) {
        assert_eq!(name.to_string(), text);
    }
}

/// Viewer values: as they come, and under a seal that is right.
pub(crate) fn viewer(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        any(Viewer::open(text, &KEYS, &STREAM));
    }
    let mut body = data.to_vec();
    if let Some(generation) = body.get_mut(1) {
        *generation = KEYS.current.generation();
    }
    let tag = mac(&KEYS.current.key(Purpose::Viewer), &[&body, STREAM.as_str().as_bytes()]);
    body.extend_from_slice(tag.get(..16).unwrap_or_default());
    if let Ok(viewer) = Viewer::open(&BASE64URL_NOPAD.encode(&body), &KEYS, &STREAM) {
        let again = viewer.seal(&KEYS.current, &STREAM);
        assert_eq!(Viewer::open(&again, &KEYS, &STREAM).expect("our own value opens"), viewer);
    }
}
