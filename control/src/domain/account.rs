//! Accounts: what an e-mail, password and display name must be, and what a refresh token that comes back means.

use super::Invalid;
use proto::secret::mac;
use std::fmt;
use time::{Duration, OffsetDateTime};

/// Shortest and longest password, in characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 10..=256;
/// Longest e-mail, in bytes (RFC 5321, 4.5.3.1.3 less the angle brackets).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Longest display name, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 80;
/// How long an access token is good.
pub const ACCESS_LIFE: Duration = Duration::minutes(15);
/// How long a refresh token is good when it is not used.
pub const REFRESH_LIFE: Duration = Duration::days(30);
/// How long a code is good by which a forgotten password is replaced.
pub const RESET_LIFE: Duration = Duration::hours(24);
/// How long the code is good with which somebody begins whose account an admin made.
pub const INVITATION_LIFE: Duration = Duration::days(7);
/// Two tabs that refresh at once send the same token; within this time the second gets the first one's successor.
pub const REUSE_GRACE: Duration = Duration::seconds(10);

/// A login name of plausible form: one `@` with text on both sides, no space or control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an e-mail. Case is kept; comparing ignores it.
    ///
    /// # Errors
    /// [`Invalid`] with the rule.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let plausible = text.len() <= EMAIL_BYTES_MAX
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.contains('@') && domain.len() >= 2 && !domain.starts_with('.')
            });
        if plausible {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid { field: "email", rule: "must be an e-mail address of at most 254 bytes" })
        }
    }

    /// As it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For comparing and for rate limits.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

/// Checks a new password. Old ones are compared, never checked.
///
/// # Errors
/// [`Invalid`] with the rule.
pub fn check_password(text: &str) -> Result<(), Invalid> {
    // Bytes first: counting the characters of a megabyte is work for nothing.
    if text.len() <= PASSWORD_CHARS.end() * 4 && PASSWORD_CHARS.contains(&text.chars().count()) {
        Ok(())
    } else {
        Err(Invalid { field: "password", rule: "must have 10 to 256 characters" })
    }
}

/// The display name given, or the part of the e-mail before the `@`.
///
/// # Errors
/// [`Invalid`] with the rule.
pub fn display_name(given: Option<&str>, email: &Email) -> Result<String, Invalid> {
    let name = match given {
        Some(name) => name.trim().to_owned(),
        None => email.as_str().split('@').next().unwrap_or_default().chars().take(DISPLAY_NAME_CHARS_MAX).collect(),
    };
    let fits =
        !name.is_empty() && name.chars().count() <= DISPLAY_NAME_CHARS_MAX && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(Invalid { field: "display_name", rule: "must have 1 to 80 characters" }) }
}

/// Bytes in a refresh token and in the salt of its successor.
pub const REFRESH_BYTES: usize = 32;

/// A refresh token: `rt_` and 256 bits as base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken([u8; REFRESH_BYTES]);

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

const REFRESH_PREFIX: &str = "rt_";

impl RefreshToken {
    /// Wraps bytes drawn by the caller.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; REFRESH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a token; `None` if it was not made here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        read_secret(REFRESH_PREFIX, text).map(Self)
    }

    /// The text given to the client.
    #[must_use]
    pub fn expose(&self) -> String {
        write_secret(REFRESH_PREFIX, &self.0)
    }

    /// What is stored: SHA-256 in hexadecimal. 256 random bits need no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        proto::secret::sha256_hex(&self.0)
    }

    /// The token that replaces this one. The same salt gives the same successor, so it can be given twice without being stored.
    #[must_use]
    pub fn successor(&self, salt: &[u8]) -> Self {
        Self(mac(&self.0, &[b"keystone refresh successor v1", salt]))
    }
}

/// A code that sets a new password: `pr_` and 256 bits as base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct ResetCode([u8; RESET_BYTES]);

/// Bytes in it.
const RESET_BYTES: usize = 32;
const RESET_PREFIX: &str = "pr_";

impl fmt::Debug for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetCode(..)")
    }
}

impl ResetCode {
    /// Wraps bytes drawn by the caller.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; RESET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a code; `None` if it was not made here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        read_secret(RESET_PREFIX, text).map(Self)
    }

    /// The text given to the admin.
    #[must_use]
    pub fn expose(&self) -> String {
        write_secret(RESET_PREFIX, &self.0)
    }

    /// What is stored: SHA-256 in hexadecimal. 256 random bits need no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        proto::secret::sha256_hex(&self.0)
    }
}

fn write_secret(prefix: &str, bytes: &[u8; 32]) -> String {
    format!("{prefix}{}", data_encoding::BASE64URL_NOPAD.encode(bytes))
}

fn read_secret(prefix: &str, text: &str) -> Option<[u8; 32]> {
    let body = text.strip_prefix(prefix).filter(|body| body.len() == 43)?;
    data_encoding::BASE64URL_NOPAD.decode(body.as_bytes()).ok()?.try_into().ok()
}

/// What the database knows of a refresh token.
#[derive(Debug, Clone)]
pub struct RefreshRecord {
    /// Not good at or after this.
    pub expires_at: OffsetDateTime,
    /// Its family was revoked.
    pub revoked: bool,
    /// When it was exchanged, by whom and with which salt.
    pub used: Option<RefreshUse>,
}

/// The exchange of a refresh token for its successor.
#[derive(Debug, Clone)]
pub struct RefreshUse {
    /// When.
    pub at: OffsetDateTime,
    /// A fingerprint of the client: address and user agent.
    pub client: String,
    /// Makes the successor.
    pub salt: Vec<u8>,
}

/// What to do with a refresh token that was presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshDecision {
    /// Mark it used and give a new successor.
    Rotate,
    /// Give the successor again that this salt makes.
    Repeat(Vec<u8>),
    /// Refuse.
    Refuse(RefreshRefused),
}

/// Why a refresh token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefused {
    /// It was never given out, or is forgotten.
    #[error("the refresh token is not known; sign in again")]
    Unknown,
    /// Nobody used it in time.
    #[error("the refresh token has expired; sign in again")]
    Expired,
    /// Its session was signed out.
    #[error("this session was signed out; sign in again")]
    Revoked,
    /// It was used before: somebody has a copy. The whole family ends.
    #[error("the refresh token was used before, so this session was ended; sign in again")]
    Reused,
}

/// Decides about a refresh token.
#[must_use]
pub fn decide_refresh(record: Option<&RefreshRecord>, client: &str, now: OffsetDateTime) -> RefreshDecision {
    let Some(record) = record else { return RefreshDecision::Refuse(RefreshRefused::Unknown) };
    if record.revoked {
        return RefreshDecision::Refuse(RefreshRefused::Revoked);
    }
    match &record.used {
        Some(used) if used.client == client && now < used.at + REUSE_GRACE => {
            RefreshDecision::Repeat(used.salt.clone())
        }
        Some(_) => RefreshDecision::Refuse(RefreshRefused::Reused),
        None if now >= record.expires_at => RefreshDecision::Refuse(RefreshRefused::Expired),
        None => RefreshDecision::Rotate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_plausible_or_refused() {
        for good in ["a@b.c", "  A.b+c@Example.org ", "ü@example.org", "root@localhost"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "x".repeat(250));
        for bad in ["", "@", "a@", "@b.c", "a b@c.d", "a@b@c.d", "a@.c", "a\0@b.c", &long] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Email::parse("A@B.c").unwrap().folded(), "a@b.c");
    }

    #[test]
    fn passwords_and_names_have_their_lengths() {
        assert!(check_password("123456789").is_err() && check_password("1234567890").is_ok());
        assert!(check_password(&"ä".repeat(256)).is_ok() && check_password(&"a".repeat(257)).is_err());
        let email = Email::parse("ann@example.org").unwrap();
        assert_eq!(display_name(None, &email).unwrap(), "ann");
        assert_eq!(display_name(Some(" Ann "), &email).unwrap(), "Ann");
        assert!(display_name(Some("  "), &email).is_err() && display_name(Some(&"x".repeat(81)), &email).is_err());
    }

    #[test]
    fn refresh_tokens_read_back_and_make_one_successor_per_salt() {
        let token = RefreshToken::from_bytes([7; 32]);
        assert_eq!(RefreshToken::parse(&token.expose()), Some(token.clone()));
        assert_eq!(token.successor(b"salt"), token.successor(b"salt"));
        assert_ne!(token.successor(b"salt"), token.successor(b"other"));
        assert_eq!(RefreshToken::parse("rt_short"), None);
        assert_eq!(format!("{token:?}"), "RefreshToken(..)");
    }

    #[test]
    fn a_second_use_is_a_second_tab_or_a_thief() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let fresh = RefreshRecord { expires_at: start + REFRESH_LIFE, revoked: false, used: None };
        let used = RefreshRecord {
            used: Some(RefreshUse { at: start, client: "tab".into(), salt: vec![1] }),
            ..fresh.clone()
        };
        let refuse = |why| RefreshDecision::Refuse(why);
        let soon = start + Duration::seconds(9);
        let late = start + REUSE_GRACE;
        assert_eq!(decide_refresh(None, "tab", start), refuse(RefreshRefused::Unknown));
        assert_eq!(decide_refresh(Some(&fresh), "tab", soon), RefreshDecision::Rotate);
        assert_eq!(decide_refresh(Some(&fresh), "tab", start + REFRESH_LIFE), refuse(RefreshRefused::Expired));
        assert_eq!(decide_refresh(Some(&used), "tab", soon), RefreshDecision::Repeat(vec![1]));
        assert_eq!(decide_refresh(Some(&used), "other", soon), refuse(RefreshRefused::Reused));
        assert_eq!(decide_refresh(Some(&used), "tab", late), refuse(RefreshRefused::Reused));
        let revoked = RefreshRecord { revoked: true, ..used };
        assert_eq!(decide_refresh(Some(&revoked), "tab", soon), refuse(RefreshRefused::Revoked));
    }
}
