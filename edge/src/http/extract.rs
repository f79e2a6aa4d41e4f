//! What handlers read out of a request: stream, credential, client, and a body with bounds in size and time.

use super::{
    headers::{self, Target},
    query,
};
use crate::{ApiError, Front};
use actix_web::{HttpRequest, http::header, web};
use futures_util::StreamExt as _;
use kit::net::Networks;
use proto::StreamId;
use std::{net::IpAddr, time::Duration};

/// How long a client may take to send a body. Clients wait 8 s for an answer at least, and the node needs its share.
pub(crate) const BODY_WITHIN: Duration = Duration::from_secs(3);
/// How much of a body that is too large is read and dropped before it is refused, in bytes: closing while the client still sends would lose
/// the answer in a connection reset.
const DISCARD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The stream a path ends in, as it was sent: names are never percent-encoded, so one that is cannot exist.
pub(crate) fn stream(req: &HttpRequest) -> Result<StreamId, ApiError> {
    let name = req.uri().path().rsplit('/').next().unwrap_or_default();
    StreamId::parse(name).map_err(|_| ApiError::StreamUnknown)
}

/// The credential of an `Authorization: Bearer` header, `None` when there is no such header.
///
/// Other schemes are refused rather than overlooked: a client that sends one believes it is being checked.
pub(crate) fn bearer(req: &HttpRequest) -> Result<Option<String>, ApiError> {
    let Some(value) = req.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ApiError::TokenMissing)?;
    let (scheme, credential) = text.trim().split_once(' ').ok_or(ApiError::TokenMissing)?;
    let credential = credential.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || credential.is_empty() {
        return Err(ApiError::TokenMissing);
    }
    Ok(Some(credential.to_owned()))
}

/// The Bearer, else the value of `?token=`.
pub(crate) fn credential(req: &HttpRequest) -> Result<Option<String>, ApiError> {
    Ok(bearer(req)?.or_else(|| query::value(req.query_string(), "token")))
}

/// Whether a query value says yes: `1` or `true`.
pub(crate) fn flag(req: &HttpRequest, name: &str) -> bool {
    query::value(req.query_string(), name).is_some_and(|value| matches!(value.as_str(), "1" | "true"))
}

/// Refuses any other media type than `wanted`.
pub(crate) fn require_type(req: &HttpRequest, wanted: &'static str) -> Result<(), ApiError> {
    let value = req.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if value.is_some_and(|value| headers::is_media_type(value, wanted)) {
        Ok(())
    } else {
        Err(ApiError::ContentType { wanted })
    }
}

/// The client's address, by a trusted proxy's word where there is one.
pub(crate) fn client(req: &HttpRequest, front: &Front) -> Result<IpAddr, ApiError> {
    let peer = peer(req).ok_or(ApiError::Internal)?;
    let lines: Vec<&str> = req.headers().get_all(header::X_FORWARDED_FOR).filter_map(|v| v.to_str().ok()).collect();
    Ok(front.config().trusted_proxies.client(peer, lines.into_iter()))
}

/// The client's address, if it is among `networks`. Nobody inside sends `X-Forwarded-For`, so a request that has it came through a proxy, which must be one that is
/// trusted.
pub(crate) fn inside(req: &HttpRequest, front: &Front, networks: &Networks) -> Result<Option<IpAddr>, ApiError> {
    let proxied = req.headers().contains_key(header::X_FORWARDED_FOR) || req.headers().contains_key(header::FORWARDED);
    let by_trusted = peer(req).is_some_and(|peer| front.config().trusted_proxies.contains(peer));
    let from = client(req, front)?;
    Ok(Some(from).filter(|from| networks.contains(*from) && (!proxied || by_trusted)))
}

/// What the request says of the address it was sent to; forwarded values only by a trusted proxy's word.
pub(crate) fn target<'a>(req: &'a HttpRequest, front: &Front) -> Target<'a> {
    let text = |name: header::HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok());
    let trusted = peer(req).is_some_and(|peer| front.config().trusted_proxies.contains(peer));
    let forwarded = |name| if trusted { text(name) } else { None };
    Target {
        host: text(header::HOST).or_else(|| req.uri().authority().map(|authority| authority.as_str())),
        forwarded_proto: forwarded(header::X_FORWARDED_PROTO),
        forwarded_host: forwarded(header::X_FORWARDED_HOST),
    }
}

fn peer(req: &HttpRequest) -> Option<IpAddr> {
    req.peer_addr().map(|address| address.ip())
}

/// Reads a body of at most `limit` bytes within [`BODY_WITHIN`].
pub(crate) async fn body(req: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Vec<u8>, ApiError> {
    let announced =
        req.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if announced.is_some_and(|announced: usize| announced > DISCARD_BYTES_MAX) {
        return Err(ApiError::BodyTooLarge { limit });
    }
    let read = tokio::time::timeout(BODY_WITHIN, collect(payload, limit)).await;
    read.map_err(|_| ApiError::BodyTimeout)?
}

async fn collect(mut payload: web::Payload, limit: usize) -> Result<Vec<u8>, ApiError> {
    let (mut body, mut seen) = (Vec::new(), 0_usize);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::SdpMalformed("the body broke off before its end".to_owned()))?;
        seen = seen.saturating_add(chunk.len());
        if seen > DISCARD_BYTES_MAX {
            break;
        }
        if seen <= limit {
            body.extend_from_slice(&chunk);
        }
    }
    if seen > limit { Err(ApiError::BodyTooLarge { limit }) } else { Ok(body) }
}
