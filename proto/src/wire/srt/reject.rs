//! Reasons for refusing a caller, as SRT numbers them. A caller's library shows or prints them.
//!
//! Source: `srtcore/srt.h` (`SRT_REJ_..`) and `srtcore/access_control.h` (`SRT_REJX_..`) of libsrt 1.5; read 2026-11-26.

/// SRT's own: the caller speaks an older handshake, which carries no stream id.
pub const VERSION: u32 = 8;
/// SRT's own: a passphrase is needed and was not given, or was given and is not expected.
pub const UNSECURE: u32 = 11;
/// The stream id cannot be read.
pub const BAD_REQUEST: u32 = 1400;
/// No token or stream key, or one that is not good.
pub const UNAUTHORIZED: u32 = 1401;
/// Too many at once.
pub const OVERLOAD: u32 = 1402;
/// A credential for something else.
pub const FORBIDDEN: u32 = 1403;
/// No such stream, or nobody publishes it.
pub const NOT_FOUND: u32 = 1404;
/// Neither `publish` nor `request`.
pub const BAD_MODE: u32 = 1405;
/// Somebody else publishes the stream.
pub const CONFLICT: u32 = 1409;
/// The stream is not to be had over SRT.
pub const NOT_SUPPORTED_MEDIA: u32 = 1415;
/// A bug of ours.
pub const INTERNAL: u32 = 1500;
/// The media node did not do its part.
pub const GATEWAY: u32 = 1502;
/// Nobody can take the session now.
pub const DOWN: u32 = 1503;
/// No room for another caller.
pub const NO_ROOM: u32 = 1507;
