//! What the operator says of a media node: the row of `nodes`.

use proto::{
    NodeId,
    node::{NodeAddresses, NodeLimits},
    secret::{same, sha256_hex},
};
use time::{Duration, OffsetDateTime};

/// How long a node's secret goes on beside its successor when nothing else is said.
pub const SECRET_OVERLAP: Duration = Duration::hours(24);

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

impl Enrolment {
    /// A node of which the operator said no more than id and secret (`NODES_BOOTSTRAP`).
    #[must_use]
    pub fn bare(id: NodeId, secret: &str, now: OffsetDateTime) -> Self {
        Self {
            id,
            at: None,
            public: Vec::new(),
            weight: 1,
            zone: None,
            limits: NodeLimits::default(),
            secrets: NodeSecrets { current: sha256_hex(secret.as_bytes()), previous: None },
            cordoned_at: None,
            drain_deadline: None,
            created_at: now,
        }
    }
}

/// SHA-256 of a node's secrets, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSecrets {
    /// The present one.
    pub current: String,
    /// The one before, and how long it is still taken.
    pub previous: Option<(String, OffsetDateTime)>,
}

impl NodeSecrets {
    /// Whether a node that shows `secret` is the one. Takes the same time wherever the two differ.
    #[must_use]
    pub fn accept(&self, secret: &str, now: OffsetDateTime) -> bool {
        let shown = sha256_hex(secret.as_bytes());
        let is = |hash: &str| same(hash.as_bytes(), shown.as_bytes());
        is(&self.current) || self.previous.as_ref().is_some_and(|(hash, until)| now < *until && is(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_secret_is_taken_until_its_time() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut node = Enrolment::bare(NodeId::parse("n1").unwrap(), "old-secret", now);
        assert!(node.secrets.accept("old-secret", now) && !node.secrets.accept("", now));
        let old = std::mem::replace(&mut node.secrets.current, sha256_hex(b"new-secret"));
        assert!(!node.secrets.accept("old-secret", now));
        node.secrets.previous = Some((old.clone(), now + SECRET_OVERLAP));
        assert!(node.secrets.accept("old-secret", now) && node.secrets.accept("new-secret", now));
        assert!(!node.secrets.accept("old-secret", now + SECRET_OVERLAP), "its time is over");
        assert!(!node.secrets.accept(&old, now), "the hash is not the secret");
    }
}
