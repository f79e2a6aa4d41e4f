//! STUN as ICE uses it (RFC 8489, RFC 8445): binding requests and their answers, short-term credentials, fingerprint.
//!
//! SRS reads no more of a request than its USERNAME and checks nothing (docs/srs.md), so whoever stands in front of it does. A message is
//! looked at in place; nothing is copied or allocated. Attributes behind MESSAGE-INTEGRITY are not covered by it and are ignored, as
//! RFC 8489 section 14.5 wants. Every length is checked against what is there, and no input makes this module panic.

mod attribute;
mod integrity;
mod message;
mod writer;

pub use attribute::{Attribute, Attributes, kind};
pub use integrity::IntegrityKey;
pub use message::{Class, Message, Transaction, is_stun};
pub use writer::{BINDING_SUCCESS_BYTES_MAX, Writer, binding_success};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 20;
/// Bytes of a message at most: one that does not fit an unfragmented datagram is not ICE's.
pub const MESSAGE_BYTES_MAX: usize = 1_500;
/// Attributes of a message at most. Browsers send under ten.
pub const ATTRIBUTES_MAX: usize = 32;
/// Bytes of a USERNAME at most (RFC 8489 section 14.3).
pub const USERNAME_BYTES_MAX: usize = 508;
/// Bytes of a transaction id.
pub const TRANSACTION_BYTES: usize = 12;
/// The fixed number in every message's header.
pub const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// The one method there is in ICE.
pub const BINDING: u16 = 1;

/// Why bytes are no message that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StunError {
    /// Fewer bytes than a header, or more than [`MESSAGE_BYTES_MAX`].
    #[error("{got} bytes are no STUN message")]
    Size {
        /// Bytes given.
        got: usize,
    },
    /// The first two bits or the cookie are another protocol's, or RFC 3489's.
    #[error("the header is not STUN's")]
    Header,
    /// The header's length is not that of the datagram, or no multiple of four.
    #[error("the length in the header is wrong")]
    Length,
    /// An attribute reaches past the end.
    #[error("an attribute is cut short")]
    Attribute,
    /// More than [`ATTRIBUTES_MAX`].
    #[error("more than {ATTRIBUTES_MAX} attributes")]
    TooMany,
    /// There is no MESSAGE-INTEGRITY, or it has the wrong size.
    #[error("it is not signed")]
    NotSigned,
    /// MESSAGE-INTEGRITY was made with another password, or over other bytes.
    #[error("its signature is wrong")]
    Signature,
    /// FINGERPRINT is there and wrong.
    #[error("its fingerprint is wrong")]
    Fingerprint,
}
