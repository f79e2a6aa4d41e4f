//! Writing chunks.

use super::{
    super::{CHUNK_SIZE_FIRST, bytes::be24},
    EXTENDED_FROM, Header,
};

/// Appends a head with all fields (form 0), or that of a continuation.
pub fn push_head(header: &Header, continuation: bool, out: &mut Vec<u8>) {
    let extended = header.timestamp >= EXTENDED_FROM;
    push_basic(if continuation { 3 } else { 0 }, header.csid, out);
    if !continuation {
        out.extend_from_slice(&be24(header.timestamp.min(EXTENDED_FROM)));
        out.extend_from_slice(&be24(header.len));
        out.push(header.kind);
        out.extend_from_slice(&header.stream.to_le_bytes());
    }
    if extended {
        out.extend_from_slice(&header.timestamp.to_be_bytes());
    }
}

/// Appends a whole message that refers to nothing before it. `header.len` is that of `payload`.
pub fn push_message(header: &Header, payload: &[u8], chunk_size: u32, out: &mut Vec<u8>) {
    push_head(header, false, out);
    push_payload(header, header.timestamp, payload, chunk_size, out);
}

fn push_payload(header: &Header, stamp: u32, payload: &[u8], chunk_size: u32, out: &mut Vec<u8>) {
    let size = usize::try_from(chunk_size.max(1)).unwrap_or(usize::MAX);
    for (index, piece) in payload.chunks(size).enumerate() {
        if index > 0 {
            push_basic(3, header.csid, out);
            if stamp >= EXTENDED_FROM {
                out.extend_from_slice(&stamp.to_be_bytes());
            }
        }
        out.extend_from_slice(piece);
    }
}

/// Chunk streams 2 to 63 take one byte, to 319 two, to 65,599 three.
fn push_basic(form: u8, csid: u32, out: &mut Vec<u8>) {
    let form = form << 6;
    let above = csid.saturating_sub(64);
    match (u8::try_from(csid), u8::try_from(above)) {
        (Ok(small @ 0..64), _) => out.push(form | small),
        (_, Ok(byte)) => out.extend_from_slice(&[form, byte]),
        (_, Err(_)) => {
            out.push(form | 1);
            out.extend_from_slice(&u16::try_from(above).unwrap_or(u16::MAX).to_le_bytes());
        }
    }
}

/// What was last written on a chunk stream.
#[derive(Debug, Clone, Copy)]
struct Lane {
    header: Header,
    /// The timestamp's step, once one was written.
    delta: Option<u32>,
}

/// Writes messages with the shortest headers that say the same.
#[derive(Debug, Clone)]
pub struct Encoder {
    chunk_size: u32,
    lanes: Vec<Lane>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { chunk_size: CHUNK_SIZE_FIRST, lanes: Vec::new() }
    }
}

impl Encoder {
    /// What follows is cut into chunks of `size` bytes. Telling the peer is the caller's.
    pub const fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = size;
    }

    /// The present chunk size.
    #[must_use]
    pub const fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Appends a message; `header.len` is taken from `payload`.
    pub fn push(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) {
        let header = Header { len: u32::try_from(payload.len()).unwrap_or(u32::MAX), ..header };
        let known = self.lanes.iter_mut().find(|lane| lane.header.csid == header.csid);
        let Some(lane) = known else {
            self.lanes.push(Lane { header, delta: None });
            return push_message(&header, payload, self.chunk_size, out);
        };
        let last = std::mem::replace(&mut lane.header, header);
        let delta = header.timestamp.wrapping_sub(last.timestamp);
        // Time that runs backwards needs the whole of it, and so does another message stream.
        if header.stream != last.stream || delta > u32::MAX / 2 {
            lane.delta = None;
            return push_message(&header, payload, self.chunk_size, out);
        }
        let alike = header.len == last.len && header.kind == last.kind;
        let form = match (alike, lane.delta == Some(delta)) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 3,
        };
        lane.delta = Some(delta);
        push_basic(form, header.csid, out);
        if form < 3 {
            out.extend_from_slice(&be24(delta.min(EXTENDED_FROM)));
        }
        if form < 2 {
            out.extend_from_slice(&be24(header.len));
            out.push(header.kind);
        }
        if delta >= EXTENDED_FROM {
            out.extend_from_slice(&delta.to_be_bytes());
        }
        push_payload(&header, delta, payload, self.chunk_size, out);
    }
}
