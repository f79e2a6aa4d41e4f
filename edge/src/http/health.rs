//! `/healthz`, `/readyz`, `/metrics`.

use super::extract;
use crate::{ApiError, Front};
use actix_web::{HttpRequest, HttpResponse, http::header, web};
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
///
/// `?only=edge,secrets` judges by these alone and names the others all the same: an orchestrator that took every edge out of its balancer
/// because Redis is away would end what goes on without it.
pub(crate) async fn ready(req: HttpRequest, front: web::Data<Front>) -> Result<HttpResponse, ApiError> {
    let known = front.readiness();
    let only = only(req.query_string());
    if let Some(word) = only.iter().flatten().find(|word| !known.iter().any(|dependency| dependency.name == **word)) {
        return Err(ApiError::Query(format!("there is no dependency {word}")));
    }
    let counts = |name: &str| only.as_ref().is_none_or(|only| only.contains(&name));
    let ready = known.iter().filter(|dependency| counts(dependency.name)).all(|dependency| dependency.ready);
    let shown = known.iter().map(|d| Shown { name: d.name, ready: d.ready, detail: &d.detail }).collect();
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(answer.insert_header((header::CACHE_CONTROL, "no-store")).json(Ready { ready, dependencies: shown }))
}

/// The words of `only=`; `None` when it is absent.
fn only(query: &str) -> Option<Vec<&str>> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("only="))?;
    Some(value.split(',').collect())
}

/// Everything counted, in Prometheus's text format. To strangers it does not exist: the edge's port is public.
pub(crate) async fn metrics(req: HttpRequest, front: web::Data<Front>) -> Result<HttpResponse, ApiError> {
    if extract::inside(&req, &front, &front.config().metrics_from)?.is_none() {
        return Err(ApiError::NotFound);
    }
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(front.metrics().render()))
}

/// Any other method: 405.
pub(crate) async fn refuse() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed { allow: "GET" })
}
