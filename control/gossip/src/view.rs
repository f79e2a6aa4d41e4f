//! What readers see of the table.

use crate::{
    core::Core,
    key::{Key, Run},
    limits::LIST_MAX,
    origin::NO_ORIGIN,
    slot::{Life, Slot},
};
use proto::{
    ClientId, NodeId, ServiceId, SessionId, StreamId,
    session::{Known, Role},
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// Which open sessions a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of these streams; `None` for all.
    pub streams: Option<Vec<StreamId>>,
    /// Only publishers or only viewers.
    pub role: Option<Role>,
    /// Only on this node.
    pub node: Option<NodeId>,
}

/// An open session by its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnNode {
    /// The node's run.
    pub service: ServiceId,
    /// The client.
    pub client: ClientId,
    /// The session.
    pub session: SessionId,
    /// Unix milliseconds of its opening.
    pub opened_ms: u64,
    /// Somebody vouches for it; if not, this node was cut off for long and must compare it with the media node.
    pub sure: bool,
}

/// How large the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Open sessions.
    pub open: usize,
    /// Ended ones that are remembered.
    pub ended: usize,
    /// Control nodes that are heard, this one not counted.
    pub peers: usize,
    /// Lives of control nodes that still stand behind an entry, or were heard of late.
    pub origins: usize,
}

impl Core {
    /// A session, also one that ended in the last 10 minutes.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<Known> {
        self.table.known(self.table.find_session(id)?)
    }

    /// The open session of a connection.
    #[must_use]
    pub fn of_client(&self, key: &Key) -> Option<SessionId> {
        let slot = self.table.slots.get(self.table.find(&key.run, &key.client)?)?;
        (slot.life == Life::Open).then_some(slot.session)
    }

    /// Open viewers of a stream.
    #[must_use]
    pub fn viewers(&self, stream: &StreamId) -> u64 {
        let streams = &self.table.shared.streams;
        streams.find(stream).and_then(|at| streams.data(at)).map_or(0, |heads| u64::from(heads.viewers))
    }

    /// Open sessions on all runs of a node.
    #[must_use]
    pub fn on_node(&self, node: &NodeId) -> u64 {
        let runs = self.table.shared.runs.iter().filter(|(_, run, _)| run.node() == Some(node));
        runs.map(|(_, _, state)| u64::from(state.heads.open)).sum()
    }

    /// The open sessions on a node.
    #[must_use]
    pub fn of_node(&self, node: &NodeId) -> Vec<OnNode> {
        let mut found = Vec::new();
        for (run, name, _) in self.table.shared.runs.iter() {
            let Run::Node { node: of, service } = name else { continue };
            if of != node {
                continue;
            }
            for slot in self.table.of_run(run).filter_map(|at| self.table.slots.get(at)) {
                let Some(client) = slot.client.id() else { continue };
                found.push(OnNode {
                    service: service.clone(),
                    client,
                    session: slot.session,
                    opened_ms: slot.opened_ms,
                    sure: slot.stamp.origin != NO_ORIGIN,
                });
            }
        }
        found
    }

    /// Ids of the open sessions of a stream.
    #[must_use]
    pub fn of_stream(&self, stream: &StreamId) -> Vec<SessionId> {
        let Some(stream) = self.table.shared.streams.find(stream) else { return Vec::new() };
        self.table.of_stream(stream).filter_map(|at| self.table.slots.get(at)).map(|slot| slot.session).collect()
    }

    /// Open sessions that the filter takes, newest first, from after `after` on, at most `limit`.
    #[must_use]
    pub fn list(&self, filter: &Filter, after: Option<SessionId>, limit: usize) -> Vec<Known> {
        let limit = limit.min(LIST_MAX);
        let slots = match &filter.streams {
            None => self.newest(filter, after, limit),
            Some(streams) => self.newest_of(streams, filter, after, limit),
        };
        slots.into_iter().filter_map(|at| self.table.known(at)).collect()
    }

    fn takes(&self, filter: &Filter, slot: &Slot) -> bool {
        let run = |node: &NodeId| self.table.shared.runs.name(slot.run).and_then(Run::node) == Some(node);
        filter.role.is_none_or(|role| role == slot.role) && filter.node.as_ref().is_none_or(run)
    }

    fn newest(&self, filter: &Filter, after: Option<SessionId>, limit: usize) -> Vec<u32> {
        let all = match after {
            Some(after) => self.table.open.range(..after),
            None => self.table.open.range(..),
        };
        let taken = all.rev().map(|(_, at)| *at);
        taken.filter(|at| self.table.slots.get(*at).is_some_and(|slot| self.takes(filter, slot))).take(limit).collect()
    }

    /// A stream's sessions are kept in no order: the newest are picked out in one pass.
    fn newest_of(&self, streams: &[StreamId], filter: &Filter, after: Option<SessionId>, limit: usize) -> Vec<u32> {
        let mut newest: BinaryHeap<Reverse<(SessionId, u32)>> = BinaryHeap::new();
        let mut known: Vec<u32> = streams.iter().filter_map(|stream| self.table.shared.streams.find(stream)).collect();
        known.sort_unstable();
        known.dedup();
        for at in known.into_iter().flat_map(|stream| self.table.of_stream(stream)) {
            let Some(slot) = self.table.slots.get(at) else { continue };
            if after.is_some_and(|after| slot.session >= after) || !self.takes(filter, slot) {
                continue;
            }
            newest.push(Reverse((slot.session, at)));
            if newest.len() > limit {
                newest.pop();
            }
        }
        newest.into_sorted_vec().into_iter().map(|Reverse((_, at))| at).collect()
    }

    /// A sum over all open entries that somebody vouches for: tables with the same entries have the same.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.table.digest()
    }

    /// How large the table is.
    #[must_use]
    pub fn size(&self) -> Size {
        Size {
            open: self.table.open_count,
            ended: self.table.tombstones(),
            peers: self.peers.len(),
            origins: self.table.origins.iter().count(),
        }
    }
}
