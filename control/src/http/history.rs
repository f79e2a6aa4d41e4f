//! `GET /v1/streams/{stream}/broadcasts` and `/history`.

use super::{
    caller::{self, Owner},
    page::{ByTime, PageQuery, page},
};
use crate::{
    error::ApiError,
    store::pg::{broadcasts, samples},
};
use actix_web::{HttpRequest, web};
use proto::{
    BroadcastId,
    api::{Broadcast, Page, Sample},
};
use serde::Deserialize;
use time::OffsetDateTime;

/// Most points of one answer: a day at one every 10 s.
const POINTS_MAX: i64 = 8_640;

/// A stream's broadcasts, newest first.
///
/// # Errors
/// A cursor that was not made here; Postgres away.
#[utoipa::path(get, path = "/v1/streams/{stream}/broadcasts", tag = "history", security(("bearer" = [])),
    params(PageQuery, ("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Page<Broadcast>), (status = 404, description = "stream-not-found")))]
pub async fn broadcasts(
    owner: Owner,
    req: HttpRequest,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<Broadcast>>, ApiError> {
    let limit = query.limit()?;
    let after = match query.after::<ByTime>()? {
        None => None,
        Some(place) => {
            let id = BroadcastId::parse(&place.id).map_err(|_| ApiError::bad_request("not a cursor of this list"))?;
            Some((place.at(), id))
        }
    };
    let rows = broadcasts::list(&caller::state(&req).pg, &owner.stream.0.id, after, limit + 1).await?;
    Ok(web::Json(page(rows, limit, |last: &Broadcast| ByTime::of(last.started_at, last.id))))
}

/// `?from=&to=`, both RFC 3339.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// Points at or after this time; the latest 8640 when absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<OffsetDateTime>,
    /// Points before this time.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<OffsetDateTime>,
}

/// Viewers and bitrates of a stream, oldest first, one point every 10 s while it was live.
///
/// # Errors
/// Times that do not read; Postgres away.
#[utoipa::path(get, path = "/v1/streams/{stream}/history", tag = "history", security(("bearer" = [])),
    params(Span, ("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Page<Sample>), (status = 404, description = "stream-not-found")))]
pub async fn history(
    owner: Owner,
    req: HttpRequest,
    query: web::Query<Span>,
) -> Result<web::Json<Page<Sample>>, ApiError> {
    let state = caller::state(&req);
    let items = samples::list(&state.pg, &owner.stream.0.id, query.from, query.to, POINTS_MAX).await?;
    Ok(web::Json(Page { items, next_cursor: None }))
}
