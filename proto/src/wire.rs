//! Pure parsers of what others put on the wire.

pub mod sdp;
pub mod stun;
