//! `POST /v1/nodes/{node}:cordon`, `:drain`, `:undrain`.

use super::{
    body::MaybeJson,
    caller::{self, Admin},
    enrol::Force,
    nodes::show,
};
use crate::{app::State, domain::drain as rules, enrol, error::ApiError, store::pg::nodes as store, streams::Actor};
use actix_web::{HttpRequest, web};
use proto::{
    NodeId,
    api::{DrainNode, Node},
};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

fn node_in_path(state: &State, path: &str) -> Result<NodeId, ApiError> {
    let id = NodeId::parse(path).map_err(|_| ApiError::NodeNotFound)?;
    state.nodes.enrolment(&id).map(|_| id).ok_or(ApiError::NodeNotFound)
}

/// Takes a node out of the choice for new streams; what it carries stays.
///
/// # Errors
/// 404; 409 for the last node that takes streams.
#[utoipa::path(post, path = "/v1/nodes/{node}:cordon", tag = "cluster", operation_id = "cordon_node", security(("bearer" = [])),
    params(Force, ("node" = String, Path, description = "Node id")),
    responses((status = 200, body = Node), (status = 404, description = "node-not-found"), (status = 409, description = "last-node")))]
pub async fn cordon(
    admin: Admin,
    req: HttpRequest,
    path: web::Path<String>,
    query: web::Query<Force>,
) -> Result<web::Json<Node>, ApiError> {
    let state = caller::state(&req);
    let id = node_in_path(&state, &path)?;
    let by = Actor::new(&admin.identity, &admin.origin);
    take_out(&state, &id, None, query.is_forced(), &by).await?;
    show(&state, &id).await.map(web::Json)
}

/// The same, and at the deadline what is left is ended, the youngest stream first. Sent again, it sets another deadline.
///
/// # Errors
/// 404; 409 for the last node that takes streams; 422 for a deadline of more than 7 days.
#[utoipa::path(post, path = "/v1/nodes/{node}:drain", tag = "cluster", operation_id = "drain_node", request_body = Option<DrainNode>, security(("bearer" = [])),
    params(Force, ("node" = String, Path, description = "Node id")),
    responses((status = 200, body = Node), (status = 404, description = "node-not-found"), (status = 409, description = "last-node"), (status = 422, description = "invalid-value")))]
pub async fn drain(
    admin: Admin,
    req: HttpRequest,
    path: web::Path<String>,
    query: web::Query<Force>,
    body: MaybeJson<DrainNode>,
) -> Result<web::Json<Node>, ApiError> {
    let state = caller::state(&req);
    let id = node_in_path(&state, &path)?;
    let asked = body.value.unwrap_or_default();
    let deadline = rules::deadline(asked.deadline_seconds, OffsetDateTime::now_utc())?;
    let by = Actor::new(&admin.identity, &admin.origin);
    take_out(&state, &id, Some(deadline), query.is_forced(), &by).await?;
    show(&state, &id).await.map(web::Json)
}

/// Takes cordon and drain back, at once. What was ended stays ended.
///
/// # Errors
/// 404.
#[utoipa::path(post, path = "/v1/nodes/{node}:undrain", tag = "cluster", operation_id = "undrain_node", security(("bearer" = [])),
    params(("node" = String, Path, description = "Node id")),
    responses((status = 200, body = Node), (status = 404, description = "node-not-found")))]
pub async fn undrain(admin: Admin, req: HttpRequest, path: web::Path<String>) -> Result<web::Json<Node>, ApiError> {
    let state = caller::state(&req);
    let id = node_in_path(&state, &path)?;
    let by = Actor::new(&admin.identity, &admin.origin);
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    if !store::uncordon(&*transaction, &id).await? {
        return Err(ApiError::NodeNotFound);
    }
    enrol::note(&*transaction, &by, "node.undrain", &id, &json!({})).await?;
    transaction.commit().await?;
    drop(client);
    enrol::changed(&state).await?;
    state.health.stir();
    show(&state, &id).await.map(web::Json)
}

async fn take_out(
    state: &State,
    id: &NodeId,
    deadline: Option<OffsetDateTime>,
    force: bool,
    by: &Actor,
) -> Result<(), ApiError> {
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let cordoned = store::lock_cordons(&*transaction).await?;
    if !force && rules::is_last(&state.fleet.membership(), &cordoned, id) {
        return Err(ApiError::LastNode);
    }
    if !store::cordon(&*transaction, id, deadline).await? {
        return Err(ApiError::NodeNotFound);
    }
    let until = deadline.and_then(|deadline| deadline.format(&Rfc3339).ok());
    let action = if deadline.is_some() { "node.drain" } else { "node.cordon" };
    enrol::note(&*transaction, by, action, id, &json!({ "deadline": until, "force": force })).await?;
    transaction.commit().await?;
    drop(client);
    enrol::changed(state).await?;
    state.health.stir();
    Ok(())
}
