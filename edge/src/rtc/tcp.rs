//! ICE over TCP (RFC 6544): a connection that was accepted, and what is to be written to it.

use super::{core::Mono, framing::FrameReader, session::Session};
use mio::net::TcpStream;
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write as _},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long a connection may take to bring its first signed check.
pub(super) const PROVE_WITHIN: Duration = Duration::from_secs(5);
/// Connections of one shard at most, and those of them that have not proved themselves.
pub(super) const CONNECTIONS_MAX: usize = 8_192;
pub(super) const UNPROVED_MAX: usize = 1_024;
/// Bytes waiting for one connection at most: a second of 2 Mbit/s. What comes on top is dropped whole, as a network would.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// A connection as its shard holds it.
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) peer: SocketAddr,
    pub(super) reader: FrameReader,
    pub(super) outbox: Arc<Outbox>,
    /// Whose it is, once it proved itself.
    pub(super) session: Option<Arc<Session>>,
    pub(super) until: Mono,
}

/// The writing half: any shard writes frames, the one that holds the connection goes on when the kernel has room again.
pub(super) struct Outbox {
    stream: Mutex<Out>,
}

pub(super) struct Out {
    pub(super) stream: TcpStream,
    waiting: VecDeque<u8>,
}

impl Outbox {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: Mutex::new(Out { stream, waiting: VecDeque::new() }) }
    }

    /// The connection itself.
    pub(super) fn with<T>(&self, use_it: impl FnOnce(&mut Out) -> T) -> T {
        use_it(&mut self.stream.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes one datagram as a frame. False: there was no room, it is dropped.
    pub(super) fn write(&self, datagram: &[u8]) -> bool {
        let Ok(length) = u16::try_from(datagram.len()) else { return false };
        self.with(|out| out.write(length.to_be_bytes(), datagram))
    }

    /// Goes on with what waits.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.with(Out::flush)
    }
}

impl Out {
    fn write(&mut self, length: [u8; 2], datagram: &[u8]) -> bool {
        if !self.waiting.is_empty() {
            return self.keep(&length, datagram);
        }
        match self.stream.write_vectored(&[IoSlice::new(&length), IoSlice::new(datagram)]) {
            Ok(written) if written == length.len() + datagram.len() => true,
            // Part of it is under way: the rest must follow.
            Ok(written) => {
                let of_length = written.min(length.len());
                self.waiting.extend(length.get(of_length..).unwrap_or_default());
                self.waiting.extend(datagram.get(written - of_length..).unwrap_or_default());
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.keep(&length, datagram),
            // Its shard sees the end of it by itself.
            Err(_) => false,
        }
    }

    fn keep(&mut self, length: &[u8], datagram: &[u8]) -> bool {
        if self.waiting.len() + length.len() + datagram.len() > WAITING_BYTES_MAX {
            return false;
        }
        self.waiting.extend(length);
        self.waiting.extend(datagram);
        true
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let (first, second) = self.waiting.as_slices();
            match self.stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
