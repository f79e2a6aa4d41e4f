//! `/openapi.json`, and `/docs`, a page to read it; nothing of it comes from elsewhere.

use super::caller::{Anyone, state};
use crate::{error::ApiError, openapi};
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use std::sync::Arc;
use utoipa_swagger_ui::Config;

/// The description of the API.
pub async fn describe(_: Anyone, req: HttpRequest) -> web::Json<utoipa::openapi::OpenApi> {
    web::Json(openapi::describe(&state(&req).config.public_path))
}

/// To the page; relative, because a proxy may have cut off a prefix.
pub async fn index(_: Anyone) -> HttpResponse {
    HttpResponse::Found().insert_header((header::LOCATION, "docs/")).finish()
}

/// The page and its files.
///
/// # Errors
/// 404 for a file it does not have.
pub async fn page(_: Anyone, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let config = Arc::new(Config::new(["../openapi.json"]));
    let file = utoipa_swagger_ui::serve(req.match_info().query("file"), config).map_err(ApiError::internal_text)?;
    let file = file.ok_or(ApiError::RouteNotFound)?;
    let mut response = HttpResponse::Ok();
    response.content_type(file.content_type);
    if file.gzpipped {
        response.insert_header(header::ContentEncoding::Gzip);
    }
    Ok(response.body(file.bytes.into_owned()))
}
