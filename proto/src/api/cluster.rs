//! What admins see of the cluster.
use crate::{
    fleet::NodeInfo,
    ids::{NodeId, UserId},
    node::{NodeAddresses, NodeLimits},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A media node, `GET /v1/nodes`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// `joining`, `up`, `suspect` or `down` (docs/nodes.md).
    pub state: String,
    /// Live streams on it.
    pub streams: u64,
    /// Open sessions on it.
    pub sessions: u64,
    /// The control node that probes it, as the one that answers sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prober: Option<String>,
    /// What its last heartbeat said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<NodeInfo>,
    /// SRS issues known to touch its version, each with its number.
    pub warnings: Vec<String>,
    /// Where it is, as enrolled; absent when its heartbeat says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<NodeAddresses>,
    /// Addresses clients may reach it at directly.
    #[serde(default)]
    pub public: Vec<String>,
    /// It takes no new streams.
    #[serde(default)]
    pub cordoned: bool,
    /// It takes no new streams, and what is left at a deadline is ended: see `drain`.
    #[serde(default)]
    pub draining: bool,
    /// The drain, of a single node only (`GET /v1/nodes/{node}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Its share of the streams, 1 to 100.
    #[serde(default = "weight")]
    pub weight: u8,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What it may carry.
    #[serde(default)]
    pub limits: NodeLimits,
    /// What was tried on it when it last came or moved, and what came of it; it joins when all is well.
    #[serde(default)]
    pub checks: Vec<NodeCheck>,
    /// When it was enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub enrolled_at: Option<OffsetDateTime>,
    /// How long the secret before the present one is still taken.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub previous_secret_valid_until: Option<OffsetDateTime>,
}

/// `POST /v1/nodes/{node}:drain`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainNode {
    /// Seconds until what is left is ended, at most 7 days; 900 when absent.
    #[serde(default, alias = "deadline_s", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 604800)]
    pub deadline_seconds: Option<u64>,
}

/// A drain that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Drain {
    /// Since when the node takes no new streams.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// When what is left is ended, youngest first.
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
    /// The same, unix milliseconds.
    pub deadline_ms: u64,
    /// What is left now.
    pub remaining: Remaining,
}

/// Open sessions by protocol; a protocol without one is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Remaining {
    /// Publishers.
    pub publish: BTreeMap<String, u64>,
    /// Viewers.
    pub play: BTreeMap<String, u64>,
}

/// One thing that was tried on a node before it may join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeCheck {
    /// What: `version`, `api`, `http`, `rtmp`, `srt`, `rtc`; `heartbeat` when the last one was refused.
    pub check: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was met; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

const fn weight() -> u8 {
    1
}

/// `POST /v1/nodes`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolNode {
    /// Its id, SRS's `server_id`.
    pub id: NodeId,
    /// Where it is, each `host:port`; absent: its heartbeat says so, within `NODES_CIDR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<NodeAddresses>,
    /// Addresses clients may reach it at directly, `ip`, `ip:port` or `name:port`; at most 8.
    #[serde(default)]
    pub public: Vec<String>,
    /// Its share of the streams, 1 to 100; 1 when absent.
    #[serde(default = "weight")]
    #[schema(minimum = 1, maximum = 100)]
    pub weight: u8,
    /// Where it stands, 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What it may carry.
    #[serde(default)]
    pub limits: NodeLimits,
    /// Where it sends hooks and heartbeats, `ip:port` with a numeric address; this control-api's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks_to: Option<String>,
}

/// `PATCH /v1/nodes/{node}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateNode {
    /// All its addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<NodeAddresses>,
    /// All its public addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Vec<String>>,
    /// Its share of the streams, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub weight: Option<u8>,
    /// Where it stands; empty for nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// All its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<NodeLimits>,
}

/// Answer of `POST /v1/nodes`: the only time its secret is shown.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NewNode {
    /// The node.
    pub node: Node,
    /// What its hooks and heartbeats show. It is stored only as a hash.
    pub secret: String,
    /// What goes into its `srs.conf`.
    pub srs_conf: String,
}

/// `POST /v1/nodes/{node}:rotate-secret`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateNodeSecret {
    /// Seconds for which the old secret goes on working, 0 to 604800; a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 604_800)]
    pub overlap_seconds: Option<u32>,
    /// As in [`EnrolNode`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks_to: Option<String>,
}

/// Answer of `:rotate-secret`.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RotatedNodeSecret {
    /// The new secret, shown only now.
    pub secret: String,
    /// When the old one ends.
    #[serde(with = "time::serde::rfc3339")]
    pub previous_valid_until: OffsetDateTime,
    /// What goes into its `srs.conf`.
    pub srs_conf: String,
}

hide!(NewNode, RotatedNodeSecret);

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
