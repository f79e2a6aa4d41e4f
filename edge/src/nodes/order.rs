//! In which order a stream would like the nodes: the ring's order, within bounded loads.

use super::Nodes;
use crate::replica::Replica;
use placement::{Load, Policy, decide};
use proto::{StreamId, internal::ProposedNode};
use std::collections::BTreeMap;

impl Nodes {
    /// Nodes that answer and have room, in the order to propose them for a new publisher of `stream`. Loads are the live streams heard of.
    #[must_use]
    pub fn proposed(&self, stream: &StreamId, replica: &Replica) -> Vec<ProposedNode> {
        self.look(|table| {
            let ring = table.ring();
            let loads: BTreeMap<_, _> = replica.placements(|all| {
                let load = |streams| Load { streams, ..Load::default() };
                let count = |id| load(u32::try_from(all.on_node(id)).unwrap_or(u32::MAX));
                ring.members().iter().map(|member| (member.id.clone(), count(&member.id))).collect()
            });
            let decision = decide(ring, &loads, stream.as_str().as_bytes(), &Policy::default());
            if let Some(refusal) = decision.refusal {
                tracing::warn!(stream.id = %stream, %refusal, "no media node for a new publisher: {refusal}");
            }
            let candidates = decision.candidates.into_iter();
            candidates.filter_map(|node| Some(ProposedNode { service: table.get(&node)?.service?, node })).collect()
        })
    }
}
