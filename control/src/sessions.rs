//! The live session table as readers and writers see it: [`SessionView`]. [`crate::gossip`] keeps it.
//!
//! [`live`] carries out what follows when a publisher or viewer comes or goes, [`edges`] what edges tell of sessions that they carry alone.
//! [`traffic`] reads what sessions carry.

pub mod edges;
pub mod live;
pub mod traffic;

use crate::domain::sessions::Filter;
use futures_util::future::BoxFuture;
use kit::kv::KvError;
use proto::{ClientId, EdgeId, NodeId, ServiceId, SessionId, StreamId, fleet::Placement, session::EndReason};

pub use ::gossip::OnNode;
pub use proto::session::Known;

/// What opening a session met.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// It is new, or was closed and is open again for the same client.
    Open,
    /// It was open for the same client already.
    Again,
    /// It belongs to another client: a replayed ticket.
    OtherClient,
}

/// The live session table.
pub trait SessionView: Send + Sync + std::fmt::Debug {
    /// Open sessions that the filter takes, newest first, from after `after` on, at most `limit`.
    fn list(
        &self,
        filter: Filter,
        after: Option<SessionId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Known>, KvError>>;
    /// One session, also one that ended in the last 10 minutes.
    fn get(&self, id: SessionId) -> BoxFuture<'_, Result<Option<Known>, KvError>>;
    /// Viewers of each live stream, in order.
    fn viewers(&self, of: Vec<Placement>) -> BoxFuture<'_, Result<Vec<u64>, KvError>>;
    /// Viewers of each stream, in order.
    fn viewers_of(&self, streams: &[&StreamId]) -> Vec<u64>;
    /// How many sessions are open on each node, in order.
    fn on_nodes(&self, nodes: Vec<NodeId>) -> BoxFuture<'_, Result<Vec<u64>, KvError>>;
    /// Opens a session and tells it.
    fn open(&self, known: Known) -> BoxFuture<'_, Result<Opened, KvError>>;
    /// Its media node says that an open session is there: vouches for it, if nobody does since a long cut.
    fn confirm(&self, id: SessionId);
    /// Closes a session and tells it; `None` when it was closed before or never known.
    fn close(&self, id: SessionId, reason: EndReason) -> BoxFuture<'_, Result<Option<Known>, KvError>>;
    /// The same for the session of a connection. An unknown one is remembered: its beginning may be on its way from another control node.
    fn close_client(
        &self,
        node: NodeId,
        service: ServiceId,
        client: ClientId,
        reason: EndReason,
    ) -> BoxFuture<'_, Result<Option<Known>, KvError>>;
    /// What any run of a node but `spare` carried is over, told by one change a run. How many sessions that were.
    fn lose(&self, node: &NodeId, spare: Option<&ServiceId>) -> usize;
    /// What one run of a node carried is over, told by one change; what begins on it later stands. How many sessions that were.
    fn lose_run(&self, node: &NodeId, service: &ServiceId) -> usize;
    /// What an edge carried alone is over, told by one change. How many sessions that were.
    fn lose_edge(&self, edge: &EdgeId) -> usize;
    /// Edges that carry open sessions alone.
    fn edges(&self) -> Vec<EdgeId>;
    /// The open sessions on a node.
    fn of_node(&self, node: NodeId) -> BoxFuture<'_, Result<Vec<OnNode>, KvError>>;
}
