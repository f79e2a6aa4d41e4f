//! Stream keys: as they come, and with the check that belongs to them.

use data_encoding::BASE32_NOPAD;
use proto::{StreamId, stream_key::StreamKey};

/// What parses is what was made.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = StreamKey::parse(text, b"check") {
        assert!(StreamKey::looks_like(text));
        assert_eq!(key.expose(), text);
    }
    // The same stream under a right check.
    let named = text.split('_').nth(1).unwrap_or(text);
    if let Ok(stream) = StreamId::parse(named) {
        let mut random = [0; 16];
        random.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let made = StreamKey::make(&stream, random, b"check");
        let read = StreamKey::parse(made.expose(), b"check").expect("our own key is read");
        assert_eq!(read.stream(), &stream);
        assert!(made.expose().to_ascii_uppercase().contains(&BASE32_NOPAD.encode(&random)));
    }
}
