//! `GET /v1/streams/{stream}/route[?explain=1]`: where a stream is, or would go, and why.

use super::caller::{self, Owner};
use crate::{
    domain::route::{Known, explained, placed, without},
    error::ApiError,
    placing,
    store::pg::claims,
};
use actix_web::{HttpRequest, web};
use kit::clock;
use proto::{api::Route, session::Protocol};
use serde::Deserialize;

/// `?explain=1`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RouteQuery {
    /// `1`: say of every node how it stands towards the stream. `0` or nothing: only where the stream is.
    #[serde(default)]
    explain: Option<u8>,
}

/// Where a stream is. Explained, it is a dry run of a new publisher's placement with what is known now: nothing is claimed, and a live stream stays where
/// it is.
///
/// # Errors
/// [`ApiError::StreamNotFound`] for a stream that never was; another `explain` than 0 or 1; Postgres away.
#[utoipa::path(get, path = "/v1/streams/{stream}/route", tag = "streams", security(("bearer" = [])),
    params(RouteQuery, ("stream" = String, Path, description = "Stream id")),
    responses((status = 200, body = Route), (status = 404, description = "stream-not-found")))]
pub async fn route(
    owner: Owner,
    req: HttpRequest,
    query: web::Query<RouteQuery>,
) -> Result<web::Json<Route>, ApiError> {
    let state = caller::state(&req);
    let stream = owner.stream.0.id;
    let explain = match query.explain {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(ApiError::bad_request("explain is 0 or 1")),
    };
    let present = claims::of_stream(&state.pg, &stream).await?.ok_or(ApiError::StreamNotFound)?;
    let placement = present.live.map(|held| held.placement());
    let home = placement.as_ref().map(|placement| placement.node.clone());
    let over_srt = placement.as_ref().is_some_and(|placement| placement.protocol == Protocol::Srt);
    let mut told = placed(stream, placement, clock::unix_ms());
    if !explain {
        return Ok(web::Json(told));
    }
    // Whoever publishes over SRT came with or without a passphrase: the port it is at says which.
    let ports = placing::nodes(&state).map_err(placing::PlacingError::from)?;
    let port = home.as_ref().filter(|_| over_srt).and_then(|home| ports.srt.as_ref()?.get(home).copied());
    let mut decided = placing::decision(&state, &told.stream, port).await?;
    if let Some(home) = &home {
        without(&mut decided.loads, home);
    }
    let heard = state.nodes.all().into_iter();
    let known = Known {
        nodes: &decided.nodes,
        membership: &state.fleet.membership(),
        loads: &decided.loads,
        heard_ms: &heard.filter_map(|(node, info)| Some((node, info?.seen_at_ms))).collect(),
        srt: port,
        now_ms: clock::unix_ms(),
    };
    explained(&mut told, &known);
    Ok(web::Json(told))
}
