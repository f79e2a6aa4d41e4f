//! HTTP/1.1 the way SRS 5 speaks it: every answer closes the connection, and an error is a connection closed without a
//! single byte of answer ([`Hangup`]).

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::offer::OFFER_BYTES_MAX;

/// Connections of one listener at once; more wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 512;
/// A client that does not finish its header within this is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The handler wants the connection closed without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("closed without an answer")]
pub(crate) struct Hangup;

/// A request, body read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The client hung up before it was answered; only handlers that wait long look at it.
    pub(crate) gone: CancellationToken,
    peer: IpAddr,
}

impl Call {
    /// The client's address: the first `X-Forwarded-For`, believed blindly as SRS does, else the TCP peer.
    pub(crate) fn ip(&self) -> String {
        let forwarded = self.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let first = forwarded.and_then(|value| value.split(',').next()).map(str::trim).filter(|ip| !ip.is_empty());
        first.map_or_else(|| self.peer.to_string(), str::to_owned)
    }
}

/// What a handler answers.
pub(crate) type Answer = Result<Response<Body>, Hangup>;

/// A body that is there, or comes while it is sent.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// 200 with a JSON body.
pub(crate) fn json(value: &serde_json::Value) -> Answer {
    reply(StatusCode::OK, "application/json", value.to_string())
}

/// An answer with a body.
pub(crate) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// 200 without a body.
pub(crate) fn empty() -> Response<Body> {
    Response::new(Full::default().boxed_unsync())
}

/// Serves `listener` until `cancel`. `software` is the `Server` header.
///
/// Each handler runs in a task of its own, so that a client that hangs up in the middle does not leave half a session.
pub(crate) async fn serve<H, F>(listener: TcpListener, software: String, handler: H, cancel: CancellationToken)
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = tokio::select! {
            () = cancel.cancelled() => return,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (Ok(slot), Ok((stream, peer))) = (slot, accepted) else { continue };
        let (software, handler, cancel) = (software.clone(), handler.clone(), cancel.clone());
        tokio::spawn(async move {
            let done = connection(stream, peer, software, handler);
            tokio::select! {
                () = cancel.cancelled() => {}
                () = done => {}
            }
            drop(slot);
        });
    }
}

async fn connection<H, F>(stream: TcpStream, peer: SocketAddr, software: String, handler: H)
where
    H: Fn(Call) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (software, handler) = (software.clone(), handler.clone());
        async move {
            let cors = request.headers().contains_key(header::ORIGIN);
            let mut response = match answer(request, peer.ip(), handler).await {
                Ok(response) => response,
                Err(Hangup) => return Err(Hangup),
            };
            finish(response.headers_mut(), &software, cors);
            Ok(response)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn answer<H, F>(request: Request<Incoming>, peer: IpAddr, handler: H) -> Answer
where
    H: Fn(Call) -> F + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    if request.method() == Method::OPTIONS {
        return Ok(empty());
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, OFFER_BYTES_MAX).collect().await.map_err(|_| Hangup)?.to_bytes();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    // Dropped with this future, that is with the connection, and told only then.
    let here = CancellationToken::new();
    let (gone, here) = (here.clone(), here.drop_guard());
    let call = Call { method: parts.method, path, query, headers: parts.headers, body, gone, peer };
    // A handler that panicked is an error like any other to the client.
    let answer = tokio::spawn(handler(call)).await.unwrap_or(Err(Hangup));
    drop(here);
    answer
}

/// Headers of every answer; CORS as SRS does it, only when asked with an `Origin`.
fn finish(headers: &mut HeaderMap, software: &str, cors: bool) {
    if let Ok(software) = HeaderValue::from_str(software) {
        headers.insert(header::SERVER, software);
    }
    if cors {
        for name in ["allow-origin", "allow-headers", "allow-methods", "expose-headers"] {
            if let Ok(name) = hyper::header::HeaderName::try_from(format!("access-control-{name}")) {
                headers.insert(name, HeaderValue::from_static("*"));
            }
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("false"));
    }
}

impl From<Infallible> for Hangup {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
