//! The media nodes as every process of the cluster reads them: the last [`Membership`] this one knows.

use proto::NodeId;
use proto::node::{Member, Membership};
use std::sync::{Arc, PoisonError, RwLock};

/// The last membership; empty until one was read or made.
#[derive(Debug, Default)]
pub struct Fleet(RwLock<Arc<Membership>>);

impl Fleet {
    /// The last one.
    #[must_use]
    pub fn membership(&self) -> Arc<Membership> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One node of it.
    #[must_use]
    pub fn member(&self, node: &NodeId) -> Option<Member> {
        self.membership().members.iter().find(|member| member.id == *node).cloned()
    }

    /// Takes a membership in unless it is older than the last; true if it is newer.
    pub fn learn(&self, membership: Membership) -> bool {
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let newer = membership.version > last.version;
        if newer {
            *last = Arc::new(membership);
        }
        newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_membership_changes_nothing() {
        let fleet = Fleet::default();
        assert!(fleet.learn(Membership { version: 5, members: Vec::new() }));
        assert!(!fleet.learn(Membership { version: 5, members: Vec::new() }));
        assert!(!fleet.learn(Membership { version: 4, members: Vec::new() }));
        assert_eq!(fleet.membership().version, 5);
    }
}
