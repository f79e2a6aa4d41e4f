//! The shape of every failure, for the description of the API; [`kit::problem`] writes it.

use serde::{Deserialize, Serialize};

/// RFC 9457, `application/problem+json`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:keystone:` and the code.
    pub r#type: String,
    /// The same for every failure of a kind.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable name of the kind.
    pub code: String,
    /// What to do about it.
    pub detail: String,
    /// Which input is at fault, as a path into the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}
