//! `/live/{stream}.m3u8` and `/live/{segment}.ts|.m4s|.mp4`, the same under `/hls` (docs/hls.md).

use super::{extract, file, query};
use crate::{
    ApiError, Front,
    hls::{Ask, Playlist},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web,
};
use proto::{viewer, wire::m3u8::SegmentName};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// How long a segment may be kept, in seconds: its name never means anything else, and nobody asks for it after a minute.
const SEGMENT_SECONDS: u32 = 3_600;

/// A playlist: without a viewer's value (`?v=`) the one that names the viewer's own, which takes a token for a private stream.
pub(crate) async fn playlist(req: HttpRequest, front: web::Data<Front>) -> HttpResponse {
    serve_playlist(&req, &front).await.unwrap_or_else(|error| file::refused(&error))
}

async fn serve_playlist(req: &HttpRequest, front: &Front) -> Result<HttpResponse, ApiError> {
    let stream = file::stream(req, "m3u8")?;
    let (credential, value) = (extract::credential(req)?, query::value(req.query_string(), viewer::PARAM));
    if front.leaving() && value.is_none() {
        return Err(ApiError::Leaving);
    }
    let ask = Ask { credential: credential.as_deref(), viewer: value.as_deref(), client: extract::client(req, front)? };
    match front.hls().playlist(&stream, ask, req.method() == Method::HEAD).await? {
        Playlist::Master(text) => {
            let mut answer = HttpResponse::Ok();
            answer.insert_header((header::CONTENT_TYPE, PLAYLIST)).insert_header((header::CACHE_CONTROL, "no-store"));
            Ok(answer.body(text))
        }
        Playlist::Media { body, etag, fresh } => {
            let cache = format!("private, max-age={}", fresh.as_secs());
            Ok(file::answer(req, file::File { body, etag, kind: PLAYLIST, cache }).0)
        }
    }
}

/// A segment, which a playlist named.
pub(crate) async fn segment(req: HttpRequest, front: web::Data<Front>) -> HttpResponse {
    serve_segment(&req, &front).await.unwrap_or_else(|error| file::refused(&error))
}

async fn serve_segment(req: &HttpRequest, front: &Front) -> Result<HttpResponse, ApiError> {
    let name = SegmentName::parse(file::last(req)).ok_or(ApiError::SegmentUnknown)?;
    let value = query::value(req.query_string(), viewer::PARAM);
    let ask = Ask { credential: None, viewer: value.as_deref(), client: extract::client(req, front)? };
    let segment = front.hls().segment(&name, ask).await?;
    let scope = if segment.private { "private" } else { "public" };
    let file = file::File {
        body: segment.cached.body.clone(),
        etag: segment.cached.etag.clone(),
        kind: segment.cached.kind.content_type(),
        cache: format!("{scope}, max-age={SEGMENT_SECONDS}, immutable"),
    };
    let (answer, sent) = file::answer(req, file);
    if sent > 0 {
        segment.sent(front.hls(), &name, ask.client, sent);
    }
    Ok(answer)
}
