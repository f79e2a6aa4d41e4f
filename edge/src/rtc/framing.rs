//! Datagrams on a connection: two bytes of length, then the datagram (RFC 4571). Pure.

/// Bytes of one datagram at most; SRS takes 1,500.
pub(super) const FRAME_BYTES_MAX: usize = 2_048;
/// Room of a reader: a frame that is nearly whole, and a read behind it.
const BUFFER_BYTES: usize = 4 * (2 + FRAME_BYTES_MAX);

/// A frame longer than [`FRAME_BYTES_MAX`]: the other end speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {got} bytes is too long")]
pub(super) struct FrameError {
    /// Its length.
    pub(super) got: usize,
}

/// Cuts what a connection brings into frames. Its buffer is made with the first bytes and never grows.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl FrameReader {
    /// Where the next bytes go; never empty as long as all frames were taken out.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = vec![0; BUFFER_BYTES];
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// That many bytes were put there.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`FrameError`]: close the connection.
    pub(super) fn frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let held = self.bytes.get(self.start..self.end).unwrap_or_default();
        let Some((length, rest)) = held.split_first_chunk::<2>() else { return Ok(None) };
        let got = usize::from(u16::from_be_bytes(*length));
        if got > FRAME_BYTES_MAX {
            return Err(FrameError { got });
        }
        match rest.get(..got) {
            Some(frame) => {
                self.start += 2 + got;
                Ok(Some(frame))
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(reader: &mut FrameReader, mut bytes: &[u8], step: usize, out: &mut Vec<Vec<u8>>) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let space = reader.space();
            let count = step.min(bytes.len()).min(space.len());
            assert!(count > 0, "a reader whose frames were taken has room");
            space[..count].copy_from_slice(&bytes[..count]);
            reader.filled(count);
            bytes = &bytes[count..];
            while let Some(frame) = reader.frame()? {
                out.push(frame.to_vec());
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in proptest::collection::vec((any::<u8>(), 0..FRAME_BYTES_MAX).prop_map(|(byte, len)| vec![byte; len]), 0..12),
            step in 7_usize..5_000,
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(|frame| {
                let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
                length.into_iter().chain(frame.iter().copied())
            }).collect();
            let mut out = Vec::new();
            prop_assert_eq!(feed(&mut FrameReader::default(), &wire, step, &mut out), Ok(()));
            prop_assert_eq!(out, frames);
        }
    }

    #[test]
    fn a_length_that_is_too_long_is_an_error_at_once() {
        let mut reader = FrameReader::default();
        let got = feed(&mut reader, &[0xff, 0xff], 2, &mut Vec::new());
        assert_eq!(got, Err(FrameError { got: 65_535 }));
    }
}
