//! `POST /rtc/v1/publish/` and `/rtc/v1/play/`: SRS's own JSON form, served by translation.
//!
//! As with SRS the status is always 200 and `code` tells success (0) from failure; here `code` is the status that the WHIP or WHEP form would have
//! had, and `error` says why. `sessionid` is the session's handle, so `DELETE /rtc/v1/sessions/{sessionid}` ends it. Of the request only `sdp` and
//! `streamurl` are read: `clientip` would let a client choose its address. Rules of names and queries are those of [`super::srs_form`].

use super::{
    endpoint::{self, Asked},
    extract,
    query::{SrsQuery, StreamUrl},
    srs_form,
};
use crate::{ApiError, Front, front::Opened};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, http::header, web};
use proto::{session::Role, wire::sdp::BODY_BYTES_MAX};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Body {
    sdp: String,
    streamurl: String,
}

#[derive(Serialize, Default)]
struct Answer<'a> {
    code: u16,
    server: &'a str,
    service: &'a str,
    pid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessionid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Publishes: 200 with `code` 0, `sdp` and `sessionid`, or with another `code` and `error`.
pub(crate) async fn publish(req: HttpRequest, body: web::Payload, front: web::Data<Front>) -> HttpResponse {
    answer(&front, open(&req, body, &front, Role::Publish).await)
}

/// Plays: 200 with `code` 0, `sdp` and `sessionid`, or with another `code` and `error`.
pub(crate) async fn play(req: HttpRequest, body: web::Payload, front: web::Data<Front>) -> HttpResponse {
    answer(&front, open(&req, body, &front, Role::Play).await)
}

async fn open(req: &HttpRequest, body: web::Payload, front: &Front, role: Role) -> Result<Opened, ApiError> {
    let body = extract::body(req, body, BODY_BYTES_MAX).await?;
    // The parser's own words would repeat what the client sent.
    let body: Body = serde_json::from_slice(&body)
        .map_err(|_| ApiError::Json("an object with the texts `sdp` and `streamurl` is expected".to_owned()))?;
    let asked = asked(req, &body.streamurl, role)?;
    front.open(endpoint::request(req, front, asked, body.sdp.into_bytes())?).await
}

fn asked(req: &HttpRequest, streamurl: &str, role: Role) -> Result<Asked, ApiError> {
    let url = StreamUrl::parse(streamurl)
        .ok_or_else(|| ApiError::Query("`streamurl` must be like webrtc://host/live/stream?token=..".to_owned()))?;
    let query = SrsQuery::parse(url.query).map_err(|why| ApiError::Query(why.to_string()))?;
    let stream = srs_form::stream_in(url.app, url.stream)?;
    let credential = srs_form::credential(req, &query)?;
    Ok(Asked { role, stream, credential, takeover: false })
}

fn answer(front: &Front, opened: Result<Opened, ApiError>) -> HttpResponse {
    let edge = front.edge().as_str();
    let base = Answer { server: edge, service: edge, pid: std::process::id().to_string(), ..Answer::default() };
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match opened {
        Ok(opened) => response.json(Answer { sdp: Some(&opened.answer), sessionid: Some(&opened.handle), ..base }),
        Err(error) => {
            if let Some(seconds) = error.retry_after() {
                response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
            response.json(Answer { code: error.status_code().as_u16(), error: Some(error.detail()), ..base })
        }
    }
}
