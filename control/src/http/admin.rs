//! `/v1/users` and `/v1/audit`, for admins.

use super::{
    caller::{Admin, state},
    page::{ByTime, PageQuery, page},
};
use crate::{
    error::ApiError,
    store::pg::{
        audit::{self, Filter},
        users,
    },
};
use actix_web::{HttpRequest, web};
use proto::{
    UserId,
    api::{AuditEntry, Page, User},
};
use serde::Deserialize;

/// Longest `?target=`, in bytes.
const TARGET_LEN_MAX: usize = 128;

/// Lists accounts, newest first.
///
/// # Errors
/// 403.
#[utoipa::path(get, path = "/v1/users", tag = "admin", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<User>), (status = 403, description = "forbidden")))]
pub async fn list_users(
    _: Admin,
    req: HttpRequest,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<User>>, ApiError> {
    let (limit, after) = (query.limit()?, query.after::<ByTime>()?);
    let after = after.map(|place| UserId::parse(&place.id).map(|id| (place.at(), id))).transpose();
    let after = after.map_err(|_| ApiError::bad_request("not a cursor of this list"))?;
    let state = state(&req);
    let client = state.pg.get().await?;
    let users = users::list(&**client, after, limit + 1).await?;
    Ok(web::Json(page(users, limit, |last| ByTime::of(last.created_at, last.id))))
}

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
pub async fn list_audit(
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
