//! Everything a request can fail with, and the one table that maps it to HTTP. `docs/errors.md` lists the same rows.

use crate::domain::{Invalid, account::RefreshRefused};
use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use kit::{
    kv::KvError,
    pg::PgError,
    problem::{Problem, Row},
    token::TokenError,
};

/// Seconds after which a client may try again when a store is away.
pub const RETRY_AWAY_SECONDS: u64 = 2;

/// Failure of a request. The text of a variant is its `detail`: for clients, so it never carries the cause of a 5xx.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request cannot be read: JSON, query or header of another shape.
    #[error("{detail}")]
    BadRequest {
        /// Path into the body, when one field is at fault.
        field: Option<String>,
        /// What is wrong with it.
        detail: String,
    },
    /// It reads, but a value breaks a rule.
    #[error("{}: {}", .0.field, .0.rule)]
    Invalid(#[from] Invalid),
    /// The body is longer than the route takes.
    #[error("the body may have at most {limit} bytes")]
    BodyTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive within {seconds} s")]
    BodyTimeout {
        /// Seconds allowed.
        seconds: u64,
    },
    /// A body of another type.
    #[error("the body must be sent as application/json")]
    MediaType,
    /// No credential, or one that does not verify.
    #[error("a valid `Authorization: Bearer` is needed")]
    Unauthenticated,
    /// The access token's time is over.
    #[error("the access token has expired; refresh it")]
    AccessExpired,
    /// E-mail or password is wrong; which one is not told.
    #[error("e-mail or password is wrong")]
    BadLogin,
    /// The account was disabled by an admin.
    #[error("this account is disabled; an admin of this cluster can enable it")]
    AccountDisabled,
    /// The current password is another.
    #[error("the current password is wrong")]
    WrongPassword,
    /// The code is not good.
    #[error("this code is not known, was used, or has expired; ask an admin for another")]
    ResetInvalid,
    /// The refresh token is not good.
    #[error(transparent)]
    Refresh(#[from] RefreshRefused),
    /// The cookie form was used without its header.
    #[error("`?session=cookie` needs the header `X-Keystone: 1`")]
    HeaderMissing,
    /// Known, but not allowed.
    #[error("this is not yours to do")]
    Forbidden,
    /// An admin's own account.
    #[error("this is the account you are signed in with; another admin can change it")]
    OwnAccount,
    /// No such account.
    #[error("there is no such account")]
    UserNotFound,
    /// No such path.
    #[error("there is no such path")]
    RouteNotFound,
    /// No such stream, or not one the caller may know of.
    #[error("there is no such stream")]
    StreamNotFound,
    /// No such token of that stream.
    #[error("this stream has no such token")]
    TokenNotFound,
    /// No node of that name with that secret.
    #[error("there is no such node, or its secret is another")]
    NodeUnknown,
    /// A node's heartbeat says what cannot be; nothing of it was taken in.
    #[error("{why}")]
    HeartbeatRefused {
        /// What is wrong and what to do.
        why: String,
    },
    /// No such node is enrolled.
    #[error("no such node is enrolled")]
    NodeNotFound,
    /// The id is taken.
    #[error("a node of this id is enrolled; change it with PATCH, or take another id")]
    NodeExists,
    /// As many nodes are enrolled as a cluster may have.
    #[error("a cluster may have {limit} nodes; remove some")]
    TooManyNodes {
        /// Nodes allowed.
        limit: i64,
    },
    /// It still carries something.
    #[error("it carries {streams} streams and {sessions} sessions; drain it first, or end them with `?force=1`")]
    NodeBusy {
        /// Live streams.
        streams: usize,
        /// Open sessions.
        sessions: u64,
    },
    /// No other node would take streams.
    #[error("no other node is up to take streams; with ?force=1 it is done all the same")]
    LastNode,
    /// No such session, or not one the caller may know of; also one that ended more than 10 minutes ago.
    #[error("there is no such session")]
    SessionNotFound,
    /// No valid stream key of that hash.
    #[error("there is no such stream key")]
    KeyNotFound,
    /// Somebody else publishes the stream.
    #[error("the stream is being published; try again in {retry_after} s, or with takeover=1")]
    StreamBusy {
        /// Seconds after which to ask again.
        retry_after: u64,
    },
    /// None of the proposed nodes can be used.
    #[error("no node can take the stream: {why}")]
    NoNode {
        /// A word on each.
        why: String,
    },
    /// As many event streams are open as one process serves.
    #[error("too many event streams are open here; try again")]
    TooManyListeners,
    /// The path is known, the method is not.
    #[error("this path takes {allow}")]
    MethodNotAllowed {
        /// The methods it takes, as in `Allow`.
        allow: String,
    },
    /// Only admins make accounts here.
    #[error("accounts are made by an admin here; ask one")]
    RegistrationClosed,
    /// The e-mail is registered already.
    #[error("this e-mail is registered already")]
    EmailTaken,
    /// The owner has as many streams as one may have.
    #[error("an account may have {limit} streams")]
    TooManyStreams {
        /// Streams allowed.
        limit: i64,
    },
    /// The stream has as many valid tokens as one may have.
    #[error("a stream may have {limit} valid tokens; revoke some")]
    TooManyTokens {
        /// Tokens allowed.
        limit: i64,
    },
    /// Another request with the same `Idempotency-Key` is being answered.
    #[error("a request with this Idempotency-Key is being answered")]
    IdempotencyBusy,
    /// The `Idempotency-Key` was used for another request.
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyMismatch,
    /// Too many requests.
    #[error("too many requests; try again in {retry_after} s")]
    RateLimited {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// More sign-ins are waiting than the machine can check soon.
    #[error("too many sign-ins at once; try again")]
    Busy,
    /// Postgres is away.
    #[error("a store is away; try again")]
    PostgresAway(#[source] PgError),
    /// Redis is away and this cannot be done without it.
    #[error("a store is away; try again")]
    RedisAway(#[source] KvError),
    /// This process has not read the cluster's secrets yet, because Postgres was away since its start.
    #[error("not ready yet; try again")]
    NotReady,
    /// It took longer than [`crate::routes::ANSWER_MAX`]; the work goes on to its end.
    #[error("this takes long; it may still be carried out, so look before trying again")]
    TimedOut,
    /// A bug of ours.
    #[error("internal error; the request id names it in the log")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

const fn row(status: StatusCode, code: &'static str, title: &'static str) -> Row {
    Row { status, code, title }
}

impl ApiError {
    /// Status, stable code and title.
    #[must_use]
    pub const fn row(&self) -> Row {
        match self {
            Self::BadRequest { .. } => row(StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            Self::Invalid(_) => row(StatusCode::UNPROCESSABLE_ENTITY, "invalid-value", "Invalid value"),
            Self::BodyTooLarge { .. } => row(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Self::BodyTimeout { .. } => row(StatusCode::REQUEST_TIMEOUT, "body-timeout", "Body did not arrive"),
            Self::MediaType => row(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type"),
            Self::Unauthenticated => row(StatusCode::UNAUTHORIZED, "unauthenticated", "Not signed in"),
            Self::AccessExpired => row(StatusCode::UNAUTHORIZED, "access-expired", "Access token expired"),
            Self::BadLogin => row(StatusCode::UNAUTHORIZED, "bad-login", "Sign-in refused"),
            Self::AccountDisabled => row(StatusCode::FORBIDDEN, "account-disabled", "Account disabled"),
            Self::WrongPassword => row(StatusCode::FORBIDDEN, "wrong-password", "Wrong password"),
            Self::ResetInvalid => row(StatusCode::FORBIDDEN, "reset-invalid", "Code not valid"),
            Self::Refresh(RefreshRefused::Reused) => {
                row(StatusCode::UNAUTHORIZED, "refresh-reused", "Refresh token used twice")
            }
            Self::Refresh(_) => row(StatusCode::UNAUTHORIZED, "refresh-invalid", "Refresh token not valid"),
            Self::HeaderMissing => row(StatusCode::FORBIDDEN, "header-missing", "Header missing"),
            Self::Forbidden => row(StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::OwnAccount => row(StatusCode::CONFLICT, "own-account", "Own account"),
            Self::UserNotFound => row(StatusCode::NOT_FOUND, "user-not-found", "Account not found"),
            Self::RouteNotFound => row(StatusCode::NOT_FOUND, "route-not-found", "Not found"),
            Self::StreamNotFound => row(StatusCode::NOT_FOUND, "stream-not-found", "Stream not found"),
            Self::TokenNotFound => row(StatusCode::NOT_FOUND, "token-not-found", "Token not found"),
            Self::NodeUnknown => row(StatusCode::FORBIDDEN, "node-unknown", "Node not known"),
            Self::HeartbeatRefused { .. } => {
                row(StatusCode::UNPROCESSABLE_ENTITY, "heartbeat-refused", "Heartbeat refused")
            }
            Self::NodeNotFound => row(StatusCode::NOT_FOUND, "node-not-found", "Node not found"),
            Self::NodeExists => row(StatusCode::CONFLICT, "node-exists", "Node exists"),
            Self::TooManyNodes { .. } => row(StatusCode::CONFLICT, "too-many-nodes", "Too many nodes"),
            Self::NodeBusy { .. } => row(StatusCode::CONFLICT, "node-busy", "Node busy"),
            Self::LastNode => row(StatusCode::CONFLICT, "last-node", "Last node"),
            Self::SessionNotFound => row(StatusCode::NOT_FOUND, "session-not-found", "Session not found"),
            Self::KeyNotFound => row(StatusCode::NOT_FOUND, "key-not-found", "Stream key not found"),
            Self::StreamBusy { .. } => row(StatusCode::CONFLICT, "stream-busy", "Stream busy"),
            Self::NoNode { .. } => row(StatusCode::SERVICE_UNAVAILABLE, "no-node", "No node available"),
            Self::TooManyListeners => {
                row(StatusCode::SERVICE_UNAVAILABLE, "too-many-listeners", "Too many event streams")
            }
            Self::MethodNotAllowed { .. } => {
                row(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::RegistrationClosed => row(StatusCode::FORBIDDEN, "registration-closed", "Registration closed"),
            Self::EmailTaken => row(StatusCode::CONFLICT, "email-taken", "E-mail taken"),
            Self::TooManyStreams { .. } => row(StatusCode::CONFLICT, "too-many-streams", "Too many streams"),
            Self::TooManyTokens { .. } => row(StatusCode::CONFLICT, "too-many-tokens", "Too many tokens"),
            Self::IdempotencyBusy => row(StatusCode::CONFLICT, "idempotency-busy", "Request under way"),
            Self::IdempotencyMismatch => {
                row(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-mismatch", "Idempotency-Key used before")
            }
            Self::RateLimited { .. } => row(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::Busy => row(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy"),
            Self::PostgresAway(_) => row(StatusCode::SERVICE_UNAVAILABLE, "postgres-away", "Store away"),
            Self::RedisAway(_) => row(StatusCode::SERVICE_UNAVAILABLE, "redis-away", "Store away"),
            Self::NotReady => row(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready"),
            Self::TimedOut => row(StatusCode::SERVICE_UNAVAILABLE, "timed-out", "Took too long"),
            Self::Internal(_) => row(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// A request that cannot be read, without a field to point at.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::BadRequest { field: None, detail: detail.into() }
    }

    /// A bug of ours, with its cause for the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// A bug of ours, told as text because its cause cannot cross threads.
    pub fn internal_text(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string().into())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most failures have no time after which they end")]
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after } | Self::StreamBusy { retry_after } => Some(*retry_after),
            Self::IdempotencyBusy | Self::Busy | Self::NotReady => Some(1),
            Self::PostgresAway(_)
            | Self::RedisAway(_)
            | Self::NoNode { .. }
            | Self::TooManyListeners
            | Self::TimedOut => Some(RETRY_AWAY_SECONDS),
            _ => None,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most failures are of no field")]
    fn field(&self) -> Option<&str> {
        match self {
            Self::BadRequest { field, .. } => field.as_deref(),
            Self::Invalid(invalid) => Some(invalid.field),
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.row().status
    }

    fn error_response(&self) -> HttpResponse {
        let detail = self.to_string();
        let problem =
            Problem { row: self.row(), detail: &detail, field: self.field(), retry_after: self.retry_after() };
        let mut response = problem.response();
        if self.row().status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::MethodNotAllowed { allow } = self
            && let Ok(value) = HeaderValue::from_str(allow)
        {
            response.headers_mut().insert(header::ALLOW, value);
        }
        response
    }
}

impl From<PgError> for ApiError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Away(_) => Self::PostgresAway(error),
            PgError::Statement(_) => Self::internal(error),
        }
    }
}

impl From<tokio_postgres::Error> for ApiError {
    fn from(error: tokio_postgres::Error) -> Self {
        PgError::from(error).into()
    }
}

impl From<KvError> for ApiError {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Away => Self::RedisAway(error),
            KvError::Refused(_) | KvError::Shape => Self::internal(error),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::AccessExpired,
            TokenError::Malformed | TokenError::UnknownKey | TokenError::Signature => Self::Unauthenticated,
        }
    }
}
