//! Acknowledgements of one connection: each side of a relay counts its own.

/// Smallest window that is heeded, in bytes: a peer that asks for less would be sent more acknowledgements than media.
const WINDOW_MIN: u32 = 16 * 1024;

/// Counts what one peer sent, and says when to acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acks {
    received: u64,
    told: u64,
    window: Option<u32>,
}

impl Acks {
    /// The peer wants an acknowledgement every so many bytes.
    pub fn window(&mut self, bytes: u32) {
        self.window = Some(bytes.max(WINDOW_MIN));
    }

    /// Bytes came; the number to acknowledge, if it is time: at half the window, so that a peer that stops at its end never does.
    pub fn received(&mut self, bytes: usize) -> Option<u32> {
        self.received = self.received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let due = self.received.saturating_sub(self.told) >= u64::from(self.window? / 2);
        due.then(|| {
            self.told = self.received;
            // The number wraps (specification 5.4.3).
            let [_, _, _, _, a, b, c, d] = self.received.to_be_bytes();
            u32::from_be_bytes([a, b, c, d])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_due_at_half_the_window() {
        let mut acks = Acks::default();
        assert_eq!(acks.received(10_000_000), None, "nobody asked");
        acks.window(100_000);
        assert_eq!(acks.received(1), Some(10_000_001));
        assert_eq!(acks.received(49_999), None);
        assert_eq!(acks.received(1), Some(10_050_001));
        acks.window(1);
        assert_eq!(acks.received(5000), None);
        assert_eq!(acks.received(usize::try_from(u32::MAX).unwrap()), Some(10_055_000));
    }
}
