//! Everything a request may be refused with, and the one table from kind to status, code and title.
//!
//! `detail` is for clients. Causes of 5xx are logged where they are found, once. docs/edge-errors.md lists the table; a test compares the two.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use kit::problem::{Problem, Row};

/// Seconds after which a viewer of a stream that is not live may ask again.
pub const NOT_LIVE_RETRY_SECONDS: u64 = 2;
/// Seconds after which to try again when a node, Redis or control-api was away.
pub const AWAY_RETRY_SECONDS: u64 = 2;
/// Seconds after which to try again when an edge was about to end.
pub const LEAVING_RETRY_SECONDS: u64 = 1;
/// Seconds after which to try again when a publisher holds the stream and control-api did not say.
pub const BUSY_RETRY_SECONDS: u64 = 3;

/// Why a credential is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not a token or key of this cluster, or one whose signature or check is wrong.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was revoked, or rotated away.
    Revoked,
    /// It was good for one admission, which was taken.
    Used,
}

impl Fault {
    const fn detail(self) -> &'static str {
        match self {
            Self::Unknown => "the token or stream key is not valid",
            Self::Expired => "the token or stream key has expired",
            Self::Revoked => "the token or stream key was revoked",
            Self::Used => "the token was good for one use and has been used",
        }
    }
}

/// Why a good credential does not fit this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeFault {
    /// It is for another stream.
    Stream,
    /// It allows the other role.
    Action,
    /// It is bound to another address.
    Address,
}

impl ScopeFault {
    const fn detail(self) -> &'static str {
        match self {
            Self::Stream => "the credential is for another stream",
            Self::Action => "the credential does not allow this: publishing and playing need a token of their own",
            Self::Address => "the token is bound to another address",
        }
    }
}

/// A refusal, as the client hears it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No such path.
    #[error("no such path")]
    NotFound,
    /// The path exists for other methods.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// The `Allow` header.
        allow: &'static str,
    },
    /// A query or path parameter that cannot be right.
    #[error("bad query: {0}")]
    Query(String),
    /// A JSON body that does not read.
    #[error("bad JSON: {0}")]
    Json(String),
    /// Another `Content-Type` than the one named.
    #[error("content type must be {wanted}")]
    ContentType {
        /// What is taken, for `Accept-Post` or `Accept-Patch`.
        wanted: &'static str,
    },
    /// More body than is read.
    #[error("body over {limit} bytes")]
    BodyTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The body did not come in time.
    #[error("body did not end")]
    BodyTimeout,
    /// The offer is not SDP, or breaks a MUST.
    #[error("bad offer: {0}")]
    SdpMalformed(String),
    /// The offer is well formed and cannot be served.
    #[error("offer cannot be served: {0}")]
    SdpUnsupported(String),
    /// A trickle fragment that does not read.
    #[error("bad fragment: {0}")]
    Fragment(String),
    /// An ICE restart was asked for.
    #[error("ice restart is not supported")]
    IceRestart,
    /// A PATCH without `If-Match`.
    #[error("If-Match is missing")]
    IfMatchMissing,
    /// A PATCH whose `If-Match` names another ICE session.
    #[error("If-Match names another session")]
    IfMatchMismatch,
    /// No credential where one is needed.
    #[error("a token is needed")]
    TokenMissing,
    /// A credential that is not good.
    #[error("bad token: {0:?}")]
    TokenInvalid(Fault),
    /// A good credential for something else.
    #[error("token out of scope: {0:?}")]
    TokenScope(ScopeFault),
    /// The cluster refused what the edge had admitted.
    #[error("the cluster refused the session")]
    Refused,
    /// No such stream.
    #[error("no such stream")]
    StreamUnknown,
    /// Nobody publishes it.
    #[error("nobody publishes the stream")]
    StreamNotLive,
    /// Somebody else publishes it.
    #[error("somebody publishes the stream")]
    StreamBusy {
        /// Seconds.
        retry_after: u64,
    },
    /// Too many requests from this address.
    #[error("too many requests")]
    RateLimited {
        /// Seconds.
        retry_after: u64,
    },
    /// No such session, or it has ended.
    #[error("no such session")]
    SessionUnknown,
    /// A segment that no playlist names, or that is gone.
    #[error("no such segment")]
    SegmentUnknown,
    /// There is no picture of the stream now.
    #[error("no thumbnail")]
    ThumbnailAbsent,
    /// This edge makes no pictures.
    #[error("thumbnails are off")]
    ThumbnailsOff,
    /// The media node took the viewer in and sent nothing.
    #[error("no media came")]
    MediaLate,
    /// As many viewers as this edge holds.
    #[error("this edge is full")]
    EdgeFull,
    /// No media node can take it now.
    #[error("no media node can take the session")]
    NodeUnavailable,
    /// This edge is about to end: the load balancer's next one takes the session.
    #[error("this edge is about to end")]
    Leaving,
    /// The media node hung up or answered what cannot be used.
    #[error("the media node did not answer properly")]
    UpstreamRefused,
    /// Redis, control-api or the cluster's secrets are away, and the request cannot be decided without them.
    #[error("{what} is away")]
    Away {
        /// Which dependency, in a word.
        what: &'static str,
    },
    /// A bug of ours, logged where it was found.
    #[error("internal error")]
    Internal,
}

const fn row(status: StatusCode, code: &'static str, title: &'static str) -> Row {
    Row { status, code, title }
}

impl ApiError {
    /// One of each kind, for docs and tests.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let text = String::new;
        vec![
            Self::NotFound,
            Self::MethodNotAllowed { allow: "GET" },
            Self::Query(text()),
            Self::Json(text()),
            Self::ContentType { wanted: "application/sdp" },
            Self::BodyTooLarge { limit: 1 },
            Self::BodyTimeout,
            Self::SdpMalformed(text()),
            Self::SdpUnsupported(text()),
            Self::Fragment(text()),
            Self::IceRestart,
            Self::IfMatchMissing,
            Self::IfMatchMismatch,
            Self::TokenMissing,
            Self::TokenInvalid(Fault::Unknown),
            Self::TokenScope(ScopeFault::Stream),
            Self::Refused,
            Self::StreamUnknown,
            Self::StreamNotLive,
            Self::StreamBusy { retry_after: 1 },
            Self::RateLimited { retry_after: 1 },
            Self::SessionUnknown,
            Self::SegmentUnknown,
            Self::ThumbnailAbsent,
            Self::ThumbnailsOff,
            Self::MediaLate,
            Self::EdgeFull,
            Self::NodeUnavailable,
            Self::Leaving,
            Self::UpstreamRefused,
            Self::Away { what: "redis" },
            Self::Internal,
        ]
    }

    /// Status, stable code and title.
    #[must_use]
    pub const fn row(&self) -> Row {
        match self {
            Self::NotFound => row(StatusCode::NOT_FOUND, "not-found", "No such path"),
            Self::MethodNotAllowed { .. } => {
                row(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::Query(_) => row(StatusCode::BAD_REQUEST, "query-invalid", "Bad parameter"),
            Self::Json(_) => row(StatusCode::BAD_REQUEST, "json-invalid", "Bad JSON body"),
            Self::ContentType { .. } => row(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", "Wrong content type"),
            Self::BodyTooLarge { .. } => row(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Self::BodyTimeout => row(StatusCode::REQUEST_TIMEOUT, "body-timeout", "Body did not end"),
            Self::SdpMalformed(_) => row(StatusCode::BAD_REQUEST, "sdp-malformed", "Bad SDP offer"),
            Self::SdpUnsupported(_) => {
                row(StatusCode::UNPROCESSABLE_ENTITY, "sdp-unsupported", "Offer cannot be served")
            }
            Self::Fragment(_) => row(StatusCode::BAD_REQUEST, "fragment-malformed", "Bad SDP fragment"),
            Self::IceRestart => {
                row(StatusCode::UNPROCESSABLE_ENTITY, "ice-restart-unsupported", "ICE restart not supported")
            }
            Self::IfMatchMissing => row(StatusCode::PRECONDITION_REQUIRED, "if-match-missing", "If-Match needed"),
            Self::IfMatchMismatch => row(StatusCode::PRECONDITION_FAILED, "if-match-mismatch", "Another ICE session"),
            Self::TokenMissing => row(StatusCode::UNAUTHORIZED, "token-missing", "Token needed"),
            Self::TokenInvalid(_) => row(StatusCode::UNAUTHORIZED, "token-invalid", "Invalid token"),
            Self::TokenScope(_) => row(StatusCode::FORBIDDEN, "token-scope", "Token is for something else"),
            Self::Refused => row(StatusCode::FORBIDDEN, "session-refused", "Session refused"),
            Self::StreamUnknown => row(StatusCode::NOT_FOUND, "stream-unknown", "No such stream"),
            Self::StreamNotLive => row(StatusCode::CONFLICT, "stream-not-live", "Stream is not live"),
            Self::StreamBusy { .. } => row(StatusCode::CONFLICT, "stream-busy", "Stream is being published"),
            Self::RateLimited { .. } => row(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::SessionUnknown => row(StatusCode::NOT_FOUND, "session-unknown", "No such session"),
            Self::SegmentUnknown => row(StatusCode::NOT_FOUND, "segment-unknown", "No such segment"),
            Self::ThumbnailAbsent => row(StatusCode::NOT_FOUND, "thumbnail-absent", "No thumbnail"),
            Self::ThumbnailsOff => row(StatusCode::NOT_FOUND, "thumbnails-off", "Thumbnails are off"),
            Self::MediaLate => row(StatusCode::GATEWAY_TIMEOUT, "media-late", "No media came"),
            Self::EdgeFull => row(StatusCode::SERVICE_UNAVAILABLE, "edge-full", "Edge is full"),
            Self::NodeUnavailable => row(StatusCode::SERVICE_UNAVAILABLE, "node-unavailable", "No media node"),
            Self::Leaving => row(StatusCode::SERVICE_UNAVAILABLE, "edge-leaving", "Edge is about to end"),
            Self::UpstreamRefused => row(StatusCode::BAD_GATEWAY, "upstream-refused", "Media node did not answer"),
            Self::Away { .. } => row(StatusCode::SERVICE_UNAVAILABLE, "dependency-away", "Temporarily unavailable"),
            Self::Internal => row(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// What to do about it, in words for the client.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Query(why)
            | Self::Json(why)
            | Self::SdpMalformed(why)
            | Self::SdpUnsupported(why)
            | Self::Fragment(why) => why.clone(),
            Self::NotFound => "see /rtc/v1/whip/{stream} and /rtc/v1/whep/{stream}".to_owned(),
            Self::MethodNotAllowed { allow } => format!("use {allow}"),
            Self::ContentType { wanted } => format!("send Content-Type: {wanted}"),
            Self::BodyTooLarge { limit } => format!("at most {limit} bytes are read"),
            Self::BodyTimeout => "the body did not arrive in time".to_owned(),
            Self::IceRestart => "open a new session instead".to_owned(),
            Self::IfMatchMissing => "send If-Match with the session's ETag, or *".to_owned(),
            Self::IfMatchMismatch => "If-Match does not name this session's ETag".to_owned(),
            Self::TokenMissing => "send Authorization: Bearer with a token or stream key".to_owned(),
            Self::TokenInvalid(fault) => fault.detail().to_owned(),
            Self::TokenScope(fault) => fault.detail().to_owned(),
            Self::Refused => "the cluster did not admit the session".to_owned(),
            Self::StreamUnknown => "no stream has this id".to_owned(),
            Self::StreamNotLive => "nobody publishes this stream now".to_owned(),
            Self::StreamBusy { .. } => "another publisher holds this stream".to_owned(),
            Self::RateLimited { .. } => "too many requests from this address".to_owned(),
            Self::SessionUnknown => "the session does not exist or has ended".to_owned(),
            Self::SegmentUnknown => "no playlist names this segment, or it is gone".to_owned(),
            Self::ThumbnailAbsent => "there is no picture of this stream now".to_owned(),
            Self::ThumbnailsOff => "this edge has no ffmpeg to make pictures with: see EDGE_FFMPEG".to_owned(),
            Self::MediaLate => "the media node accepted the viewer and sent no media in time".to_owned(),
            Self::EdgeFull => "this edge holds as many viewers as it can; another one may have room".to_owned(),
            Self::NodeUnavailable => "no media node can take the session now".to_owned(),
            Self::Leaving => "this edge is about to end; ask again, and another one answers".to_owned(),
            Self::UpstreamRefused => "the media node did not accept the session".to_owned(),
            Self::Away { what } => format!("{what} cannot be asked now"),
            Self::Internal => "something went wrong on our side".to_owned(),
        }
    }

    /// Seconds for `Retry-After`, where trying again may help.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        if let Self::StreamBusy { retry_after } | Self::RateLimited { retry_after } = self {
            Some(*retry_after)
        } else if matches!(self, Self::StreamNotLive) {
            Some(NOT_LIVE_RETRY_SECONDS)
        } else if matches!(self, Self::Leaving) {
            Some(LEAVING_RETRY_SECONDS)
        } else if matches!(
            self,
            Self::NodeUnavailable | Self::UpstreamRefused | Self::Away { .. } | Self::EdgeFull | Self::MediaLate
        ) {
            Some(AWAY_RETRY_SECONDS)
        } else {
            None
        }
    }

    const fn challenge(&self) -> Option<&'static str> {
        if matches!(self, Self::TokenMissing) {
            Some("Bearer realm=\"keystone\"")
        } else if matches!(self, Self::TokenInvalid(_)) {
            Some("Bearer realm=\"keystone\", error=\"invalid_token\"")
        } else if matches!(self, Self::TokenScope(_)) {
            Some("Bearer realm=\"keystone\", error=\"insufficient_scope\"")
        } else {
            None
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.row().status
    }

    fn error_response(&self) -> HttpResponse {
        let detail = self.detail();
        let mut response = Problem { retry_after: self.retry_after(), ..Problem::new(self.row(), &detail) }.response();
        let mut set = |name: header::HeaderName, value: &'static str| {
            response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        };
        if let Some(challenge) = self.challenge() {
            set(header::WWW_AUTHENTICATE, challenge);
        }
        if let Self::MethodNotAllowed { allow } = self {
            set(header::ALLOW, allow);
        }
        if let Self::ContentType { wanted } = self {
            // RFC 9725 section 4.2 and RFC 5789 section 2.2: the header that a refused POST or PATCH learns from.
            let post = *wanted == "application/sdp";
            set(header::HeaderName::from_static(if post { "accept-post" } else { "accept-patch" }), wanted);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_documented_table_is_the_one_in_code() {
        let docs = include_str!("../../docs/edge-errors.md");
        let documented: BTreeSet<(String, String)> = docs
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
                Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
            })
            .collect();
        let coded: BTreeSet<(String, String)> =
            ApiError::all().iter().map(|e| (e.row().code.to_owned(), e.row().status.as_u16().to_string())).collect();
        assert_eq!(documented, coded);
        assert_eq!(coded.len(), ApiError::all().len(), "two kinds share a code");
    }

    #[test]
    fn refused_tokens_are_challenged_and_retries_are_told() {
        let response = ApiError::TokenMissing.error_response();
        assert_eq!(response.headers().get("www-authenticate").unwrap(), "Bearer realm=\"keystone\"");
        let response = ApiError::StreamNotLive.error_response();
        assert_eq!(response.status().as_u16(), 409);
        assert_eq!(response.headers().get("retry-after").unwrap(), "2");
        let response = ApiError::MethodNotAllowed { allow: "GET, POST" }.error_response();
        assert_eq!(response.headers().get("allow").unwrap(), "GET, POST");
    }
}
