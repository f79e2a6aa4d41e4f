//! Lists of sessions: what a caller may see of them and how they are paged.

use proto::{StreamId, UserId, api::UserRole, session::Role};

/// Which sessions a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of these streams; `None` for all.
    pub streams: Option<Vec<StreamId>>,
    /// Only publishers or only viewers.
    pub role: Option<Role>,
}

/// Whether a caller may see a session, its address included, and end it: the owner of its stream, or an admin.
#[must_use]
pub fn may(owner: Option<UserId>, caller: (UserId, UserRole)) -> bool {
    match caller.1 {
        UserRole::Admin => true,
        UserRole::User => owner == Some(caller.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_see_nothing() {
        let (owner, other) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        assert!(may(Some(owner), (owner, UserRole::User)));
        assert!(!may(Some(owner), (other, UserRole::User)));
        assert!(!may(None, (other, UserRole::User)), "an unknown owner is nobody");
        assert!(may(None, (other, UserRole::Admin)));
    }
}
