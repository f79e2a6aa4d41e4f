//! What happened at a media node while it could not be written down: accepted hooks, kept in order and handed in later.

use crate::ids::NodeId;
use serde::{Deserialize, Serialize};

/// Entries kept by one process at most; older ones are dropped and counted.
pub const ENTRIES_MAX: usize = 50_000;
/// Entries handed in by one `POST /internal/v1/journal` at most.
pub const BATCH_MAX: usize = 256;

/// One hook that was answered with yes and that Postgres does not know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Whose hook.
    pub node: NodeId,
    /// Its body as SRS sent it, JSON.
    pub body: String,
    /// Unix milliseconds at which it was answered; tickets are judged by this time.
    pub at_ms: u64,
}

/// `POST /internal/v1/journal`: entries in the order they were answered. Answer 204: they are written down, or void; anything else: hand them in again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalRequest {
    /// At most [`BATCH_MAX`].
    pub entries: Vec<JournalEntry>,
}
