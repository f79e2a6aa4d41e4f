//! Pure parsers of what others put on the wire.

pub mod m3u8;
pub mod proxy;
pub mod rtmp;
pub mod sdp;
pub mod srt;
pub mod stun;
