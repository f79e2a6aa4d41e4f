//! What browsers need to see before they let a page read an answer (Fetch standard, docs/whip-whep.md W19 to W22).
//!
//! The lists are written out: `*` does not cover `Authorization`, and it does not work together with credentials.

use crate::config::CorsOrigins;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// Methods of all resources together. `PATCH` is there on endpoints too, because clients decide on trickling by what `OPTIONS` on the endpoint says.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS");
/// Request headers that clients send; `ETag` is one client's mistake for `If-Match`, and its preflight must pass all the same.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, If-Match, ETag, Range, If-Range, If-None-Match");
/// Answer headers that pages may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Location, ETag, Link, Retry-After, WWW-Authenticate, Accept-Post, Accept-Patch, Allow, Access-Control-Allow-Methods, Content-Range, Accept-Ranges, \
     X-Keystone-Edge, X-Request-Id",
);
/// How long a preflight's answer may be kept, in seconds: two hours is the most that Chromium takes.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Adds to an answer what `origins` allows a page of `origin` to see; `options` says that the request's method was `OPTIONS`.
pub(crate) fn dress(headers: &mut HeaderMap, origins: &CorsOrigins, origin: Option<&HeaderValue>, options: bool) {
    match origins {
        CorsOrigins::Any => headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        CorsOrigins::List(list) => {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            let known = origin.filter(|origin| list.iter().any(|known| known.as_bytes() == origin.as_bytes()));
            let Some(origin) = known else { return };
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())
        }
    };
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if options {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_asking_origin_or_none() {
        let origins: CorsOrigins = "https://a.example".parse().unwrap();
        let dressed = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            dress(&mut headers, &origins, Some(&HeaderValue::from_static(origin)), true);
            headers
        };
        let known = dressed("https://a.example");
        assert_eq!(known.get("access-control-allow-origin").unwrap(), "https://a.example");
        assert_eq!(known.get("vary").unwrap(), "Origin");
        let stranger = dressed("https://b.example");
        assert!(stranger.get("access-control-allow-origin").is_none() && stranger.get("vary").is_some());
    }
}
