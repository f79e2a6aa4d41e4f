//! Chunks: how messages are cut up and interleaved, and how their headers leave out what the last one on the same chunk stream said.
//!
//! [`Decoder`] knows the headers and leaves the payload where it is; [`Reader`] puts messages together; [`Encoder`] writes them with as short
//! headers as it may. Timestamps are milliseconds and wrap at 2^32.
//!
//! Source: specification 5.3. Where it is silent, what SRS and ffmpeg do: a new message with header form 3 after form 0 counts its timestamp
//! on by that of form 0, and whether a continuation repeats the extended timestamp is told by comparing it.

mod decode;
mod encode;
mod read;

pub use decode::{Decoder, Head, Parsed};
pub use encode::{Encoder, push_head, push_message};
pub use read::{Message, Reader};

use super::{BEGUN_LEN_MAX, CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, CHUNK_STREAMS_MAX, MESSAGE_LEN_MAX};

/// From here on a timestamp or delta does not fit into 24 bits and follows in four bytes of its own.
pub const EXTENDED_FROM: u32 = 0x00FF_FFFF;
/// Longest head of a chunk: basic header, message header, extended timestamp.
pub const HEAD_LEN_MAX: usize = 3 + 11 + 4;

/// A message's header, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The chunk stream, 2 to 65,599.
    pub csid: u32,
    /// Milliseconds.
    pub timestamp: u32,
    /// Bytes of the payload.
    pub len: u32,
    /// Message type, [`super::message::kind`].
    pub kind: u8,
    /// Message stream.
    pub stream: u32,
}

/// What is wrong with a chunk. None can be recovered from: the place of the next head is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// More than [`CHUNK_STREAMS_MAX`] chunk streams.
    #[error("more than {CHUNK_STREAMS_MAX} chunk streams")]
    Streams,
    /// A shortened header where none was before.
    #[error("chunk stream {csid} begins with a shortened header")]
    Headless {
        /// The chunk stream.
        csid: u32,
    },
    /// A new header before the message was whole.
    #[error("a message on chunk stream {csid} begins before the last one ended")]
    Interrupted {
        /// The chunk stream.
        csid: u32,
    },
    /// A message longer than is taken there: [`MESSAGE_LEN_MAX`] for media, less before it.
    #[error("a message of {got} bytes, at most {limit} are taken")]
    MessageLen {
        /// Bytes announced.
        got: u32,
        /// Bytes taken.
        limit: u32,
    },
    /// Messages begun and not ended announce more than that together: [`BEGUN_LEN_MAX`] for media, less before it.
    #[error("unfinished messages announce over {limit} bytes")]
    Begun {
        /// Bytes taken.
        limit: u32,
    },
    /// A chunk size outside [`CHUNK_SIZE_MIN`] to [`CHUNK_SIZE_MAX`].
    #[error("a chunk size of {0}, {CHUNK_SIZE_MIN} to {CHUNK_SIZE_MAX} are taken")]
    ChunkSize(u32),
    /// A protocol message that is too short for what it says.
    #[error("a protocol message of {len} bytes")]
    Control {
        /// Its bytes.
        len: usize,
    },
}

/// Checks a chunk size.
///
/// # Errors
/// [`ChunkError::ChunkSize`].
pub fn check_chunk_size(size: u32) -> Result<u32, ChunkError> {
    if (CHUNK_SIZE_MIN..=CHUNK_SIZE_MAX).contains(&size) { Ok(size) } else { Err(ChunkError::ChunkSize(size)) }
}

#[cfg(test)]
mod tests;
