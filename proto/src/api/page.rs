//! Lists.
use serde::{Deserialize, Serialize};

/// Items in a page when the caller does not say.
pub const LIMIT_DEFAULT: u32 = 50;
/// Most items in a page.
pub const LIMIT_MAX: u32 = 200;

/// One page of a list, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `?cursor=` for the next page; absent on the last. Opaque: its content may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
