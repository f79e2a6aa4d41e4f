//! What processes tell of themselves and of streams in Redis: placements, caches, nodes, edges, controls.

use crate::{
    ids::{ControlId, EdgeId, NodeId, ServiceId, SessionId, StreamId, UserId},
    session::Protocol,
    stream::Visibility,
};
use serde::{Deserialize, Serialize};

/// Where a live stream is: the confirmed claim as readers see it. Stored at [`crate::keys::placement`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The stream.
    pub stream: StreamId,
    /// Its node.
    pub node: NodeId,
    /// That node's run.
    pub service: ServiceId,
    /// Grows with every accepted publisher and every move of this stream.
    pub epoch: u64,
    /// The publisher.
    pub session: SessionId,
    /// How the publisher's media arrives.
    pub protocol: Protocol,
    /// Unix milliseconds of the publish hook.
    pub since_ms: u64,
}

/// What admission needs to know of a stream, at [`crate::keys::stream`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCache {
    /// Who may play without a token.
    pub visibility: Visibility,
    /// Its owner.
    pub owner: UserId,
}

/// What admission needs to know of a stream key, at [`crate::keys::stream_key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCache {
    /// The stream it publishes to.
    pub stream: StreamId,
    /// Unix seconds at which a rotated key ends; `None` for the current key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// A control-api process, in [`crate::keys::CONTROLS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ControlInfo {
    /// Its id, new at each start.
    pub id: ControlId,
    /// Where edges reach it, e.g. `http://10.0.0.4:8081`.
    pub url: String,
    /// Its version.
    pub version: String,
    /// Unix milliseconds of its last sign of life.
    pub seen_at_ms: u64,
}

/// How long a control's or edge's entry counts as alive, in milliseconds; they renew it every 3 s.
pub const FLEET_ALIVE_MS: u64 = 10_000;

/// Whether an edge takes sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeState {
    /// It does.
    #[default]
    Ready,
    /// It is about to end: it serves the sessions that there are and takes no more.
    Draining,
}

/// What an edge carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EdgeLoad {
    /// HTTP requests answered a second, over the last few seconds.
    #[serde(default)]
    pub requests_per_second: u64,
    /// Publishers it let in that still publish.
    #[serde(default)]
    pub publishers: u64,
    /// Viewers it let in that still watch.
    #[serde(default)]
    pub viewers: u64,
}

/// An edge-gateway process, in [`crate::keys::EDGES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EdgeInfo {
    /// Its id, new at each start.
    pub id: EdgeId,
    /// Its HTTP listen address.
    pub listen: String,
    /// Where load balancers and other processes reach it, e.g. `http://10.0.0.7:8082`.
    #[serde(default)]
    pub url: String,
    /// Its version.
    pub version: String,
    /// Sessions it opened that still run.
    pub sessions: u64,
    /// What it carries.
    #[serde(default)]
    pub load: EdgeLoad,
    /// Whether it takes sessions.
    #[serde(default)]
    pub state: EdgeState,
    /// Unix milliseconds of its last sign of life.
    pub seen_at_ms: u64,
}

/// A media node as last heard, in [`crate::keys::NODES`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeInfo {
    /// Its id.
    pub id: NodeId,
    /// Its present run.
    pub service: ServiceId,
    /// Its version, as it says.
    #[serde(default)]
    pub version: String,
    /// Address it reports for itself; not used for routing.
    #[serde(default)]
    pub ip: String,
    /// Its RTMP, HTTP, API, SRT and WebRTC endpoints as reported.
    #[serde(default)]
    pub endpoints: std::collections::BTreeMap<String, Vec<String>>,
    /// Share of one CPU's time, 0 to 1 (SRS reports it so).
    #[serde(default)]
    pub cpu: f64,
    /// Resident memory, KiB.
    #[serde(default)]
    pub memory_kib: u64,
    /// Seconds since its start.
    #[serde(default)]
    pub uptime_s: u64,
    /// Connections to SRS, as it counts them.
    #[serde(default)]
    pub clients: u32,
    /// Bytes SRS has received and sent since its start.
    #[serde(default)]
    pub traffic_bytes: u64,
    /// What it received and sent between its last two heartbeats, kbit/s.
    #[serde(default)]
    pub bandwidth_kbps: u64,
    /// Unix milliseconds of its last heartbeat.
    pub seen_at_ms: u64,
}
