//! `/v1/streams/{stream}/tokens`: issue, list, revoke.

use super::{
    body::Json,
    caller::{Owner, state},
    once::{Answer, once},
    page::{ByTime, PageQuery, page},
};
use crate::{error::ApiError, streams::Actor, tokens};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::{
    TokenId,
    api::{CreateToken, IssuedToken, Page, Token},
};

/// Issues a token. It is shown in this answer only.
///
/// # Errors
/// 403 for somebody else's stream, 422 for a life that is too long.
#[utoipa::path(post, path = "/v1/streams/{stream}/tokens", tag = "tokens", request_body = CreateToken, security(("bearer" = [])),
    params(("stream" = String, Path, description = "Stream id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again, the same request gets the same answer.")),
    responses((status = 201, body = IssuedToken), (status = 404, description = "stream-not-found"),
        (status = 409, description = "too-many-tokens"), (status = 422, description = "invalid-value")))]
pub async fn issue(owner: Owner, req: HttpRequest, body: Json<CreateToken>) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    let by = Actor::new(&owner.identity, &owner.origin);
    let scope = owner.identity.user.to_string();
    let work = async {
        let issued = tokens::issue(&state, &owner.stream.0.id, &body.value, &by).await?;
        Answer::created(&issued, None)
    };
    once(&state, &req, &scope, &body.hash, work).await
}

/// Lists a stream's tokens.
///
/// # Errors
/// 403 for somebody else's stream.
#[utoipa::path(get, path = "/v1/streams/{stream}/tokens", tag = "tokens", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Stream id"), PageQuery),
    responses((status = 200, body = Page<Token>), (status = 404, description = "stream-not-found")))]
pub async fn list(
    owner: Owner,
    req: HttpRequest,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<Token>>, ApiError> {
    let (limit, after) = (query.limit()?, query.after::<ByTime>()?);
    let after = after.map(|place| TokenId::parse(&place.id).map(|id| (place.at(), id))).transpose();
    let after = after.map_err(|_| ApiError::bad_request("not a cursor of this list"))?;
    let tokens = tokens::list(&state(&req), &owner.stream.0.id, after, limit + 1).await?;
    Ok(web::Json(page(tokens, limit, |last| ByTime::of(last.created_at, last.id))))
}

/// Revokes a token: the next admission with it is refused, and whom it let in is ended.
///
/// # Errors
/// 404 when the stream has no such token.
#[utoipa::path(delete, path = "/v1/streams/{stream}/tokens/{token}", tag = "tokens", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Stream id"), ("token" = String, Path, description = "Token id")),
    responses((status = 204), (status = 404, description = "stream-not-found, token-not-found")))]
pub async fn revoke(owner: Owner, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let id = TokenId::parse(req.match_info().query("token")).map_err(|_| ApiError::TokenNotFound)?;
    let by = Actor::new(&owner.identity, &owner.origin);
    tokens::revoke(&state(&req), &owner.stream.0.id, id, &by).await?;
    Ok(HttpResponse::NoContent().finish())
}
