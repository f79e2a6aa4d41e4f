//! Lists of sessions: what a caller may see of them and how they are paged.

use proto::{
    SessionId, StreamId, UserId,
    api::UserRole,
    session::{Role, Session},
};

/// Which sessions a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of these streams; `None` for all.
    pub streams: Option<Vec<StreamId>>,
    /// Only publishers or only viewers.
    pub role: Option<Role>,
}

impl Filter {
    /// Whether a session belongs on the list.
    #[must_use]
    pub fn takes(&self, session: &Session) -> bool {
        self.role.is_none_or(|role| role == session.role)
            && self.streams.as_ref().is_none_or(|streams| streams.contains(&session.stream))
    }
}

/// Ids in list order, newest first, after the last one of the page before. Ids are drawn in order of time.
#[must_use]
pub fn page(mut ids: Vec<SessionId>, after: Option<SessionId>) -> Vec<SessionId> {
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    match after {
        Some(after) => ids.into_iter().filter(|id| *id < after).collect(),
        None => ids,
    }
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
    fn pages_go_on_where_the_last_one_ended() {
        let id = |n| SessionId::from_bytes([n; 16]);
        let all = vec![id(1), id(3), id(2), id(3)];
        assert_eq!(page(all.clone(), None), [id(3), id(2), id(1)]);
        assert_eq!(page(all.clone(), Some(id(2))), [id(1)]);
        assert_eq!(page(all, Some(id(1))), []);
    }

    #[test]
    fn strangers_see_nothing() {
        let (owner, other) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        assert!(may(Some(owner), (owner, UserRole::User)));
        assert!(!may(Some(owner), (other, UserRole::User)));
        assert!(!may(None, (other, UserRole::User)), "an unknown owner is nobody");
        assert!(may(None, (other, UserRole::Admin)));
    }
}
