//! What witnesses of a node's health tell and are asked: `/internal/v1/nodes/{node}:report`, `:look`.

use super::{
    body::Json,
    caller::{self, Edge},
};
use crate::{error::ApiError, health::witness};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::{
    NodeId,
    node::{LookRequest, NodeReport},
};
use serde::Deserialize;
use std::sync::Arc;

/// Whether a report came from another control-api already.
#[derive(Debug, Deserialize)]
pub struct Way {
    #[serde(default)]
    forwarded: bool,
}

fn enrolled(req: &HttpRequest, text: &str) -> Result<NodeId, ApiError> {
    let node = NodeId::parse(text).map_err(|_| ApiError::NodeNotFound)?;
    let known = caller::state(req).health.state(&node).is_some();
    known.then_some(node).ok_or(ApiError::NodeNotFound)
}

/// `POST /internal/v1/nodes/{node}:report`: an edge tells what it met at a node. 204.
///
/// # Errors
/// [`ApiError::NodeNotFound`].
pub async fn report(
    edge: Edge,
    req: HttpRequest,
    path: web::Path<String>,
    way: web::Query<Way>,
    body: Json<NodeReport>,
) -> Result<HttpResponse, ApiError> {
    let node = enrolled(&req, &path)?;
    witness::reported(&Arc::clone(&caller::state(&req)), &node, &edge.edge, body.value, way.forwarded);
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /internal/v1/nodes/{node}:look`: another control-api misses a node and asks this one to look once.
///
/// # Errors
/// [`ApiError::NodeNotFound`]; [`ApiError::Busy`] when too many looks go on, or the node's address is not known here yet.
pub async fn look(
    _: Edge,
    req: HttpRequest,
    path: web::Path<String>,
    body: Json<LookRequest>,
) -> Result<web::Json<NodeReport>, ApiError> {
    let node = enrolled(&req, &path)?;
    witness::look(&caller::state(&req), &node, body.value).await.map(web::Json).ok_or(ApiError::Busy)
}
