//! The media nodes: who they are, which run, whether they answer, and in which order a stream would like them.
//!
//! They come from the membership that control-api publishes, and from `SRS_UPSTREAM`. [`table`](NodeTable) holds what is known, [`witness`] what is
//! told of a node that misbehaves; both are pure. [`Keeper`] carries changes to streams and replica, [`poll`] and [`watch`] ask the nodes.

mod keeper;
mod order;
pub mod poll;
mod table;
pub mod watch;
pub mod witness;

pub use keeper::Keeper;
pub use order::Provisional;
pub use table::{Change, Down, Endpoints, Heard, NodeAddress, NodeTable};

use crate::config::Upstream;
use placement::{RingError, Zone};
use proto::{
    NodeId, ServiceId,
    node::{Membership, Met},
    srs::api::Versions,
};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc;
use witness::Input;

/// Experiences waiting for the watch at most; more are dropped: each is met again.
const SIGNS_MAX: usize = 1_024;

/// The table, shared.
#[derive(Debug, Clone)]
pub struct Nodes {
    table: Arc<RwLock<NodeTable>>,
    signs: mpsc::Sender<Input>,
    zone: Option<Zone>,
}

impl Nodes {
    /// Nothing is known of them yet. `zone` is whose nodes are preferred. What is met at nodes comes out of the receiver.
    #[must_use]
    pub fn new(upstreams: &[Upstream], zone: Option<&str>) -> (Self, mpsc::Receiver<Input>) {
        let (signs, inbox) = mpsc::channel(SIGNS_MAX);
        let table = Arc::new(RwLock::new(NodeTable::new(upstreams)));
        (Self { table, signs, zone: zone.map(|name| Zone(name.into())) }, inbox)
    }

    /// Looks at the table.
    pub fn look<T>(&self, look: impl FnOnce(&NodeTable) -> T) -> T {
        look(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut NodeTable) -> T) -> T {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// A node by its id.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<NodeAddress> {
        self.look(|table| table.get(node))
    }

    /// Takes a membership.
    ///
    /// # Errors
    /// It does not fit a ring; nothing changed.
    pub fn learn(&self, membership: &Membership) -> Result<Vec<Change>, RingError> {
        self.change(|table| table.learn(membership))
    }

    /// Takes what a node of `SRS_UPSTREAM` said of itself.
    ///
    /// # Errors
    /// [`Down`]: it answers and is still not used.
    pub fn heard(&self, index: usize, versions: &Versions) -> Result<Heard, Down> {
        self.change(|table| table.heard(index, versions))
    }

    /// Notes that a node answered under a run.
    #[must_use]
    pub fn answers(&self, node: &NodeId, service: &ServiceId) -> Option<Heard> {
        self.change(|table| table.answers(node, service))
    }

    /// Notes that a node that was in trouble answered a request. Costs a look when it was not.
    pub fn fine(&self, node: &NodeId, service: &ServiceId) {
        if self.look(|table| table.in_trouble(node)) && self.service(node).as_ref() == Some(service) {
            drop(self.answers(node, service));
            self.sign(Input::Met { node: node.clone(), service: service.clone(), met: Met::Answered });
        }
    }

    /// Notes that a node refused a connection, or was silent: true when it is not used from now on, until it answers again.
    pub fn fails(&self, node: &NodeId, service: &ServiceId, met: Met) -> bool {
        let went_down = self.change(|table| table.fails(node, met));
        self.sign(Input::Met { node: node.clone(), service: service.clone(), met });
        went_down
    }

    /// Has a node looked at soon: a request ended in a way that may be the node's.
    pub fn doubt(&self, node: &NodeId, service: &ServiceId) {
        self.sign(Input::Look { node: node.clone(), service: service.clone(), tell: false });
    }

    fn sign(&self, sign: Input) {
        if self.signs.try_send(sign).is_err() {
            tracing::debug!("what was met at a node is not told: too much is being told");
        }
    }

    /// The run a node had when it was last heard of.
    #[must_use]
    pub fn service(&self, node: &NodeId) -> Option<ServiceId> {
        self.get(node).and_then(|at| at.service)
    }
}
