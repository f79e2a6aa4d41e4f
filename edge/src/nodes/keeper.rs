//! Carries what changed about the nodes to those who act on it: streams and their sessions, the replica, the watch.

use super::{Change, Heard, Nodes, witness::Input};
use crate::{
    metrics::Metrics,
    replica::{Replica, feed::Listener},
    stream::Registry,
};
use proto::{
    NodeId, ServiceId,
    event::Event,
    node::{Membership, Met},
};
use std::sync::Arc;

/// The parts it tells.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// The nodes.
    pub nodes: Nodes,
    /// The stream actors.
    pub streams: Arc<Registry>,
    /// Where streams are.
    pub replica: Replica,
    /// The counters.
    pub metrics: Metrics,
}

impl Keeper {
    /// A node answered this edge: a new run ends everything on the one before.
    pub fn heard(&self, heard: &Heard) {
        if heard.came_up || heard.before.is_some() {
            let restarted = heard.before.is_some();
            tracing::info!(node = %heard.id, service = %heard.service, restarted, "media node answers");
        }
        if heard.before.is_some() {
            self.ended(&heard.id, Some(&heard.service));
        }
        self.count();
    }

    /// A node failed this edge: streams on it are asked for again. True if it is not used from now on.
    pub fn failed(&self, node: &NodeId, service: &ServiceId, met: Met) -> bool {
        let went_down = self.nodes.fails(node, service, met);
        if went_down {
            self.streams.node_doubted(node);
            self.count();
        }
        went_down
    }

    /// Writes down how many nodes are used.
    pub fn count(&self) {
        let ((up, all), version) = self.nodes.look(|table| (table.counts(), table.version()));
        self.metrics.nodes().known(up, all, version);
    }

    /// Everything on a node is gone but what is on its present run, if it has one.
    fn ended(&self, node: &NodeId, service: Option<&ServiceId>) {
        let streams = self.replica.change_placements(|all| all.node_changed(node, service));
        self.streams.node_changed(node, service);
        self.metrics.nodes().lost();
        tracing::warn!(node = %node, streams, "what a media node carried is gone");
    }

    fn change(&self, change: Change) {
        match change {
            Change::Lost(node) => {
                self.ended(&node, None);
                self.nodes.sign(Input::Over(node));
            }
            Change::Restarted(node, service) => {
                self.ended(&node, Some(&service));
                self.nodes.sign(Input::Over(node));
            }
            Change::Suspect(node) => {
                if let Some(service) = self.nodes.service(&node) {
                    self.nodes.sign(Input::Look { node, service, tell: true });
                }
            }
        }
    }
}

impl Listener for Keeper {
    fn event(&self, event: &Event) {
        self.streams.event(event);
    }

    fn healthy(&self, healthy: bool) {
        self.streams.healthy(healthy);
    }

    fn members(&self, membership: &Membership) {
        match self.nodes.learn(membership) {
            Ok(changes) => changes.into_iter().for_each(|change| self.change(change)),
            Err(error) => {
                tracing::error!(%error, version = membership.version, "the membership cannot be used; the last one stays");
            }
        }
        self.count();
    }
}
