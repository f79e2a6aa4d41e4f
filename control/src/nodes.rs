//! What this process has heard of the media nodes: its own copy of `ks:nodes`, so that decisions do not wait for Redis.

use crate::domain::nodes::{self, NodeState};
use proto::{NodeId, fleet::NodeInfo};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The nodes; what is enrolled never changes while the process runs.
#[derive(Debug)]
pub struct Nodes {
    enrolled: BTreeSet<NodeId>,
    heard: RwLock<BTreeMap<NodeId, NodeInfo>>,
}

/// What a heartbeat was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The first one this process hears of the node.
    First,
    /// The same run as before.
    Same,
    /// The node was restarted since.
    Restarted,
    /// It is of a run that is over; it was answered late.
    Stale,
}

impl Nodes {
    /// Starts with what is enrolled; none was heard.
    pub fn new(enrolled: impl IntoIterator<Item = NodeId>) -> Self {
        Self { enrolled: enrolled.into_iter().collect(), heard: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<NodeId, NodeInfo>> {
        self.heard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<NodeId, NodeInfo>> {
        self.heard.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a heartbeat said.
    pub fn hear(&self, info: NodeInfo) -> Beat {
        let mut heard = self.write();
        let beat = match heard.get(&info.id) {
            None => Beat::First,
            Some(known) if known.service == info.service => Beat::Same,
            Some(known) if nodes::is_later_run(known, &info) => Beat::Restarted,
            Some(_) => return Beat::Stale,
        };
        heard.insert(info.id.clone(), info);
        beat
    }

    /// Takes in what other control nodes heard. Gives back the nodes that were restarted.
    pub fn merge(&self, infos: Vec<NodeInfo>) -> Vec<NodeInfo> {
        let mut heard = self.write();
        let mut restarted = Vec::new();
        for info in infos {
            match heard.get(&info.id) {
                Some(known) if known.seen_at_ms >= info.seen_at_ms => continue,
                Some(known) if known.service != info.service => restarted.push(info.clone()),
                Some(_) | None => {}
            }
            heard.insert(info.id.clone(), info);
        }
        restarted
    }

    /// What a node said last.
    #[must_use]
    pub fn info(&self, node: &NodeId) -> Option<NodeInfo> {
        self.read().get(node).cloned()
    }

    /// What a node is; `None` when it is not enrolled.
    #[must_use]
    pub fn state(&self, node: &NodeId, now_ms: u64) -> Option<NodeState> {
        self.enrolled.contains(node).then(|| nodes::state(self.read().get(node), now_ms))
    }

    /// Where a node's API is, if its heartbeat told.
    #[must_use]
    pub fn api(&self, node: &NodeId) -> Option<String> {
        self.read().get(node).and_then(nodes::api_url)
    }

    /// Every enrolled node with what it said last.
    #[must_use]
    pub fn all(&self) -> Vec<(NodeId, Option<NodeInfo>)> {
        let heard = self.read();
        self.enrolled.iter().map(|node| (node.clone(), heard.get(node).cloned())).collect()
    }
}
