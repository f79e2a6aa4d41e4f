//! What WHIP and WHEP endpoints share: from offer to 201, `OPTIONS`, and 405.

use super::{
    extract,
    headers::{self, FRAGMENT, SDP},
    ice_server::{ICE_SERVERS, IceServer},
};
use crate::{
    ApiError, Front,
    front::{GrantRequest, OpenRequest, Opened},
};
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use proto::{
    StreamId,
    session::{Protocol, Role},
    wire::sdp::BODY_BYTES_MAX,
};

/// What a POST asks for, whichever URL it came by.
pub(crate) struct Asked {
    /// Publish or play.
    pub(crate) role: Role,
    /// The stream.
    pub(crate) stream: StreamId,
    /// Token or stream key, if one was sent.
    pub(crate) credential: Option<String>,
    /// End an own publisher that is still there.
    pub(crate) takeover: bool,
}

/// Opens a session for the offer in the body and answers 201.
pub(crate) async fn open(
    req: &HttpRequest,
    body: web::Payload,
    front: &Front,
    asked: Asked,
) -> Result<HttpResponse, ApiError> {
    extract::require_type(req, SDP)?;
    let offer = extract::body(req, body, BODY_BYTES_MAX).await?;
    let opened = front.open(request(req, front, asked, offer)?).await?;
    Ok(created(req, front, &opened, ICE_SERVERS))
}

/// The request to the inner parts of the edge.
pub(super) fn request(req: &HttpRequest, front: &Front, asked: Asked, offer: Vec<u8>) -> Result<OpenRequest, ApiError> {
    let Asked { role, stream, credential, takeover } = asked;
    let client = extract::client(req, front)?;
    let wanted = GrantRequest { role, protocol: Protocol::Webrtc, stream, credential, client, takeover };
    Ok(OpenRequest { wanted, offer })
}

fn created(req: &HttpRequest, front: &Front, opened: &Opened, servers: &[IceServer]) -> HttpResponse {
    let mut answer = HttpResponse::Created();
    answer.insert_header((header::CONTENT_TYPE, SDP));
    answer.insert_header((header::LOCATION, session_url(req, front, &opened.handle)));
    answer.insert_header((header::ETAG, tag(&opened.etag)));
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    answer.insert_header((header::HeaderName::from_static("accept-patch"), FRAGMENT));
    for server in servers {
        answer.append_header((header::LINK, server.link()));
    }
    answer.body(opened.answer.clone())
}

/// Where the session is from now on: absolute and without a query, because clients resolve anything else in different ways.
/// A request that names no host (HTTP/1.0) hears the address it was accepted at.
fn session_url(req: &HttpRequest, front: &Front, handle: &str) -> String {
    let origin = match &front.config().base_url {
        Some(base) => base.origin().ascii_serialization(),
        None => headers::origin(extract::target(req, front))
            .unwrap_or_else(|| format!("http://{}", req.app_config().local_addr())),
    };
    format!("{origin}/rtc/v1/sessions/{handle}")
}

/// An entity tag as headers carry it.
pub(super) fn tag(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Methods of an endpoint with a stream in its path.
pub(crate) const ALLOW: &str = "POST, GET, HEAD, OPTIONS";
/// Methods of SRS's own forms.
pub(crate) const ALLOW_POST: &str = "POST, OPTIONS";

/// `OPTIONS` on endpoints: 200 for anybody. ICE servers are told, except to a preflight.
pub(crate) async fn options(req: HttpRequest) -> HttpResponse {
    options_with(&req, ALLOW, ICE_SERVERS)
}

/// `OPTIONS` on SRS's own forms.
pub(crate) async fn options_post(req: HttpRequest) -> HttpResponse {
    options_with(&req, ALLOW_POST, ICE_SERVERS)
}

fn options_with(req: &HttpRequest, allow: &'static str, servers: &[IceServer]) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::ALLOW, allow));
    answer.insert_header((header::HeaderName::from_static("accept-post"), SDP));
    answer.insert_header((header::HeaderName::from_static("accept-patch"), FRAGMENT));
    let preflight = req.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    for server in servers.iter().filter(|_| !preflight) {
        answer.append_header((header::LINK, server.link()));
    }
    answer.finish()
}

/// Any other method on an endpoint: 405 with what is allowed.
pub(crate) async fn refuse() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed { allow: ALLOW })
}

/// Any other method on SRS's own forms.
pub(crate) async fn refuse_post() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed { allow: ALLOW_POST })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn w45_ice_servers_are_repeated_on_options_but_not_on_a_preflight() {
        let servers = ["stun:a.example", "stun:b.example"].map(|uri| IceServer { uri: uri.into(), credential: None });
        let plain = TestRequest::default().to_http_request();
        let links = |answer: &HttpResponse| answer.headers().get_all("link").count();
        assert_eq!(links(&options_with(&plain, ALLOW, &servers)), 2, "one line each");
        let preflight =
            TestRequest::default().insert_header(("access-control-request-method", "POST")).to_http_request();
        assert_eq!(links(&options_with(&preflight, ALLOW, &servers)), 0);
    }
}
