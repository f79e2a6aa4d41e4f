//! `/healthz`, `/readyz`, `/metrics`.

use crate::{ApiError, Front};
use actix_web::{HttpResponse, http::header, web};
use serde::Serialize;

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    dependencies: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'static str,
    ready: bool,
    detail: &'a str,
}

/// 200 while the process runs. It asks nobody, so a dependency's failure never gets an edge restarted.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).content_type("text/plain").body("ok\n")
}

/// 200 when every dependency can be used, else 503; each is named, and nobody is asked just now.
pub(crate) async fn ready(front: web::Data<Front>) -> HttpResponse {
    let known = front.readiness();
    let ready = known.iter().all(|dependency| dependency.ready);
    let shown = known.iter().map(|d| Shown { name: d.name, ready: d.ready, detail: &d.detail }).collect();
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((header::CACHE_CONTROL, "no-store")).json(Ready { ready, dependencies: shown })
}

/// Everything counted, in Prometheus's text format.
pub(crate) async fn metrics(front: web::Data<Front>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(front.metrics().render())
}

/// Any other method: 405.
pub(crate) async fn refuse() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed { allow: "GET" })
}
