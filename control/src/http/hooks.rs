//! `POST /v1/hooks/srs/{node}/{secret}`.
//!
//! SRS takes only HTTP 200 with a body whose `code` is the integer 0 as yes. Whoever is not the node of the path gets a problem document, which
//! SRS reads as no.

use super::{
    body,
    caller::{self, Node},
};
use crate::{domain::hooks::Refusal, error::ApiError, hooks, metrics::media::Answered};
use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use proto::{
    NodeId,
    srs::hook::{Action, BODY_BYTES_MAX, Hook},
};
use std::time::Instant;

const YES: &str = r#"{"code":0}"#;
/// SRS wants a list of places to forward to; there are none.
const FORWARD: &str = r#"{"code":0,"data":{"urls":[]}}"#;

fn reply(body: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(body.into())
}

fn no(refusal: Refusal) -> HttpResponse {
    reply(format!(r#"{{"code":{}}}"#, refusal.code()))
}

/// A node that speaks under another's name is a stranger.
fn is_itself(req: &HttpRequest, node: &NodeId, says: &str) -> Result<(), ApiError> {
    if node.as_str() == says {
        return Ok(());
    }
    caller::state(req).media.stranger("name");
    tracing::warn!(%node, says = %says.escape_debug(), "a node's hook names another node");
    Err(ApiError::NodeUnknown)
}

/// Every action.
///
/// # Errors
/// [`ApiError::NodeUnknown`] for strangers; a body that is too long or too slow.
pub async fn srs(node: Node, req: HttpRequest, payload: web::Payload) -> Result<HttpResponse, ApiError> {
    let began = Instant::now();
    let state = caller::state(&req);
    let bytes = body::read(payload, BODY_BYTES_MAX).await?;
    let Ok(hook) = serde_json::from_slice::<Hook>(&bytes) else {
        state.media.hook_unread();
        tracing::info!(node = %node.node, bytes = bytes.len(), "a hook's body is no hook");
        return Ok(no(Refusal::Malformed));
    };
    is_itself(&req, &node.node, &hook.server_id)?;
    let answered = hooks::handle(&state, &hook).await;
    state.media.hook(hook.action, answered, began.elapsed());
    Ok(match answered {
        Answered::Refused(refusal) => no(refusal),
        Answered::Accepted | Answered::Nothing if hook.action == Action::OnForward => reply(FORWARD),
        Answered::Accepted | Answered::Nothing => reply(YES),
    })
}
