//! H.264 byte streams (Annex B): cutting into NAL units and access units, and telling a picture from noise.
//!
//! Pure; every length is checked and nothing panics on foreign bytes.
//!
//! Source: ITU-T H.264 (08/2021) 7.3.1, 7.3.3, 7.4.1.2.4 and annex B, read 2026-11-24.

use bytes::{Bytes, BytesMut};

/// Longest access unit taken from a byte stream, bytes: 2 s of 8 Mbit/s, far above one picture of ours.
const ACCESS_UNIT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// More NAL units in one picture than this is noise.
const NAL_UNITS_MAX: usize = 512;

const NAL_SLICE: u8 = 1;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_AUD: u8 = 9;

/// What one access unit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessUnit {
    /// Coded slices in it, at least 1.
    pub slices: usize,
    /// All slices are IDR: decoding can start here if parameter sets are known.
    pub idr: bool,
    /// Sequence and picture parameter sets are both inside.
    pub parameter_sets: bool,
}

/// Why bytes are not one H.264 access unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum H264Error {
    /// No start code, or bytes before the first.
    #[error("no Annex B start code")]
    NoStartCode,
    /// A NAL unit of zero length, or with its forbidden bit set, or of a type RTP may not carry here.
    #[error("NAL unit {index} has header {header:#04x}")]
    BadNal {
        /// Position in the access unit, from 0.
        index: usize,
        /// The offending first byte, 0 when there is none.
        header: u8,
    },
    /// Parameter sets without a picture.
    #[error("no coded slice")]
    NoSlice,
    /// IDR and other slices in one picture, a picture that does not begin at macroblock 0, or a slice type above 9.
    #[error("slice header of NAL unit {index} does not fit")]
    BadSlice {
        /// Position in the access unit, from 0.
        index: usize,
    },
    /// A limit of this module.
    #[error("{got} is over the limit of {limit}")]
    OverLimit {
        /// What came.
        got: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// NAL units of an Annex B buffer in order, without start codes and without trailing zero bytes.
pub fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(data).map(|(_, after)| data.get(after..).unwrap_or_default());
    std::iter::from_fn(move || {
        let current = rest?;
        let (unit, next) = match start_code(current) {
            Some((at, after)) => (current.get(..at).unwrap_or_default(), current.get(after..)),
            None => (current, None),
        };
        rest = next;
        let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        Some(unit.get(..end).unwrap_or_default())
    })
}

/// First start code: where it begins (its leading zeros included) and the offset after it.
fn start_code(data: &[u8]) -> Option<(usize, usize)> {
    let at = data.windows(3).position(|three| three == [0, 0, 1])?;
    let begin = if at > 0 && data.get(at.saturating_sub(1)) == Some(&0) { at.saturating_sub(1) } else { at };
    Some((begin, at.saturating_add(3)))
}

/// Checks that `data` is one parseable access unit in Annex B form and says what is in it.
///
/// # Errors
/// See [`H264Error`]; a frame that fails should be counted as damaged and not be shown.
pub fn access_unit(data: &[u8]) -> Result<AccessUnit, H264Error> {
    if start_code(data).is_none_or(|(at, _)| at != 0) {
        return Err(H264Error::NoStartCode);
    }
    let (mut idr, mut other, mut sps, mut pps) = (0, 0, false, false);
    for (index, unit) in nal_units(data).enumerate() {
        if index >= NAL_UNITS_MAX {
            return Err(H264Error::OverLimit { got: index, limit: NAL_UNITS_MAX });
        }
        let header = unit.first().copied().unwrap_or(0);
        let kind = header & 0x1f;
        if header & 0x80 != 0 || !(1..=23).contains(&kind) {
            return Err(H264Error::BadNal { index, header });
        }
        match kind {
            NAL_SPS => sps = true,
            NAL_PPS => pps = true,
            NAL_SLICE | NAL_IDR => {
                let first = idr == 0 && other == 0;
                if !slice_fits(unit.get(1..).unwrap_or_default(), first) {
                    return Err(H264Error::BadSlice { index });
                }
                if kind == NAL_IDR { idr += 1 } else { other += 1 }
            }
            _ => {}
        }
        if idr > 0 && other > 0 {
            return Err(H264Error::BadSlice { index });
        }
    }
    match idr + other {
        0 => Err(H264Error::NoSlice),
        slices => Ok(AccessUnit { slices, idr: idr > 0, parameter_sets: sps && pps }),
    }
}

/// Reads `first_mb_in_slice` and `slice_type`; the first slice of a picture begins at macroblock 0.
fn slice_fits(payload: &[u8], first: bool) -> bool {
    let mut bits = Bits { data: payload, at: 0 };
    let (Some(first_mb), Some(kind)) = (bits.exp_golomb(), bits.exp_golomb()) else { return false };
    kind <= 9 && (!first || first_mb == 0)
}

/// Bits of the first bytes of a slice header; emulation prevention cannot occur in the two fields read here
/// unless `first_mb` has 22 bits or more, which no picture of ours has.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = *self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at = self.at.saturating_add(1);
        Some(u32::from(bit))
    }

    /// ue(v), at most 31 leading zeros.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value: u32 = 1;
        for _ in 0..zeros {
            value = value.checked_mul(2)?.checked_add(self.bit()?)?;
        }
        value.checked_sub(1)
    }
}

/// Cuts a byte stream in which every picture begins with an access unit delimiter.
///
/// A picture is complete when the next delimiter is seen, so the output is one frame late.
#[derive(Debug, Default)]
pub(crate) struct AccessUnits {
    buffer: BytesMut,
    scanned: usize,
}

impl AccessUnits {
    /// Adds bytes of the stream.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole picture, delimiter included.
    ///
    /// # Errors
    /// `OverLimit`: no delimiter within [`ACCESS_UNIT_BYTES_MAX`]; the stream has none, give it up.
    pub(crate) fn next_unit(&mut self) -> Result<Option<Bytes>, H264Error> {
        // The delimiter that opens this picture is not the one looked for.
        let from = self.scanned.max(4);
        let tail = self.buffer.get(from..).unwrap_or_default();
        match tail.windows(4).position(|four| matches!(four, [0, 0, 1, kind] if kind & 0x1f == NAL_AUD)) {
            Some(found) => {
                let at = from.saturating_add(found);
                let long = self.buffer.get(at.saturating_sub(1)) == Some(&0);
                self.scanned = 0;
                Ok(Some(self.buffer.split_to(if long { at.saturating_sub(1) } else { at }).freeze()))
            }
            None if self.buffer.len() > ACCESS_UNIT_BYTES_MAX => {
                Err(H264Error::OverLimit { got: self.buffer.len(), limit: ACCESS_UNIT_BYTES_MAX })
            }
            None => {
                self.scanned = self.buffer.len().saturating_sub(3);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDR: &[u8] = &[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 0x88, 0x84];
    const DELTA: &[u8] = &[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 0x9a, 0x22];

    #[test]
    fn cuts_nal_units_with_both_start_codes() {
        let units: Vec<_> = nal_units(IDR).map(|unit| unit[0] & 0x1f).collect();
        assert_eq!(units, [NAL_AUD, NAL_SPS, NAL_PPS, NAL_IDR]);
    }

    #[test]
    fn tells_pictures_from_noise() {
        assert_eq!(access_unit(IDR), Ok(AccessUnit { slices: 1, idr: true, parameter_sets: true }));
        assert_eq!(access_unit(DELTA), Ok(AccessUnit { slices: 1, idr: false, parameter_sets: false }));
        assert_eq!(access_unit(&[]), Err(H264Error::NoStartCode));
        assert_eq!(access_unit(&[7, 0, 0, 1, 0x65, 0x88]), Err(H264Error::NoStartCode));
        assert_eq!(access_unit(&[0, 0, 1, 0x67, 1]), Err(H264Error::NoSlice));
        assert_eq!(access_unit(&[0, 0, 1, 0xe5, 0x88]), Err(H264Error::BadNal { index: 0, header: 0xe5 }));
        // A picture that begins at macroblock 1 lost its first slice.
        assert_eq!(access_unit(&[0, 0, 1, 0x41, 0x4c]), Err(H264Error::BadSlice { index: 0 }));
        let mut mixed = IDR.to_vec();
        mixed.extend_from_slice(DELTA);
        assert!(matches!(access_unit(&mixed), Err(H264Error::BadSlice { .. })));
    }

    #[test]
    fn no_prefix_or_flip_panics() {
        for cut in 0..IDR.len() {
            access_unit(&IDR[..cut]).ok();
            for bit in 0..8 {
                let mut bytes = IDR.to_vec();
                bytes[cut] ^= 1 << bit;
                access_unit(&bytes).ok();
            }
        }
    }

    #[test]
    fn cuts_access_units_byte_by_byte() {
        let mut units = AccessUnits::default();
        let mut got = Vec::new();
        for byte in [IDR, DELTA, DELTA].concat() {
            units.push(&[byte]);
            while let Some(unit) = units.next_unit().unwrap() {
                got.push(unit);
            }
        }
        assert_eq!(got, [Bytes::from_static(IDR), Bytes::from_static(DELTA)]);
    }

    #[test]
    fn gives_up_on_a_stream_without_delimiters() {
        let mut units = AccessUnits::default();
        units.push(&vec![1; ACCESS_UNIT_BYTES_MAX + 1]);
        assert!(matches!(units.next_unit(), Err(H264Error::OverLimit { .. })));
    }
}
