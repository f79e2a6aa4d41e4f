//! What an attack cost the streams beside it. Pure.

use std::time::Duration;

/// Longest time between two pictures that no viewer notices: what players keep in hand.
pub const LONGEST_MAX: Duration = Duration::from_millis(400);
/// Pictures of which at most this share may be lost, in per mille.
pub const LOST_MAX_PER_MILLE: u64 = 5;
/// What an edge may take more than before, bytes.
pub const GROWTH_MAX: u64 = 192 * 1024 * 1024;
/// Our own process was late by more than this: the machine had too much to do, and the row says little.
pub const STALL_MAX: Duration = Duration::from_millis(200);

/// How a stream arrived at its viewer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flow {
    /// Times between two pictures, sorted.
    pub gaps: Vec<Duration>,
    /// Breaks in the numbering of packets that were not repaired; 0 for TCP.
    pub lost: u64,
    /// It ended.
    pub ended: bool,
}

impl Flow {
    /// From times of arrival.
    #[must_use]
    pub fn of(arrivals: &[Duration], lost: u64, ended: bool) -> Self {
        let mut gaps: Vec<_> = arrivals.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        gaps.sort_unstable();
        Self { gaps, lost, ended }
    }

    /// The longest time between two pictures.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.gaps.last().copied().unwrap_or_default()
    }

    /// The time that 99 of 100 gaps stay below.
    #[must_use]
    pub fn p99(&self) -> Duration {
        crate::chaos::percentile(&self.gaps, 99).unwrap_or_default()
    }

    /// Mean difference of a gap from the middle one: jitter.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        let middle = crate::chaos::percentile(&self.gaps, 50).unwrap_or_default();
        let sum: Duration = self.gaps.iter().map(|gap| gap.abs_diff(middle)).sum();
        sum / u32::try_from(self.gaps.len().max(1)).unwrap_or(u32::MAX)
    }
}

/// One attack, or the quiet before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// What was done.
    pub title: String,
    /// How much of it.
    pub done: String,
    /// WHIP in, WHEP out.
    pub webrtc: Flow,
    /// RTMP in, HTTP-FLV out.
    pub flv: Flow,
    /// Resident memory of the edge, bytes: before, most, after.
    pub memory: (u64, u64, u64),
    /// How late our own process was at worst.
    pub stall: Duration,
}

impl Row {
    /// What a viewer would notice.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, flow) in [("WebRTC", &self.webrtc), ("HTTP-FLV", &self.flv)] {
            if flow.ended || flow.gaps.is_empty() {
                broken.push(format!("{name} ended"));
                continue;
            }
            if flow.longest() > LONGEST_MAX {
                broken.push(format!("{name} stood still for {} ms", flow.longest().as_millis()));
            }
            let pictures = u64::try_from(flow.gaps.len()).unwrap_or(u64::MAX);
            if flow.lost * 1_000 > pictures * LOST_MAX_PER_MILLE {
                broken.push(format!("{name} lost {} of {pictures} pictures", flow.lost));
            }
        }
        let grown = self.memory.1.saturating_sub(self.memory.0);
        if grown > GROWTH_MAX {
            broken.push(format!("the edge grew by {} MiB", grown >> 20));
        }
        if self.stall > STALL_MAX {
            broken.push(format!("the measuring process itself stood still for {} ms", self.stall.as_millis()));
        }
        broken
    }

    /// For the table.
    #[must_use]
    pub fn cells(&self) -> Vec<String> {
        let mib = |bytes: u64| format!("{}", bytes >> 20);
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1_000.0);
        let flow = |flow: &Flow| {
            [ms(flow.jitter()), ms(flow.p99()), ms(flow.longest()), format!("{} / {}", flow.lost, flow.gaps.len())]
        };
        let (before, most, after) = self.memory;
        [self.title.clone(), self.done.clone()]
            .into_iter()
            .chain(flow(&self.webrtc))
            .chain(flow(&self.flv).into_iter().take(3))
            .chain([format!("{} / {} / {}", mib(before), mib(most), mib(after))])
            .collect()
    }
}

/// Names of [`Row::cells`].
pub const HEAD: [&str; 10] = [
    "Attack",
    "done",
    "WebRTC jitter, ms",
    "p99 gap",
    "longest",
    "lost",
    "FLV jitter, ms",
    "p99 gap",
    "longest",
    "edge MiB before / most / after",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(ms: &[u64]) -> Vec<Duration> {
        ms.iter().map(|ms| Duration::from_millis(*ms)).collect()
    }

    fn row(longest: u64, lost: u64) -> Row {
        let smooth: Vec<u64> = (0..100).map(|n| n * 33).chain([99 * 33 + longest]).collect();
        let flow = Flow::of(&arrivals(&smooth), lost, false);
        Row {
            webrtc: flow.clone(),
            flv: Flow { lost: 0, ..flow },
            memory: (50 << 20, 60 << 20, 50 << 20),
            ..Row::default()
        }
    }

    #[test]
    fn gaps_are_what_lies_between_arrivals() {
        let flow = Flow::of(&arrivals(&[0, 33, 66, 166]), 0, false);
        assert_eq!((flow.longest().as_millis(), flow.gaps.len()), (100, 3));
        assert_eq!(flow.jitter().as_micros(), 67_000 / 3);
    }

    #[test]
    fn a_stutter_loss_an_end_and_growth_are_noticed() {
        assert!(row(33, 0).broken().is_empty(), "{:?}", row(33, 0).broken());
        assert_eq!(row(900, 0).broken().len(), 2, "both stood still");
        assert_eq!(row(33, 2).broken(), ["WebRTC lost 2 of 100 pictures"]);
        assert_eq!(Row { flv: Flow::default(), ..row(33, 0) }.broken(), ["HTTP-FLV ended"]);
        let grown = Row { memory: (50 << 20, 500 << 20, 60 << 20), ..row(33, 0) };
        assert_eq!(grown.broken(), ["the edge grew by 450 MiB"]);
        assert_eq!(row(33, 0).cells().len(), HEAD.len());
        assert_eq!(Row { stall: Duration::from_secs(1), ..row(33, 0) }.broken().len(), 1);
    }
}
