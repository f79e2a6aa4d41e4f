//! SRT as far as a relay between callers and media nodes needs it: the handshake that names the stream, and nothing of the media.
//!
//! A caller (handshake version 5) sends an *induction*, gets a cookie, and repeats itself as a *conclusion* that carries the stream id. The relay answers the
//! induction itself ([`listener`]), reads the conclusion ([`Handshake`], [`StreamRequest`]), and leads the same two steps towards a node with
//! the stream id replaced ([`session`]). From the node's answer on, datagrams pass unchanged: socket ids, sequence numbers, timestamps and
//! encryption are between caller and node.
//!
//! Source: draft-sharabayko-srt-01 sections 3.2 and 4.3, the SRT access control document of libsrt 1.5, and captures of libsrt 1.5.1 against
//! SRS 5.0.216 (`proto/tests/vectors/`); read 2026-11-26.

mod handshake;
pub mod listener;
mod packet;
pub mod reject;
pub mod session;
mod streamid;

pub use handshake::{
    CIF_BYTES, Extension, ExtensionKind, Extensions, HANDSHAKE_BYTES, HANDSHAKE_LEN_MAX, Handshake, HandshakeError,
    Kind, STREAM_ID_LEN_MAX, conclude, induction_reply, rejection,
};
pub use packet::{ControlKind, HEADER_BYTES, Packet, PacketError, keep_alive, shutdown};
pub use streamid::{StreamIdError, StreamRequest, canonical};
