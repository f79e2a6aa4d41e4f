//! SRS's own bodies: hooks it posts, heartbeats it sends, answers of its HTTP API. Read leniently, checked strictly.

pub mod api;
pub mod heartbeat;
pub mod hook;
pub mod param;

/// Where SRS 8 registers itself: the body of a heartbeat, with its secret as Bearer.
pub const REGISTER_PATH: &str = "/api/v1/srs/register";
/// Where SRS says who it is, which run, and which version.
pub const VERSIONS_PATH: &str = "/api/v1/versions";
