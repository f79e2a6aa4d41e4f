//! Around every request: its id, its client's address, its span, its metrics, and the one log line of a failure.

use super::caller::{Origin, state};
use crate::error::ApiError;
use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use proto::{SessionId, StreamId};
use std::{net::IpAddr, time::Instant};
use tracing::Instrument as _;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken over from a client.
const REQUEST_ID_LEN_MAX: usize = 64;
/// The route label of what matches no route.
const UNMATCHED: &str = "unmatched";

/// The middleware.
///
/// # Errors
/// None of its own.
pub async fn observe(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let origin = origin(&req);
    let request_id = origin.request_id.clone();
    // Never the path: a hook's has a secret in it, and streams are no label.
    let route = req.match_pattern().unwrap_or_else(|| UNMATCHED.to_owned());
    let method = req.method().clone();
    // Handlers fill in stream and session when they know them ([`concerns`]): then they stand in every line of the log, and make the trace.
    let span = tracing::info_span!(
        "request", request.id = %request_id, method = %method, route = %route,
        stream.id = tracing::field::Empty, session.id = tracing::field::Empty
    );
    let metrics = state(req.request()).metrics.clone();
    req.extensions_mut().insert(origin);
    let mut response = next.call(req).instrument(span.clone()).await?;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status();
    metrics.http_answered(&route, method.as_str(), status.as_u16(), started.elapsed());
    span.in_scope(|| match response.response().error().map(|error| error.as_error::<ApiError>()) {
        Some(Some(error)) if status.is_server_error() => {
            tracing::error!(status = status.as_u16(), code = error.row().code, cause = %kit::telemetry::chain(error), "request failed");
        }
        Some(Some(error)) => {
            tracing::debug!(status = status.as_u16(), code = error.row().code, %error, "request refused")
        }
        _ => tracing::debug!(status = status.as_u16(), "request answered"),
    });
    Ok(response)
}

/// The request under way concerns this session.
pub fn concerns(stream: &StreamId, session: &SessionId) {
    let span = tracing::Span::current();
    span.record("stream.id", tracing::field::display(stream));
    span.record("session.id", tracing::field::display(session));
}

fn origin(req: &ServiceRequest) -> Origin {
    let headers = req.headers();
    let peer = req.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip());
    let forwarded = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
    let ip = state(req.request()).config.trusted_proxies.client(peer, forwarded.into_iter());
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_request_id(id));
    let request_id = given.map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned);
    Origin { ip, request_id }
}

fn is_request_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= REQUEST_ID_LEN_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_of_strangers_are_harmless_or_replaced() {
        assert!(is_request_id("01JD-x_1.2"));
        for bad in ["", "a b", "a\nb", "ä", &"x".repeat(65)] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }
}
