//! Where streams are live, as far as this edge heard: routes viewers while Redis is away, and counts streams a node for bounded loads.

use proto::{NodeId, StreamId, fleet::Placement};
use std::collections::HashMap;

/// Placements kept at most; more are not taken, and are then asked for one by one.
const PLACEMENTS_MAX: usize = 200_000;

/// The placements heard. Epochs only grow: older news never replaces newer.
#[derive(Debug, Default)]
pub struct Placements {
    by_stream: HashMap<StreamId, Placement>,
    by_node: HashMap<NodeId, u64>,
}

impl Placements {
    /// Where a stream is.
    #[must_use]
    pub fn get(&self, stream: &StreamId) -> Option<&Placement> {
        self.by_stream.get(stream)
    }

    /// Streams known to be on a node.
    #[must_use]
    pub fn on_node(&self, node: &NodeId) -> u64 {
        self.by_node.get(node).copied().unwrap_or(0)
    }

    /// Streams known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_stream.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_stream.is_empty()
    }

    /// Takes news of a live stream.
    pub fn live(&mut self, placement: Placement) {
        let known = self.by_stream.get(&placement.stream);
        if known.is_some_and(|old| old.epoch > placement.epoch) || (known.is_none() && self.len() >= PLACEMENTS_MAX) {
            return;
        }
        self.remove(&placement.stream.clone());
        *self.by_node.entry(placement.node.clone()).or_default() += 1;
        self.by_stream.insert(placement.stream.clone(), placement);
    }

    /// Takes news that a stream ended at `epoch`.
    pub fn ended(&mut self, stream: &StreamId, epoch: u64) {
        if self.by_stream.get(stream).is_some_and(|known| known.epoch <= epoch) {
            self.remove(stream);
        }
    }

    /// Replaces everything by what Redis holds.
    pub fn replace(&mut self, all: impl Iterator<Item = Placement>) {
        *self = Self::default();
        for placement in all {
            self.live(placement);
        }
    }

    fn remove(&mut self, stream: &StreamId) {
        let Some(old) = self.by_stream.remove(stream) else { return };
        if let Some(count) = self.by_node.get_mut(&old.node) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_node.remove(&old.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proto::{ServiceId, SessionId, session::Protocol};

    fn placement(stream: &str, node: &str, epoch: u64) -> Placement {
        Placement {
            stream: StreamId::parse(stream).unwrap(),
            node: NodeId::parse(node).unwrap(),
            service: ServiceId::parse("run").unwrap(),
            epoch,
            session: SessionId::from_bytes([0; 16]),
            protocol: Protocol::Webrtc,
            since_ms: 0,
        }
    }

    #[test]
    fn late_news_of_an_old_epoch_changes_nothing() {
        let mut all = Placements::default();
        all.live(placement("cam", "n2", 2));
        all.live(placement("cam", "n1", 1));
        all.ended(&StreamId::parse("cam").unwrap(), 1);
        assert_eq!(all.get(&StreamId::parse("cam").unwrap()).unwrap().node.as_str(), "n2");
        all.ended(&StreamId::parse("cam").unwrap(), 2);
        assert!(all.is_empty());
    }

    proptest! {
        #[test]
        fn the_counts_are_the_streams(steps in proptest::collection::vec((0_u8..4, 0_u8..3, 0_u64..5, any::<bool>()), 0..60)) {
            let mut all = Placements::default();
            for (stream, node, epoch, live) in steps {
                let one = placement(&format!("s{stream}"), &format!("n{node}"), epoch);
                if live { all.live(one) } else { all.ended(&one.stream, epoch) }
            }
            for node in 0..3 {
                let node = NodeId::parse(&format!("n{node}")).unwrap();
                let counted = all.by_stream.values().filter(|p| p.node == node).count() as u64;
                prop_assert_eq!(all.on_node(&node), counted);
            }
        }
    }
}
