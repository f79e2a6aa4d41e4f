//! `/v1/users`, for admins.

use super::{
    body::Json,
    caller::{Admin, state},
    once::{Answer, once},
    page::{ByTime, PageQuery, page},
};
use crate::{
    accounts::{self, password, rights},
    domain::account::Email,
    error::ApiError,
    store::pg::users,
    streams::Actor,
};
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use proto::{
    UserId,
    api::{CreateUser, NewUser, Page, PasswordReset, UpdateUser, User},
};
use serde::Deserialize;

/// `?email=&cursor=&limit=`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsersQuery {
    /// Only the account with this e-mail, without regard to case.
    email: Option<String>,
    /// From the page before.
    cursor: Option<String>,
    /// Items in a page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

/// Lists accounts, newest first.
///
/// # Errors
/// 403.
#[utoipa::path(get, path = "/v1/users", tag = "users", security(("bearer" = [])), params(UsersQuery),
    responses((status = 200, body = Page<User>), (status = 403, description = "forbidden")))]
pub async fn list(
    _: Admin,
    req: HttpRequest,
    query: web::Query<UsersQuery>,
) -> Result<web::Json<Page<User>>, ApiError> {
    let query = query.into_inner();
    let pages = PageQuery { cursor: query.cursor, limit: query.limit };
    let (limit, after) = (pages.limit()?, pages.after::<ByTime>()?);
    let after = after.map(|place| UserId::parse(&place.id).map(|id| (place.at(), id))).transpose();
    let after = after.map_err(|_| ApiError::bad_request("not a cursor of this list"))?;
    let email = query.email.as_deref().map(Email::parse).transpose()?;
    let state = state(&req);
    let client = state.pg.get().await?;
    let users = users::list(&**client, email.as_ref(), after, limit + 1).await?;
    Ok(web::Json(page(users, limit, |last| ByTime::of(last.created_at, last.id))))
}

/// Makes an account for somebody else. The code in the answer, shown only now, sets its first password within a week.
///
/// # Errors
/// 409 when the e-mail is taken, 422 for a value that breaks a rule.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = CreateUser, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again, the same request gets the same answer.")),
    responses((status = 201, body = NewUser), (status = 409, description = "email-taken"), (status = 422, description = "invalid-value")))]
pub async fn create(admin: Admin, req: HttpRequest, body: Json<CreateUser>) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    let by = Actor::new(&admin.identity, &admin.origin);
    let scope = admin.identity.user.to_string();
    let work = async { Answer::created(&accounts::create(&state, &body.value, &by).await?, None) };
    once(&state, &req, &scope, &body.hash, work).await
}

fn user_in_path(path: &str) -> Result<UserId, ApiError> {
    UserId::parse(path).map_err(|_| ApiError::UserNotFound)
}

/// Changes an account's rights, or disables or enables it; what is absent stays.
///
/// # Errors
/// 404; 409 for the account the caller is signed in with.
#[utoipa::path(patch, path = "/v1/users/{user}", tag = "users", request_body = UpdateUser, security(("bearer" = [])),
    params(("user" = String, Path, description = "User id")),
    responses((status = 200, body = User), (status = 404, description = "user-not-found"), (status = 409, description = "own-account")))]
pub async fn update(
    admin: Admin,
    req: HttpRequest,
    path: web::Path<String>,
    body: Json<UpdateUser>,
) -> Result<web::Json<User>, ApiError> {
    let (state, id) = (state(&req), user_in_path(&path)?);
    let by = Actor::new(&admin.identity, &admin.origin);
    rights::update(&state, id, &body.value, &by).await.map(web::Json)
}

/// Makes a code by which the account's owner sets a new password, once, within a day. The one before is void. The old password goes on until then.
///
/// # Errors
/// 404.
#[utoipa::path(post, path = "/v1/users/{user}:reset-password", tag = "users", security(("bearer" = [])),
    params(("user" = String, Path, description = "User id")),
    responses((status = 200, body = PasswordReset), (status = 404, description = "user-not-found")))]
pub async fn reset_password(admin: Admin, req: HttpRequest, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (state, id) = (state(&req), user_in_path(&path)?);
    let made = password::make_code(&state, id, &Actor::new(&admin.identity, &admin.origin)).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(made))
}
