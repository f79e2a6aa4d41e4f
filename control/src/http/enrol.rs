//! `POST /v1/nodes`, `PATCH` and `DELETE /v1/nodes/{node}`, `POST /v1/nodes/{node}:rotate-secret`.

use super::{
    body::{Json, MaybeJson},
    caller::{self, Admin},
    nodes::show,
    once::{Answer, once},
};
use crate::{enrol, error::ApiError, streams::Actor};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::{
    NodeId,
    api::{EnrolNode, NewNode, Node, RotateNodeSecret, RotatedNodeSecret, UpdateNode},
};
use serde::Deserialize;

fn node_in_path(path: &str) -> Result<NodeId, ApiError> {
    NodeId::parse(path).map_err(|_| ApiError::NodeNotFound)
}

/// Enrols a media node. Its secret is shown in this answer only.
///
/// # Errors
/// 409 for an id that is taken, 422 for a value that breaks the rules.
#[utoipa::path(post, path = "/v1/nodes", tag = "cluster", request_body = EnrolNode, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again, the same request gets the same answer.")),
    responses((status = 201, body = NewNode), (status = 409, description = "node-exists, too-many-nodes"), (status = 422, description = "invalid-value")))]
pub async fn create(admin: Admin, req: HttpRequest, body: Json<EnrolNode>) -> Result<HttpResponse, ApiError> {
    let state = caller::state(&req);
    let by = Actor::new(&admin.identity, &admin.origin);
    let scope = admin.identity.user.to_string();
    let work = async {
        let (secret, srs_conf) = enrol::create(&state, &body.value, &by).await?;
        let node = show(&state, &body.value.id).await?;
        let location = format!("{}/v1/nodes/{}", state.config.public_path, node.id);
        Answer::created(&NewNode { node, secret, srs_conf }, Some(location))
    };
    once(&state, &req, &scope, &body.hash, work).await
}

/// Changes a node's addresses, weight, zone or limits; what is absent stays.
///
/// # Errors
/// 404, 422 for a value that breaks the rules.
#[utoipa::path(patch, path = "/v1/nodes/{node}", tag = "cluster", request_body = UpdateNode, security(("bearer" = [])),
    params(("node" = String, Path, description = "Node id")),
    responses((status = 200, body = Node), (status = 404, description = "node-not-found"), (status = 422, description = "invalid-value")))]
pub async fn update(
    admin: Admin,
    req: HttpRequest,
    path: web::Path<String>,
    body: Json<UpdateNode>,
) -> Result<web::Json<Node>, ApiError> {
    let (state, id) = (caller::state(&req), node_in_path(&path)?);
    enrol::update(&state, &id, &body.value, &Actor::new(&admin.identity, &admin.origin)).await?;
    show(&state, &id).await.map(web::Json)
}

/// Gives a node a new secret; the old one goes on for the overlap, a day unless said otherwise.
///
/// # Errors
/// 404, 422 for an overlap of more than 7 days.
#[utoipa::path(post, path = "/v1/nodes/{node}:rotate-secret", tag = "cluster", request_body = Option<RotateNodeSecret>, security(("bearer" = [])),
    params(("node" = String, Path, description = "Node id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again, the same request gets the same answer.")),
    responses((status = 200, body = RotatedNodeSecret), (status = 404, description = "node-not-found"), (status = 422, description = "invalid-value")))]
pub async fn rotate_secret(
    admin: Admin,
    req: HttpRequest,
    path: web::Path<String>,
    body: MaybeJson<RotateNodeSecret>,
) -> Result<HttpResponse, ApiError> {
    let (state, id) = (caller::state(&req), node_in_path(&path)?);
    let by = Actor::new(&admin.identity, &admin.origin);
    let asked = body.value.unwrap_or_default();
    let scope = admin.identity.user.to_string();
    let work = async { Answer::ok(&enrol::rotate(&state, &id, &asked, &by).await?) };
    once(&state, &req, &scope, &body.hash, work).await
}

/// `?force=1`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Force {
    /// 1: ends what the node carries. 0 when absent.
    #[serde(default)]
    #[param(maximum = 1)]
    force: u8,
}

impl Force {
    /// Whether it is wanted.
    #[must_use]
    pub const fn is_forced(&self) -> bool {
        self.force == 1
    }
}

/// Removes a node; its secret is void at once.
///
/// # Errors
/// 404, 409 while it carries something.
#[utoipa::path(delete, path = "/v1/nodes/{node}", tag = "cluster", security(("bearer" = [])),
    params(Force, ("node" = String, Path, description = "Node id")),
    responses((status = 204), (status = 404, description = "node-not-found"), (status = 409, description = "node-busy")))]
pub async fn delete(
    admin: Admin,
    req: HttpRequest,
    path: web::Path<String>,
    query: web::Query<Force>,
) -> Result<HttpResponse, ApiError> {
    let (state, id) = (caller::state(&req), node_in_path(&path)?);
    let by = Actor::new(&admin.identity, &admin.origin);
    enrol::delete(&state, &id, query.force == 1, &by).await?;
    Ok(HttpResponse::NoContent().finish())
}
