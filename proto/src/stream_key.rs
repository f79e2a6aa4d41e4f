//! Stream keys: `sk_{stream}_{128 random bits}_{check}`, the right to publish that lasts until it is rotated.
//!
//! The check lets an edge refuse a made-up key without asking anybody. Random part and check are lower-case base32 without padding
//! (26 and 8 characters), so a key survives being read aloud, and the only underscores after the stream id are the separators.

use crate::{
    ids::StreamId,
    secret::{mac, same, sha256_hex},
};
use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use std::{fmt, sync::LazyLock};

/// Every stream key starts with this; nothing else a client may present does.
pub const PREFIX: &str = "sk_";
pub(crate) const RANDOM_LEN: usize = 26;
const CHECK_LEN: usize = 8;
/// Longest stream key, in bytes.
pub const KEY_LEN_MAX: usize = PREFIX.len() + StreamId::LEN_MAX + 1 + RANDOM_LEN + 1 + CHECK_LEN;

static BASE32_LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.encoding().unwrap_or(BASE32_NOPAD)
});

/// A stream key whose form is right. Its check may still be wrong, and it may have been rotated away.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey {
    text: Box<str>,
    stream: StreamId,
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey({}, ..)", self.stream)
    }
}

/// Why a text is not a stream key of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamKeyError {
    /// Not `sk_{stream}_{random}_{check}`.
    #[error("not a stream key")]
    Malformed,
    /// The check was not made by this cluster.
    #[error("the stream key's check is wrong: was it copied whole?")]
    Check,
}

impl StreamKey {
    /// Makes a key from 128 bits drawn by the caller.
    #[must_use]
    pub fn make(stream: &StreamId, random: [u8; 16], check_secret: &[u8]) -> Self {
        let body = format!("{PREFIX}{stream}_{}", BASE32_LOWER.encode(&random));
        let check = check_of(&body, check_secret);
        Self { text: format!("{body}_{check}").into(), stream: stream.clone() }
    }

    /// Reads a key and verifies its check.
    ///
    /// # Errors
    /// [`StreamKeyError::Malformed`] if it has another form; [`StreamKeyError::Check`] if it was not made here or was mistyped.
    pub fn parse(text: &str, check_secret: &[u8]) -> Result<Self, StreamKeyError> {
        if text.len() > KEY_LEN_MAX {
            return Err(StreamKeyError::Malformed);
        }
        let (body, check) = text.rsplit_once('_').ok_or(StreamKeyError::Malformed)?;
        let (head, random) = body.rsplit_once('_').ok_or(StreamKeyError::Malformed)?;
        let stream = head.strip_prefix(PREFIX).ok_or(StreamKeyError::Malformed)?;
        let stream = StreamId::parse(stream).map_err(|_| StreamKeyError::Malformed)?;
        if check.len() != CHECK_LEN || random.len() != RANDOM_LEN {
            return Err(StreamKeyError::Malformed);
        }
        if !same(check.as_bytes(), check_of(body, check_secret).as_bytes()) {
            return Err(StreamKeyError::Check);
        }
        Ok(Self { text: text.into(), stream })
    }

    /// Whether a credential is meant as a stream key rather than as a token.
    #[must_use]
    pub fn looks_like(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The stream it publishes to.
    #[must_use]
    pub const fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The whole key: shown to its owner once, never stored or logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is stored: SHA-256 in hexadecimal. 128 random bits need no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256_hex(self.text.as_bytes())
    }
}

/// The first 40 bits of the MAC over everything before the check.
fn check_of(body: &str, secret: &[u8]) -> String {
    let [a, b, c, d, e, ..] = mac(secret, &[b"keystone stream key v1", body.as_bytes()]);
    BASE32_LOWER.encode(&[a, b, c, d, e])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(text: &str) -> StreamId {
        StreamId::parse(text).unwrap()
    }

    #[test]
    fn a_key_reads_back_even_when_its_stream_has_underscores() {
        let key = StreamKey::make(&stream("my_cam_-1"), [7; 16], b"secret");
        let again = StreamKey::parse(key.expose(), b"secret").unwrap();
        assert_eq!(again.stream().as_str(), "my_cam_-1");
        assert_eq!(again.hash().len(), 64);
        assert!(!format!("{key:?}").contains("aaaa"), "debug output shows the key");
    }

    #[test]
    fn another_clusters_or_a_mistyped_key_is_refused_without_a_lookup() {
        let key = StreamKey::make(&stream("cam"), [7; 16], b"secret");
        assert_eq!(StreamKey::parse(key.expose(), b"other"), Err(StreamKeyError::Check));
        assert_eq!(StreamKey::parse(&key.expose().replace("cam", "cat"), b"secret"), Err(StreamKeyError::Check));
        assert_eq!(StreamKey::parse("sk_cam", b"secret"), Err(StreamKeyError::Malformed));
    }

    proptest! {
        #[test]
        fn round_trip(random: [u8; 16], name in "[A-Za-z0-9_-]{1,64}") {
            let key = StreamKey::make(&stream(&name), random, b"s");
            prop_assert!(key.expose().len() <= KEY_LEN_MAX);
            prop_assert_eq!(StreamKey::parse(key.expose(), b"s").unwrap(), key);
        }

        #[test]
        fn parsing_never_panics(text: String) {
            prop_assert!(StreamKey::parse(&text, b"s").is_err());
        }
    }
}
