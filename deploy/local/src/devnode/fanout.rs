//! One stream's frames on their way to its viewers: a time line that survives a change of publisher, and the frames
//! since the last keyframe, so that a viewer's first picture does not wait for the next one. Pure.

use std::sync::Arc;
use std::time::Duration;

/// Frames kept since the last keyframe; 10 s of 30 frames and 50 Opus packets.
const CACHE_FRAMES_MAX: usize = 800;
/// Bytes kept since the last keyframe.
const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    Audio,
    Video,
}

impl Track {
    /// RTP clock, Hz.
    pub(crate) fn hz(self) -> u64 {
        match self {
            Self::Audio => 48_000,
            Self::Video => 90_000,
        }
    }
}

/// One encoded frame: Annex B H.264, or an Opus packet. Ticks of the track's clock.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) track: Track,
    pub(crate) ticks: u64,
    pub(crate) idr: bool,
    pub(crate) data: Arc<[u8]>,
}

/// Maps one publisher's clock onto the stream's.
#[derive(Debug, Default)]
struct Timeline {
    /// Incoming ticks and the outgoing ticks they stand for.
    anchor: Option<(u64, u64)>,
    /// Last outgoing ticks and when.
    last: Option<(u64, Duration)>,
}

impl Timeline {
    fn map(&mut self, ticks: u64, hz: u64, now: Duration) -> u64 {
        let last = self.last;
        let (from, to) = *self.anchor.get_or_insert_with(|| {
            let gap = |at: Duration| {
                let micros = u64::try_from(now.saturating_sub(at).as_micros()).unwrap_or(u64::MAX);
                (micros.saturating_mul(hz) / 1_000_000).max(1)
            };
            (ticks, last.map_or(0, |(out, at)| out.saturating_add(gap(at))))
        });
        // A frame from before the anchor (reordered start) is put at the anchor.
        let out = to.saturating_add(ticks.saturating_sub(from));
        self.last = Some((out, now));
        out
    }
}

#[derive(Debug, Default)]
pub(crate) struct Fanout {
    audio: Timeline,
    video: Timeline,
    cache: Vec<Frame>,
    cached_bytes: usize,
}

impl Fanout {
    /// A new publisher: its clock and its pictures have nothing to do with the last one's.
    pub(crate) fn begin(&mut self) {
        (self.audio.anchor, self.video.anchor) = (None, None);
        self.clear();
    }

    /// Takes a publisher's frame and gives it as viewers get it.
    pub(crate) fn push(&mut self, frame: Frame, now: Duration) -> Frame {
        let timeline = match frame.track {
            Track::Audio => &mut self.audio,
            Track::Video => &mut self.video,
        };
        let ticks = timeline.map(frame.ticks, frame.track.hz(), now);
        let frame = Frame { ticks, ..frame };
        if frame.idr {
            self.clear();
        }
        if frame.idr || !self.cache.is_empty() {
            self.cached_bytes = self.cached_bytes.saturating_add(frame.data.len());
            self.cache.push(frame.clone());
            if self.cache.len() > CACHE_FRAMES_MAX || self.cached_bytes > CACHE_BYTES_MAX {
                self.clear();
            }
        }
        frame
    }

    /// Frames from the last keyframe on; empty when the next keyframe must be waited for.
    pub(crate) fn cached(&self) -> &[Frame] {
        &self.cache
    }

    fn clear(&mut self) {
        self.cache.clear();
        self.cached_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(track: Track, ticks: u64, idr: bool) -> Frame {
        Frame { track, ticks, idr, data: Arc::from([0_u8; 10].as_slice()) }
    }

    #[test]
    fn keeps_frames_since_the_last_keyframe() {
        let mut fanout = Fanout::default();
        fanout.push(frame(Track::Video, 1, false), Duration::ZERO);
        assert!(fanout.cached().is_empty(), "nothing is shown from the middle");
        for (ticks, idr) in [(2, true), (3, false), (4, true), (5, false)] {
            fanout.push(frame(Track::Video, ticks, idr), Duration::ZERO);
        }
        fanout.push(frame(Track::Audio, 9, false), Duration::ZERO);
        assert_eq!(fanout.cached().len(), 3);
        assert!(fanout.cached()[0].idr);
        fanout.begin();
        assert!(fanout.cached().is_empty());
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut fanout = Fanout::default();
        fanout.push(frame(Track::Video, 0, true), Duration::ZERO);
        for ticks in 0..2_000 {
            fanout.push(frame(Track::Audio, ticks, false), Duration::ZERO);
            assert!(fanout.cached().len() <= CACHE_FRAMES_MAX);
        }
    }

    #[test]
    fn time_goes_on_over_a_change_of_publisher() {
        let mut fanout = Fanout::default();
        let at = |fanout: &mut Fanout, ticks, ms| {
            fanout.push(frame(Track::Video, ticks, false), Duration::from_millis(ms)).ticks
        };
        assert_eq!(at(&mut fanout, 1_000_000, 0), 0);
        assert_eq!(at(&mut fanout, 1_003_000, 33), 3_000);
        fanout.begin();
        assert_eq!(at(&mut fanout, 77, 1_033), 93_000);
        assert_eq!(at(&mut fanout, 3_077, 1_066), 96_000);
    }
}
