//! Where a stream is, and why.
use crate::{
    ids::{NodeId, ServiceId, SessionId, StreamId},
    node::NodeLimits,
    session::Protocol,
};
use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/streams/{stream}/route`. What follows `placement` is there with `?explain=1` only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Route {
    /// The stream.
    pub stream: StreamId,
    /// Where it is; absent while nobody publishes it.
    pub placement: Option<RoutePlacement>,
    /// Where it would go if it were published now by a new publisher; absent when no node would take it. A live stream stays where it is all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<NodeId>,
    /// Why no node would take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// In words: where it is, or would go, and what came before that node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Version of the membership that this was decided with; 0 for what the answering control-api heard itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<u64>,
    /// How far above its weighted mean a node may go, in per cent of the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_percent: Option<u32>,
    /// Every node, in the order the ring gives for this stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<RouteNode>,
}

/// Where a live stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoutePlacement {
    /// Its node.
    pub node: NodeId,
    /// That node's run.
    pub service: ServiceId,
    /// Grows with every accepted publisher and every move.
    pub epoch: u64,
    /// The publisher's session.
    pub session: SessionId,
    /// How the publisher's media arrives.
    pub protocol: Protocol,
    /// Unix milliseconds at which it was published.
    pub since_ms: u64,
    /// Milliseconds since then.
    pub age_ms: u64,
}

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteVerdict {
    /// It is the choice.
    Chosen,
    /// It would be tried next.
    Candidate,
    /// It would not be taken.
    PassedOver,
}

/// One node as it stands towards a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RouteNode {
    /// Its id.
    pub node: NodeId,
    /// Its place in the ring's order, from 1.
    pub order: u32,
    /// `joining`, `up`, `suspect`, `draining` or `down`.
    pub state: String,
    /// It keeps the streams it has and takes no more.
    pub draining: bool,
    /// Milliseconds since its last heartbeat that the answering control-api knows of; absent when it knows of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms_ago: Option<u64>,
    /// Its share of the streams, 1 to 100.
    pub weight: u8,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Streams claimed on it, this one not counted.
    pub streams: u32,
    /// Clients connected to it.
    pub clients: u32,
    /// What it sends and receives together, kbit/s.
    pub kbps: u64,
    /// Streams it may have by its share; absent for a node that cannot take any now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<u64>,
    /// What it may carry.
    pub limits: NodeLimits,
    /// What became of it.
    pub verdict: RouteVerdict,
    /// It is the choice.
    pub chosen: bool,
    /// The stream is here.
    pub home: bool,
    /// Why it was passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
