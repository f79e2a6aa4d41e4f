//! What admins see of the cluster.
use crate::{fleet::NodeInfo, ids::UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A media node, `GET /v1/nodes`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// `up` while heartbeats come, `joining` before the first, `down` after 15 s without one.
    pub state: String,
    /// Live streams on it.
    pub streams: u64,
    /// Open sessions on it.
    pub sessions: u64,
    /// What its last heartbeat said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<NodeInfo>,
    /// SRS issues known to touch its version, each with its number.
    pub warnings: Vec<String>,
}

/// One line of the audit log, `GET /v1/audit`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Grows.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who; absent for the system itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<UserId>,
    /// What was done, e.g. `stream.rotate_key`.
    pub action: String,
    /// To what, e.g. `stream/cam1`.
    pub target: String,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// More, without secrets.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}
