//! `POST /internal/v1/journal`: hooks that an edge accepted while no control-api answered.

use super::{
    body,
    caller::{self, Edge},
};
use crate::{error::ApiError, journal};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::journal::{BATCH_MAX, JournalRequest};

/// Most bytes of one request: [`BATCH_MAX`] hooks, which SRS sends with less than 4 KiB each.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Answers 204 once every entry is written down or void. Handing in the same entries again changes nothing.
///
/// # Errors
/// A body that is too long or too many entries; Postgres away: hand them in again.
pub async fn hand_in(_: Edge, req: HttpRequest, payload: web::Payload) -> Result<HttpResponse, ApiError> {
    let bytes = body::read(payload, BODY_BYTES_MAX).await?;
    let asked: JournalRequest = body::parse(&bytes)?;
    if asked.entries.len() > BATCH_MAX {
        return Err(ApiError::bad_request(format!("`entries` may have at most {BATCH_MAX} entries")));
    }
    journal::replay(&caller::state(&req), &asked.entries).await?;
    Ok(HttpResponse::NoContent().finish())
}
