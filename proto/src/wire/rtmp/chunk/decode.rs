//! Heads of chunks, with the state that their shortened forms rest on.

use super::{
    super::{
        CHUNK_SIZE_FIRST,
        bytes::{Bytes, Short},
    },
    BEGUN_LEN_MAX, CHUNK_STREAMS_MAX, ChunkError, EXTENDED_FROM, Header, MESSAGE_LEN_MAX, check_chunk_size,
};

/// One chunk's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The message it belongs to.
    pub header: Header,
    /// The form it was written in, 0 (all fields) to 3 (none).
    pub form: u8,
    /// Bytes of the head itself.
    pub len: usize,
    /// Bytes of payload that follow.
    pub payload: u32,
    /// A message begins here.
    pub first: bool,
    /// The message ends with this payload.
    pub last: bool,
}

/// A head that was read and not yet taken; see [`Decoder::peek`].
#[derive(Debug, Clone, Copy)]
pub struct Parsed {
    /// The head.
    pub head: Head,
    lane: Lane,
}

/// What one chunk stream's shortened headers refer to.
#[derive(Debug, Clone, Copy)]
struct Lane {
    header: Header,
    /// What a message without a timestamp adds to the last one's.
    delta: u32,
    /// The last extended timestamp, if the last header had one.
    extended: Option<u32>,
    /// Bytes of the present message that were announced by its chunks so far; 0 between messages.
    begun: u32,
}

/// Reads heads. Holds no payload.
#[derive(Debug, Clone)]
pub struct Decoder {
    chunk_size: u32,
    message_len_max: u32,
    begun_len_max: u32,
    lanes: Vec<Lane>,
    /// Sum of the lengths of messages begun and not ended.
    begun: u32,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            chunk_size: CHUNK_SIZE_FIRST,
            message_len_max: MESSAGE_LEN_MAX,
            begun_len_max: BEGUN_LEN_MAX,
            lanes: Vec::new(),
            begun: 0,
        }
    }
}

impl Decoder {
    /// The peer's chunk size.
    #[must_use]
    pub const fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Refuses messages longer than `limit` from now on, and unfinished ones that announce more than twice that together.
    pub const fn limit(&mut self, limit: u32) {
        self.message_len_max = limit;
        self.begun_len_max = limit.saturating_mul(2);
    }

    /// The peer's chunk size changes for what follows.
    ///
    /// # Errors
    /// [`ChunkError::ChunkSize`].
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        self.chunk_size = check_chunk_size(size)?;
        Ok(())
    }

    /// The peer gives up the message it has begun on a chunk stream; whether there was one.
    pub fn abort(&mut self, csid: u32) -> bool {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.header.csid == csid && lane.begun > 0) else {
            return false;
        };
        lane.begun = 0;
        self.begun = self.begun.saturating_sub(lane.header.len);
        true
    }

    /// Whether a message is begun and not ended, on this chunk stream or on any.
    #[must_use]
    pub fn inside(&self, csid: Option<u32>) -> bool {
        self.lanes.iter().any(|lane| lane.begun > 0 && csid.is_none_or(|csid| csid == lane.header.csid))
    }

    /// Reads the head at the front of `input`; `None` while it is not all there. The decoder is as before until [`Decoder::take`].
    ///
    /// # Errors
    /// What is wrong with it; the connection cannot go on.
    pub fn peek(&self, input: &[u8]) -> Result<Option<Parsed>, ChunkError> {
        let mut bytes = Bytes::new(input);
        let Ok((form, csid)) = basic(&mut bytes) else { return Ok(None) };
        let known = self.lanes.iter().find(|lane| lane.header.csid == csid);
        let lane = match known {
            Some(lane) => *lane,
            None => self.fresh(form, csid)?,
        };
        if lane.begun > 0 && form != 3 {
            return Err(ChunkError::Interrupted { csid });
        }
        let Ok(mut lane) = fields(&mut bytes, form, lane) else { return Ok(None) };
        if lane.header.len > self.message_len_max {
            return Err(ChunkError::MessageLen { got: lane.header.len, limit: self.message_len_max });
        }
        let first = lane.begun == 0;
        let left = lane.header.len.saturating_sub(lane.begun);
        let payload = left.min(self.chunk_size);
        let last = payload == left;
        if first && !last && self.begun.saturating_add(lane.header.len) > self.begun_len_max {
            return Err(ChunkError::Begun { limit: self.begun_len_max });
        }
        lane.begun = if last { 0 } else { lane.begun.saturating_add(payload) };
        let len = input.len().saturating_sub(bytes.left());
        Ok(Some(Parsed { head: Head { header: lane.header, form, len, payload, first, last }, lane }))
    }

    /// Takes a head that [`Decoder::peek`] has just returned.
    pub fn take(&mut self, parsed: &Parsed) {
        let head = &parsed.head;
        if head.first && !head.last {
            self.begun = self.begun.saturating_add(head.header.len);
        } else if head.last && !head.first {
            self.begun = self.begun.saturating_sub(head.header.len);
        }
        match self.lanes.iter_mut().find(|lane| lane.header.csid == head.header.csid) {
            Some(lane) => *lane = parsed.lane,
            None => self.lanes.push(parsed.lane),
        }
    }

    /// A chunk stream that was not used before. librtmp begins one with form 1, when it answers a ping.
    fn fresh(&self, form: u8, csid: u32) -> Result<Lane, ChunkError> {
        if self.lanes.len() >= CHUNK_STREAMS_MAX {
            return Err(ChunkError::Streams);
        }
        if form > 1 {
            return Err(ChunkError::Headless { csid });
        }
        let header = Header { csid, timestamp: 0, len: 0, kind: 0, stream: 0 };
        Ok(Lane { header, delta: 0, extended: None, begun: 0 })
    }
}

/// The basic header: form and chunk stream.
fn basic(bytes: &mut Bytes<'_>) -> Result<(u8, u32), Short> {
    let byte = bytes.u8()?;
    let csid = match byte & 0x3F {
        0 => u32::from(bytes.u8()?).saturating_add(64),
        1 => u32::from(bytes.u16_le()?).saturating_add(64),
        small => u32::from(small),
    };
    Ok((byte >> 6, csid))
}

/// The rest of the head, by its form.
fn fields(bytes: &mut Bytes<'_>, form: u8, mut lane: Lane) -> Result<Lane, Short> {
    if form == 3 {
        return continued(bytes, lane);
    }
    let short = bytes.u24()?;
    if form < 2 {
        lane.header.len = bytes.u24()?;
        lane.header.kind = bytes.u8()?;
    }
    if form == 0 {
        lane.header.stream = bytes.u32_le()?;
    }
    lane.extended = if short == EXTENDED_FROM { Some(bytes.u32()?) } else { None };
    lane.delta = lane.extended.unwrap_or(short);
    let from = if form == 0 { 0 } else { lane.header.timestamp };
    lane.header.timestamp = from.wrapping_add(lane.delta);
    Ok(lane)
}

/// Form 3: the next piece of a message, or a new one just like the last.
fn continued(bytes: &mut Bytes<'_>, mut lane: Lane) -> Result<Lane, Short> {
    let first = lane.begun == 0;
    if let Some(extended) = lane.extended {
        let mut ahead = *bytes;
        let repeated = ahead.u32()?;
        // Some senders leave it out in continuations; then these bytes are payload.
        if first || repeated == extended {
            *bytes = ahead;
        }
        if first {
            lane.extended = Some(repeated);
            lane.delta = repeated;
        }
    }
    if first {
        lane.header.timestamp = lane.header.timestamp.wrapping_add(lane.delta);
    }
    Ok(lane)
}
