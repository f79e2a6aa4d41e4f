//! `POST /internal/v1/sessions`: what an edge tells of sessions that it carries alone.

use super::{
    body,
    caller::{self, Edge},
};
use crate::{error::ApiError, sessions::edges};
use actix_web::{HttpRequest, web};
use proto::internal::{SESSIONS_BATCH_MAX, SessionsAnswer, SessionsRequest};

/// Most bytes of one request: three lists of [`SESSIONS_BATCH_MAX`], of which openings have less than 600 bytes each.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Answers 200 with what became of the sessions. Telling the same again changes nothing.
///
/// # Errors
/// A body that is too long or too many sessions, or of another edge.
pub async fn tell(edge: Edge, req: HttpRequest, payload: web::Payload) -> Result<web::Json<SessionsAnswer>, ApiError> {
    let bytes = body::read(payload, BODY_BYTES_MAX).await?;
    let asked: SessionsRequest = body::parse(&bytes)?;
    if asked.edge != edge.edge {
        return Err(ApiError::bad_request("`edge` is not the edge of the bearer"));
    }
    if [asked.opened.len(), asked.closed.len(), asked.alive.len()].into_iter().any(|count| count > SESSIONS_BATCH_MAX) {
        return Err(ApiError::bad_request(format!("a list may have at most {SESSIONS_BATCH_MAX} sessions")));
    }
    Ok(web::Json(edges::tell(&caller::state(&req), asked).await))
}
