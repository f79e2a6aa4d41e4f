//! `/rtc/v1/sessions/{handle}`: session URLs of WHIP and WHEP. The handle is the capability; a Bearer sent along is checked all the same.

use super::{
    endpoint, extract,
    headers::{self, FRAGMENT, Precondition},
};
use crate::{ApiError, Front, front::LimitedOp};
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use proto::{
    ticket::ufrag_hash,
    wire::sdp::{FRAGMENT_BYTES_MAX, TrickleFragment},
};

/// Methods of a session URL.
pub(crate) const ALLOW: &str = "GET, HEAD, PATCH, DELETE, OPTIONS";

/// 204 while the session is there; problems: `session-unknown` and those of a credential.
pub(crate) async fn get(
    req: HttpRequest,
    path: web::Path<String>,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    front.session(&path, extract::bearer(&req)?.as_deref()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Trickled candidates: 204 without a tag, and nothing else happens, since nodes are ICE-lite. Preconditions are looked at last (RFC 9110 section 13.2.1).
pub(crate) async fn patch(
    req: HttpRequest,
    path: web::Path<String>,
    body: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    front.limit(LimitedOp::Patch, extract::client(&req, front.get_ref())?).await?;
    let session = front.session(&path, extract::bearer(&req)?.as_deref()).await?;
    extract::require_type(&req, FRAGMENT)?;
    let body = extract::body(&req, body, FRAGMENT_BYTES_MAX).await?;
    let fragment = TrickleFragment::parse(&body).map_err(|why| ApiError::Fragment(why.to_string()))?;
    if fragment.ufrag().is_some_and(|ufrag| ufrag_hash(ufrag) != session.handle.client_ufrag_hash) {
        return Err(ApiError::IceRestart);
    }
    let tags = req.headers().get_all(header::IF_MATCH).filter_map(|value| value.to_str().ok());
    headers::if_match(tags, &endpoint::tag(&session.etag)).map_err(|why| match why {
        Precondition::Missing => ApiError::IfMatchMissing,
        Precondition::Failed => ApiError::IfMatchMismatch,
    })?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ends the session: 200, whatever `If-Match` says (RFC 9725 section 4.3.1). 404 when it is gone.
pub(crate) async fn delete(
    req: HttpRequest,
    path: web::Path<String>,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    front.limit(LimitedOp::Delete, extract::client(&req, front.get_ref())?).await?;
    front.close(&path, extract::bearer(&req)?.as_deref()).await?;
    Ok(HttpResponse::Ok().finish())
}

/// `OPTIONS`: 200 for anybody, whether the session is there or not.
pub(crate) async fn options() -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::ALLOW, ALLOW));
    answer.insert_header((header::HeaderName::from_static("accept-patch"), FRAGMENT));
    answer.finish()
}

/// Any other method: 405 with what is allowed.
pub(crate) async fn refuse() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed { allow: ALLOW })
}
