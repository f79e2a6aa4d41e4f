//! JSON bodies: bounded in size and time, every unknown, missing or malformed field named.

use crate::error::ApiError;
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use futures_util::{StreamExt as _, future::LocalBoxFuture};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Most bytes in a JSON body: the largest of ours, a reservation with 64 nodes, has 6 KiB.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a body may take to arrive.
pub const BODY_SECONDS_MAX: u64 = 10;

/// Reads a whole body.
///
/// # Errors
/// [`ApiError::BodyTooLarge`], [`ApiError::BodyTimeout`]; [`ApiError::BadRequest`] if the client breaks off.
pub async fn read(mut payload: web::Payload, limit: usize) -> Result<Vec<u8>, ApiError> {
    let whole = async {
        let mut body = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| ApiError::bad_request("the body broke off"))?;
            if body.len() + chunk.len() > limit {
                return Err(ApiError::BodyTooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    let read = tokio::time::timeout(Duration::from_secs(BODY_SECONDS_MAX), whole).await;
    read.unwrap_or(Err(ApiError::BodyTimeout { seconds: BODY_SECONDS_MAX }))
}

/// Reads JSON, naming the field at fault.
///
/// # Errors
/// [`ApiError::BadRequest`].
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.inner().to_string();
        // serde names a missing field only in its words, and then the path is that of the object.
        let missing = detail.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let field = match (path.as_str(), missing) {
            (".", Some(name)) => Some(name.to_owned()),
            (_, Some(name)) => Some(format!("{path}.{name}")),
            (".", None) => None,
            (_, None) => Some(path),
        };
        ApiError::BadRequest { field, detail }
    })?;
    json.end().map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(value)
}

fn is_json(req: &HttpRequest) -> bool {
    let value = req.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A JSON body.
#[derive(Debug)]
pub struct Json<T> {
    /// What it says.
    pub value: T,
    /// SHA-256 of its bytes in hexadecimal, to tell whether a request is sent again or another one.
    pub hash: String,
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(req);
        let payload = web::Payload::from_request(req, payload).into_inner();
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::MediaType);
            }
            let payload = payload.map_err(ApiError::internal_text)?;
            let bytes = read(payload, BODY_BYTES_MAX).await?;
            Ok(Self { value: parse(&bytes)?, hash: proto::secret::sha256_hex(&bytes) })
        })
    }
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct MaybeJson<T> {
    /// What it says; `None` without a body.
    pub value: Option<T>,
    /// As [`Json::hash`].
    pub hash: String,
}

impl<T: DeserializeOwned + 'static> FromRequest for MaybeJson<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(req);
        let payload = web::Payload::from_request(req, payload).into_inner();
        Box::pin(async move {
            let bytes = read(payload.map_err(ApiError::internal_text)?, BODY_BYTES_MAX).await?;
            let value = match (bytes.is_empty(), is_json) {
                (true, _) => None,
                (false, true) => Some(parse(&bytes)?),
                (false, false) => return Err(ApiError::MediaType),
            };
            Ok(Self { value, hash: proto::secret::sha256_hex(&bytes) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::api::{CreateStream, CreateToken};

    fn field<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> Option<String> {
        let error = parse::<T>(json.as_bytes()).unwrap_err();
        let ApiError::BadRequest { field, .. } = error else { panic!("{error:?}") };
        field
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(field::<CreateStream>(r#"{"title":"a","colour":1}"#).as_deref(), Some("colour"));
        assert_eq!(field::<CreateStream>("{}").as_deref(), Some("title"));
        assert_eq!(field::<CreateStream>(r#"{"title":1}"#).as_deref(), Some("title"));
        assert_eq!(field::<CreateStream>(r#"{"title":"a","visibility":"secret"}"#).as_deref(), Some("visibility"));
        assert_eq!(field::<CreateToken>(r#"{"action":"play","ip":"x"}"#).as_deref(), Some("ip"));
        assert_eq!(field::<CreateStream>("[").as_deref(), None);
        assert_eq!(field::<CreateStream>(r#"{"title":"a"} x"#).as_deref(), None);
    }
}
