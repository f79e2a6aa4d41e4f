//! `/healthz` (alive; depends on nothing), `/readyz` (each dependency named), `/metrics`.

use super::caller::{Anyone, state};
use crate::error::ApiError;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;
use std::time::Duration;

/// How long a scrape waits for Postgres; one that takes longer is away as far as anybody can tell.
const SCRAPE_ASKS_FOR: Duration = Duration::from_secs(2);

/// Alive.
pub async fn healthz(_: Anyone) -> &'static str {
    "ok"
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    postgres: &'static str,
    redis: &'static str,
    secrets: &'static str,
    sessions: &'static str,
}

const fn word(good: bool) -> &'static str {
    if good { "ok" } else { "away" }
}

/// What readiness is judged by, unless the query says. Redis is named, but without it the API goes on.
const JUDGED_BY: &str = "postgres,secrets,sessions";

/// Ready while Postgres answers, the secrets were read and the session table was taken over from another control node, if there is one.
///
/// `?only=secrets,sessions` judges by these alone and names the others all the same: an orchestrator that took every control-api out of
/// its balancer because Postgres is away would end what goes on without it.
///
/// # Errors
/// [`ApiError::BadRequest`] for a word that is none of the four.
pub async fn readyz(_: Anyone, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    let (postgres, redis) = tokio::join!(state.pg.ping(), state.kv.ping());
    let secrets = state.secrets().is_ok();
    let sessions = state.gossip.ready();
    let known =
        [("postgres", postgres.is_ok()), ("redis", redis.is_ok()), ("secrets", secrets), ("sessions", sessions)];
    let only = req.query_string().split('&').find_map(|pair| pair.strip_prefix("only=")).unwrap_or(JUDGED_BY);
    let mut ready = true;
    for name in only.split(',') {
        let Some((_, good)) = known.iter().find(|(known, _)| *known == name) else {
            return Err(ApiError::bad_request(format!("there is no dependency {name}")));
        };
        ready &= *good;
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(HttpResponse::build(status).insert_header((header::CACHE_CONTROL, "no-store")).json(Readiness {
        ready,
        postgres: word(postgres.is_ok()),
        redis: word(redis.is_ok()),
        secrets: if secrets { "ok" } else { "not read yet: has `control-api migrate` run?" },
        sessions: if sessions { "ok" } else { "asking the other control nodes for their table" },
    }))
}

/// Prometheus text.
///
/// # Errors
/// A bug: metrics that cannot be written.
pub async fn metrics(_: Anyone, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let state = state(&req);
    let asked = tokio::time::timeout(SCRAPE_ASKS_FOR, state.pg.ping()).await;
    // A pool that is in use says nothing of Postgres.
    state.metrics.postgres_up(asked.is_ok_and(|answer| answer.map_or_else(|error| error.is_busy(), |()| true)));
    let text = state.metrics.text(&state).map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text))
}
