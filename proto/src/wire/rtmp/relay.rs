//! One direction of a relayed connection: what is media passes byte for byte, what belongs to one connection only is taken out.
//!
//! The receiver's decoder must make of the bytes what ours makes of them. Chunk sizes are equal, because every change is repeated to the
//! receiver at the same place. Header compression is equal per chunk stream, once it is *in step*: the first message on a chunk stream, and the
//! first after one that was taken out or left out, is sent with all fields; when the sender's own header has said what later ones refer to,
//! its heads pass as they are. So in the steady state a read is one write, and the only work is one head per chunk.
//!
//! A player that is slow: [`Relay::behind`] lets messages fall out from the next one on until a key frame. Sequence headers and metadata pass.

mod cull;
mod lanes;

pub use cull::Lag;

use super::{
    MESSAGE_LEN_MAX,
    chunk::{ChunkError, Decoder, Head, Header, Message, Parsed, push_head, push_message},
    message::{self, COMMAND_LEN_MAX, kind},
};
use cull::{Cull, Fate};
use lanes::Lanes;
use std::{ops::Range, time::Duration};

/// Messages of ours that wait for a place between two chunks, at most.
const WAITING_MAX: usize = 16;

/// Bytes to send, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// That part of what was pushed.
    Passed(Range<usize>),
    /// That part of [`Out::made`].
    Made(Range<usize>),
}

/// What a push comes to. Kept by the caller from push to push, so that nothing is allocated.
#[derive(Debug, Default)]
pub struct Out {
    /// What to send.
    pub pieces: Vec<Piece>,
    /// Bytes of ours among it.
    pub made: Vec<u8>,
    /// A message that was taken out, for the caller to act on: a command, an acknowledgement or a window. The push ended behind it.
    pub taken: Option<Message>,
    /// Messages left out because the receiver was behind.
    pub dropped: u32,
}

impl Out {
    /// Forgets the last push.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.made.clear();
        self.taken = None;
        self.dropped = 0;
    }

    fn pass(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(Piece::Passed(last)) if last.end == range.start => last.end = range.end,
            _ => self.pieces.push(Piece::Passed(range)),
        }
    }

    fn make(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        write(&mut self.made);
        let end = self.made.len();
        match self.pieces.last_mut() {
            Some(Piece::Made(last)) if last.end == start => last.end = end,
            _ => self.pieces.push(Piece::Made(start..end)),
        }
    }
}

/// What happens to the chunk whose payload is coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Pass,
    Drop,
    Take,
}

#[derive(Debug, Clone, Copy)]
struct Inside {
    way: Way,
    left: u32,
    last: bool,
    csid: u32,
}

/// One direction. Sans-IO: bytes in, pieces out.
#[derive(Debug)]
pub struct Relay {
    decoder: Decoder,
    lanes: Lanes,
    inside: Option<Inside>,
    taking: Vec<Message>,
    waiting: Vec<Message>,
    /// The chunk size the receiver was told.
    told: u32,
    cull: Cull,
}

impl Relay {
    /// Goes on where `decoder` stands between two messages, towards a receiver whose present chunk size is `told`.
    #[must_use]
    pub fn new(mut decoder: Decoder, told: u32) -> Self {
        // It may come from a session, where messages are short.
        decoder.limit(MESSAGE_LEN_MAX);
        Self {
            decoder,
            lanes: Lanes::default(),
            inside: None,
            taking: Vec::new(),
            waiting: Vec::new(),
            told,
            cull: Cull::default(),
        }
    }

    /// The decoder, between two chunks, with what was not yet sent to the receiver thrown away.
    #[must_use]
    pub fn into_decoder(self) -> Option<Decoder> {
        let between = self.inside.is_none() && self.taking.is_empty() && !self.decoder.inside(None);
        between.then_some(self.decoder)
    }

    /// The chunk size the receiver was told.
    #[must_use]
    pub const fn told(&self) -> u32 {
        self.told
    }

    /// Whether the receiver has whole chunks only, so that a message of ours may follow.
    #[must_use]
    pub const fn between(&self) -> bool {
        self.inside.is_none()
    }

    /// Puts a message of ours at the next place between chunks. `false`: too many wait already, and it is lost.
    pub fn inject(&mut self, header: Header, payload: Vec<u8>) -> bool {
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push(Message { header, payload });
        }
        room
    }

    /// How far behind the receiver is; to be told before a push that follows on a wait for it. Decides what falls out.
    pub fn behind(&mut self, lag: Lag, now: Duration) {
        self.cull.behind(lag, now);
    }

    /// Takes what was read and says in `out`, which is cleared first, what to send; returns the bytes used. What is left is part of a head, or
    /// comes behind a message in `out.taken`: push it again, with more.
    ///
    /// # Errors
    /// The sender's stream cannot be followed any more. What is in `out` may still be sent.
    pub fn push(&mut self, input: &[u8], now: Duration, out: &mut Out) -> Result<usize, ChunkError> {
        out.clear();
        self.speak_first(out)?;
        let mut used = 0_usize;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Some(inside) = self.inside else {
                self.inject_waiting(out);
                let Some(parsed) = self.decoder.peek(rest)? else { return Ok(used) };
                let Some(way) = self.way(&parsed, rest, now, out) else { return Ok(used) };
                self.head(&parsed, way, used, out)?;
                used = used.saturating_add(parsed.head.len);
                continue;
            };
            let want = usize::try_from(inside.left).unwrap_or(usize::MAX).min(rest.len());
            let end = used.saturating_add(want);
            match inside.way {
                Way::Pass => out.pass(used..end),
                Way::Take => self.collect(inside.csid, rest.get(..want).unwrap_or_default()),
                Way::Drop => {}
            }
            used = end;
            let left = inside.left.saturating_sub(u32::try_from(want).unwrap_or(u32::MAX));
            if left > 0 {
                self.inside = Some(Inside { left, ..inside });
                return Ok(used);
            }
            self.inside = None;
            if inside.last && inside.way == Way::Take && self.whole(inside.csid, out)? {
                self.inject_waiting(out);
                return Ok(used);
            }
        }
    }

    /// Before anything else the receiver is told the sender's chunk size, so that chunks fit.
    fn speak_first(&mut self, out: &mut Out) -> Result<(), ChunkError> {
        let size = self.decoder.chunk_size();
        if size != self.told && self.inside.is_none() {
            self.control(kind::CHUNK_SIZE, size, out)?;
            self.told = size;
        }
        Ok(())
    }

    /// One of the protocol's own messages, which cannot wait and so needs its chunk stream now.
    fn control(&mut self, kind: u8, number: u32, out: &mut Out) -> Result<(), ChunkError> {
        if self.lanes.passing(message::CONTROL_CSID) {
            return Err(ChunkError::Interrupted { csid: message::CONTROL_CSID });
        }
        self.lanes.out_of_step(message::CONTROL_CSID);
        out.make(|made| message::push_number(kind, number, made));
        Ok(())
    }

    fn inject_waiting(&mut self, out: &mut Out) {
        let (lanes, size) = (&mut self.lanes, self.told);
        self.waiting.retain(|message| {
            let csid = message.header.csid;
            let busy = lanes.passing(csid);
            if !busy {
                lanes.out_of_step(csid);
                out.make(|made| push_message(&message.header, &message.payload, size, made));
            }
            busy
        });
    }

    /// What becomes of a chunk; `None` while that cannot be told from the bytes there are.
    fn way(&mut self, parsed: &Parsed, rest: &[u8], now: Duration, out: &mut Out) -> Option<Way> {
        let head = &parsed.head;
        if !head.first {
            return Some(self.lanes.way(head.header.csid));
        }
        match head.header.kind {
            kind::CHUNK_SIZE
            | kind::ABORT
            | kind::ACK
            | kind::WINDOW
            | kind::BANDWIDTH
            | kind::COMMAND
            | kind::COMMAND_AMF3 => Some(Way::Take),
            _ => match self.cull.fate(&head.header, rest.get(head.len..).unwrap_or_default(), now)? {
                Fate::Pass => Some(Way::Pass),
                Fate::Drop => {
                    out.dropped = out.dropped.saturating_add(1);
                    Some(Way::Drop)
                }
            },
        }
    }

    /// Takes the head: what is to be sent of it is sent.
    fn head(&mut self, parsed: &Parsed, way: Way, at: usize, out: &mut Out) -> Result<(), ChunkError> {
        let head = &parsed.head;
        if way == Way::Take && head.first {
            if head.header.len > COMMAND_LEN_MAX {
                return Err(ChunkError::MessageLen { got: head.header.len, limit: COMMAND_LEN_MAX });
            }
            self.taking.push(Message { header: head.header, payload: Vec::new() });
        }
        self.decoder.take(parsed);
        if way == Way::Pass {
            self.pass_head(head, at, out);
        }
        self.lanes.took(head, way);
        self.inside = Some(Inside { way, left: head.payload, last: head.last, csid: head.header.csid });
        Ok(())
    }

    fn pass_head(&mut self, head: &Head, at: usize, out: &mut Out) {
        if self.lanes.verbatim(head) {
            out.pass(at..at.saturating_add(head.len));
        } else {
            out.make(|made| push_head(&head.header, !head.first, made));
        }
    }

    fn collect(&mut self, csid: u32, bytes: &[u8]) {
        if let Some(message) = self.taking.iter_mut().find(|message| message.header.csid == csid) {
            message.payload.extend_from_slice(bytes);
        }
    }

    /// A message that was taken out is whole: applies it or hands it on; whether it was handed on.
    fn whole(&mut self, csid: u32, out: &mut Out) -> Result<bool, ChunkError> {
        let Some(at) = self.taking.iter().position(|message| message.header.csid == csid) else { return Ok(false) };
        let taken = self.taking.swap_remove(at);
        match taken.header.kind {
            kind::CHUNK_SIZE => {
                self.decoder.set_chunk_size(message::number(&taken.payload)?)?;
                self.speak_first(out)?;
                Ok(false)
            }
            kind::ABORT => {
                self.abort(message::number(&taken.payload)?, out)?;
                Ok(false)
            }
            _ => {
                out.taken = Some(taken);
                Ok(true)
            }
        }
    }

    /// The sender gave a message up: so must the receiver, if it has a part of it.
    fn abort(&mut self, csid: u32, out: &mut Out) -> Result<(), ChunkError> {
        if !self.decoder.abort(csid) {
            return Ok(());
        }
        if self.lanes.passing(csid) {
            self.control(kind::ABORT, csid, out)?;
        }
        self.lanes.ended(csid);
        self.lanes.out_of_step(csid);
        self.taking.retain(|message| message.header.csid != csid);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
