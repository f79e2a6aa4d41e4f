//! `/v1/streams`: the directory, and one's own streams.

use super::{
    body::{Json, MaybeJson},
    caller::{Anyone, Owner, User, state, stream_in_path},
    once::{Answer, once},
    page::{ByTime, PageQuery, page},
    public,
};
use crate::{
    domain::stream::{Access, access},
    error::ApiError,
    store::pg::streams::StreamRow,
    streams::{self, Actor},
};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::api::{CreateStream, Ingest, NewStream, Page, Playback, RotateKey, RotatedKey, Stream, UpdateStream};
use serde::Deserialize;

/// `?owner=&cursor=&limit=`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Absent: live public streams of everybody. `me`: one's own. `all`: every stream (admins).
    #[param(inline)]
    owner: Option<OwnerFilter>,
    /// From the page before.
    cursor: Option<String>,
    /// Items in a page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

/// Whose streams.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnerFilter {
    /// The caller's.
    Me,
    /// Everybody's.
    All,
}

/// Lists streams.
///
/// # Errors
/// 401 for `owner=me` without a bearer, 403 for `owner=all` without being an admin.
#[utoipa::path(get, path = "/v1/streams", tag = "streams", params(ListQuery),
    responses((status = 200, body = Page<Stream>), (status = 401, description = "unauthenticated"), (status = 403, description = "forbidden")))]
pub async fn list(
    anyone: Anyone,
    req: HttpRequest,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<Stream>>, ApiError> {
    let state = state(&req);
    let query = query.into_inner();
    let pages = PageQuery { cursor: query.cursor, limit: query.limit };
    let (limit, after) = (pages.limit()?, pages.after::<ByTime>()?);
    let Some(filter) = query.owner else {
        let streams = state.directory.page(&state, after.as_ref(), limit + 1).await?;
        let since = |stream: &Stream| stream.live.as_ref().map_or(stream.created_at, |live| live.since);
        return Ok(web::Json(page(streams.to_vec(), limit, |last| ByTime::of(since(last), &last.id))));
    };
    let identity = anyone.identity()?.ok_or(ApiError::Unauthenticated)?;
    let owner = match filter {
        OwnerFilter::Me => Some(identity.user),
        OwnerFilter::All if identity.is_admin() => None,
        OwnerFilter::All => return Err(ApiError::Forbidden),
    };
    let after = after.as_ref().map(|place| (place.at(), place.id.as_str()));
    let streams = streams::list(&state, owner, after, limit + 1).await?;
    Ok(web::Json(page(streams, limit, |last| ByTime::of(last.created_at, &last.id))))
}

/// Makes a stream. Its key is shown in this answer only.
///
/// # Errors
/// 409 when the account has too many, 422 for a title that breaks the rules.
#[utoipa::path(post, path = "/v1/streams", tag = "streams", request_body = CreateStream, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again, the same request gets the same answer.")),
    responses((status = 201, body = NewStream), (status = 409, description = "too-many-streams"), (status = 422, description = "invalid-value")))]
pub async fn create(user: User, req: HttpRequest, body: Json<CreateStream>) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    let by = Actor::new(&user.identity, &user.origin);
    let scope = user.identity.user.to_string();
    let work = async {
        let made = streams::create(&state, &body.value, &by).await?;
        Answer::created(&made, Some(format!("{}/v1/streams/{}", state.config.public_path, made.stream.id)))
    };
    once(&state, &req, &scope, &body.hash, work).await
}

/// The stream in the path, if the caller may know of it.
async fn visible(anyone: Anyone, req: &HttpRequest) -> Result<StreamRow, ApiError> {
    let identity = anyone.identity()?;
    let stream = stream_in_path(req).await?;
    match access(&stream.facts(), identity.map(|identity| identity.who())) {
        Access::Full | Access::See => Ok(stream),
        Access::Nothing => Err(ApiError::StreamNotFound),
    }
}

/// Shows a stream.
///
/// # Errors
/// 404 also for a private stream of somebody else.
#[utoipa::path(get, path = "/v1/streams/{stream}", tag = "streams", params(("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Stream), (status = 404, description = "stream-not-found")))]
pub async fn get(anyone: Anyone, req: HttpRequest) -> Result<web::Json<Stream>, ApiError> {
    let stream = visible(anyone, &req).await?;
    let mut shown = streams::with_viewers(&state(&req), vec![stream]).await;
    shown.pop().map(web::Json).ok_or(ApiError::StreamNotFound)
}

/// Changes a stream; what is absent stays.
///
/// # Errors
/// 403 for somebody else's, 422 for a value that breaks the rules.
#[utoipa::path(patch, path = "/v1/streams/{stream}", tag = "streams", request_body = UpdateStream, security(("bearer" = [])),
    params(("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Stream), (status = 404, description = "stream-not-found"), (status = 422, description = "invalid-value")))]
pub async fn update(owner: Owner, req: HttpRequest, body: Json<UpdateStream>) -> Result<web::Json<Stream>, ApiError> {
    let by = Actor::new(&owner.identity, &owner.origin);
    streams::update(&state(&req), &owner.stream.0.id, &body.value, &by).await.map(web::Json)
}

/// Deletes a stream, its keys and tokens; ends its sessions.
///
/// # Errors
/// 403 for somebody else's.
#[utoipa::path(delete, path = "/v1/streams/{stream}", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Stream id")),
    responses((status = 204), (status = 404, description = "stream-not-found")))]
pub async fn delete(owner: Owner, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let by = Actor::new(&owner.identity, &owner.origin);
    streams::delete(&state(&req), &owner.stream.facts(), &by).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Gives the stream a new key; the old one goes on for the overlap.
///
/// # Errors
/// 403 for somebody else's, 422 for an overlap of more than 7 days.
#[utoipa::path(post, path = "/v1/streams/{stream}:rotate-key", tag = "streams", request_body = Option<RotateKey>, security(("bearer" = [])),
    params(("stream" = String, Path, description = "Stream id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again, the same request gets the same answer.")),
    responses((status = 200, body = RotatedKey), (status = 404, description = "stream-not-found"), (status = 422, description = "invalid-value")))]
pub async fn rotate_key(owner: Owner, req: HttpRequest, body: MaybeJson<RotateKey>) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    let by = Actor::new(&owner.identity, &owner.origin);
    let overlap = body.value.unwrap_or_default().overlap_seconds;
    let scope = owner.identity.user.to_string();
    let work = async { Answer::ok(&streams::rotate_key(&state, &owner.stream.0.id, overlap, &by).await?) };
    once(&state, &req, &scope, &body.hash, work).await
}

/// Where to publish.
///
/// # Errors
/// 403 for somebody else's.
#[utoipa::path(get, path = "/v1/streams/{stream}/ingest", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Ingest), (status = 404, description = "stream-not-found")))]
pub async fn ingest(owner: Owner, req: HttpRequest) -> web::Json<Ingest> {
    let bases = public::bases(&req, &state(&req).config);
    let id = &owner.stream.0.id;
    web::Json(Ingest {
        whip: format!("{}/rtc/v1/whip/{id}", bases.edge),
        rtmp_server: format!("{}/live", bases.rtmp),
        rtmp_stream_key: format!("{id}?token={{key}}"),
        // `#` would begin a fragment: URLs of SRT are read by URL parsers.
        srt: format!("{}?streamid=%23!::r=live/{id},m=publish,token={{key}}", bases.srt),
    })
}

/// Where to watch.
///
/// # Errors
/// 404 also for a private stream of somebody else.
#[utoipa::path(get, path = "/v1/streams/{stream}/playback", tag = "streams", params(("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Playback), (status = 404, description = "stream-not-found")))]
pub async fn playback(anyone: Anyone, req: HttpRequest) -> Result<web::Json<Playback>, ApiError> {
    let stream = visible(anyone, &req).await?;
    let bases = public::bases(&req, &state(&req).config);
    let id = &stream.0.id;
    Ok(web::Json(Playback {
        whep: format!("{}/rtc/v1/whep/{id}", bases.edge),
        hls: format!("{}/live/{id}.m3u8", bases.hls),
        http_flv: format!("{}/live/{id}.flv", bases.hls),
    }))
}
