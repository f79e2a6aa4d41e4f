//! Writing messages, into a buffer that is used again.

use super::{
    BINDING, HEADER_BYTES, IntegrityKey, MAGIC_COOKIE, Transaction,
    attribute::{self, kind},
    integrity::{HMAC_BYTES, fingerprint},
    message::{Class, kind_of},
};
use std::net::SocketAddr;

/// Bytes that [`binding_success`] writes at most: header, an IPv6 address, integrity, fingerprint.
pub const BINDING_SUCCESS_BYTES_MAX: usize = HEADER_BYTES + 24 + 24 + 8;

/// A message being written. The header's length is right after every step.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// Begins a binding message; what `out` held is gone.
    pub fn binding(class: Class, transaction: &Transaction, out: &'b mut Vec<u8>) -> Self {
        out.clear();
        out.extend(kind_of(class, BINDING).to_be_bytes());
        out.extend([0, 0]);
        out.extend(MAGIC_COOKIE);
        out.extend(transaction);
        Self { out }
    }

    /// Adds an attribute. One that would pass what a length can tell is left out.
    #[must_use]
    pub fn attribute(self, kind: u16, value: &[u8]) -> Self {
        self.with(kind, |out| out.extend_from_slice(value))
    }

    /// Adds `XOR-MAPPED-ADDRESS`. An IPv4 address in IPv6's clothes is written as what it is.
    #[must_use]
    pub fn mapped(self, address: SocketAddr, transaction: &Transaction) -> Self {
        self.with(kind::XOR_MAPPED_ADDRESS, |out| attribute::mask(address, transaction, out))
    }

    /// Signs all that was written so far.
    #[must_use]
    pub fn integrity(self, key: &IntegrityKey) -> Self {
        match key.sign(self.out) {
            Some(signature) => self.attribute(kind::MESSAGE_INTEGRITY, &signature),
            None => self,
        }
    }

    /// Adds the fingerprint, which ends the message.
    pub fn fingerprint(self) {
        // Its length counts before it is there.
        let whole = self.attribute(kind::FINGERPRINT, &[0; 4]);
        let Some(at) = whole.out.len().checked_sub(8) else { return };
        let right = fingerprint(whole.out.get(..at).unwrap_or_default()).to_be_bytes();
        if let Some((_, value)) = whole.out.split_last_chunk_mut::<4>() {
            *value = right;
        }
    }

    fn with(self, kind: u16, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let start = self.out.len();
        self.out.extend(kind.to_be_bytes());
        self.out.extend([0, 0]);
        write(self.out);
        let len = self.out.len().saturating_sub(start).saturating_sub(4);
        let padded = self.out.len().next_multiple_of(4);
        self.out.resize(padded, 0);
        let lens = (u16::try_from(len), u16::try_from(padded.saturating_sub(HEADER_BYTES)));
        let (Ok(len), Ok(whole)) = lens else {
            self.out.truncate(start);
            return self;
        };
        put(self.out, start.saturating_add(2), len);
        put(self.out, 2, whole);
        self
    }
}

fn put(out: &mut [u8], at: usize, number: u16) {
    if let Some(bytes) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<2>()) {
        *bytes = number.to_be_bytes();
    }
}

/// Writes the answer to a binding request that came from `mapped`: at most [`BINDING_SUCCESS_BYTES_MAX`] bytes.
pub fn binding_success(transaction: &Transaction, mapped: SocketAddr, key: &IntegrityKey, out: &mut Vec<u8>) {
    const { assert!(HMAC_BYTES == 20, "the size above counts a SHA-1") };
    Writer::binding(Class::Success, transaction, out).mapped(mapped, transaction).integrity(key).fingerprint();
}
