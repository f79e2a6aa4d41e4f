//! Buffers for reading, of which an idle connection holds none.

use std::cell::RefCell;

/// Bytes of a buffer: a read takes what has come since the last, up to this.
pub(super) const BUFFER_LEN: usize = 64 * 1024;
/// Buffers that a thread keeps for the next who needs one.
const KEPT_MAX: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer, given back to its thread when dropped.
#[derive(Debug)]
pub(super) struct Buffer(Box<[u8]>);

impl Buffer {
    pub(super) fn take() -> Self {
        let kept = KEPT.with_borrow_mut(Vec::pop);
        Self(kept.unwrap_or_else(|| vec![0; BUFFER_LEN].into_boxed_slice()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < KEPT_MAX && bytes.len() == BUFFER_LEN {
                kept.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_so_many_and_no_more() {
        let all: Vec<_> = (0..KEPT_MAX * 2).map(|_| Buffer::take()).collect();
        assert!(all.iter().all(|buffer| buffer.bytes().len() == BUFFER_LEN));
        drop(all);
        assert_eq!(KEPT.with_borrow(Vec::len), KEPT_MAX);
        let one = Buffer::take();
        assert_eq!(KEPT.with_borrow(Vec::len), KEPT_MAX - 1);
        drop(one);
    }
}
