//! WebRTC session descriptions on their way between a client and SRS (RFC 8866, 8829, 8840; RFC 9725; draft-ietf-wish-whep).
//!
//! SRS closes the connection without a word on an offer it dislikes, accepts offers that can never carry media, answers with sections
//! missing, and (5.0.216) dies of an `a=ssrc` line without a value. So the edge looks first ([`Offer::inspect`]), passes on a text that
//! SRS reads as it was meant ([`Offer::for_upstream`]), and mends what comes back ([`Answer::repair`]).
//!
//! A text stays a list of lines here: what is not understood is written back as it came. `sdp-types` would parse and print as well, but
//! has no limits on lines, sections or lengths, and the work is in edits of lines and in rules, which it has none of.
//!
//! Every length is checked against a limit below before it is used, and no input makes this module panic.

mod answer;
mod attribute;
mod candidates;
mod check;
mod error;
mod fragment;
mod offer;
mod text;
mod upstream;

pub use answer::{Answer, AnswerOptions};
pub use candidates::{Candidates, Host, Over};
pub use error::{AnswerError, FragmentError, Kind, SdpError};
pub use fragment::{Intent, TrickleFragment};
pub use offer::{Offer, Setup};

/// Bytes of a description at most. Chromium's largest offers have about 12 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Lines of a description at most.
pub const LINES_MAX: usize = 4096;
/// Bytes of one line at most, without its end.
pub const LINE_BYTES_MAX: usize = 4096;
/// `m=` sections at most.
pub const SECTIONS_MAX: usize = 16;
/// Formats of one section at most: there are 128 payload types.
pub const FORMATS_MAX: usize = 128;
/// `a=rtcp-fb:*` lines of one section at most; each becomes one line per payload type that SRS may choose.
pub const WILDCARDS_MAX: usize = 16;
/// Bytes of a `mid` at most. RFC 8843 advises three.
pub const MID_BYTES_MAX: usize = 32;
/// Candidates in one section of an answer at most.
pub const CANDIDATES_MAX: usize = 16;
/// Bytes of an answer at most: `FFmpeg` 8 reads no more than 8 KiB with the closing zero.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 - 1;
/// Bytes of a trickle fragment at most.
pub const FRAGMENT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of an ICE ufrag (RFC 8839 section 5.4).
pub const UFRAG_BYTES: std::ops::RangeInclusive<usize> = 4..=256;
/// Bytes of an ICE password (RFC 8839 section 5.4).
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 22..=256;
