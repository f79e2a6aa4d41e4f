//! `/v1/auth/password`: changing it, and setting a new one by a code.

use super::{
    body::Json,
    caller::{Anyone, User, state},
};
use crate::{accounts::password, domain::limit, error::ApiError, streams::Actor};
use actix_web::{HttpRequest, HttpResponse};
use proto::api::{ChangePassword, ResetPassword};

/// Changes the caller's password. Every other sign-in of the account ends.
///
/// # Errors
/// 403 when the current password is wrong, 429 after too many tries.
#[utoipa::path(post, path = "/v1/auth/password", tag = "auth", request_body = ChangePassword, security(("bearer" = [])),
    responses((status = 204), (status = 403, description = "wrong-password"), (status = 422, description = "invalid-value"),
        (status = 429, description = "rate-limited")))]
pub async fn change(user: User, req: HttpRequest, body: Json<ChangePassword>) -> Result<HttpResponse, ApiError> {
    let by = Actor::new(&user.identity, &user.origin);
    password::change(&state(&req), user.identity.family, body.value, &by).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sets a new password by a code from an admin. Every sign-in of the account ends.
///
/// # Errors
/// 403 for a code that is not good, 429 after too many tries.
#[utoipa::path(post, path = "/v1/auth/password:reset", tag = "auth", request_body = ResetPassword,
    responses((status = 204), (status = 403, description = "reset-invalid"), (status = 422, description = "invalid-value"),
        (status = 429, description = "rate-limited")))]
pub async fn reset(anyone: Anyone, req: HttpRequest, body: Json<ResetPassword>) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    state.limits.take_at(limit::LOGIN_BY_ADDRESS, anyone.origin.ip).await?;
    password::reset(&state, body.value, anyone.origin.ip).await?;
    Ok(HttpResponse::NoContent().finish())
}
