//! WHIP publisher and WHEP viewer, for the demo and for tests.
//!
//! Both are real WebRTC clients on str0m: they POST an offer, follow `Location`, do ICE, DTLS and SRTP,
//! and count only what the protocol stack delivered. [`publish`] sends a moving test picture with sound
//! made by `ffmpeg`, or one keyframe over and over ([`Still`]); [`play`] counts depacketised frames, and of the video only those that parse as an
//! H.264 access unit. One UDP socket and one task each; nothing here is shared between clients.
//!
//! Limits: UDP host candidates only (no TURN, no ICE-TCP), one audio and one video track, H.264 and Opus,
//! no trickle ICE, no reconnect: a session that ended stays ended and says so in [`Stats::state`].

mod client;
mod h264;
mod ogg;
mod session;
mod signal;
mod source;
mod stats;
mod still;

pub use client::{PlayOptions, PublishOptions, SessionHandle, play, publish};
pub use h264::{AccessUnit, H264Error, access_unit, nal_units};
pub use ogg::{OggError, OggPackets};
pub use signal::MediaError;
pub use source::{Source, TestPicture};
pub use stats::{State, Stats};
pub use still::Still;
