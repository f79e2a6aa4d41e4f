//! Handshake packets, read; [`answer`] writes them.
//!
//! Behind the header: `version 32 | encryption 16 | extension 16 | initial sequence 32 | MTU 32 | window 32 | type 32 | socket 32 | cookie 32 |
//! peer address 128`, then in a conclusion extensions `{type 16, length 16 in words, data}`. All big-endian; the data of a stream id is a
//! text whose 32-bit words are byte-reversed, padded with NUL.

mod answer;
#[cfg(test)]
mod tests;

pub use answer::{conclude, induction_reply, rejection};

use super::packet::{HEADER_BYTES, Packet};

/// Bytes of the fixed part behind the header.
pub const CIF_BYTES: usize = 48;
/// Bytes of a handshake without extensions.
pub const HANDSHAKE_BYTES: usize = HEADER_BYTES + CIF_BYTES;
/// Longest handshake that is read or written: one Ethernet frame.
pub const HANDSHAKE_LEN_MAX: usize = 1472;
/// Longest stream id, in bytes; SRT's own limit.
pub const STREAM_ID_LEN_MAX: usize = 512;

/// Extensions in one handshake at most; SRT has eight kinds.
const EXTENSIONS_MAX: usize = 16;
const REJECTED: u32 = 1000;
const WORD: usize = 4;

/// Which step a handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A caller's first packet, and its answer.
    Induction,
    /// A caller's second packet, and its answer.
    Conclusion,
    /// Somebody refuses: SRT's own reasons are below 1000, predefined and application ones from 1000.
    Rejection(u32),
    /// A step of a rendezvous, which no relay can take part in.
    Rendezvous,
}

impl Kind {
    const fn of(code: u32) -> Self {
        match code {
            1 => Self::Induction,
            0xffff_ffff => Self::Conclusion,
            // 0 and -2 (wave-hand and agreement) and -3 (done) are rendezvous; nothing else is defined below 1000.
            0 | 2..REJECTED | 0x8000_0000..=0xffff_fffe => Self::Rendezvous,
            REJECTED..0x8000_0000 => Self::Rejection(code.saturating_sub(REJECTED)),
        }
    }
}

/// Why bytes are no handshake that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Another packet.
    #[error("not a handshake")]
    NotHandshake,
    /// Cut off.
    #[error("a handshake has at least {HANDSHAKE_BYTES} bytes, this has {got}")]
    Short {
        /// Bytes there are.
        got: usize,
    },
    /// More than one frame.
    #[error("a handshake has at most {HANDSHAKE_LEN_MAX} bytes, this has {got}")]
    Long {
        /// Bytes there are.
        got: usize,
    },
    /// An extension is longer than what is left of the packet.
    #[error("an extension is cut off")]
    Truncated,
    /// More extensions than [`EXTENSIONS_MAX`], or two stream ids.
    #[error("too many extensions")]
    Extensions,
    /// The stream id is too long.
    #[error("a stream id has at most {STREAM_ID_LEN_MAX} bytes, this has {got}")]
    StreamIdLong {
        /// Bytes there are.
        got: usize,
    },
    /// The stream id is not text.
    #[error("the stream id is not UTF-8 text")]
    StreamIdText,
}

/// A handshake, not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake<'a> {
    head: &'a [u8; HANDSHAKE_BYTES],
    extensions: &'a [u8],
    /// Socket id of the receiver; 0 from a caller.
    pub destination: u32,
    /// 4 in a caller's induction, 5 in everything after.
    pub version: u32,
    /// Which step it is.
    pub kind: Kind,
    /// Socket id of the sender.
    pub socket: u32,
    /// What the listener gave the caller to repeat.
    pub cookie: u32,
}

impl<'a> Handshake<'a> {
    /// Reads a handshake packet. Extensions are looked at by [`Handshake::extensions`].
    ///
    /// # Errors
    /// [`HandshakeError`]: drop the datagram.
    pub fn read(datagram: &'a [u8]) -> Result<Self, HandshakeError> {
        let packet = Packet::read(datagram).map_err(|_| HandshakeError::Short { got: datagram.len() })?;
        if !packet.is_handshake() {
            return Err(HandshakeError::NotHandshake);
        }
        if datagram.len() > HANDSHAKE_LEN_MAX {
            return Err(HandshakeError::Long { got: datagram.len() });
        }
        let short = HandshakeError::Short { got: datagram.len() };
        let (head, extensions) = datagram.split_first_chunk::<HANDSHAKE_BYTES>().ok_or(short)?;
        let mut fields = Fields(head.get(HEADER_BYTES..).unwrap_or_default());
        let version = fields.word().ok_or(short)?;
        fields.skip(16);
        let kind = Kind::of(fields.word().ok_or(short)?);
        let (socket, cookie) = (fields.word().ok_or(short)?, fields.word().ok_or(short)?);
        Ok(Self { head, extensions, destination: packet.destination(), version, kind, socket, cookie })
    }

    /// The extensions in order.
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'a> {
        Extensions { rest: self.extensions, seen: 0 }
    }

    /// The stream id; `None` when there is none.
    ///
    /// # Errors
    /// What is wrong with it, or with an extension before or behind it.
    pub fn stream_id(&self) -> Result<Option<String>, HandshakeError> {
        let mut found = None;
        for extension in self.extensions() {
            let extension = extension?;
            if extension.kind == ExtensionKind::StreamId && found.replace(text(extension.data)?).is_some() {
                return Err(HandshakeError::Extensions);
            }
        }
        Ok(found)
    }

    /// Whether the caller has a passphrase: it sends key material.
    ///
    /// # Errors
    /// What is wrong with an extension.
    pub fn encrypted(&self) -> Result<bool, HandshakeError> {
        let mut encrypted = false;
        for extension in self.extensions() {
            encrypted |= extension?.kind == ExtensionKind::KeyRequest;
        }
        Ok(encrypted)
    }
}

/// Reads fixed fields from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn skip(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or_default();
    }

    fn half(&mut self) -> Option<u16> {
        let (half, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*half))
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// What an extension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionKind {
    /// The caller's version, flags and latency.
    Request,
    /// The listener's.
    Response,
    /// The caller's key material.
    KeyRequest,
    /// The listener's answer to it.
    KeyResponse,
    /// The stream id.
    StreamId,
    /// The congestion control's name.
    Congestion,
    /// The packet filter's settings.
    Filter,
    /// A group of links.
    Group,
    /// Another one.
    Other(u16),
}

impl ExtensionKind {
    const fn of(code: u16) -> Self {
        match code {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::KeyRequest,
            4 => Self::KeyResponse,
            STREAM_ID_CODE => Self::StreamId,
            6 => Self::Congestion,
            7 => Self::Filter,
            8 => Self::Group,
            other => Self::Other(other),
        }
    }
}

const STREAM_ID_CODE: u16 = 5;

/// One extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What it is.
    pub kind: ExtensionKind,
    /// Its data, whole words.
    pub data: &'a [u8],
    whole: &'a [u8],
}

/// Iterates over extensions; ends after the first that is cut off.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    seen: usize,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, HandshakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.seen = self.seen.saturating_add(1);
        let rest = std::mem::take(&mut self.rest);
        if self.seen > EXTENSIONS_MAX {
            return Some(Err(HandshakeError::Extensions));
        }
        let Some((extension, rest)) = one(rest) else { return Some(Err(HandshakeError::Truncated)) };
        self.rest = rest;
        Some(Ok(extension))
    }
}

fn one(bytes: &[u8]) -> Option<(Extension<'_>, &[u8])> {
    let mut fields = Fields(bytes);
    let kind = ExtensionKind::of(fields.half()?);
    let len = usize::from(fields.half()?).checked_mul(WORD)?;
    let data = fields.bytes(len)?;
    let (whole, rest) = bytes.split_at_checked(len.checked_add(WORD)?)?;
    Some((Extension { kind, data, whole }, rest))
}

/// Reads the text of a stream id.
fn text(data: &[u8]) -> Result<String, HandshakeError> {
    let mut bytes: Vec<u8> = data.chunks(WORD).flat_map(|word| word.iter().rev().copied()).collect();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    bytes.truncate(end);
    if bytes.len() > STREAM_ID_LEN_MAX {
        return Err(HandshakeError::StreamIdLong { got: bytes.len() });
    }
    String::from_utf8(bytes).map_err(|_| HandshakeError::StreamIdText)
}
