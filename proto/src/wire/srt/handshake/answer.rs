//! Handshakes that a listener answers with, and a caller's written anew for a node.

use super::{
    EXTENSIONS_MAX, ExtensionKind, Fields, HANDSHAKE_BYTES, HANDSHAKE_LEN_MAX, Handshake, HandshakeError, REJECTED,
    STREAM_ID_CODE, STREAM_ID_LEN_MAX, WORD,
};

const VERSION: u32 = 5;
/// The extension field of an induction answer: "I speak version 5".
const MAGIC: u16 = 0x4a17;
/// The extension field's bit for stream id and other settings.
const HAS_CONFIG: u16 = 4;

/// The head of a caller's handshake with some of its fields replaced.
struct Head(Vec<u8>);

impl Head {
    fn of(handshake: &Handshake<'_>) -> Self {
        Self(handshake.head.to_vec())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
        self
    }

    fn fixed(&self) -> [u8; HANDSHAKE_BYTES] {
        self.0.first_chunk().copied().unwrap_or([0; HANDSHAKE_BYTES])
    }
}

const AT_DESTINATION: usize = 12;
const AT_VERSION: usize = 16;
const AT_ENCRYPTION: usize = 20;
const AT_EXTENSION: usize = 22;
const AT_KIND: usize = 36;
const AT_COOKIE: usize = 44;

/// Answers a caller's induction: as long as the question, so nothing is gained by asking in another's name.
#[must_use]
pub fn induction_reply(request: &Handshake<'_>, cookie: u32) -> [u8; HANDSHAKE_BYTES] {
    Head::of(request)
        .put(AT_DESTINATION, &request.socket.to_be_bytes())
        .put(AT_VERSION, &VERSION.to_be_bytes())
        .put(AT_ENCRYPTION, &[0, 0])
        .put(AT_EXTENSION, &MAGIC.to_be_bytes())
        .put(AT_COOKIE, &cookie.to_be_bytes())
        .fixed()
}

/// Refuses a caller's conclusion with a reason of [`crate::wire::srt::reject`].
#[must_use]
pub fn rejection(request: &Handshake<'_>, reason: u32) -> [u8; HANDSHAKE_BYTES] {
    Head::of(request)
        .put(AT_DESTINATION, &request.socket.to_be_bytes())
        .put(AT_VERSION, &VERSION.to_be_bytes())
        .put(AT_ENCRYPTION, &[0, 0, 0, 0])
        .put(AT_KIND, &REJECTED.saturating_add(reason).to_be_bytes())
        .fixed()
}

/// Writes a caller's conclusion anew for a node: with the node's cookie and our stream id, everything else as it came.
///
/// # Errors
/// `stream_id` is too long, or the whole would be, or an extension more is one too many.
pub fn conclude(request: &Handshake<'_>, cookie: u32, stream_id: &str) -> Result<Vec<u8>, HandshakeError> {
    if stream_id.len() > STREAM_ID_LEN_MAX {
        return Err(HandshakeError::StreamIdLong { got: stream_id.len() });
    }
    let mut head = Head::of(request);
    let mut fields = Fields(request.head.get(AT_EXTENSION..).unwrap_or_default());
    let flags = fields.half().unwrap_or_default() | HAS_CONFIG;
    head.put(AT_EXTENSION, &flags.to_be_bytes()).put(AT_COOKIE, &cookie.to_be_bytes());
    let (mut out, mut kept) = (head.0, 0_usize);
    for extension in request.extensions() {
        let extension = extension?;
        if extension.kind != ExtensionKind::StreamId {
            out.extend_from_slice(extension.whole);
            kept = kept.saturating_add(1);
        }
    }
    if kept >= EXTENSIONS_MAX {
        return Err(HandshakeError::Extensions);
    }
    let words = u16::try_from(stream_id.len().div_ceil(WORD)).unwrap_or(u16::MAX);
    out.extend(STREAM_ID_CODE.to_be_bytes());
    out.extend(words.to_be_bytes());
    for word in stream_id.as_bytes().chunks(WORD) {
        let mut padded = [0; WORD];
        padded.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        out.extend(padded.iter().rev());
    }
    if out.len() > HANDSHAKE_LEN_MAX {
        return Err(HandshakeError::Long { got: out.len() });
    }
    Ok(out)
}
