//! The live session table as readers and writers see it: [`SessionView`]. Redis keeps it ([`redis`]); gossip can take its place.
//!
//! [`live`] carries out what follows when a publisher or viewer comes or goes.

pub mod live;
pub mod redis;

use crate::domain::sessions::Filter;
use futures_util::future::BoxFuture;
use kit::kv::KvError;
use proto::{ClientId, NodeId, ServiceId, SessionId, StreamId, fleet::Placement, session::EndReason};

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
    /// How many sessions are open on each node, in order.
    fn on_nodes(&self, nodes: Vec<NodeId>) -> BoxFuture<'_, Result<Vec<u64>, KvError>>;
    /// Opens a session and tells it.
    fn open(&self, known: Known) -> BoxFuture<'_, Result<Opened, KvError>>;
    /// Closes a session and tells it; `None` when it was closed before or never known.
    fn close(&self, id: SessionId, reason: EndReason) -> BoxFuture<'_, Result<Option<Known>, KvError>>;
    /// The open session of a connection.
    fn of_client(
        &self,
        node: NodeId,
        service: ServiceId,
        client: ClientId,
    ) -> BoxFuture<'_, Result<Option<SessionId>, KvError>>;
    /// The open sessions on a node.
    fn of_node(&self, node: NodeId) -> BoxFuture<'_, Result<Vec<OnNode>, KvError>>;
    /// Ids of the open sessions of a stream.
    fn of_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<Vec<SessionId>, KvError>>;
}
