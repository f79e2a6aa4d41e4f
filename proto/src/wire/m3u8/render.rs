//! Writing a playlist for viewers.

use super::{
    names::{NodeName, SegmentName},
    parse::{Playlist, Segment},
};
use crate::{ids::StreamId, viewer};

/// Bits of the node's own number in a media sequence: 67 million segments of one publish, four years of two seconds each. The epoch stands above it,
/// so 134 million publishes of one stream fit the 53 bits that players in browsers count with.
const SEQUENCE_BITS: u32 = 26;
/// Bits of the discontinuities within one publish.
const DISCONTINUITY_BITS: u32 = 8;
/// How much later than its publish hook a stream's first segment may seem to have begun, in milliseconds: clocks differ, and durations are rounded.
const SLACK_MS: u64 = 1_000;

/// Who a playlist is written for.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The epoch of its present publish.
    pub epoch: u64,
    /// How long ago that began, in milliseconds.
    pub age_ms: u64,
    /// The node's number of the last segment known to be of the publish before on the same run of the node.
    pub stale_upto: Option<u64>,
    /// A viewer value to put into every URI; `None` where segments need none.
    pub viewer: Option<&'a str>,
}

/// The media sequence of the node's segment `number` within an epoch; `None` when the number does not fit.
#[must_use]
pub fn media_sequence(epoch: u64, number: u64) -> Option<u64> {
    let limit = 1_u64.checked_shl(SEQUENCE_BITS)?;
    if number >= limit {
        return None;
    }
    epoch.checked_mul(limit)?.checked_add(number)
}

impl Playlist<'_> {
    /// Where the segments of the present publish begin; `None` while there is none.
    ///
    /// After a publisher came back to the same node, the node's list goes on with the segments of the publish before, behind which it marks a
    /// discontinuity. What was seen of that is left out; and so is what stands before the first discontinuity that is no older than the publish, if
    /// the list is long enough to reach back before it.
    #[must_use]
    pub fn begins_at(&self, view: &View<'_>) -> Option<usize> {
        let seen = view.stale_upto.map_or(0, |stale| stale.saturating_add(1).saturating_sub(self.sequence));
        let seen = usize::try_from(seen).ok().filter(|seen| *seen < self.segments.len())?;
        if !self.reaches_back(view) {
            return Some(seen);
        }
        match (self.boundary(view, seen), view.stale_upto) {
            (Some(boundary), _) => Some(boundary),
            // What follows the last segment that was seen of the publish before is still of that, until the mark is there.
            (None, Some(_)) => None,
            (None, None) => Some(0),
        }
    }

    /// Whether the list may be longer than the publish: the last segments' time is behind them, but for the one that is being written.
    fn reaches_back(&self, view: &View<'_>) -> bool {
        let unwritten = self.target_seconds.saturating_mul(2_000);
        self.total_ms().saturating_add(unwritten) >= view.age_ms
    }

    fn total_ms(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.duration_ms))
    }

    /// The first discontinuity from `seen` on that is no older than the publish. Media that comes faster than it plays fits no time: then the last one.
    fn boundary(&self, view: &View<'_>, seen: usize) -> Option<usize> {
        let limit = view.age_ms.saturating_add(SLACK_MS);
        let (mut after, mut boundary, mut last) = (0_u64, None, None);
        for (index, segment) in self.segments.iter().enumerate().rev() {
            after = after.saturating_add(segment.duration_ms);
            if segment.discontinuity && index >= seen {
                last = last.or(Some(index));
                boundary = if after <= limit { Some(index) } else { boundary };
            }
        }
        boundary.or_else(|| last.filter(|_| self.total_ms() > limit))
    }

    /// Writes the list for viewers from segment `from` on; `None` when a number does not fit.
    #[must_use]
    pub fn render(&self, view: &View<'_>, from: usize) -> Option<String> {
        let shown = self.segments.get(from..)?;
        let first = self.sequence.checked_add(u64::try_from(from).ok()?)?;
        let mut out = String::with_capacity(256_usize.saturating_add(shown.len().saturating_mul(192)));
        out.push_str("#EXTM3U\n");
        // 3 is the least in which segments have fractions of a second; the discontinuity sequence asks for 6 of masters only.
        push_number(&mut out, "#EXT-X-VERSION:", self.version.unwrap_or(3).max(3));
        push_number(&mut out, "#EXT-X-TARGETDURATION:", self.target_seconds);
        push_number(&mut out, "#EXT-X-MEDIA-SEQUENCE:", media_sequence(view.epoch, first)?);
        push_number(&mut out, "#EXT-X-DISCONTINUITY-SEQUENCE:", self.discontinuity_sequence(view, shown)?);
        for tag in &self.head {
            push_line(&mut out, tag);
        }
        let mut map: Option<&NodeName> = None;
        for segment in shown {
            if segment.discontinuity {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if let Some(needed) = segment.map.as_ref().filter(|needed| map != Some(needed)) {
                out.push_str("#EXT-X-MAP:URI=\"");
                push_uri(&mut out, view, needed);
                out.push_str("\"\n");
                map = Some(needed);
            }
            for tag in &segment.tags {
                push_line(&mut out, tag);
            }
            out.push_str("#EXTINF:");
            push_line(&mut out, segment.inf);
            push_uri(&mut out, view, &segment.name);
            out.push('\n');
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        Some(out)
    }

    /// A publish begins with a discontinuity. While its first segment is listed, so is that; afterwards it counts. Either way a segment has the same
    /// number of discontinuities before it, whichever edge is asked.
    fn discontinuity_sequence(&self, view: &View<'_>, shown: &[Segment<'_>]) -> Option<u64> {
        let base = view.epoch.checked_mul(1_u64.checked_shl(DISCONTINUITY_BITS)?)?;
        let begins = shown.first().is_some_and(|segment| segment.discontinuity);
        base.checked_add(self.discontinuities.unwrap_or(0))?.checked_add(u64::from(!begins))
    }
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn push_number(out: &mut String, tag: &str, number: u64) {
    out.push_str(tag);
    push_line(out, &number.to_string());
}

fn push_uri(out: &mut String, view: &View<'_>, name: &NodeName) {
    out.push_str(&SegmentName { stream: view.stream.clone(), epoch: view.epoch, rest: name.clone() }.to_string());
    if let Some(viewer) = view.viewer {
        for part in ["?", viewer::PARAM, "=", viewer] {
            out.push_str(part);
        }
    }
}

/// A multivariant playlist with one entry: the media playlist under the viewer's own value, which players keep for as long as they play.
///
/// A redirect would not do: hls.js and FFmpeg come back to the first URL with each reload, and each would be another viewer.
#[must_use]
pub fn master(stream: &StreamId, viewer: &str, bandwidth: u64) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}\n{stream}.m3u8?{}={viewer}\n",
        viewer::PARAM
    )
}
