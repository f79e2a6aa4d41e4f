//! Numbers and names as bytes. Reading never goes past the end, and names that repeat are written once a message.

use crate::error::Error;
use hashbrown::HashMap;

/// Names in one message at most: three an entry, and no message holds more than 2,000 entries.
const NAMES_MAX: usize = 8_192;

/// Bytes being read.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[cfg(test)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Error::Damaged)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let (head, rest) = self.rest.split_first().ok_or(Error::Damaged)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(|_| Error::Damaged)
    }

    /// A number in groups of seven bits, lowest first.
    pub(crate) fn number(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0_u32..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).unwrap_or(0);
            if shifted.checked_shr(shift) != Some(bits) {
                return Err(Error::Damaged);
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Damaged)
    }

    pub(crate) fn small(&mut self) -> Result<u16, Error> {
        u16::try_from(self.number()?).map_err(|_| Error::Damaged)
    }

    pub(crate) fn count(&mut self, limit: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.number()?).map_err(|_| Error::Damaged)?;
        if count > limit { Err(Error::Damaged) } else { Ok(count) }
    }

    /// A number near another one.
    pub(crate) fn near(&mut self, base: u64) -> Result<u64, Error> {
        let zigzag = self.number()?;
        let half = zigzag >> 1;
        let value = if zigzag & 1 == 0 { base.checked_add(half) } else { base.checked_sub(half) };
        value.ok_or(Error::Damaged)
    }

    /// A text of up to 255 bytes, of letters, digits, `-` and `_` as its type demands.
    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        let len = self.byte()?;
        std::str::from_utf8(self.take(usize::from(len))?).map_err(|_| Error::Damaged)
    }

    /// The list of names that [`Names::write`] wrote.
    pub(crate) fn names(&mut self) -> Result<Vec<&'a [u8]>, Error> {
        let count = self.count(NAMES_MAX)?;
        (0..count)
            .map(|_| {
                let len = self.byte()?;
                self.take(usize::from(len))
            })
            .collect()
    }
}

/// Appends a number in groups of seven bits.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// Appends a number near another one: less than 2^62 away.
pub(crate) fn near(out: &mut Vec<u8>, value: u64, base: u64) {
    let far = value.abs_diff(base).min(u64::MAX >> 1);
    number(out, far.checked_shl(1).unwrap_or(u64::MAX) | u64::from(value < base));
}

/// Appends a text of up to 255 bytes.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(text.as_bytes());
    out.push(u8::try_from(bytes.len()).unwrap_or(0));
    out.extend_from_slice(bytes);
}

/// Names of one message.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Box<[u8]>, u64, Hashing>,
    list: Vec<u8>,
}

type Hashing = std::hash::BuildHasherDefault<xxhash_rust::xxh3::Xxh3Default>;

impl Names {
    /// The number of a name in this message.
    pub(crate) fn number(&mut self, name: &[u8]) -> u64 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u64::try_from(self.numbers.len()).unwrap_or(u64::MAX);
        self.numbers.insert(name.into(), number);
        self.list.push(u8::try_from(name.len()).unwrap_or(0));
        self.list.extend_from_slice(name);
        number
    }

    /// Bytes that [`Names::write`] will take, at most.
    pub(crate) const fn len(&self) -> usize {
        self.list.len().saturating_add(10)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.numbers.len().saturating_add(8) > NAMES_MAX
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        number(out, u64::try_from(self.numbers.len()).unwrap_or(0));
        out.extend_from_slice(&self.list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_round_trip(value: u64, base in 0_u64..1 << 60, off in -(1_i64 << 59)..1 << 59) {
            let mut out = Vec::new();
            number(&mut out, value);
            let other = base.saturating_add_signed(off);
            near(&mut out, other, base);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.number(), Ok(value));
            prop_assert_eq!(reader.near(base), Ok(other));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            reader.names().ok();
            reader.number().ok();
            reader.near(7).ok();
            reader.text().ok();
            reader.fixed::<16>().ok();
        }
    }
}
