//! Where streams are live, as far as this edge heard: routes viewers while Redis is away, and counts streams a node for bounded loads.

use super::homes::{Home, Homes};
use proto::{NodeId, ServiceId, StreamId, fleet::Placement};
use std::collections::HashMap;

/// Placements kept at most; more are not taken, and are then asked for one by one.
const PLACEMENTS_MAX: usize = 200_000;

/// The placements heard. Epochs only grow: older news never replaces newer.
#[derive(Debug, Default)]
pub struct Placements {
    by_stream: HashMap<StreamId, Placement>,
    by_node: HashMap<NodeId, u64>,
    homes: Homes,
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
        drop(self.remove(&placement.stream));
        *self.by_node.entry(placement.node.clone()).or_default() += 1;
        self.by_stream.insert(placement.stream.clone(), placement);
    }

    /// Takes news that a stream ended at `epoch`.
    pub fn ended(&mut self, stream: &StreamId, epoch: u64) {
        if self.by_stream.get(stream).is_some_and(|known| known.epoch <= epoch) {
            self.end(stream);
        }
    }

    /// Replaces everything by what Redis holds. Where the streams were that are not there any more is remembered.
    pub fn replace(&mut self, all: impl Iterator<Item = Placement>) {
        let before = std::mem::take(&mut self.by_stream);
        self.by_node.clear();
        for placement in all {
            self.live(placement);
        }
        for (stream, old) in before {
            if !self.by_stream.contains_key(&stream) {
                self.homes.note(stream, Home { node: old.node, epoch: old.epoch });
            }
        }
    }

    /// A node has another run, or none: streams on any other run of it are gone. Returns how many.
    pub fn node_changed(&mut self, node: &NodeId, service: Option<&ServiceId>) -> usize {
        if self.on_node(node) == 0 {
            return 0;
        }
        let gone = |at: &&Placement| at.node == *node && Some(&at.service) != service;
        let streams: Vec<StreamId> = self.by_stream.values().filter(gone).map(|at| at.stream.clone()).collect();
        streams.iter().for_each(|stream| self.end(stream));
        streams.len()
    }

    /// Where a stream was that nobody publishes now.
    #[must_use]
    pub fn last_home(&self, stream: &StreamId) -> Option<&Home> {
        self.homes.get(stream)
    }

    fn end(&mut self, stream: &StreamId) {
        if let Some(old) = self.remove(stream) {
            self.homes.note(old.stream, Home { node: old.node, epoch: old.epoch });
        }
    }

    fn remove(&mut self, stream: &StreamId) -> Option<Placement> {
        let old = self.by_stream.remove(stream)?;
        if let Some(count) = self.by_node.get_mut(&old.node) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_node.remove(&old.node);
            }
        }
        Some(old)
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

    #[test]
    fn a_node_that_changes_loses_its_streams_and_where_they_were_is_remembered() {
        let mut all = Placements::default();
        let (cam, pub_) = (StreamId::parse("cam").unwrap(), StreamId::parse("pub").unwrap());
        all.live(placement("cam", "n1", 4));
        all.live(placement("pub", "n2", 2));
        assert_eq!(all.node_changed(&NodeId::parse("n1").unwrap(), Some(&ServiceId::parse("run").unwrap())), 0);
        assert_eq!(all.node_changed(&NodeId::parse("n1").unwrap(), None), 1);
        assert!(all.get(&cam).is_none() && all.get(&pub_).is_some());
        assert_eq!(all.last_home(&cam).map(|home| (home.node.as_str(), home.epoch)), Some(("n1", 4)));
        all.replace([placement("cam", "n2", 5)].into_iter());
        assert_eq!(all.last_home(&pub_).map(|home| home.epoch), Some(2), "gone from Redis, not from memory");
        assert_eq!((all.on_node(&NodeId::parse("n2").unwrap()), all.len()), (1, 1));
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
