//! `GET /api/v1/versions`: SRS's own, for clients and test suites that ask an SRS what it is before they begin. Only with `EDGE_AUTH=open`, which is
//! when an edge stands in for an SRS; otherwise there is no such path.

use crate::{ApiError, Front, config::AuthMode};
use actix_web::{HttpResponse, http::header, web};
use proto::srs::api::{Head, Versions};

/// The version of a node that answers, under this edge's name. 503 while none does.
pub(crate) async fn get(front: web::Data<Front>) -> Result<HttpResponse, ApiError> {
    if front.config().auth != AuthMode::Open {
        return Err(ApiError::NotFound);
    }
    let edge = front.edge().to_string();
    let Versions { data, .. } = front.node_versions().await?;
    let head = Head { code: 0, server: edge.clone(), service: edge, pid: std::process::id().to_string() };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Versions { head, data }))
}
