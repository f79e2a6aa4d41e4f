//! Joins datagrams of one size on their way to one address, so that one call sends them all.

use super::socket::SEND_BYTES_MAX;

/// Datagrams to one address: all of one size but the last, which may be shorter.
pub(super) struct Run<'b> {
    /// What came alone is sent from where it was received.
    alone: Option<&'b [u8]>,
    joined: &'b mut Vec<u8>,
    size: usize,
    count: usize,
    count_max: usize,
}

impl<'b> Run<'b> {
    /// An empty one; `joined` is room that is used again.
    pub(super) fn new(joined: &'b mut Vec<u8>, count_max: usize) -> Self {
        joined.clear();
        Self { alone: None, joined, size: 0, count: 0, count_max }
    }

    /// Adds datagrams of `size` bytes each, the last of which may be shorter. False: they do not fit, and what is there must go first.
    pub(super) fn push(&mut self, bytes: &'b [u8], size: usize) -> bool {
        let more = bytes.len().div_ceil(size.max(1)).max(1);
        if self.count == 0 {
            (self.alone, self.size, self.count) = (Some(bytes), size, more);
            return true;
        }
        let held = self.alone.map_or(self.joined.len(), <[u8]>::len);
        let ragged = held != self.size * self.count;
        // One that is shorter may still be the last.
        let fits = size == self.size || (more == 1 && bytes.len() <= self.size);
        if ragged
            || !fits
            || bytes.is_empty()
            || self.count + more > self.count_max
            || held + bytes.len() > SEND_BYTES_MAX
        {
            return false;
        }
        if let Some(first) = self.alone.take() {
            self.joined.extend_from_slice(first);
        }
        self.joined.extend_from_slice(bytes);
        self.count += more;
        true
    }

    /// What is there, how many datagrams that is, and their size; then it is empty.
    pub(super) fn take(&mut self, send: impl FnOnce(&[u8], usize, usize)) {
        if self.count > 0 {
            send(self.alone.take().unwrap_or(self.joined), self.size, self.count);
            self.joined.clear();
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in(sizes in proptest::collection::vec(1_usize..5, 0..40), count_max in 1_usize..9) {
            let datagrams: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![u8::try_from(at).unwrap(); *size]).collect();
            let (mut room, mut out) = (Vec::new(), Vec::new());
            let mut run = Run::new(&mut room, count_max);
            let mut send = |bytes: &[u8], size: usize, count: usize| {
                assert!(count <= count_max && bytes.len().div_ceil(size) == count);
                out.extend(bytes.chunks(size).map(<[u8]>::to_vec));
            };
            for datagram in &datagrams {
                if !run.push(datagram, datagram.len()) {
                    run.take(&mut send);
                    prop_assert!(run.push(datagram, datagram.len()));
                }
            }
            run.take(&mut send);
            prop_assert_eq!(out, datagrams);
        }
    }

    #[test]
    fn equal_ones_go_together_and_a_shorter_one_ends_them() {
        let (big, small) = ([1; 10], [2; 4]);
        let mut room = Vec::new();
        let mut run = Run::new(&mut room, 64);
        assert!(run.push(&big, 10) && run.push(&big, 10) && run.push(&small, 4));
        assert!(!run.push(&small, 4), "behind a shorter one nothing fits");
        let mut sent = Vec::new();
        run.take(|bytes, size, count| sent.push((bytes.len(), size, count)));
        assert_eq!(sent, [(24, 10, 3)]);
    }
}
