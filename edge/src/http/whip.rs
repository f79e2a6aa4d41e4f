//! `/rtc/v1/whip/{stream}`: WHIP endpoints (RFC 9725). `?token=` stands for a Bearer, `?takeover=1` ends an own publisher that is still there.

use super::{endpoint, extract};
use crate::{ApiError, Front};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::session::Role;

/// Publishes. 201 with answer, `Location` and `ETag`; problems: docs/edge-errors.md.
pub(crate) async fn post(
    req: HttpRequest,
    body: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let asked = endpoint::Asked {
        role: Role::Publish,
        stream: extract::stream(&req)?,
        credential: extract::credential(&req)?,
        takeover: extract::flag(&req, "takeover"),
    };
    endpoint::open(&req, body, &front, asked).await
}

/// 204 for every name that a stream can have; nobody is asked whether it exists.
pub(crate) async fn get(req: HttpRequest) -> Result<HttpResponse, ApiError> {
    extract::stream(&req)?;
    Ok(HttpResponse::NoContent().finish())
}
