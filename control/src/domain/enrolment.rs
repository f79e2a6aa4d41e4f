//! What the operator says of a media node: the row of `nodes`.

use proto::{
    NodeId,
    node::{NodeAddresses, NodeLimits},
};
use time::OffsetDateTime;

/// One enrolled node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Its id, SRS's `server_id`.
    pub id: NodeId,
    /// Where it is; `None` for a node of `NODES_BOOTSTRAP`, whose heartbeat says so.
    pub at: Option<NodeAddresses>,
    /// Addresses clients may reach it at directly.
    pub public: Vec<String>,
    /// Its share of the streams, 1 to 100.
    pub weight: u8,
    /// Where it stands.
    pub zone: Option<String>,
    /// What it may carry.
    pub limits: NodeLimits,
    /// What its hooks and heartbeats show.
    pub secrets: NodeSecrets,
    /// Since when it takes no new streams.
    pub cordoned_at: Option<OffsetDateTime>,
    /// When what is left on it is kicked.
    pub drain_deadline: Option<OffsetDateTime>,
    /// When it was enrolled.
    pub created_at: OffsetDateTime,
}

/// SHA-256 of a node's secrets, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSecrets {
    /// The present one.
    pub current: String,
    /// The one before, and how long it is still taken.
    pub previous: Option<(String, OffsetDateTime)>,
}
