//! How the open sessions are made up, for metrics: kept as they come and go, so that nobody walks a million of them to be told.

use crate::{core::Core, key::Run};
use proto::{
    NodeId,
    session::{Protocol, Role},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// Every role and protocol there is.
const KINDS: [(Role, Protocol); 10] = [
    (Role::Publish, Protocol::Webrtc),
    (Role::Publish, Protocol::Rtmp),
    (Role::Publish, Protocol::Srt),
    (Role::Publish, Protocol::Hls),
    (Role::Publish, Protocol::HttpFlv),
    (Role::Play, Protocol::Webrtc),
    (Role::Play, Protocol::Rtmp),
    (Role::Play, Protocol::Srt),
    (Role::Play, Protocol::Hls),
    (Role::Play, Protocol::HttpFlv),
];

/// Open sessions by role and protocol.
#[derive(Debug, Default)]
pub(crate) struct Census([usize; KINDS.len()]);

impl Census {
    fn cell(&mut self, role: Role, protocol: Protocol) -> Option<&mut usize> {
        let at = KINDS.iter().position(|kind| *kind == (role, protocol))?;
        self.0.get_mut(at)
    }

    pub(crate) fn came(&mut self, role: Role, protocol: Protocol) {
        if let Some(count) = self.cell(role, protocol) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn went(&mut self, role: Role, protocol: Protocol) {
        if let Some(count) = self.cell(role, protocol) {
            *count = count.saturating_sub(1);
        }
    }
}

impl Core {
    /// Open sessions of each role and protocol, those of which there are none included.
    pub fn open_by(&self) -> impl Iterator<Item = (Role, Protocol, usize)> + '_ {
        KINDS.iter().zip(self.table.census.0).map(|((role, protocol), count)| (*role, *protocol, count))
    }

    /// How many streams have a publisher, and the viewers of the `most` that have the most, the greatest first. One pass over the streams.
    #[must_use]
    pub fn busiest(&self, most: usize) -> (usize, Vec<u32>) {
        let live = self.table.shared.streams.iter().filter(|(_, _, heads)| heads.open > heads.viewers);
        let mut viewers: Vec<u32> = live.map(|(_, _, heads)| heads.viewers).collect();
        let count = viewers.len();
        viewers.sort_unstable_by_key(|viewers| Reverse(*viewers));
        viewers.truncate(most);
        (count, viewers)
    }

    /// Open publishers on each node that has open sessions.
    #[must_use]
    pub fn publishers_by_node(&self) -> BTreeMap<NodeId, u32> {
        let mut found = BTreeMap::new();
        for (_, run, state) in self.table.shared.runs.iter() {
            if let Run::Node { node, .. } = run {
                let publishers = state.heads.open.saturating_sub(state.heads.viewers);
                let count: &mut u32 = found.entry(node.clone()).or_default();
                *count = count.saturating_add(publishers);
            }
        }
        found
    }
}
