//! `Idempotency-Key` on creating POSTs: a request sent again gets the first one's answer.
//!
//! Answers hold stream keys and tokens, so they are sealed in Redis. With Redis away a request that carries a key is refused, because the
//! promise could not be kept; one without a key goes on.

use crate::{app::State, error::ApiError};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use kit::kv::Cmd;
use proto::{keys, secret::sha256_hex};
use serde::{Deserialize, Serialize};
use std::{future::Future, time::Duration};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long a request may be under way before its key is free again: far longer than any takes.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// What stands in Redis meanwhile.
const PENDING: &str = "pending";
/// Longest key, in characters.
const KEY_LEN_MAX: usize = 128;

/// An answer that can be given twice.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    status: u16,
    location: Option<String>,
    body: serde_json::Value,
    #[serde(default)]
    request: String,
}

impl Answer {
    /// 201 with a body; `location` relative to the request.
    ///
    /// # Errors
    /// A bug: a body that is no JSON.
    pub fn created(body: &impl Serialize, location: Option<String>) -> Result<Self, ApiError> {
        Self::new(StatusCode::CREATED, body, location)
    }

    /// 200 with a body.
    ///
    /// # Errors
    /// A bug: a body that is no JSON.
    pub fn ok(body: &impl Serialize) -> Result<Self, ApiError> {
        Self::new(StatusCode::OK, body, None)
    }

    fn new(status: StatusCode, body: &impl Serialize, location: Option<String>) -> Result<Self, ApiError> {
        let body = serde_json::to_value(body).map_err(ApiError::internal)?;
        Ok(Self { status: status.as_u16(), location, body, request: String::new() })
    }

    fn response(&self, replayed: bool) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(location) = &self.location {
            response.insert_header((header::LOCATION, location.as_str()));
        }
        if replayed {
            response.insert_header(("idempotency-replayed", "true"));
        }
        response.json(&self.body)
    }
}

/// Does `work` once per key and `scope` (the user, or the address of somebody not signed in). Failures are not kept.
///
/// # Errors
/// Those of `work`; [`ApiError::IdempotencyBusy`], [`ApiError::IdempotencyMismatch`], [`ApiError::RedisAway`].
pub async fn once(
    state: &State,
    req: &HttpRequest,
    scope: &str,
    body_hash: &str,
    work: impl Future<Output = Result<Answer, ApiError>>,
) -> Result<HttpResponse, ApiError> {
    let Some(key) = key(req)? else { return Ok(work.await?.response(false)) };
    let request = sha256_hex(format!("{} {} {body_hash}", req.method(), req.path()).as_bytes());
    let key = keys::idempotency(scope, &sha256_hex(key.as_bytes()));
    let free = state.kv.one(Cmd::set_new(&key, PENDING, UNDER_WAY)).await?;
    if free.is_nil() {
        return earlier(state, &key, &request).await;
    }
    match work.await {
        Ok(mut answer) => {
            answer.request = request;
            keep(state, &key, &answer).await;
            Ok(answer.response(false))
        }
        Err(error) => {
            if state.kv.one(Cmd::del(&key)).await.is_err() {
                state.metrics.redis_skipped("idempotency");
            }
            Err(error)
        }
    }
}

fn key(req: &HttpRequest) -> Result<Option<&str>, ApiError> {
    let Some(value) = req.headers().get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= KEY_LEN_MAX);
    let wrong = || ApiError::BadRequest {
        field: Some("Idempotency-Key".to_owned()),
        detail: "must be 1 to 128 visible ASCII characters".to_owned(),
    };
    text.map(Some).ok_or_else(wrong)
}

async fn earlier(state: &State, key: &str, request: &str) -> Result<HttpResponse, ApiError> {
    let stored = state.kv.one(Cmd::get(key)).await?;
    let Some(bytes) = stored.bytes().filter(|bytes| *bytes != PENDING) else { return Err(ApiError::IdempotencyBusy) };
    let opened = state.sealer.open(key, bytes).map_err(ApiError::internal)?;
    let answer: Answer = serde_json::from_slice(&opened.plain).map_err(ApiError::internal)?;
    if answer.request == request { Ok(answer.response(true)) } else { Err(ApiError::IdempotencyMismatch) }
}

async fn keep(state: &State, key: &str, answer: &Answer) {
    let plain = serde_json::to_vec(answer).unwrap_or_default();
    let kept = match state.sealer.seal(key, &plain) {
        Ok(sealed) => state.kv.one(Cmd::set(key, sealed, Some(KEPT))).await.is_ok(),
        Err(_) => false,
    };
    if !kept {
        state.metrics.redis_skipped("idempotency");
    }
}
