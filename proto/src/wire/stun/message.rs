//! One message, looked at in place.

use super::{
    ATTRIBUTES_MAX, Attributes, BINDING, HEADER_BYTES, IntegrityKey, MAGIC_COOKIE, MESSAGE_BYTES_MAX, StunError,
    TRANSACTION_BYTES, USERNAME_BYTES_MAX,
    attribute::{self, HEAD, kind},
    integrity::{HMAC_BYTES, fingerprint},
};
use std::net::SocketAddr;

/// Names one request and its answer.
pub type Transaction = [u8; TRANSACTION_BYTES];

/// Whether a datagram is STUN rather than DTLS, RTP or RTCP (RFC 7983).
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram.split_first(), Some((0..=3, _))) && datagram.get(4..8) == Some(&MAGIC_COOKIE)
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The answer: yes.
    Success,
    /// The answer: no.
    Error,
}

/// A message whose header and attributes are whole.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: u16,
    username: Option<&'a [u8]>,
    mapped: Option<&'a [u8]>,
    nominates: bool,
    /// Where MESSAGE-INTEGRITY begins, and its value.
    signature: Option<(usize, &'a [u8])>,
    fingerprint: Option<(usize, &'a [u8])>,
}

impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("class", &self.class).field("method", &self.method).finish_non_exhaustive()
    }
}

impl<'a> Message<'a> {
    /// Reads a whole datagram.
    ///
    /// # Errors
    /// [`StunError`]: the bytes are something else, or broken.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        if bytes.len() < HEADER_BYTES || bytes.len() > MESSAGE_BYTES_MAX {
            return Err(StunError::Size { got: bytes.len() });
        }
        let (&[k0, k1, l0, l1], rest) = bytes.split_first_chunk::<4>().ok_or(StunError::Header)?;
        if k0 > 3 || !rest.starts_with(&MAGIC_COOKIE) {
            return Err(StunError::Header);
        }
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
        if len != body.len() || !len.is_multiple_of(4) {
            return Err(StunError::Length);
        }
        let (class, method) = class_and_method(u16::from_be_bytes([k0, k1]));
        let mut message = Self {
            bytes,
            class,
            method,
            username: None,
            mapped: None,
            nominates: false,
            signature: None,
            fingerprint: None,
        };
        message.read(Attributes::new(body))?;
        Ok(message)
    }

    /// Notes the attributes that matter: the first of each, and none that MESSAGE-INTEGRITY does not cover.
    fn read(&mut self, mut attributes: Attributes<'a>) -> Result<(), StunError> {
        for _ in 0..=ATTRIBUTES_MAX {
            let at = self.bytes.len().saturating_sub(attributes.left());
            let Some(one) = attributes.read().map_err(|()| StunError::Attribute)? else { return Ok(()) };
            match one.kind {
                // Nothing may follow it.
                kind::FINGERPRINT => self.fingerprint = Some((at, one.value)),
                _ if self.signature.is_some() => {}
                kind::USERNAME if self.username.is_none() => self.username = Some(one.value),
                kind::XOR_MAPPED_ADDRESS if self.mapped.is_none() => self.mapped = Some(one.value),
                kind::USE_CANDIDATE => self.nominates = true,
                kind::MESSAGE_INTEGRITY => self.signature = Some((at, one.value)),
                _ => {}
            }
        }
        Err(StunError::TooMany)
    }

    /// What it is.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Whether it is a binding request, ICE's connectivity check.
    #[must_use]
    pub fn is_check(&self) -> bool {
        self.class == Class::Request && self.method == BINDING
    }

    /// Whether it answers a binding request with yes.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.class == Class::Success && self.method == BINDING
    }

    /// Its transaction id.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        transaction(self.bytes).unwrap_or_default()
    }

    /// Its attributes, in order, also those that nothing covers.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes.get(HEADER_BYTES..).unwrap_or_default())
    }

    /// The two halves of its USERNAME: the receiver's ufrag and the sender's.
    #[must_use]
    pub fn ufrags(&self) -> Option<(&'a str, &'a str)> {
        let name = self.username.filter(|name| name.len() <= USERNAME_BYTES_MAX)?;
        std::str::from_utf8(name).ok()?.split_once(':')
    }

    /// Whether the sender chose this pair (`USE-CANDIDATE`).
    #[must_use]
    pub const fn nominates(&self) -> bool {
        self.nominates
    }

    /// Its XOR-MAPPED-ADDRESS.
    #[must_use]
    pub fn mapped(&self) -> Option<SocketAddr> {
        attribute::unmask(self.mapped?, &self.transaction())
    }

    /// Checks that it was signed with this password, and is as it was sent.
    ///
    /// # Errors
    /// [`StunError::NotSigned`], [`StunError::Signature`], [`StunError::Fingerprint`].
    pub fn verify(&self, key: &IntegrityKey) -> Result<(), StunError> {
        self.check_fingerprint()?;
        let (at, signature) = self.signature.ok_or(StunError::NotSigned)?;
        if signature.len() != HMAC_BYTES {
            return Err(StunError::NotSigned);
        }
        let covered = self.bytes.get(..at).ok_or(StunError::NotSigned)?;
        if key.verifies(covered, signature) { Ok(()) } else { Err(StunError::Signature) }
    }

    /// Checks its FINGERPRINT, if it has one.
    ///
    /// # Errors
    /// [`StunError::Fingerprint`]: it is wrong, or not the last attribute.
    pub fn check_fingerprint(&self) -> Result<(), StunError> {
        let Some((at, value)) = self.fingerprint else { return Ok(()) };
        let last = at.checked_add(HEAD).and_then(|at| at.checked_add(value.len())) == Some(self.bytes.len());
        let right = self.bytes.get(..at).map(fingerprint);
        let said = <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes);
        if last && right.is_some() && right == said { Ok(()) } else { Err(StunError::Fingerprint) }
    }
}

/// The transaction id in a datagram that is STUN.
fn transaction(bytes: &[u8]) -> Option<Transaction> {
    bytes.get(8..HEADER_BYTES)?.try_into().ok()
}

/// RFC 8489 section 5: the class's two bits lie between the method's.
const fn class_and_method(kind: u16) -> (Class, u16) {
    let class = match (kind & 0x100 != 0, kind & 0x10 != 0) {
        (false, false) => Class::Request,
        (false, true) => Class::Indication,
        (true, false) => Class::Success,
        (true, true) => Class::Error,
    };
    (class, (kind & 0x000f) | ((kind & 0x00e0) >> 1) | ((kind & 0x3e00) >> 2))
}

/// The first two bytes of a message.
pub(super) const fn kind_of(class: Class, method: u16) -> u16 {
    let bits = match class {
        Class::Request => 0,
        Class::Indication => 0x10,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    bits | (method & 0x000f) | ((method & 0x0070) << 1) | ((method & 0x0f80) << 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_and_method_are_interleaved() {
        assert_eq!(class_and_method(0x0001), (Class::Request, BINDING));
        assert_eq!(class_and_method(0x0101), (Class::Success, BINDING));
        assert_eq!(class_and_method(0x0111), (Class::Error, BINDING));
        assert_eq!(class_and_method(0x0011), (Class::Indication, BINDING));
        for method in 0..0x1000 {
            for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
                assert_eq!(class_and_method(kind_of(class, method)), (class, method));
            }
        }
    }
}
