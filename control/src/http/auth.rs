//! `/v1/auth`: register, login, refresh, logout, me.

use super::{
    body::{Json, MaybeJson},
    caller::{AccessClaims, Anyone, Identity, Origin, User as SignedIn, bearer, identity, state},
    once::{Answer, once},
    public,
};
use crate::{
    accounts::{self, Client, Granted},
    app::State,
    domain::{
        account::{ACCESS_LIFE, REFRESH_LIFE, RefreshToken},
        limit,
    },
    error::ApiError,
};
use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite},
    http::header,
    web,
};
use kit::clock;
use proto::{
    api::{AccessToken, Login, Refresh, Register, Registration, User},
    token::{ACCESS_AUDIENCE, ISSUER},
};
use serde::Deserialize;

/// Name of the refresh cookie.
pub const COOKIE: &str = "ks_refresh";
/// The header that a page of another origin cannot send without asking: with it a cookie is ours to use.
pub const HEADER: &str = "x-keystone";

/// Where the refresh token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Session {
    /// In an `HttpOnly` cookie; the request needs the header `X-Keystone: 1`.
    Cookie,
}

/// `?session=cookie`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    /// How the refresh token travels: in the JSON bodies, or as a cookie.
    #[param(inline)]
    session: Option<Session>,
}

/// `?session=cookie&everywhere=1`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogoutQuery {
    /// How the refresh token travels: in the JSON body, or as a cookie.
    #[param(inline)]
    session: Option<Session>,
    /// `1`: sign out of every device.
    everywhere: Option<u8>,
}

fn check_header(req: &HttpRequest, session: Option<Session>) -> Result<bool, ApiError> {
    match session {
        None => Ok(false),
        Some(Session::Cookie) if req.headers().get(HEADER).is_some_and(|value| value == "1") => Ok(true),
        Some(Session::Cookie) => Err(ApiError::HeaderMissing),
    }
}

fn client(req: &HttpRequest, origin: &Origin) -> Client {
    let agent = req.headers().get(header::USER_AGENT).map(|value| value.as_bytes()).unwrap_or_default();
    Client::new(origin.ip, agent)
}

/// Makes an account.
///
/// # Errors
/// 403 when only admins make accounts, 409 when the e-mail is taken.
#[utoipa::path(post, path = "/v1/auth/register", tag = "auth", request_body = Register,
    responses((status = 201, body = User), (status = 403, description = "registration-closed"), (status = 409, description = "email-taken"), (status = 422, description = "invalid-value")))]
pub async fn register(anyone: Anyone, req: HttpRequest, body: Json<Register>) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    state.limits.take_at(limit::REGISTER, anyone.origin.ip).await?;
    let scope = format!("address-{}", anyone.origin.ip);
    let work = async {
        let user = accounts::register(&state, &body.value, anyone.origin.ip).await?;
        Answer::created(&user, None)
    };
    once(&state, &req, &scope, &body.hash, work).await
}

/// Whether anybody may register.
#[utoipa::path(get, path = "/v1/auth/register", tag = "auth", responses((status = 200, body = Registration)))]
pub async fn registration(_: Anyone, req: HttpRequest) -> web::Json<Registration> {
    web::Json(Registration { open: state(&req).config.registration_open })
}

/// Signs in.
///
/// # Errors
/// 401 for a wrong e-mail or password, 429 after too many tries.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth", request_body = Login, params(SessionQuery),
    responses((status = 200, body = AccessToken), (status = 401, description = "bad-login"), (status = 429, description = "rate-limited")))]
pub async fn login(
    anyone: Anyone,
    req: HttpRequest,
    query: web::Query<SessionQuery>,
    body: Json<Login>,
) -> Result<HttpResponse, ApiError> {
    let by_cookie = check_header(&req, query.session)?;
    let state = state(&req);
    let granted = accounts::login(&state, body.value, &client(&req, &anyone.origin)).await?;
    answer(&req, &state, &granted, by_cookie)
}

/// Exchanges a refresh token for an access token and the next refresh token.
///
/// # Errors
/// 401 when it is not good; used twice, its whole sign-in ends.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "auth", request_body = Option<Refresh>, params(SessionQuery),
    responses((status = 200, body = AccessToken), (status = 401, description = "refresh-invalid, refresh-reused")))]
pub async fn refresh(
    anyone: Anyone,
    req: HttpRequest,
    query: web::Query<SessionQuery>,
    body: MaybeJson<Refresh>,
) -> Result<HttpResponse, ApiError> {
    let by_cookie = check_header(&req, query.session)?;
    let state = state(&req);
    state.limits.take_at(limit::REFRESH, anyone.origin.ip).await?;
    let token = presented(&req, by_cookie, body.value)?.ok_or(ApiError::Unauthenticated)?;
    let granted = accounts::refresh(&state, &token, &client(&req, &anyone.origin)).await?;
    answer(&req, &state, &granted, by_cookie)
}

/// Signs out: here, or everywhere. Doing so twice is no failure.
///
/// # Errors
/// 401 when neither a refresh token nor a bearer is sent.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "auth", request_body = Option<Refresh>, params(LogoutQuery),
    responses((status = 204), (status = 401, description = "unauthenticated")))]
pub async fn logout(
    anyone: Anyone,
    req: HttpRequest,
    query: web::Query<LogoutQuery>,
    body: MaybeJson<Refresh>,
) -> Result<HttpResponse, ApiError> {
    let by_cookie = check_header(&req, query.session)?;
    let state = state(&req);
    state.limits.take_at(limit::REFRESH, anyone.origin.ip).await?;
    let everywhere = query.everywhere == Some(1);
    match presented(&req, by_cookie, body.value)? {
        Some(token) => accounts::logout(&state, &token, everywhere, anyone.origin.ip).await?,
        None if bearer(&req).is_some() => {
            let who = identity(&req)?.ok_or(ApiError::Unauthenticated)?;
            accounts::logout_family(&state, who.family, who.user, everywhere, anyone.origin.ip).await?;
        }
        None => return Err(ApiError::Unauthenticated),
    }
    let mut response = HttpResponse::NoContent();
    if by_cookie {
        let mut gone = cookie(&req, &state, String::new());
        gone.make_removal();
        response.cookie(gone);
    }
    Ok(response.finish())
}

/// Who is signed in.
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/v1/auth/me", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = User), (status = 401, description = "unauthenticated")))]
pub async fn me(user: SignedIn, req: HttpRequest) -> Result<web::Json<User>, ApiError> {
    let user = accounts::get(&state(&req), user.identity.user).await?;
    user.map(web::Json).ok_or(ApiError::Unauthenticated)
}

fn presented(req: &HttpRequest, by_cookie: bool, body: Option<Refresh>) -> Result<Option<RefreshToken>, ApiError> {
    let text = if by_cookie {
        req.cookie(COOKIE).map(|cookie| cookie.value().to_owned())
    } else {
        body.map(|body| body.refresh_token)
    };
    let unknown = crate::domain::account::RefreshRefused::Unknown;
    text.map(|text| RefreshToken::parse(&text).ok_or(ApiError::Refresh(unknown))).transpose()
}

fn answer(req: &HttpRequest, state: &State, granted: &Granted, by_cookie: bool) -> Result<HttpResponse, ApiError> {
    let life = ACCESS_LIFE.whole_seconds().unsigned_abs();
    let now = clock::unix();
    let who = Identity { user: granted.user.id, role: granted.user.role, family: granted.family };
    let claims = AccessClaims {
        iss: ISSUER.to_owned(),
        aud: ACCESS_AUDIENCE.to_owned(),
        sub: who.user,
        role: who.role,
        family: who.family,
        iat: now,
        exp: now + life,
    };
    let refresh_token = granted.token.expose();
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if by_cookie {
        response.cookie(cookie(req, state, refresh_token.clone()));
    }
    Ok(response.json(AccessToken {
        access_token: state.access.sign(&claims).map_err(ApiError::internal)?,
        token_type: "Bearer".to_owned(),
        expires_in: life,
        refresh_token: (!by_cookie).then_some(refresh_token),
        user: granted.user.clone(),
    }))
}

fn cookie(req: &HttpRequest, state: &State, value: String) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path(format!("{}/v1/auth", state.config.public_path))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(public::is_https(req, &state.config))
        .max_age(actix_web::cookie::time::Duration::seconds(REFRESH_LIFE.whole_seconds()))
        .finish()
}
