//! HLS of a WHIP publisher: its H.264 and Opus as they are, in fragmented MP4.

use super::fanout::{Frame, Track};
use super::hls::{self, Segmenter};
use super::mp4::{Muxer, ParameterSets, init_segment};
use super::registry::Subject;
use super::shared::Node;

/// One WHIP publisher's HLS. Nothing is written before its first keyframe with parameter sets.
#[derive(Debug)]
pub(crate) struct RtcHls {
    subject: Subject,
    sets: Option<ParameterSets>,
    muxer: Muxer,
    segmenter: Segmenter,
}

impl RtcHls {
    pub(crate) fn new(subject: Subject) -> Self {
        Self { subject, sets: None, muxer: Muxer::default(), segmenter: segmenter() }
    }

    /// Takes a frame as viewers get it.
    pub(crate) fn frame(&mut self, node: &Node, frame: &Frame) {
        if frame.idr
            && let Some(sets) = ParameterSets::of(&frame.data)
            && self.sets.as_ref() != Some(&sets)
            && let Some(init) = init_segment(&sets)
        {
            self.sets = Some(sets);
            (self.muxer, self.segmenter) = (Muxer::default(), segmenter());
            node.hls.begin(&self.subject.url, init, node.now());
        }
        if self.sets.is_none() {
            return;
        }
        let Some(fragment) = self.muxer.push(frame) else { return };
        if let Some((seconds, data)) = self.segmenter.push(&fragment.data, fragment.video) {
            hls::finished(node, &self.subject, seconds, data);
        }
    }
}

fn segmenter() -> Segmenter {
    Segmenter::new(u32::try_from(Track::Video.hz()).unwrap_or(u32::MAX))
}
