//! Whole messages out of chunks.

use super::{
    super::message::{self, kind},
    ChunkError, Decoder, Header,
};

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// All of it.
    pub payload: Vec<u8>,
}

/// Puts messages together. Holds at most three messages' worth of the limit given to [`Reader::new`], and sets no memory aside for what is
/// only announced.
#[derive(Debug, Clone)]
pub struct Reader {
    decoder: Decoder,
    begun: Vec<Message>,
    /// The chunk whose payload is being read: its chunk stream, the bytes still to come, and whether it ends the message.
    inside: Option<(Header, u32, bool)>,
}

impl Reader {
    /// A reader of messages of at most `message_len_max` bytes.
    #[must_use]
    pub fn new(message_len_max: u32) -> Self {
        Self::of(Decoder::default(), message_len_max)
    }

    /// A reader that goes on where a decoder stands, between two chunks.
    #[must_use]
    pub fn of(mut decoder: Decoder, message_len_max: u32) -> Self {
        decoder.limit(message_len_max);
        Self { decoder, begun: Vec::new(), inside: None }
    }

    /// The decoder, if no message is under way.
    #[must_use]
    pub fn into_decoder(self) -> Option<Decoder> {
        let between = self.inside.is_none() && self.begun.is_empty();
        between.then_some(self.decoder)
    }

    /// Reads until a message is whole; returns the bytes used and the message. Chunk size and abort are applied here, and returned as well.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Message>), ChunkError> {
        self.next_unless(input, |_| false)
    }

    /// As [`Reader::next`], but stops before a message that `stop` is true for.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn next_unless(
        &mut self,
        input: &[u8],
        stop: impl Fn(&Header) -> bool,
    ) -> Result<(usize, Option<Message>), ChunkError> {
        let mut used = 0_usize;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Some((header, left, last)) = self.inside else {
                let Some(parsed) = self.decoder.peek(rest)? else { return Ok((used, None)) };
                let head = parsed.head;
                if head.first && stop(&head.header) {
                    return Ok((used, None));
                }
                self.decoder.take(&parsed);
                used = used.saturating_add(head.len);
                if head.first {
                    self.begun.push(Message { header: head.header, payload: Vec::new() });
                }
                self.inside = Some((head.header, head.payload, head.last));
                continue;
            };
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let at = self.begun.iter().position(|message| message.header.csid == header.csid);
            if let Some(message) = at.and_then(|at| self.begun.get_mut(at)) {
                message.payload.extend_from_slice(rest.get(..want).unwrap_or_default());
            }
            used = used.saturating_add(want);
            let left = left.saturating_sub(u32::try_from(want).unwrap_or(u32::MAX));
            if left > 0 {
                self.inside = Some((header, left, last));
                return Ok((used, None));
            }
            self.inside = None;
            if last && let Some(at) = at {
                let message = self.begun.swap_remove(at);
                self.apply(&message)?;
                return Ok((used, Some(message)));
            }
        }
    }

    fn apply(&mut self, message: &Message) -> Result<(), ChunkError> {
        match message.header.kind {
            kind::CHUNK_SIZE => self.decoder.set_chunk_size(message::number(&message.payload)?),
            kind::ABORT => {
                let csid = message::number(&message.payload)?;
                self.decoder.abort(csid);
                self.begun.retain(|begun| begun.header.csid != csid);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
