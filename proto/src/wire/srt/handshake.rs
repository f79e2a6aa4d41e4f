//! Handshake packets, read; [`answer`] writes them.
//!
//! Behind the header: `version 32 | encryption 16 | extension 16 | initial sequence 32 | MTU 32 | window 32 | type 32 | socket 32 | cookie 32 |
//! peer address 128`, then in a conclusion extensions `{type 16, length 16 in words, data}`. All big-endian; the data of a stream id is a
//! text whose 32-bit words are byte-reversed, padded with NUL.

mod answer;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A conclusion of libsrt 1.5.1 (ffmpeg 5.1), its fields as captured (`srt-handshake.json` of the captures).
    fn captured(stream_id: &str) -> Vec<u8> {
        let mut out = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0];
        for word in [5_u32, 5, 0x2a2a_2a2a, 1500, 8192, 0xffff_ffff, 681_106_195, 322_376_503, 0x0100_007f, 0, 0, 0] {
            out.extend(word.to_be_bytes());
        }
        out.extend([0, 1, 0, 3, 0, 1, 5, 1, 0, 0, 0, 0xbf, 0, 0x78, 0, 0]);
        let words = stream_id.len().div_ceil(4);
        out.extend([0, 5, 0, u8::try_from(words).unwrap()]);
        for word in stream_id.as_bytes().chunks(4) {
            let mut word = word.to_vec();
            word.resize(4, 0);
            word.reverse();
            out.extend(word);
        }
        out
    }

    #[test]
    fn a_captured_conclusion_reads() {
        let bytes = captured("#!::h=cdn.example.com,r=live/rsrt1,m=publish,token=RT");
        let read = Handshake::read(&bytes).unwrap();
        assert_eq!((read.version, read.kind, read.destination), (5, Kind::Conclusion, 0));
        assert_eq!((read.socket, read.cookie), (681_106_195, 322_376_503));
        assert_eq!(read.stream_id().unwrap().unwrap(), "#!::h=cdn.example.com,r=live/rsrt1,m=publish,token=RT");
        assert!(!read.encrypted().unwrap());
        let kinds: Vec<_> = read.extensions().map(|one| one.unwrap().kind).collect();
        assert_eq!(kinds, [ExtensionKind::Request, ExtensionKind::StreamId]);
    }

    #[test]
    fn the_answer_to_an_induction_is_what_libsrt_listeners_send() {
        let mut bytes = captured("");
        bytes.truncate(HANDSHAKE_BYTES);
        bytes[36..40].copy_from_slice(&1_u32.to_be_bytes());
        bytes[16..24].copy_from_slice(&[0, 0, 0, 4, 0, 0, 0, 2]);
        let reply = induction_reply(&Handshake::read(&bytes).unwrap(), 0xc00c_1e00);
        let read = Handshake::read(&reply).unwrap();
        assert_eq!((read.destination, read.socket, read.version), (681_106_195, 681_106_195, 5));
        assert_eq!((read.kind, read.cookie), (Kind::Induction, 0xc00c_1e00));
        assert_eq!(reply[20..24], [0, 0, 0x4a, 0x17]);
        assert_eq!(reply[24..36], bytes[24..36], "sequence number, MTU and window are repeated");
    }

    #[test]
    fn key_material_marks_an_encrypted_caller_and_passes_unchanged() {
        let mut bytes = captured("live/cam");
        let key = [0, 3, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        bytes.splice(HANDSHAKE_BYTES + 16..HANDSHAKE_BYTES + 16, key);
        let read = Handshake::read(&bytes).unwrap();
        assert!(read.encrypted().unwrap());
        let out = conclude(&read, 7, "#!::r=live/cam").unwrap();
        assert_eq!(out[HANDSHAKE_BYTES + 16..HANDSHAKE_BYTES + 28], key);
        assert_eq!(Handshake::read(&out).unwrap().stream_id().unwrap().unwrap(), "#!::r=live/cam");
    }

    #[test]
    fn what_is_cut_off_or_too_much_is_refused() {
        let good = captured("live/cam");
        assert_eq!(Handshake::read(&good[..63]), Err(HandshakeError::Short { got: 63 }));
        assert_eq!(Handshake::read(&good[..good.len() - 1]).unwrap().stream_id(), Err(HandshakeError::Truncated));
        let mut long = good.clone();
        long[HANDSHAKE_BYTES + 17] = 0xff;
        long[HANDSHAKE_BYTES + 18] = 0xff;
        assert_eq!(Handshake::read(&long).unwrap().stream_id(), Err(HandshakeError::Truncated));
        let twice = [good.as_slice(), &good[HANDSHAKE_BYTES + 16..]].concat();
        assert_eq!(Handshake::read(&twice).unwrap().stream_id(), Err(HandshakeError::Extensions));
        let full = [&good[..HANDSHAKE_BYTES], [0, 9, 0, 0].repeat(16).as_slice()].concat();
        assert_eq!(conclude(&Handshake::read(&full).unwrap(), 1, "x"), Err(HandshakeError::Extensions));
        let many = [&good[..HANDSHAKE_BYTES], [0, 9, 0, 0].repeat(17).as_slice()].concat();
        assert_eq!(Handshake::read(&many).unwrap().encrypted(), Err(HandshakeError::Extensions));
        assert_eq!(Handshake::read(&[0x80, 1].repeat(40)), Err(HandshakeError::NotHandshake));
        let frame = [good.as_slice(), &[0; HANDSHAKE_LEN_MAX]].concat();
        assert!(matches!(Handshake::read(&frame), Err(HandshakeError::Long { .. })));
        let wide = captured(&"x".repeat(516));
        assert_eq!(Handshake::read(&wide).unwrap().stream_id(), Err(HandshakeError::StreamIdLong { got: 516 }));
        let not_text = captured("live/cam");
        let mut not_text = not_text;
        let last = not_text.len() - 1;
        not_text[last] = 0xff;
        assert_eq!(Handshake::read(&not_text).unwrap().stream_id(), Err(HandshakeError::StreamIdText));
    }

    #[test]
    fn steps_and_reasons_are_told_apart() {
        let of = |code: u32| Kind::of(code);
        assert_eq!(of(1), Kind::Induction);
        assert_eq!(of(u32::MAX), Kind::Conclusion);
        assert_eq!(of(1010), Kind::Rejection(10));
        assert_eq!(of(2401), Kind::Rejection(1401));
        for code in [0, 2, 999, 0xffff_fffd, 0xffff_fffe, 0x8000_0000] {
            assert_eq!(of(code), Kind::Rendezvous, "{code}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            bytes.iter_mut().zip([0x80, 0, 0, 0]).for_each(|(to, from)| *to = from);
            if let Ok(read) = Handshake::read(&bytes) {
                drop((read.stream_id(), read.encrypted(), conclude(&read, 1, "x")));
            }
        }

        #[test]
        fn a_stream_id_survives_writing(from in "[ -~]{1,60}", to in "[ -~]{1,512}", cookie: u32) {
            let bytes = captured(&from);
            let read = Handshake::read(&bytes).unwrap();
            prop_assert_eq!(read.stream_id().unwrap().unwrap(), from);
            let out = conclude(&read, cookie, &to).unwrap();
            let again = Handshake::read(&out).unwrap();
            prop_assert_eq!(again.stream_id().unwrap().unwrap(), to);
            prop_assert_eq!((again.cookie, again.socket), (cookie, read.socket));
        }
    }
}
