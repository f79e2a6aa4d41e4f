//! Messages: their types, the protocol's own, and commands.
//!
//! Source: specification 5.4, 6.2 and 7.

use super::{
    amf0::{self, AmfError, Value},
    bytes::Bytes,
    chunk::{ChunkError, Header, push_message},
};

/// Message types.
pub mod kind {
    /// Set chunk size.
    pub const CHUNK_SIZE: u8 = 1;
    /// Abort a message.
    pub const ABORT: u8 = 2;
    /// Bytes received so far.
    pub const ACK: u8 = 3;
    /// Stream begin, buffer length, ping.
    pub const USER_CONTROL: u8 = 4;
    /// How many bytes may come without an acknowledgement.
    pub const WINDOW: u8 = 5;
    /// The same, asked of the peer.
    pub const BANDWIDTH: u8 = 6;
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Data in AMF3.
    pub const DATA_AMF3: u8 = 15;
    /// A command in AMF3: one byte, then AMF0.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data, such as `onMetaData`.
    pub const DATA: u8 = 18;
    /// A command.
    pub const COMMAND: u8 = 20;
    /// Several messages in one.
    pub const AGGREGATE: u8 = 22;
}

/// The chunk stream of the protocol's own messages.
pub const CONTROL_CSID: u32 = 2;
/// The chunk stream of commands about the connection.
pub const COMMAND_CSID: u32 = 3;
/// The chunk stream of news about a stream.
pub const STATUS_CSID: u32 = 5;
/// Longest command, in bytes: a `connect` with everything has under 2 KiB, with a token 4.
pub const COMMAND_LEN_MAX: u32 = 16 * 1024;
/// The window both sides are told; SRS's own.
pub const WINDOW: u32 = 2_500_000;

/// A command or, with transaction 0, a notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Its name, `_result` and `_error` for answers.
    pub name: String,
    /// The number that its answer carries.
    pub transaction: f64,
    /// What follows; the command object or null comes first.
    pub args: Vec<Value>,
}

impl Command {
    /// Reads a command message's payload.
    ///
    /// # Errors
    /// What is wrong with its AMF0. One without a name or number has an empty name, or number 0.
    pub fn read(kind: u8, payload: &[u8]) -> Result<Self, AmfError> {
        // The AMF3 form says with its first byte that AMF0 follows.
        let payload = match payload.split_first() {
            Some((0, rest)) if kind == kind::COMMAND_AMF3 => rest,
            Some(_) | None => payload,
        };
        let mut values = amf0::read_all(payload)?.into_iter();
        let name = values.next().as_ref().and_then(Value::text).unwrap_or_default().to_owned();
        let transaction = values.next().as_ref().and_then(Value::number).unwrap_or_default();
        Ok(Self { name, transaction, args: values.collect() })
    }

    /// The argument at that place.
    #[must_use]
    pub fn arg(&self, at: usize) -> Option<&Value> {
        self.args.get(at)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        amf0::push_text(&self.name, &mut out);
        amf0::push_number(self.transaction, &mut out);
        self.args.iter().for_each(|value| value.push(&mut out));
        out
    }

    /// A command of ours.
    #[must_use]
    pub fn new(name: &str, transaction: f64, args: Vec<Value>) -> Self {
        Self { name: name.to_owned(), transaction, args }
    }

    /// The notice of how a stream or connection is doing.
    #[must_use]
    pub fn status(level: &str, code: &str, description: &str) -> Self {
        let info = Value::texts(&[("level", level), ("code", code), ("description", description)]);
        Self::new("onStatus", 0.0, vec![Value::Null, info])
    }

    /// What a status says: level, code, description. Empty where it says nothing.
    #[must_use]
    pub fn told(&self) -> (&str, &str, &str) {
        let info = self.args.iter().find(|value| value.get("code").is_some());
        let field = |name| info.and_then(|info| info.get(name)).and_then(Value::text).unwrap_or_default();
        (field("level"), field("code"), field("description"))
    }
}

/// A header for a message of ours, at time 0.
#[must_use]
pub fn header(csid: u32, kind: u8, stream: u32, payload: &[u8]) -> Header {
    Header { csid, timestamp: 0, len: u32::try_from(payload.len()).unwrap_or(u32::MAX), kind, stream }
}

/// Appends a whole message with a full header.
pub fn push(csid: u32, kind: u8, stream: u32, payload: &[u8], chunk_size: u32, out: &mut Vec<u8>) {
    push_message(&header(csid, kind, stream, payload), payload, chunk_size, out);
}

/// Appends one of the protocol's own messages that carry one number.
pub fn push_number(kind: u8, number: u32, out: &mut Vec<u8>) {
    let [a, b, c, d] = number.to_be_bytes();
    // Bandwidth has a last byte: 2, the limit may be changed.
    let payload: &[u8] = if kind == kind::BANDWIDTH { &[a, b, c, d, 2] } else { &[a, b, c, d] };
    push(CONTROL_CSID, kind, 0, payload, u32::MAX, out);
}

/// Appends the notice that a message stream begins.
pub fn push_stream_begin(stream: u32, out: &mut Vec<u8>) {
    let mut payload = vec![0, 0];
    payload.extend_from_slice(&stream.to_be_bytes());
    push(CONTROL_CSID, kind::USER_CONTROL, 0, &payload, u32::MAX, out);
}

/// Appends how much a player buffers.
pub fn push_buffer_length(stream: u32, ms: u32, out: &mut Vec<u8>) {
    let mut payload = vec![0, 3];
    payload.extend_from_slice(&stream.to_be_bytes());
    payload.extend_from_slice(&ms.to_be_bytes());
    push(CONTROL_CSID, kind::USER_CONTROL, 0, &payload, u32::MAX, out);
}

/// Appends the answer to a ping, if that is what a user control message is.
pub fn push_pong(payload: &[u8], out: &mut Vec<u8>) {
    if let [0, 6, stamp @ ..] = payload
        && stamp.len() == 4
    {
        push(CONTROL_CSID, kind::USER_CONTROL, 0, &[&[0, 7], stamp].concat(), u32::MAX, out);
    }
}

/// The number in one of the protocol's own messages.
///
/// # Errors
/// [`ChunkError::Control`] when it is shorter than that.
pub fn number(payload: &[u8]) -> Result<u32, ChunkError> {
    Bytes::new(payload).u32().map_err(|_| ChunkError::Control { len: payload.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_through_in_both_forms() {
        let command = Command::new("publish", 6.0, vec![Value::Null, Value::Text("cam?token=T".into())]);
        let payload = command.payload();
        assert_eq!(Command::read(kind::COMMAND, &payload), Ok(command.clone()));
        let amf3 = [&[0], payload.as_slice()].concat();
        assert_eq!(Command::read(kind::COMMAND_AMF3, &amf3), Ok(command.clone()));
        assert_eq!(Command::read(kind::COMMAND_AMF3, &payload), Ok(command), "librtmp leaves the byte out");
    }

    #[test]
    fn a_status_says_what_it_says() {
        let status = Command::status("error", "NetStream.Publish.Denied", "no");
        assert_eq!(status.told(), ("error", "NetStream.Publish.Denied", "no"));
        assert_eq!(Command::new("onBWDone", 0.0, vec![Value::Null]).told(), ("", "", ""));
    }

    #[test]
    fn the_protocols_own_messages_are_as_captured() {
        let mut out = Vec::new();
        push_number(kind::WINDOW, WINDOW, &mut out);
        push_number(kind::BANDWIDTH, WINDOW, &mut out);
        push_stream_begin(1, &mut out);
        let hex = "02 000000 000004 05 00000000 002625a0 02 000000 000005 06 00000000 002625a002 \
                   02 000000 000006 04 00000000 0000 00000001";
        assert_eq!(data_encoding::HEXLOWER.encode(&out), hex.replace(' ', ""));
        assert_eq!(number(&[0, 0x26, 0x25, 0xA0, 2]), Ok(WINDOW));
        assert_eq!(number(&[1]), Err(ChunkError::Control { len: 1 }));
    }
}
