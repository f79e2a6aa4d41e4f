//! `POST /v1/hooks/srs/{node}/{secret}`, `POST /v1/hooks/heartbeat/{node}/{secret}`, `POST /api/v1/srs/register`: for media nodes only.
//!
//! Whoever does not call from an address of `EDGE_HOOKS_FROM` finds no such path. SRS takes only HTTP 200 with a body whose `code` is the integer
//! 0 as yes.

use super::extract;
use crate::{
    ApiError, Front,
    hooks::{Answer, Beat, Reply, Shown},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use proto::{
    NodeId,
    srs::hook::{Action, BODY_BYTES_MAX},
};
use secrecy::SecretString;
use std::net::IpAddr;

/// Longest secret of a node, in characters.
const SECRET_LEN_MAX: usize = 128;

/// Every action.
pub(crate) async fn srs(
    req: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let from = source(&req, &front, "unread")?;
    let (node, secret) = shown(path.into_inner())?;
    front.hooks().limit("unread", false, from)?;
    let body = extract::body(&req, payload, BODY_BYTES_MAX).await?;
    let reply = front.hooks().hook(from, Shown { node: &node, secret: &secret }, body.into()).await?;
    Ok(match reply {
        Reply::Forwarded(answer) => as_it_is(answer),
        Reply::Yes(Action::OnForward) => json(r#"{"code":0,"data":{"urls":[]}}"#.to_owned()),
        Reply::Yes(_) => json(r#"{"code":0}"#.to_owned()),
        Reply::No(code) => json(format!(r#"{{"code":{code}}}"#)),
    })
}

/// A node's sign of life.
pub(crate) async fn heartbeat(
    req: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let from = source(&req, &front, "heartbeat")?;
    let (node, secret) = shown(path.into_inner())?;
    front.hooks().limit("heartbeat", true, from)?;
    let body = extract::body(&req, payload, BODY_BYTES_MAX).await?;
    let shown = Shown { node: &node, secret: &secret };
    front.hooks().beat(Beat::Heartbeat, from, Some(shown), None, body.into()).await.map(as_it_is)
}

/// The same, as SRS 8 sends it: its secret is a Bearer.
pub(crate) async fn register(
    req: HttpRequest,
    payload: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let from = source(&req, &front, "register")?;
    front.hooks().limit("register", true, from)?;
    let bearer = req.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.map(SecretString::from);
    let body = extract::body(&req, payload, BODY_BYTES_MAX).await?;
    front.hooks().beat(Beat::Register, from, None, bearer, body.into()).await.map(as_it_is)
}

/// Any other method: 405, and again nothing at all for strangers.
pub(crate) async fn refuse(req: HttpRequest, front: web::Data<Front>) -> Result<HttpResponse, ApiError> {
    source(&req, &front, "unread")?;
    Err(ApiError::MethodNotAllowed { allow: "POST" })
}

/// Whose hook it is.
fn source(req: &HttpRequest, front: &Front, kind: &'static str) -> Result<IpAddr, ApiError> {
    extract::inside(req, front, &front.config().hooks_from)?.ok_or_else(|| {
        front.hooks().stranger(kind);
        ApiError::NotFound
    })
}

/// Names that cannot be a node's or its secret's are nobody's.
fn shown((node, secret): (String, String)) -> Result<(NodeId, SecretString), ApiError> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    let fits = !secret.is_empty() && secret.len() <= SECRET_LEN_MAX && secret.bytes().all(letters);
    let node = NodeId::parse(&node).map_err(|_| ApiError::NotFound)?;
    if fits { Ok((node, secret.into())) } else { Err(ApiError::NotFound) }
}

fn as_it_is(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    if let Some(kind) = answer.kind {
        response.insert_header((header::CONTENT_TYPE, kind));
    }
    response.body(answer.body)
}

fn json(body: String) -> HttpResponse {
    HttpResponse::Ok().insert_header(header::ContentType::json()).body(body)
}
