//! Where nodes take WebRTC packets, by id and by what a ufrag says of them. Names are resolved ahead of time, off the packets' way.

use crate::nodes::{NodeAddress, NodeTable, Nodes};
use proto::{NodeId, ice::NodeTag};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Between two looks at the nodes' addresses.
const EVERY: Duration = Duration::from_secs(1);
/// How long resolving one name may take.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);
/// SRS's own WebRTC port, where nothing else was said of a node.
const PORT: u16 = 8000;

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<NodeId, SocketAddr>,
    /// `None`: two nodes have this tag.
    by_tag: HashMap<NodeTag, Option<SocketAddr>>,
}

/// The addresses; every clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets(Arc<RwLock<Known>>);

impl Targets {
    /// The WebRTC port of the node with this tag.
    pub(super) fn of_tag(&self, tag: NodeTag) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_tag.get(&tag).copied().flatten()
    }

    /// The WebRTC port of a node.
    pub(super) fn of_node(&self, node: &NodeId) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_id.get(node).copied()
    }

    /// Resolves all nodes' addresses again and again.
    pub(super) async fn keep(self, nodes: Nodes, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.look(&nodes).await,
            }
        }
    }

    async fn look(&self, nodes: &Nodes) {
        let mut known = Known::default();
        for node in nodes.look(NodeTable::addresses) {
            let Some(text) = endpoint(&node) else { continue };
            let Some(address) = resolve(&text).await else { continue };
            let tag = NodeTag::of(&node.id);
            known.by_id.insert(node.id, address);
            // 24 bits tell nodes apart; of two that they do not, sessions of other edges are not taken over.
            known.by_tag.entry(tag).and_modify(|one| *one = None).or_insert(Some(address));
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

/// A node's WebRTC port, `host:port`: as was said of it, else where SRS has it by itself, beside its API.
pub(super) fn endpoint(node: &NodeAddress) -> Option<Arc<str>> {
    match &node.at.rtc {
        Some(text) => Some(text.clone()),
        None => Some(format!("{}:{PORT}", node.api.host_str()?).into()),
    }
}

/// Resolves `host:port`.
pub(super) async fn resolve(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    match tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host(text)).await {
        Ok(Ok(mut found)) => found.next(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a media node's WebRTC address cannot be resolved: {error}");
            None
        }
        Err(_) => {
            tracing::warn!("a media node's WebRTC address is not resolved in time");
            None
        }
    }
}
