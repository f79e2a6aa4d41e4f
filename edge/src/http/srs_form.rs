//! `POST /rtc/v1/whip/?app=live&stream=…`, `/rtc/v1/whep/?…`, `/rtc/v1/whip-play/?…`: WHIP and WHEP as clients written for SRS speak them.
//!
//! The answer is the same as of `/rtc/v1/whip/{stream}`, `Location` included. Of the query only `app`, `stream` and `token` mean something;
//! what SRS would let a client set beside them (ICE credentials, candidates, encryption, vhost, codec, JSONP) is dropped.

use super::{endpoint, extract, query::SrsQuery};
use crate::{ApiError, Front};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::{StreamId, session::Role, srs::hook::APP};

/// Publishes. 201 like [`super::whip::post`]; problem `query-invalid` for a query that SRS could read otherwise.
pub(crate) async fn publish(
    req: HttpRequest,
    body: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let asked = asked(&req, Role::Publish)?;
    endpoint::open(&req, body, &front, asked).await
}

/// Plays. 201 like [`super::whep::post`]; problem `query-invalid` for a query that SRS could read otherwise.
pub(crate) async fn play(
    req: HttpRequest,
    body: web::Payload,
    front: web::Data<Front>,
) -> Result<HttpResponse, ApiError> {
    let asked = asked(&req, Role::Play)?;
    endpoint::open(&req, body, &front, asked).await
}

fn asked(req: &HttpRequest, role: Role) -> Result<endpoint::Asked, ApiError> {
    let query = SrsQuery::parse(req.query_string()).map_err(|why| ApiError::Query(why.to_string()))?;
    // SRS turns a publish URL into a player's by `action=play`; here the path alone decides.
    if query.action.is_some_and(|action| action != role.as_str()) {
        return Err(ApiError::Query(format!("`action` must be `{}` or absent at this URL", role.as_str())));
    }
    let stream = stream_of(&query)?;
    let credential = credential(req, &query)?;
    Ok(endpoint::Asked { role, stream, credential, takeover: false })
}

/// The Bearer, else the query's token.
pub(super) fn credential(req: &HttpRequest, query: &SrsQuery<'_>) -> Result<Option<String>, ApiError> {
    let token = query.token.filter(|token| !token.is_empty());
    Ok(extract::bearer(req)?.or_else(|| token.map(str::to_owned)))
}

/// The stream that a query in SRS's form names: `app` may be absent, `stream` may not.
fn stream_of(query: &SrsQuery<'_>) -> Result<StreamId, ApiError> {
    let name = query.stream.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::Query("`stream` is missing".to_owned()))?;
    stream_in(query.app.unwrap_or(APP), name)
}

/// The stream of an application and a raw name; one that cannot exist is not found.
pub(super) fn stream_in(app: &str, name: &str) -> Result<StreamId, ApiError> {
    if app != APP {
        return Err(ApiError::StreamUnknown);
    }
    StreamId::parse(name).map_err(|_| ApiError::StreamUnknown)
}
