//! What edges ask, under `/internal/v1`: `claims`, `claims:release`, `keys:verify`, `streams/{stream}`, `route/{stream}`, `sessions/{session}`.

use super::{
    body::Json,
    caller::{self, Edge},
};
use crate::{
    admission,
    claiming::{self, Claimed, Reserved},
    error::ApiError,
    placing::PlacingError,
    store::{cache, pg::claims},
};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::{
    SessionId, StreamId,
    fleet::{KeyCache, StreamCache},
    internal::{
        PROPOSED_NODES_MAX, ReleaseRequest, Reservation, ReserveRequest, RouteAnswer, SessionAnswer, VerifyKeyRequest,
    },
};

/// `POST /internal/v1/claims`: reserves a stream on the first proposed node that is fit; where none is, on the one that control-api would choose.
///
/// # Errors
/// [`ApiError::StreamBusy`], [`ApiError::StreamNotFound`], [`ApiError::NoNode`]; Postgres away.
pub async fn reserve(
    edge: Edge,
    req: HttpRequest,
    body: Json<ReserveRequest>,
) -> Result<web::Json<Reservation>, ApiError> {
    let state = caller::state(&req);
    let asked = body.value;
    super::observe::concerns(&asked.stream, &asked.session);
    if asked.edge != edge.edge {
        return Err(ApiError::bad_request("`edge` is not the edge of the bearer"));
    }
    if asked.nodes.is_empty() || asked.nodes.len() > PROPOSED_NODES_MAX {
        return Err(ApiError::bad_request("`nodes` must name 1 to 64 nodes"));
    }
    match claiming::reserve(&state, &asked).await? {
        Reserved::Claimed(Claimed::Granted { taken, .. }) => {
            state.media.claim("reserved");
            Ok(web::Json(Reservation { node: taken.node, service: taken.service, epoch: taken.epoch }))
        }
        Reserved::Provisional(taken) => {
            Ok(web::Json(Reservation { node: taken.node, service: taken.service, epoch: taken.epoch }))
        }
        Reserved::Claimed(Claimed::Busy { retry_after }) => Err(ApiError::StreamBusy { retry_after }),
        Reserved::Claimed(Claimed::NoStream) => Err(ApiError::StreamNotFound),
        Reserved::Claimed(Claimed::NoRoom) => Err(ApiError::NoNode { why: "every node is full".to_owned() }),
        Reserved::NoNode(why) => Err(ApiError::NoNode { why }),
    }
}

impl From<PlacingError> for ApiError {
    fn from(error: PlacingError) -> Self {
        match error {
            PlacingError::Store(error) => error.into(),
            PlacingError::Ring(error) => Self::internal(error),
        }
    }
}

/// `POST /internal/v1/claims:release`: 204, also when nothing was held.
///
/// # Errors
/// Postgres away: the reservation then runs out by itself.
pub async fn release(_: Edge, req: HttpRequest, body: Json<ReleaseRequest>) -> Result<HttpResponse, ApiError> {
    let state = caller::state(&req);
    let ReleaseRequest { stream, session, epoch } = body.value;
    if claims::give_up(&state.pg, &stream, session, epoch).await? {
        state.media.claim("released");
    }
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /internal/v1/keys:verify`.
///
/// # Errors
/// [`ApiError::KeyNotFound`]; Postgres away.
pub async fn verify_key(
    _: Edge,
    req: HttpRequest,
    body: Json<VerifyKeyRequest>,
) -> Result<web::Json<KeyCache>, ApiError> {
    let hash = &body.value.hash;
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()) {
        return Err(ApiError::KeyNotFound);
    }
    let found = admission::key_by_hash(&caller::state(&req), hash).await?;
    found.map(web::Json).ok_or(ApiError::KeyNotFound)
}

fn stream_id(text: &str) -> Result<StreamId, ApiError> {
    StreamId::parse(text).map_err(|_| ApiError::StreamNotFound)
}

/// `GET /internal/v1/streams/{stream}`: what admission needs, from Postgres, and put into Redis again.
///
/// # Errors
/// [`ApiError::StreamNotFound`]; Postgres away.
pub async fn stream(_: Edge, req: HttpRequest, path: web::Path<String>) -> Result<web::Json<StreamCache>, ApiError> {
    let state = caller::state(&req);
    let id = stream_id(&path)?;
    let present = claims::of_stream(&state.pg, &id).await?.ok_or(ApiError::StreamNotFound)?;
    let facts = crate::domain::stream::Facts { id, owner: present.owner, visibility: present.visibility };
    if state.kv.one(cache::stream(&facts)).await.is_err() {
        state.metrics.redis_skipped("stream");
    }
    Ok(web::Json(StreamCache { visibility: present.visibility, owner: present.owner }))
}

/// `GET /internal/v1/route/{stream}`: where it is live.
///
/// # Errors
/// [`ApiError::StreamNotFound`]; Postgres away.
pub async fn route(_: Edge, req: HttpRequest, path: web::Path<String>) -> Result<web::Json<RouteAnswer>, ApiError> {
    let state = caller::state(&req);
    let present = claims::of_stream(&state.pg, &stream_id(&path)?).await?.ok_or(ApiError::StreamNotFound)?;
    Ok(web::Json(RouteAnswer { placement: present.live.map(|held| held.placement()) }))
}

/// `GET /internal/v1/sessions/{session}`.
///
/// # Errors
/// [`ApiError::SessionNotFound`]; Redis away.
pub async fn session(_: Edge, req: HttpRequest, path: web::Path<String>) -> Result<web::Json<SessionAnswer>, ApiError> {
    let id = SessionId::parse(&path).map_err(|_| ApiError::SessionNotFound)?;
    let found = caller::state(&req).sessions.get(id).await?;
    found.map(|known| web::Json(known.session)).ok_or(ApiError::SessionNotFound)
}
