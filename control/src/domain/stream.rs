//! Streams: what a title must be, how ids and page positions look, who may know of a stream.

use super::Invalid;
use proto::{StreamId, UserId, api::UserRole, stream::Visibility};

/// Characters of an id made here: 12 out of 36, 62 bits.
pub const ID_LEN: usize = 12;
/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 120;
/// Streams one account may have.
pub const STREAMS_PER_OWNER_MAX: i64 = 1_000;
/// Longest overlap of a rotated stream key, in seconds: 7 days.
pub const KEY_OVERLAP_SECONDS_MAX: u32 = 604_800;

/// Checks and trims a title.
///
/// # Errors
/// [`Invalid`] with the rule.
pub fn title(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= TITLE_CHARS_MAX && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Invalid { field: "title", rule: "must have 1 to 120 characters and no control characters" })
    }
}

/// Checks the overlap of a key rotation.
///
/// # Errors
/// [`Invalid`] with the rule.
pub const fn key_overlap(seconds: u32) -> Result<u32, Invalid> {
    if seconds <= KEY_OVERLAP_SECONDS_MAX {
        Ok(seconds)
    } else {
        Err(Invalid { field: "overlap_seconds", rule: "must be at most 604800 (7 days)" })
    }
}

/// What the rules need to know of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its id.
    pub id: StreamId,
    /// Its owner.
    pub owner: UserId,
    /// Who may play it.
    pub visibility: Visibility,
}

/// What a caller may do with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything: its owner, or an admin.
    Full,
    /// See that it is there, and play it.
    See,
    /// Not even know of it.
    Nothing,
}

/// Decides what `who` may do with a stream.
#[must_use]
pub fn access(stream: &Facts, who: Option<(UserId, UserRole)>) -> Access {
    match (who, stream.visibility) {
        (Some((_, UserRole::Admin)), _) => Access::Full,
        (Some((user, UserRole::User)), _) if user == stream.owner => Access::Full,
        (_, Visibility::Public | Visibility::Unlisted) => Access::See,
        (_, Visibility::Private) => Access::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_trimmed_and_bounded() {
        assert_eq!(title("  My cam ").unwrap(), "My cam");
        for bad in ["", "   ", "a\nb", &"x".repeat(121)] {
            assert!(title(bad).is_err(), "{bad}");
        }
        assert!(title(&"ä".repeat(120)).is_ok());
    }

    #[test]
    fn strangers_do_not_learn_of_private_streams() {
        let (owner, other) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let stream = |visibility| Facts { id: StreamId::parse("cam").unwrap(), owner, visibility };
        assert_eq!(access(&stream(Visibility::Private), None), Access::Nothing);
        assert_eq!(access(&stream(Visibility::Private), Some((other, UserRole::User))), Access::Nothing);
        assert_eq!(access(&stream(Visibility::Private), Some((other, UserRole::Admin))), Access::Full);
        assert_eq!(access(&stream(Visibility::Private), Some((owner, UserRole::User))), Access::Full);
        assert_eq!(access(&stream(Visibility::Unlisted), None), Access::See);
        assert_eq!(access(&stream(Visibility::Public), Some((other, UserRole::User))), Access::See);
    }
}
