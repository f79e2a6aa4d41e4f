//! What every answer carries, and the one place where requests are counted and logged.

use super::cors;
use crate::{Front, routes};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, Method,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use std::time::Instant;
use tracing::Instrument as _;

const EDGE: HeaderName = HeaderName::from_static("x-keystone-edge");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id and a span, and its answer CORS headers, `X-Keystone-Edge` and `X-Request-Id`. Neither path nor query is logged:
/// they hold handles and tokens.
pub(crate) async fn dress(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let front = req.app_data::<web::Data<Front>>().cloned();
    let front = front.ok_or_else(|| actix_web::error::ErrorInternalServerError("no front in the app data"))?;
    let id = uuid::Uuid::now_v7().to_string();
    let method = req.method().clone();
    let origin = req.headers().get(header::ORIGIN).cloned();
    // The flows fill in stream and session when they know them: then they stand in every line of the log, and make the trace.
    let span = tracing::info_span!(
        "request",
        request.id = id.as_str(),
        http.method = method_label(&method),
        stream.id = tracing::field::Empty,
        session.id = tracing::field::Empty
    );
    let mut answer = next.call(req).instrument(span.clone()).await?;
    let headers = answer.headers_mut();
    cors::dress(headers, &front.config().cors, origin.as_ref(), method == Method::OPTIONS);
    headers.insert(EDGE, text(front.edge().as_str()));
    headers.insert(REQUEST_ID, text(&id));
    if front.leaving() {
        // A client that keeps its connection would come back here.
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let route = routes::label(answer.request().match_pattern().as_deref());
    let status = answer.status().as_u16();
    front.metrics().http_answered(route, method_label(&method), status, started.elapsed().as_secs_f64());
    span.in_scope(|| tracing::debug!(http.route = route, http.status = status, "answered {status}"));
    Ok(answer)
}

/// A header value of our own making: ids in ASCII.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
