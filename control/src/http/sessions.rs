//! `GET /v1/sessions`, `GET /v1/streams/{stream}/sessions`, `GET|DELETE /v1/sessions/{session}`.

use super::{
    caller::{self, Owner, User},
    page::{PageQuery, page},
};
use crate::{
    domain::sessions::{Filter, may},
    error::ApiError,
    sessions::{
        Known,
        live::{By, end_by},
        traffic,
    },
    store::pg::{audit, streams},
};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::{
    SessionId, StreamId,
    api::{Page, SessionRead},
    session::{EndReason, Role, Session},
};
use serde::Deserialize;

/// Streams of one owner that are looked through for their sessions: more than one may have.
const STREAMS_MAX: i64 = 2_000;

/// `?stream=&role=&cursor=&limit=`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only of this stream.
    pub stream: Option<String>,
    /// Only `publish` or only `play`.
    pub role: Option<Role>,
    /// From the page before.
    pub cursor: Option<String>,
    /// Sessions in a page, 1 to 200; 50 when absent.
    pub limit: Option<u32>,
}

/// `?role=&cursor=&limit=`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfStreamQuery {
    /// Only `publish` or only `play`.
    pub role: Option<Role>,
    /// From the page before.
    pub cursor: Option<String>,
    /// Sessions in a page, 1 to 200; 50 when absent.
    pub limit: Option<u32>,
}

async fn listed(req: &HttpRequest, filter: Filter, query: PageQuery) -> Result<web::Json<Page<SessionRead>>, ApiError> {
    let limit = query.limit()?;
    let after: Option<SessionId> = query.after()?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let found = caller::state(req).sessions.list(filter, after, wanted).await?;
    let sessions = found.into_iter().map(|known| known.session).collect();
    let Page { items, next_cursor } = page(sessions, limit, |session: &Session| session.id);
    Ok(web::Json(Page { items: traffic::shown(&caller::state(req), items).await, next_cursor }))
}

/// Lists open sessions: of one's own streams, for admins of all.
///
/// # Errors
/// Redis away; [`ApiError::BadRequest`] for a bad query.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", security(("bearer" = [])), params(ListQuery),
    responses((status = 200, body = Page<SessionRead>), (status = 503, description = "redis-away")))]
pub async fn list(
    user: User,
    req: HttpRequest,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<SessionRead>>, ApiError> {
    let query = query.into_inner();
    let named = query.stream.as_deref().map(StreamId::parse).transpose().map_err(|_| ApiError::StreamNotFound)?;
    let streams = if user.identity.is_admin() {
        named.map(|stream| vec![stream])
    } else {
        let client = caller::state(&req).pg.get().await?;
        let own = streams::list(&**client, Some(user.identity.user), None, STREAMS_MAX).await?;
        let own = own.into_iter().map(|stream| stream.0.id);
        Some(own.filter(|stream| named.as_ref().is_none_or(|named| named == stream)).collect())
    };
    let filter = Filter { streams, role: query.role };
    listed(&req, filter, PageQuery { cursor: query.cursor, limit: query.limit }).await
}

/// Lists a stream's open sessions.
///
/// # Errors
/// As [`list`].
#[utoipa::path(get, path = "/v1/streams/{stream}/sessions", tag = "sessions", security(("bearer" = [])),
    params(OfStreamQuery, ("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Page<SessionRead>), (status = 404, description = "stream-not-found")))]
pub async fn of_stream(
    owner: Owner,
    req: HttpRequest,
    query: web::Query<OfStreamQuery>,
) -> Result<web::Json<Page<SessionRead>>, ApiError> {
    let query = query.into_inner();
    let filter = Filter { streams: Some(vec![owner.stream.0.id]), role: query.role };
    listed(&req, filter, PageQuery { cursor: query.cursor, limit: query.limit }).await
}

/// The session of the path, if the caller owns its stream or is an admin. To others it is not there.
async fn seen(user: &User, req: &HttpRequest, path: &str) -> Result<Known, ApiError> {
    let id = SessionId::parse(path).map_err(|_| ApiError::SessionNotFound)?;
    let known = caller::state(req).sessions.get(id).await?;
    known.filter(|known| may(known.owner, user.identity.who())).ok_or(ApiError::SessionNotFound)
}

/// Shows a session, also one that ended in the last 10 minutes.
///
/// # Errors
/// [`ApiError::SessionNotFound`]; Redis away.
#[utoipa::path(get, path = "/v1/sessions/{session}", tag = "sessions", security(("bearer" = [])), params(("session" = String, Path, description = "Session id")),
    responses((status = 200, body = SessionRead), (status = 404, description = "session-not-found")))]
pub async fn get(user: User, req: HttpRequest, path: web::Path<String>) -> Result<web::Json<SessionRead>, ApiError> {
    let session = seen(&user, &req, &path).await?.session;
    let shown = traffic::shown(&caller::state(&req), vec![session]).await.pop();
    shown.map(web::Json).ok_or(ApiError::SessionNotFound)
}

/// Ends a session: 204, also when it had ended already.
///
/// # Errors
/// [`ApiError::SessionNotFound`]; a store away.
#[utoipa::path(delete, path = "/v1/sessions/{session}", tag = "sessions", security(("bearer" = [])), params(("session" = String, Path, description = "Session id")),
    responses((status = 204, description = "its kick is written down and under way"), (status = 404, description = "session-not-found")))]
pub async fn kick(user: User, req: HttpRequest, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let state = caller::state(&req);
    let known = seen(&user, &req, &path).await?;
    let session = &known.session;
    end_by(&state, &By::Session(session.id), EndReason::Kicked).await?;
    let client = state.pg.get().await?;
    let detail = serde_json::json!({ "stream": session.stream, "role": session.role, "node": session.node });
    let entry = audit::Entry {
        actor: Some(user.identity.user),
        action: "session.kick",
        target: format!("session/{}", session.id),
        ip: Some(user.origin.ip),
        detail: &detail,
    };
    audit::insert(&**client, entry).await?;
    Ok(HttpResponse::NoContent().finish())
}
