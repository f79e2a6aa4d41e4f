//! `POST /v1/hooks/heartbeat/{node}/{secret}`, and `POST /api/v1/srs/register` where SRS 8 sends the same body with its secret as bearer.
//!
//! Everything is decided from memory before any store is asked, so that a flood costs little and moves nothing.

use super::{
    body,
    caller::{self, Node, NodeBearer},
};
use crate::{
    app::State,
    domain::told::{Unfit, Verdict, fits},
    error::ApiError,
    hooks,
};
use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use kit::clock;
use proto::{
    NodeId,
    srs::{heartbeat::Heartbeat, hook::BODY_BYTES_MAX},
};
use std::sync::Arc;
use time::OffsetDateTime;

fn yes() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(r#"{"code":0}"#)
}

/// Takes one of the heartbeats a node may send.
fn limited(state: &State, node: &NodeId) -> Result<(), ApiError> {
    state.nodes.may_beat(node, clock::unix_ms()).map_err(|wait_ms| {
        state.media.heartbeat(Verdict::TooMany);
        ApiError::RateLimited { retry_after: wait_ms.div_ceil(1_000) }
    })
}

async fn read(state: &State, payload: web::Payload) -> Result<Heartbeat, ApiError> {
    let count = |verdict| {
        move |error| {
            state.media.heartbeat(verdict);
            error
        }
    };
    let bytes = body::read(payload, BODY_BYTES_MAX).await.map_err(count(Verdict::Body))?;
    body::parse(&bytes).map_err(count(Verdict::Malformed))
}

/// A node's sign of life.
///
/// # Errors
/// [`ApiError::NodeUnknown`] for strangers and for a node under another's name; [`ApiError::HeartbeatRefused`] for what cannot be;
/// [`ApiError::RateLimited`]; a body that does not read, is too long or too slow.
pub async fn beat(node: Node, req: HttpRequest, payload: web::Payload) -> Result<HttpResponse, ApiError> {
    let state = caller::state(&req);
    limited(&state, &node.node)?;
    let beat = read(&state, payload).await?;
    take(&Arc::clone(&state), &node.node, &beat).await
}

/// The same as SRS 8 sends it: which node it is stands in the body only.
///
/// # Errors
/// As [`beat`].
pub async fn register(bearer: NodeBearer, req: HttpRequest, payload: web::Payload) -> Result<HttpResponse, ApiError> {
    let state = caller::state(&req);
    let beat = read(&state, payload).await?;
    let enrolment = NodeId::parse(&beat.server).ok().and_then(|id| state.nodes.enrolment(&id));
    let own = |node: &_| bearer.is_of(node, OffsetDateTime::now_utc());
    let Some(enrolment) = enrolment.filter(|node| own(&node.secrets)) else {
        state.media.stranger("name");
        return Err(ApiError::NodeUnknown);
    };
    limited(&state, &enrolment.id)?;
    take(&Arc::clone(&state), &enrolment.id, &beat).await
}

async fn take(state: &Arc<State>, node: &NodeId, beat: &Heartbeat) -> Result<HttpResponse, ApiError> {
    let judged = judge(state, node, beat);
    match judged {
        Ok(info) => {
            state.media.heartbeat(Verdict::Accepted);
            state.nodes.beat_refused(node, None);
            hooks::heartbeat::heard(state, info).await;
            Ok(yes())
        }
        Err(Unfit { verdict, why }) => {
            state.media.heartbeat(verdict);
            if state.nodes.beat_refused(node, Some(why.clone())) {
                tracing::warn!(%node, why, "heartbeats of a node are refused");
            }
            if verdict == Verdict::Name {
                state.media.stranger("name");
                return Err(ApiError::NodeUnknown);
            }
            Err(ApiError::HeartbeatRefused { why })
        }
    }
}

fn judge(state: &State, node: &NodeId, beat: &Heartbeat) -> Result<proto::fleet::NodeInfo, Unfit> {
    let unfit = |verdict, why: String| Unfit { verdict, why };
    if beat.server != node.as_str() {
        let says: String = beat.server.chars().take(NodeId::LEN_MAX).collect();
        let why = format!("it calls itself {}; its secret is that of {node}", says.escape_debug());
        return Err(unfit(Verdict::Name, why));
    }
    let info = beat.info(clock::unix_ms()).map_err(|error| unfit(Verdict::Malformed, error.to_string()))?;
    let enrolment = state.nodes.enrolment(node).ok_or_else(|| unfit(Verdict::Name, "it is not enrolled".to_owned()))?;
    fits(&enrolment, beat, &info, |ip| state.config.nodes_cidr.contains(ip))?;
    Ok(info)
}
