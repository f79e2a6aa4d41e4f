//! What the receiver knows of each chunk stream, beside what our decoder knows.

use super::{super::chunk::Head, Way};

/// Whether the receiver's state is the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing is known there, or something else.
    Out,
    /// All but the step of timestamps: the last header was sent with all fields where the sender had left some out.
    AllButDelta,
    /// The same.
    In,
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    csid: u32,
    step: Step,
    /// What happens to the message under way.
    under_way: Option<Way>,
    /// The message under way passes with heads of ours.
    ours: bool,
}

/// All chunk streams of one direction; as many as the decoder lets through.
#[derive(Debug, Default)]
pub(super) struct Lanes(Vec<Lane>);

impl Lanes {
    fn find(&self, csid: u32) -> Option<&Lane> {
        self.0.iter().find(|lane| lane.csid == csid)
    }

    fn lane(&mut self, csid: u32) -> &mut Lane {
        let at = self.0.iter().position(|lane| lane.csid == csid).unwrap_or_else(|| {
            self.0.push(Lane { csid, step: Step::Out, under_way: None, ours: false });
            self.0.len().saturating_sub(1)
        });
        // The place was found or made just now.
        #[expect(clippy::indexing_slicing, reason = "the index is that of an element")]
        &mut self.0[at]
    }

    /// What happens to the message under way.
    pub(super) fn way(&self, csid: u32) -> Way {
        self.find(csid).and_then(|lane| lane.under_way).unwrap_or(Way::Drop)
    }

    /// Whether the receiver has a part of a message there and waits for the rest.
    pub(super) fn passing(&self, csid: u32) -> bool {
        self.find(csid).is_some_and(|lane| lane.under_way == Some(Way::Pass))
    }

    /// The receiver's state there is no longer the sender's.
    pub(super) fn out_of_step(&mut self, csid: u32) {
        self.lane(csid).step = Step::Out;
    }

    /// No message is under way there any more.
    pub(super) fn ended(&mut self, csid: u32) {
        self.lane(csid).under_way = None;
    }

    /// Whether a head that passes may do so as it is. Decides for the whole message at its first chunk.
    pub(super) fn verbatim(&mut self, head: &Head) -> bool {
        let lane = self.lane(head.header.csid);
        if head.first {
            (lane.ours, lane.step) = match (head.form, lane.step) {
                (0, _) => (false, Step::In),
                (1 | 2, Step::In | Step::AllButDelta) | (3, Step::In) => (false, Step::In),
                _ => (true, Step::AllButDelta),
            };
        }
        !lane.ours
    }

    /// A head was taken.
    pub(super) fn took(&mut self, head: &Head, way: Way) {
        let lane = self.lane(head.header.csid);
        lane.under_way = (!head.last).then_some(way);
        if way != Way::Pass {
            lane.step = Step::Out;
        }
    }
}
