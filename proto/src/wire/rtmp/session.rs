//! Both ends of a connection until media flows: [`Server`] towards clients, [`Client`] towards a media node.
//!
//! Bytes in, bytes and one event out. Who may do what is not decided here: the server stops at a client's wish and is told the verdict.
//!
//! Source: what encoders, players and SRS send and await: docs/rtmp.md.

mod acks;
mod client;
mod server;

pub use acks::Acks;
pub use client::{Client, Hearing, Plan};
pub use server::{After, Ask, Connect, Form, Heard, Server, during, over};

use super::{amf0::AmfError, chunk::ChunkError, handshake::HandshakeError, identity::IdentityError};

/// The message stream that `createStream` gives, here and at SRS: there is one on a connection.
pub const STREAM: u32 = 1;
/// Chunk size of what the edge sends until media flows; SRS's own.
pub const CHUNK_SIZE: u32 = 60_000;
/// Most messages before media flows.
pub const MESSAGES_MAX: u32 = 100;

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not RTMP.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Not chunks, or not chunks that are taken.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A command that does not read.
    #[error(transparent)]
    Amf(#[from] AmfError),
    /// Something else before `connect`.
    #[error("the first command must be connect")]
    NotConnected,
    /// Media before it was allowed.
    #[error("media came before the stream was accepted")]
    Early,
    /// More than [`MESSAGES_MAX`] messages.
    #[error("more than {MESSAGES_MAX} messages and no stream among them")]
    Messages,
    /// The names in `releaseStream`, `FCPublish` and `publish` are of different streams.
    #[error("releaseStream and publish name different streams")]
    TwoNames,
    /// No stream can be made of what was sent.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node gave another message stream than SRS does.
    #[error("the media node gave message stream {0}, not {STREAM}")]
    StreamId(u32),
}

#[cfg(test)]
mod tests;
