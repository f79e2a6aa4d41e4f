//! Answers that are files: entity tags, ranges, what caches may do; and which status a refusal has where a player asks for a file.

use super::pieces::Pieces;
use crate::ApiError;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use bytes::Bytes;
use kit::problem::{Problem, Row};
use std::ops::Range;

/// Methods of files.
pub(crate) const ALLOW: &str = "GET, HEAD, OPTIONS";

/// A file that is whole in memory.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) body: Bytes,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) kind: &'static str,
    pub(crate) cache: String,
}

/// Answers with a file, or a part of it, or that it has not changed. How many of its bytes that sends.
pub(crate) fn answer(req: &HttpRequest, file: File) -> (HttpResponse, usize) {
    let tag = format!("\"{}\"", file.etag);
    let (mut answer, body) = match part(req, &file.body, &tag) {
        Part::Unchanged => (HttpResponse::NotModified(), None),
        Part::Whole => (HttpResponse::Ok(), Some(file.body)),
        Part::Some(range) => {
            let mut answer = HttpResponse::PartialContent();
            let last = range.end.saturating_sub(1);
            answer.insert_header((header::CONTENT_RANGE, format!("bytes {}-{last}/{}", range.start, file.body.len())));
            (answer, Some(file.body.slice(range)))
        }
        Part::None => {
            let mut answer = HttpResponse::RangeNotSatisfiable();
            answer.insert_header((header::CONTENT_RANGE, format!("bytes */{}", file.body.len())));
            return (answer.finish(), 0);
        }
    };
    answer.insert_header((header::ETAG, tag));
    answer.insert_header((header::CACHE_CONTROL, file.cache));
    answer.insert_header((header::ACCEPT_RANGES, "bytes"));
    match body {
        None => (answer.finish(), 0),
        Some(body) => {
            let sent = if req.method() == actix_web::http::Method::HEAD { 0 } else { body.len() };
            answer.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(file.kind)));
            (answer.body(Pieces(body)), sent)
        }
    }
}

/// What of a file is to be sent.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Some(Range<usize>),
    Unchanged,
    /// The range is beyond its end.
    None,
}

fn part(req: &HttpRequest, body: &Bytes, tag: &str) -> Part {
    let text = |name: header::HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|line| matches(line, tag)) {
        return Part::Unchanged;
    }
    // RFC 9110 section 13.1.5: another tag, or a date, means that the whole is wanted.
    if text(header::IF_RANGE).is_some_and(|line| line.trim() != tag) {
        return Part::Whole;
    }
    text(header::RANGE).map_or(Part::Whole, |line| range(line, body.len()))
}

/// Weak comparison with a list of tags (RFC 9110 section 13.1.2).
fn matches(line: &str, tag: &str) -> bool {
    line.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// One range of bytes. Several, another unit, or what does not read, may be answered with the whole (RFC 9110 section 14.2).
fn range(line: &str, len: usize) -> Part {
    let Some(spec) = line.trim().strip_prefix("bytes=").map(str::trim) else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let number = |text: &str| if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<usize>().ok() } else { None };
    let range = match (first.is_empty(), last.is_empty()) {
        (false, false) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(len),
            _ => return Part::Whole,
        },
        (false, true) => match number(first) {
            Some(first) => first..len,
            None => return Part::Whole,
        },
        (true, false) => match number(last) {
            Some(count) => len.saturating_sub(count)..len,
            None => return Part::Whole,
        },
        (true, true) => return Part::Whole,
    };
    if range.start >= range.end { Part::None } else { Part::Some(range) }
}

/// The status of a refusal where a file is asked for: a stream that is not live has none, and players give up on 404 in ways that 409 does not give
/// them.
const fn status(error: &ApiError) -> StatusCode {
    if matches!(error, ApiError::StreamNotLive) { StatusCode::NOT_FOUND } else { error.row().status }
}

/// Refuses a file.
pub(crate) fn refused(error: &ApiError) -> HttpResponse {
    use actix_web::ResponseError as _;
    let row = error.row();
    if status(error) == row.status {
        return error.error_response();
    }
    let (row, detail) = (Row { status: status(error), ..row }, error.detail());
    Problem { retry_after: error.retry_after(), ..Problem::new(row, &detail) }.response()
}

/// The stream of `{stream}.{extension}`, the last part of a path.
pub(crate) fn stream(req: &HttpRequest, extension: &str) -> Result<proto::StreamId, ApiError> {
    let name = last(req).strip_suffix(extension).and_then(|rest| rest.strip_suffix('.'));
    name.and_then(|name| proto::StreamId::parse(name).ok()).ok_or(ApiError::StreamUnknown)
}

/// The last part of a path as it was sent: names are never percent-encoded.
pub(crate) fn last(req: &HttpRequest) -> &str {
    req.uri().path().rsplit('/').next().unwrap_or_default()
}

/// `OPTIONS`: 200 for anybody.
pub(crate) async fn options() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::ALLOW, ALLOW)).finish()
}

/// Any other method: 405.
pub(crate) async fn refuse() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed { allow: ALLOW })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    #[test]
    fn one_range_is_served_and_anything_else_is_the_whole() {
        let of = |line: &str| range(line, 10);
        assert_eq!(of("bytes=0-0"), Part::Some(0..1));
        assert_eq!(of("bytes=2-5"), Part::Some(2..6));
        assert_eq!(of("bytes=2-"), Part::Some(2..10));
        assert_eq!(of("bytes=-3"), Part::Some(7..10));
        assert_eq!(of("bytes=-99"), Part::Some(0..10));
        assert_eq!(of("bytes=5-99"), Part::Some(5..10));
        assert_eq!(of("bytes=10-"), Part::None);
        assert_eq!(of("bytes=-0"), Part::None);
        for whole in
            ["bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=0x1-2", "bytes=1"]
        {
            assert_eq!(of(whole), Part::Whole, "{whole}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_always_inside(line in "bytes=[0-9]{0,22}-[0-9]{0,22}", len in 0_usize..100) {
            if let Part::Some(range) = range(&line, len) {
                prop_assert!(range.start < range.end && range.end <= len);
            }
        }
    }

    #[test]
    fn conditions_come_before_ranges() {
        let body = Bytes::from_static(b"0123456789");
        let of = |name: &str, value: &str| {
            let req = TestRequest::default().insert_header(("range", "bytes=1-2")).insert_header((name, value));
            part(&req.to_http_request(), &body, "\"x\"")
        };
        assert_eq!(of("if-none-match", "\"a\", W/\"x\""), Part::Unchanged);
        assert_eq!(of("if-none-match", "\"a\""), Part::Some(1..3));
        assert_eq!(of("if-range", "\"x\""), Part::Some(1..3));
        assert_eq!(of("if-range", "\"a\""), Part::Whole);
    }

    #[test]
    fn a_file_of_a_stream_that_is_not_live_is_not_found() {
        for error in ApiError::all() {
            let expected = if error == ApiError::StreamNotLive { StatusCode::NOT_FOUND } else { error.row().status };
            assert_eq!(refused(&error).status(), expected, "{error}");
        }
        assert_eq!(refused(&ApiError::StreamNotLive).headers().get("retry-after").unwrap(), "2");
    }
}
