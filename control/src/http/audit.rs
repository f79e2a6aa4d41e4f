//! `/v1/audit`, for admins.

use super::{
    caller::{Admin, state},
    page::{PageQuery, page},
};
use crate::{
    error::ApiError,
    store::pg::audit::{self, Filter},
};
use actix_web::{HttpRequest, web};
use proto::{
    UserId,
    api::{AuditEntry, Page},
};
use serde::Deserialize;

/// Longest `?target=`, in bytes.
const TARGET_LEN_MAX: usize = 128;

/// `?actor=&target=&cursor=&limit=`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only what this user did.
    #[param(value_type = Option<String>)]
    actor: Option<UserId>,
    /// Only what was done to this, e.g. `stream/cam1`.
    target: Option<String>,
    /// From the page before.
    cursor: Option<String>,
    /// Items in a page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

/// Lists the audit log, newest first.
///
/// # Errors
/// 403.
#[utoipa::path(get, path = "/v1/audit", tag = "admin", security(("bearer" = [])), params(AuditQuery),
    responses((status = 200, body = Page<AuditEntry>), (status = 403, description = "forbidden")))]
pub async fn list(
    _: Admin,
    req: HttpRequest,
    query: web::Query<AuditQuery>,
) -> Result<web::Json<Page<AuditEntry>>, ApiError> {
    let query = query.into_inner();
    let pages = PageQuery { cursor: query.cursor, limit: query.limit };
    let limit = pages.limit()?;
    let target = query.target.filter(|target| target.len() <= TARGET_LEN_MAX);
    let filter = Filter { before: pages.after()?, actor: query.actor, target };
    let state = state(&req);
    let client = state.pg.get().await?;
    let entries = audit::list(&**client, &filter, limit + 1).await?;
    Ok(web::Json(page(entries, limit, |last| last.id)))
}
