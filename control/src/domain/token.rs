//! Publish and play tokens: how long they live.

use super::Invalid;
use proto::token::{TTL_DEFAULT_SECONDS, TTL_MAX_SECONDS};

/// Valid tokens one stream may have at a time.
pub const TOKENS_PER_STREAM_MAX: i64 = 10_000;

/// The life asked for, or the default.
///
/// # Errors
/// [`Invalid`] with the rule.
pub fn ttl_seconds(asked: Option<u64>) -> Result<u64, Invalid> {
    match asked.unwrap_or(TTL_DEFAULT_SECONDS) {
        ttl @ 1..=TTL_MAX_SECONDS => Ok(ttl),
        _ => Err(Invalid { field: "ttl_seconds", rule: "must be 1 to 2592000 (30 days)" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_a_second_to_thirty_days() {
        assert_eq!(ttl_seconds(None), Ok(3600));
        assert!(ttl_seconds(Some(0)).is_err() && ttl_seconds(Some(TTL_MAX_SECONDS + 1)).is_err());
        assert_eq!(ttl_seconds(Some(TTL_MAX_SECONDS)), Ok(TTL_MAX_SECONDS));
    }
}
