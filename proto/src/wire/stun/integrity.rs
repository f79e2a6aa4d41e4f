//! MESSAGE-INTEGRITY under ICE's short-term credentials, and FINGERPRINT.

use super::HEADER_BYTES;
use crate::secret::same;
use aws_lc_rs::hmac;

/// Bytes of a MESSAGE-INTEGRITY value: one SHA-1.
pub(super) const HMAC_BYTES: usize = 20;
/// Laid over the CRC, so that protocols with a CRC of their own are told apart (RFC 8489 section 14.7).
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// A password, ready to sign and to check with.
#[derive(Clone)]
pub struct IntegrityKey(hmac::Key);

impl std::fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegrityKey(..)")
    }
}

impl IntegrityKey {
    /// From an `ice-pwd`. RFC 8265's preparation leaves its alphabet as it is.
    #[must_use]
    pub fn new(password: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()))
    }

    /// The MESSAGE-INTEGRITY of a message whose bytes before that attribute are `covered`.
    ///
    /// The header's length is taken as if the message ended with the attribute; `None` if `covered` is no message's beginning.
    pub(super) fn sign(&self, covered: &[u8]) -> Option<[u8; HMAC_BYTES]> {
        let (&[k0, k1, _, _], rest) = covered.split_first_chunk::<4>()?;
        let with_it = covered.len().checked_add(4 + HMAC_BYTES)?.checked_sub(HEADER_BYTES)?;
        let [l0, l1] = u16::try_from(with_it).ok()?.to_be_bytes();
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[k0, k1, l0, l1]);
        context.update(rest);
        context.sign().as_ref().try_into().ok()
    }

    pub(super) fn verifies(&self, covered: &[u8], signature: &[u8]) -> bool {
        self.sign(covered).is_some_and(|right| same(&right, signature))
    }
}

/// The FINGERPRINT of a message whose bytes before that attribute are `covered`. The header's length must already count it.
pub(super) fn fingerprint(covered: &[u8]) -> u32 {
    crc32(covered) ^ FINGERPRINT_MASK
}

/// The CRC-32 of Ethernet and zip.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default()
    };
    !bytes.iter().fold(u32::MAX, step)
}

const TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut rest: &mut [u32] = &mut table;
    let mut index = 0_u32;
    while let Some((slot, tail)) = rest.split_first_mut() {
        let mut crc = index;
        let mut bit = 0_u8;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit = bit.wrapping_add(1);
        }
        *slot = crc;
        rest = tail;
        index = index.wrapping_add(1);
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
