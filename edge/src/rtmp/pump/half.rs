//! One direction.

use super::super::buffers::{BUFFER_LEN, Buffer};
use proto::wire::rtmp::{
    chunk::{ChunkError, Decoder, Message},
    message::{self, kind},
    relay::{Lag, Out, Piece, Relay},
    session::Acks,
};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// What a direction stops for.
#[derive(Debug)]
pub(super) enum Event {
    /// A command.
    Taken(Message),
    /// The sender hung up.
    Hung,
    /// The receiver did.
    Deaf,
    /// The sender's bytes cannot be followed.
    Broken(ChunkError),
}

/// What was read and not yet pushed, `start..end` of a buffer; what was pushed and not yet sent is pieces of it from `base` on.
#[derive(Debug)]
pub(super) struct Half {
    relay: Relay,
    out: Out,
    acks: Acks,
    buffer: Option<Buffer>,
    base: usize,
    start: usize,
    end: usize,
    /// The piece to send next, and how much of it has gone.
    piece: usize,
    gone: usize,
    /// The receiver holds bytes back until it is told to send them.
    unflushed: bool,
    /// Nothing more can be made of `start..end` without more bytes.
    starved: bool,
    /// There is something of ours to say.
    poked: bool,
    broken: Option<ChunkError>,
    /// Messages fall out for a receiver that is behind.
    culls: bool,
    waited: bool,
    /// The receiver is waited for.
    pub(super) blocked: bool,
    /// An acknowledgement that the sender is due.
    pub(super) ack: Option<u32>,
    pub(super) read: u64,
    pub(super) wrote: u64,
    pub(super) wrote_in_all: u64,
    pub(super) dropped: u64,
}

impl Half {
    pub(super) fn new(relay: Relay, acks: Acks, read: Vec<u8>, culls: bool) -> Self {
        let mut buffer = Buffer::take();
        // No more than a buffer can have been read: it came out of one.
        let end = read.len().min(BUFFER_LEN);
        if let (Some(to), Some(from)) = (buffer.bytes_mut().get_mut(..end), read.get(..end)) {
            to.copy_from_slice(from);
        }
        Self {
            relay,
            out: Out::default(),
            acks,
            buffer: Some(buffer),
            base: 0,
            start: 0,
            end,
            piece: 0,
            gone: 0,
            unflushed: false,
            starved: false,
            poked: true,
            broken: None,
            culls,
            waited: false,
            blocked: false,
            ack: None,
            read: 0,
            wrote: 0,
            wrote_in_all: 0,
            dropped: 0,
        }
    }

    /// Something of ours goes to the receiver at the next place for it; `false` if too much waits already.
    pub(super) fn say(&mut self, message: Message) -> bool {
        self.poked = true;
        self.relay.inject(message.header, message.payload)
    }

    /// The chunk size the receiver was told, if a message of ours may follow.
    pub(super) fn told(&self) -> Option<u32> {
        self.relay.between().then(|| self.relay.told())
    }

    /// The sender's part, with the bytes that were read and not used.
    pub(super) fn into_parts(self) -> Option<(Decoder, Acks, Vec<u8>)> {
        let read = self.window().to_vec();
        Some((self.relay.into_decoder()?, self.acks, read))
    }

    fn window(&self) -> &[u8] {
        self.buffer.as_ref().and_then(|buffer| buffer.bytes().get(self.start..self.end)).unwrap_or_default()
    }

    /// All that is to be sent, without the sender's next bytes.
    pub(super) fn rest(&mut self, now: Duration) -> Vec<u8> {
        let mut rest = Vec::new();
        while let Some(bytes) = self.to_send() {
            rest.extend_from_slice(bytes);
            let count = bytes.len();
            self.sent(count);
        }
        if self.relay.between() && self.relay.push(&[], now, &mut self.out).is_ok() {
            rest.extend_from_slice(&self.out.made);
            self.out.clear();
        }
        rest
    }

    pub(super) fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W, began: Instant) -> Poll<Event>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.poll_send(cx, to) {
                Poll::Ready(Ok(())) => self.blocked = false,
                Poll::Ready(Err(())) => return Poll::Ready(Event::Deaf),
                Poll::Pending => {
                    (self.blocked, self.waited) = (true, true);
                    return Poll::Pending;
                }
            }
            if let Some(taken) = self.out.taken.take() {
                match self.heed(taken) {
                    Some(event) => return Poll::Ready(event),
                    None => continue,
                }
            }
            if let Some(error) = self.broken.take() {
                return Poll::Ready(Event::Broken(error));
            }
            if self.poked || (self.start < self.end && !self.starved) {
                self.push(began);
                continue;
            }
            match ready!(self.poll_fill(cx, from, began)) {
                Ok(0) | Err(_) => return Poll::Ready(Event::Hung),
                Ok(count) => self.ack = self.acks.received(count).or(self.ack),
            }
        }
    }

    /// What belongs to the sender's connection only is dealt with here.
    fn heed(&mut self, taken: Message) -> Option<Event> {
        match taken.header.kind {
            kind::WINDOW => match message::number(&taken.payload) {
                Ok(bytes) => self.acks.window(bytes),
                Err(error) => return Some(Event::Broken(error)),
            },
            kind::COMMAND | kind::COMMAND_AMF3 => return Some(Event::Taken(taken)),
            // Acknowledgements of what we sent, and a wish for our window, which stays as it is.
            _ => {}
        }
        None
    }

    fn push(&mut self, began: Instant) {
        let now = began.elapsed();
        if self.culls && std::mem::take(&mut self.waited) {
            self.relay.behind(Lag::Waited, now);
        }
        let input =
            self.buffer.as_ref().and_then(|buffer| buffer.bytes().get(self.start..self.end)).unwrap_or_default();
        (self.base, self.piece, self.gone, self.poked) = (self.start, 0, 0, false);
        match self.relay.push(input, now, &mut self.out) {
            Ok(used) => self.start += used,
            Err(error) => self.broken = Some(error),
        }
        // Behind a message that was taken out there may be more.
        self.starved = self.out.taken.is_none();
        self.dropped += u64::from(self.out.dropped);
    }

    fn poll_send<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<Result<(), ()>> {
        while let Some(bytes) = self.to_send() {
            match ready!(Pin::new(&mut *to).poll_write(cx, bytes)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(())),
                Ok(count) => {
                    self.sent(count);
                    self.wrote += bytes_of(count);
                    self.wrote_in_all += bytes_of(count);
                    self.unflushed = true;
                }
            }
        }
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx)).map_err(|_| ())?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The next bytes to send.
    fn to_send(&self) -> Option<&[u8]> {
        let whole = match self.out.pieces.get(self.piece)? {
            Piece::Passed(range) => {
                let bytes = self.buffer.as_ref()?.bytes();
                bytes.get(self.base + range.start..self.base + range.end)?
            }
            Piece::Made(range) => self.out.made.get(range.clone())?,
        };
        whole.get(self.gone..)
    }

    /// So many of them have gone.
    fn sent(&mut self, count: usize) {
        self.gone += count;
        let len = match self.out.pieces.get(self.piece) {
            Some(Piece::Passed(range) | Piece::Made(range)) => range.len(),
            None => 0,
        };
        if self.gone >= len {
            (self.piece, self.gone) = (self.piece + 1, 0);
        }
    }

    fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        began: Instant,
    ) -> Poll<std::io::Result<usize>> {
        let mut buffer = self.buffer.take().unwrap_or_else(Buffer::take);
        // What is left is part of a head, or nothing.
        buffer.bytes_mut().copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let mut room = ReadBuf::new(buffer.bytes_mut().get_mut(self.end..).unwrap_or_default());
        let read = Pin::new(from).poll_read(cx, &mut room).map_ok(|()| room.filled().len());
        if read.is_pending() && self.end == 0 {
            if self.culls {
                self.relay.behind(Lag::None, began.elapsed());
            }
            return Poll::Pending;
        }
        self.buffer = Some(buffer);
        if let Poll::Ready(Ok(count)) = read {
            self.end += count;
            self.starved = false;
            self.read += bytes_of(count);
        }
        read
    }
}

fn bytes_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
