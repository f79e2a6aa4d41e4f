//! `/live/{stream}.jpg`, the same under `/hls`: a picture of the live stream, at most 10 s old.

use super::{extract, file, query};
use crate::{
    ApiError, Front,
    hls::{Ask, KEPT_FOR},
};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::viewer;

/// A JPEG; 404 `thumbnail-absent` or `thumbnails-off` where there is none. Of a private stream with a token or a viewer's value.
pub(crate) async fn get(req: HttpRequest, front: web::Data<Front>) -> HttpResponse {
    serve(&req, &front).await.unwrap_or_else(|error| file::refused(&error))
}

async fn serve(req: &HttpRequest, front: &Front) -> Result<HttpResponse, ApiError> {
    let stream = file::stream(req, "jpg").map_err(|_| ApiError::ThumbnailAbsent)?;
    let (credential, value) = (extract::credential(req)?, query::value(req.query_string(), viewer::PARAM));
    let ask = Ask { credential: credential.as_deref(), viewer: value.as_deref(), client: extract::client(req, front)? };
    let jpeg = front.hls().thumbnail(&stream, ask).await?;
    let scope = if credential.is_some() || value.is_some() { "private" } else { "public" };
    let file = file::File {
        body: jpeg.body.clone(),
        etag: jpeg.etag.clone(),
        kind: "image/jpeg",
        cache: format!("{scope}, max-age={}", KEPT_FOR.as_secs()),
    };
    Ok(file::answer(req, file).0)
}
