//! `/rtc/v1/whep/{stream}`: WHEP endpoints (draft-ietf-wish-whep-04). `?token=` stands for a Bearer.

use super::{endpoint, extract, headers::SDP};
use crate::{ApiError, Front};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::session::Role;

/// Plays. 201 with answer, `Location` and `ETag`; 409 with `Retry-After` while nobody publishes; problems: docs/edge-errors.md.
pub(crate) async fn post(
    req: HttpRequest,
    body: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let asked = endpoint::Asked {
        role: Role::Play,
        stream: extract::stream(&req)?,
        credential: extract::credential(&req)?,
        takeover: false,
    };
    endpoint::open(&req, body, &front, asked).await
}

/// 200, empty, of type `application/sdp`: by this a client tells WHEP from WHIP (draft section 4.2).
pub(crate) async fn get(req: HttpRequest) -> Result<HttpResponse, ApiError> {
    extract::stream(&req)?;
    Ok(HttpResponse::Ok().content_type(SDP).finish())
}
