//! RTMP: handshake, chunks, AMF0, the commands before media flows, and the relay of chunks between two connections.
//!
//! Nothing here owns a socket or a clock. [`session::Server`] speaks with a client until it names its stream, [`session::Client`] speaks with a
//! media node until it has accepted that stream; then each direction is a [`relay::Relay`], which passes the bytes of media through unchanged
//! and takes out what belongs to one connection only: commands, acknowledgements, window sizes.
//!
//! Source: Adobe's RTMP specification 1.0 (2012-12-21); what clients and SRS really send: docs/rtmp.md.

pub mod amf0;
mod bytes;
pub mod chunk;
pub mod handshake;
pub mod identity;
pub mod message;
pub mod relay;
pub mod session;

pub use bytes::Short;

/// Longest message, in bytes. The wire has 24 bits for it; a key frame of 4K video has 2 MiB at most.
pub const MESSAGE_LEN_MAX: u32 = 8 * 1024 * 1024;
/// Sum of the lengths of all messages that one side has begun and not ended: a receiver that sets memory aside for what is announced.
pub const BEGUN_LEN_MAX: u32 = 2 * MESSAGE_LEN_MAX;
/// Most chunk streams of one connection. Encoders use four to six.
pub const CHUNK_STREAMS_MAX: usize = 64;
/// Chunk size until the sender says otherwise (specification 5.4.1).
pub const CHUNK_SIZE_FIRST: u32 = 128;
/// Largest chunk size: no message is longer than what 24 bits hold (specification 5.4.1).
pub const CHUNK_SIZE_MAX: u32 = 0x00FF_FFFF;
/// Smallest chunk size that is taken. A smaller one only makes work; SRS warns below it.
pub const CHUNK_SIZE_MIN: u32 = 128;
