//! In which order a stream would like the nodes.

use super::Nodes;
use crate::replica::Replica;
use proto::{StreamId, internal::ProposedNode};

impl Nodes {
    /// Nodes that answer, in the order to propose them for a new publisher of `stream`.
    #[must_use]
    pub fn proposed(&self, stream: &StreamId, replica: &Replica) -> Vec<ProposedNode> {
        let up: Vec<_> = self.look(|table| table.all().filter(|node| node.up).collect());
        let mut keyed: Vec<_> = up
            .into_iter()
            .filter_map(|node| {
                let load = replica.placements(|all| all.on_node(&node.id));
                let key = proto::secret::sha256(format!("{} {stream}", node.id).as_bytes());
                Some(((load, key), ProposedNode { service: node.service?, node: node.id }))
            })
            .collect();
        keyed.sort_by(|a, b| a.0.1.cmp(&b.0.1));
        keyed.into_iter().map(|(_, node)| node).collect()
    }
}
