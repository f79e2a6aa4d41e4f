//! `GET /v1/nodes`, `GET /v1/nodes/{node}`, `GET /v1/edges`, `GET /v1/controls`.

use super::caller::{self, Admin};
use crate::{
    app::State,
    domain::nodes::{VersionVerdict, version},
    error::ApiError,
    store::pg::claims,
};
use actix_web::{HttpRequest, web};
use kit::{clock, kv::Cmd};
use proto::{
    NodeId,
    api::{Node, NodeCheck, Page},
    fleet::{ControlInfo, EdgeInfo, FLEET_ALIVE_MS, NodeInfo},
    keys,
};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

/// Lists the enrolled media nodes.
///
/// # Errors
/// Postgres away. With Redis away nodes show 0 sessions.
#[utoipa::path(get, path = "/v1/nodes", tag = "cluster", security(("bearer" = [])), responses((status = 200, body = Page<Node>)))]
pub async fn list(_: Admin, req: HttpRequest) -> Result<web::Json<Page<Node>>, ApiError> {
    let state = caller::state(&req);
    let all = state.nodes.all();
    Ok(web::Json(Page { items: shown(&state, all).await?, next_cursor: None }))
}

/// Shows one.
///
/// # Errors
/// [`ApiError::NodeNotFound`]; Postgres away.
#[utoipa::path(get, path = "/v1/nodes/{node}", tag = "cluster", security(("bearer" = [])), params(("node" = String, Path, description = "Node id")),
    responses((status = 200, body = Node), (status = 404, description = "node-not-found")))]
pub async fn get(_: Admin, req: HttpRequest, path: web::Path<String>) -> Result<web::Json<Node>, ApiError> {
    let state = caller::state(&req);
    let id = NodeId::parse(&path).map_err(|_| ApiError::NodeNotFound)?;
    show(&state, &id).await.map(web::Json)
}

/// One enrolled node as admins see it.
///
/// # Errors
/// [`ApiError::NodeNotFound`]; Postgres away.
pub async fn show(state: &State, id: &NodeId) -> Result<Node, ApiError> {
    state.nodes.enrolment(id).ok_or(ApiError::NodeNotFound)?;
    let mut node = shown(state, vec![(id.clone(), state.nodes.info(id))]).await?.pop().ok_or(ApiError::NodeNotFound)?;
    node.drain = crate::health::drain::shown(state, id).await;
    Ok(node)
}

async fn shown(state: &State, nodes: Vec<(NodeId, Option<NodeInfo>)>) -> Result<Vec<Node>, ApiError> {
    let live = claims::live(&state.pg, None).await?;
    let ids = nodes.iter().map(|(id, _)| id.clone()).collect();
    let sessions = state.sessions.on_nodes(ids).await.unwrap_or_default();
    let enrolled = state.nodes.enrolments();
    let show = |(place, (id, info)): (usize, (NodeId, Option<NodeInfo>))| {
        let enrolment = enrolled.get(&id)?;
        let until = enrolment.secrets.previous.as_ref().map(|(_, until)| *until);
        Some(Node {
            state: state.health.state(&id).map_or("joining", |s| s.as_str()).to_owned(),
            streams: live.iter().filter(|held| held.from.node == id).map(|_| 1).sum(),
            sessions: sessions.get(place).copied().unwrap_or_default(),
            warnings: info.as_ref().map(|info| warnings(state, info)).unwrap_or_default(),
            at: enrolment.at.clone(),
            public: enrolment.public.clone(),
            weight: enrolment.weight,
            zone: enrolment.zone.clone(),
            limits: enrolment.limits,
            cordoned: enrolment.cordoned_at.is_some(),
            draining: enrolment.drain_deadline.is_some(),
            drain: None,
            checks: checks(state, &id),
            enrolled_at: Some(enrolment.created_at),
            previous_secret_valid_until: until.filter(|until| *until > OffsetDateTime::now_utc()),
            prober: state.health.controls.order(&id, clock::unix_ms()).first().map(|(control, _)| control.to_string()),
            id: id.to_string(),
            info,
        })
    };
    // One that was removed this moment is left out.
    Ok(nodes.into_iter().enumerate().filter_map(show).collect())
}

/// What came of dialling it back, and why its heartbeats are refused if they are.
fn checks(state: &State, id: &NodeId) -> Vec<NodeCheck> {
    let mut checks = state.nodes.checks(id).map(|checked| checked.checks).unwrap_or_default();
    checks.extend(state.nodes.why_refused(id).map(|why| NodeCheck { check: "heartbeat".to_owned(), ok: false, why }));
    checks
}

fn warnings(state: &State, info: &NodeInfo) -> Vec<String> {
    let (verdict, lines) = version(&info.version, state.config.allow_unknown_srs);
    match verdict {
        VersionVerdict::Fine | VersionVerdict::Warn => lines,
        VersionVerdict::Refuse => lines.into_iter().map(|line| format!("not supported: {line}")).collect(),
    }
}

/// Entries of a hash of processes that were alive a moment ago, by id.
async fn alive<T: DeserializeOwned>(
    state: &State,
    hash: &str,
    seen_at_ms: impl Fn(&T) -> u64,
) -> Result<Vec<T>, ApiError> {
    let map = state.kv.one(Cmd::hgetall(hash)).await?.map()?;
    let now_ms = clock::unix_ms();
    let read = map.values().filter_map(|value| serde_json::from_slice::<T>(value).ok());
    Ok(read.filter(|entry| now_ms.saturating_sub(seen_at_ms(entry)) < FLEET_ALIVE_MS).collect())
}

/// Lists the edges that run.
///
/// # Errors
/// Redis away.
#[utoipa::path(get, path = "/v1/edges", tag = "cluster", security(("bearer" = [])), responses((status = 200, body = Page<EdgeInfo>)))]
pub async fn edges(_: Admin, req: HttpRequest) -> Result<web::Json<Page<EdgeInfo>>, ApiError> {
    let items = alive(&caller::state(&req), keys::EDGES, |edge: &EdgeInfo| edge.seen_at_ms).await?;
    Ok(web::Json(Page { items, next_cursor: None }))
}

/// Lists the control-api processes that run.
///
/// # Errors
/// Redis away.
#[utoipa::path(get, path = "/v1/controls", tag = "cluster", security(("bearer" = [])), responses((status = 200, body = Page<ControlInfo>)))]
pub async fn controls(_: Admin, req: HttpRequest) -> Result<web::Json<Page<ControlInfo>>, ApiError> {
    let items = alive(&caller::state(&req), keys::CONTROLS, |control: &ControlInfo| control.seen_at_ms).await?;
    Ok(web::Json(Page { items, next_cursor: None }))
}
