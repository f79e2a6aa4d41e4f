//! Sessions as the API shows them.

use crate::session::Session;
use serde::{Deserialize, Serialize};

/// A session with what it carries, `GET /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionRead {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// Bytes that came from the client, for a session whose media passes edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// Bytes that went to the client. Segments of a public stream do not say for whom they are; viewers at one address share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// Both together over the last seconds, kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kbps: Option<u64>,
}
