//! SRS's own bodies: hooks it posts, heartbeats it sends, answers of its HTTP API. Read leniently, checked strictly.

pub mod api;
pub mod heartbeat;
pub mod hook;
pub mod param;
