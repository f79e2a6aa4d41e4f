//! The media nodes of `SRS_UPSTREAM`: who they are, which run, whether they answer, and in which order a stream would like them.

mod order;
mod poll;
mod table;

pub use poll::{round, run};
pub use table::{Down, Heard, NodeAddress, NodeTable};

use crate::config::Upstream;
use proto::{NodeId, ServiceId, srs::api::Versions};
use std::sync::{Arc, PoisonError, RwLock};

/// The table, shared.
#[derive(Debug, Clone)]
pub struct Nodes(Arc<RwLock<NodeTable>>);

impl Nodes {
    /// Nothing is known of them yet.
    #[must_use]
    pub fn new(upstreams: &[Upstream]) -> Self {
        Self(Arc::new(RwLock::new(NodeTable::new(upstreams))))
    }

    /// Looks at the table.
    pub fn look<T>(&self, look: impl FnOnce(&NodeTable) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut NodeTable) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// A node by its id.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<NodeAddress> {
        self.look(|table| table.get(node))
    }

    /// A node refused a connection: it is not proposed until it answers again.
    pub fn unreachable(&self, node: &NodeId) {
        self.change(|table| table.unreachable(node));
    }

    /// Takes what a node said of itself.
    ///
    /// # Errors
    /// [`Down`]: it answers and is still not used.
    pub fn heard(&self, index: usize, versions: &Versions) -> Result<Heard, Down> {
        self.change(|table| table.heard(index, versions))
    }

    /// Takes that a node did not answer; true when it counts as down from now on.
    #[must_use]
    pub fn silent(&self, index: usize) -> bool {
        self.change(|table| table.silent(index))
    }

    /// The run a node had when it last answered.
    #[must_use]
    pub fn service(&self, node: &NodeId) -> Option<ServiceId> {
        self.get(node).and_then(|at| at.service)
    }
}
