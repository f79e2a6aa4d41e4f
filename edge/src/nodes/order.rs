//! In which order a stream would like the nodes: the ring's order, within bounded loads.

use super::Nodes;
use crate::replica::Replica;
use placement::{Load, Policy, decide};
use proto::{
    StreamId,
    internal::{PROPOSED_NODES_MAX, ProposedNode, Reservation},
    node::SrtPort,
};
use std::collections::BTreeMap;

/// What this edge may do for a publisher by itself, while no control-api can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisional {
    /// The publisher may try there. The node itself refuses a second one, and whoever journals the hook has the last word.
    Go(Reservation),
    /// Somebody publishes, as far as is known.
    Taken,
    /// The node that all edges would choose cannot be used here.
    Nowhere,
}

impl Nodes {
    /// Nodes that answer and have room, in the order to propose them for a new publisher of `stream`; `srt` is the kind of port it needs. Loads are the live streams heard of.
    #[must_use]
    pub fn proposed(&self, stream: &StreamId, replica: &Replica, srt: Option<SrtPort>) -> Vec<ProposedNode> {
        self.look(|table| {
            let ring = table.ring();
            let loads: BTreeMap<_, _> = replica.placements(|all| {
                let load = |streams| Load { streams, ..Load::default() };
                let count = |id| load(u32::try_from(all.on_node(id)).unwrap_or(u32::MAX));
                ring.members().iter().map(|member| (member.id.clone(), count(&member.id))).collect()
            });
            let policy = Policy { zone: self.zone.as_ref(), unfit: &table.unfit(srt), ..Policy::default() };
            let decision = decide(ring, &loads, stream.as_str().as_bytes(), &policy);
            if let Some(refusal) = decision.refusal {
                tracing::warn!(stream.id = %stream, %refusal, "no media node for a new publisher: {refusal}");
            }
            let known = decision.candidates.into_iter().filter_map(|node| table.get(&node));
            let proposed = known.filter_map(|at| Some(ProposedNode { service: at.service?, node: at.id }));
            proposed.take(PROPOSED_NODES_MAX).collect()
        })
    }

    /// The rule of publishers while every control-api is away: only at the stream's last known home, else the ring's home of the last membership.
    #[must_use]
    pub fn provisional(&self, stream: &StreamId, replica: &Replica) -> Provisional {
        let (live, last) = replica.placements(|all| (all.get(stream).cloned(), all.last_home(stream).cloned()));
        self.look(|table| {
            if let Some(live) = &live
                && table.get(&live.node).is_none_or(|at| !at.lost && at.service.is_none_or(|run| run == live.service))
            {
                return Provisional::Taken;
            }
            let home = live.as_ref().map(|live| &live.node).or_else(|| last.as_ref().map(|last| &last.node));
            let known = live.as_ref().map(|live| live.epoch).max(last.as_ref().map(|last| last.epoch)).unwrap_or(0);
            match table.home(stream.as_str().as_bytes(), home) {
                Some((node, service)) => Provisional::Go(Reservation { node, service, epoch: known.saturating_add(1) }),
                None => Provisional::Nowhere,
            }
        })
    }
}
