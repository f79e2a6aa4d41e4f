//! The end of a certificate's validity, read from its DER: the one field that a check of dates needs, so no X.509 library is taken for it.
//!
//! RFC 5280 4.1: `Certificate { tbsCertificate { [0] version, serial, signature, issuer, validity { notBefore, notAfter }, .. }, .. }`.

use time::{OffsetDateTime, macros::format_description};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Bytes of a length: certificates are far below 4 GiB.
const LENGTH_BYTES_MAX: usize = 4;

/// Unix seconds at which the certificate ends; `None` when this is no certificate.
#[must_use]
pub fn not_after(der: &[u8]) -> Option<i64> {
    let (tag, certificate, _) = element(der)?;
    let (inner, tbs, _) = element(certificate)?;
    if (tag, inner) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    let mut rest = tbs;
    // Version, which may be absent, then serial, signature and issuer.
    if element(rest)?.0 == VERSION {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    time_of(tag, std::str::from_utf8(text).ok()?)
}

fn time_of(tag: u8, text: &str) -> Option<i64> {
    let full = match tag {
        // Two digits of the year: 1950 to 2049.
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let format = format_description!("[year][month][day][hour][minute][second]Z");
    let parsed = time::PrimitiveDateTime::parse(&full, format).ok()?;
    Some(OffsetDateTime::unix_timestamp(parsed.assume_utc()))
}

/// Tag, content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        let digits = rest.get(..count).filter(|_| (1..=LENGTH_BYTES_MAX).contains(&count))?;
        let length = digits.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        (length, rest.get(count..)?)
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl req -x509 -newkey ed25519 -subj /CN=a -days 1 -nodes` of a fixed day, cut after the validity.
    fn certificate(tag: u8, not_after: &str) -> Vec<u8> {
        let wrap = |tag: u8, body: Vec<u8>| [vec![tag, u8::try_from(body.len()).unwrap()], body].concat();
        let time = |tag: u8, text: &str| wrap(tag, text.as_bytes().to_vec());
        let validity = wrap(SEQUENCE, [time(UTC_TIME, "260101000000Z"), time(tag, not_after)].concat());
        let version = wrap(VERSION, vec![2, 1, 2]);
        let (serial, algorithm, issuer) =
            (wrap(2, vec![7]), wrap(SEQUENCE, vec![6, 3, 43, 101, 112]), wrap(SEQUENCE, vec![]));
        wrap(SEQUENCE, wrap(SEQUENCE, [version, serial, algorithm, issuer, validity].concat()))
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        assert_eq!(not_after(&certificate(UTC_TIME, "261126120000Z")), Some(1_795_694_400));
        assert_eq!(not_after(&certificate(GENERALIZED_TIME, "20511126120000Z")), Some(2_584_612_800));
        assert_eq!(not_after(&certificate(UTC_TIME, "500101000000Z")), Some(-631_152_000));
    }

    #[test]
    fn damage_is_no_certificate_and_no_panic() {
        let good = certificate(UTC_TIME, "261126120000Z");
        for length in 0..good.len() {
            assert_eq!(not_after(&good[..length]), None);
        }
        for at in 0..good.len() {
            for value in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = good.clone();
                damaged[at] = value;
                assert!(not_after(&damaged).is_none_or(|at| at != 0));
            }
        }
    }
}
