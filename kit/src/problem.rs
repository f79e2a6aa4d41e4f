//! RFC 9457 problem documents: the one body shape every failure is answered with.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;

/// One row of a service's error table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// 4xx or 5xx.
    pub status: StatusCode,
    /// Stable name clients may match on, e.g. `stream-not-found`.
    pub code: &'static str,
    /// Short human title, the same for every occurrence.
    pub title: &'static str,
}

/// One occurrence.
#[derive(Debug, Clone)]
pub struct Problem<'a> {
    /// What kind of failure.
    pub row: Row,
    /// What to do about it, for the client; never the cause of a 5xx.
    pub detail: &'a str,
    /// Which input was wrong, as a path into the body (`title`), if one was.
    pub field: Option<&'a str>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    /// `MediaMTX`'s page reads this member of a 400 (docs/whip-whep.md, W3).
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl<'a> Problem<'a> {
    /// A problem with nothing but its kind and detail.
    #[must_use]
    pub const fn new(row: Row, detail: &'a str) -> Self {
        Self { row, detail, field: None, retry_after: None }
    }

    /// Builds the answer.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.row.status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        response.json(Body {
            r#type: format!("urn:keystone:{}", self.row.code),
            title: self.row.title,
            status: self.row.status.as_u16(),
            code: self.row.code,
            detail: self.detail,
            error: self.detail,
            field: self.field,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::MessageBody;

    #[test]
    fn a_problem_is_json_with_a_stable_code() {
        let row = Row { status: StatusCode::CONFLICT, code: "stream-busy", title: "Stream busy" };
        let response = Problem { retry_after: Some(2), ..Problem::new(row, "somebody publishes it") }.response();
        assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
        assert_eq!(response.headers().get("retry-after").unwrap(), "2");
        let body = response.into_body().try_into_bytes().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "urn:keystone:stream-busy");
        assert_eq!(body["error"], body["detail"]);
        assert!(body.get("field").is_none());
    }
}
