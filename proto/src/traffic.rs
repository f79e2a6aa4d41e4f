//! What an edge carried of a session, as it is told in [`crate::keys::traffic`]: `{received} {sent} {kbps} {unix ms}`.

/// A sample older than this says nothing of the present bitrate, in milliseconds: edges write changes every 5 s.
pub const FRESH_MS: u64 = 15_000;

/// One session's bytes as one edge counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Bytes that came from the client.
    pub received: u64,
    /// Bytes that went to the client.
    pub sent: u64,
    /// Both together over the last seconds, kbit/s.
    pub kbps: u64,
    /// Unix milliseconds of the count.
    pub at_ms: u64,
}

impl Sample {
    /// As it is stored.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{} {} {} {}", self.received, self.sent, self.kbps, self.at_ms)
    }

    /// Reads what is stored; more fields may follow.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut next = || parts.next()?.parse().ok();
        Some(Self { received: next()?, sent: next()?, kbps: next()?, at_ms: next()? })
    }

    /// Adds what another edge carried of the same session. Only fresh bitrates count at `now_ms`.
    #[must_use]
    pub const fn and(self, other: Self, now_ms: u64) -> Self {
        let kbps = if now_ms.saturating_sub(other.at_ms) <= FRESH_MS { other.kbps } else { 0 };
        Self {
            received: self.received.saturating_add(other.received),
            sent: self.sent.saturating_add(other.sent),
            kbps: self.kbps.saturating_add(kbps),
            at_ms: if self.at_ms > other.at_ms { self.at_ms } else { other.at_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_round_trip_and_add_up() {
        let a = Sample { received: 1, sent: 2, kbps: 3, at_ms: 10_000 };
        assert_eq!(Sample::decode(&a.encode()), Some(a));
        assert_eq!(Sample::decode("1 2 3 10000 more"), Some(a));
        for bad in ["", "1", "1 2 3", "a b c d", "-1 2 3 4"] {
            assert_eq!(Sample::decode(bad), None, "{bad}");
        }
        let sum = Sample::default().and(a, 20_000).and(a, 99_000);
        assert_eq!(sum, Sample { received: 2, sent: 4, kbps: 3, at_ms: 10_000 });
    }
}
