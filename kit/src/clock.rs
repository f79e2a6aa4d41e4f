//! The wall clock, in the units the rest of Keystone uses. Cores take these numbers as inputs.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since 1970. Zero on a machine whose clock is set before that.
#[must_use]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Unix seconds.
#[must_use]
pub fn unix() -> u64 {
    since_epoch().as_secs()
}

/// Unix milliseconds.
#[must_use]
pub fn unix_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}
