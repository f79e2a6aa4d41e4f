//! Client of a media node's HTTP API: opens and ends WebRTC sessions, asks for its version.
//!
//! SRS answers most failures by closing the connection (docs/srs.md), so what a hang-up means is decided by the caller, who knows what was
//! checked before. Nothing of a client's query, headers or path gets here: every URL is built from parsed values. One connection a
//! request, closed after it, because two sessions on one connection share a client id in SRS.

mod location;
mod query;

pub use location::SrsSession;

use crate::metrics::{Metrics, UpstreamOutcome};
use proto::{StreamId, session::Role, srs::api::Versions};
use query::{delete_url, open_url, versions_url};
use reqwest::{StatusCode, header};
use std::{net::IpAddr, time::Duration};
use url::Url;

/// How long a node may take to accept the connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long a node may take for everything but opening, which has the caller's deadline.
const CALL_MAX: Duration = Duration::from_secs(2);
/// Largest answer that is read, in bytes; SRS writes under 8 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What opens a session at a node.
#[derive(Clone, Copy)]
pub struct OpenAt<'a> {
    /// The node's API origin.
    pub api: &'a Url,
    /// Publish or play.
    pub role: Role,
    /// The stream.
    pub stream: &'a StreamId,
    /// What the hook will see of the admission.
    pub ticket: &'a str,
    /// ICE ufrag the answer must carry.
    pub ufrag: &'a str,
    /// ICE password the answer must carry.
    pub password: &'a str,
    /// The client's address; SRS believes it.
    pub client: IpAddr,
    /// The offer, as SRS takes it.
    pub offer: &'a str,
    /// How long all of it may take.
    pub within: Duration,
}

impl std::fmt::Debug for OpenAt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAt").field("api", &self.api.as_str()).field("stream", self.stream).finish_non_exhaustive()
    }
}

/// A session that SRS accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// SRS's own names for it.
    pub session: SrsSession,
    /// The answer as SRS wrote it.
    pub answer: String,
}

/// Why a node did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    /// The connection was refused: nothing listens there, and nothing was opened.
    #[error("the node refuses connections")]
    NotListening,
    /// No connection in time, or no way there: nothing was opened.
    #[error("the node cannot be reached")]
    Unreachable,
    /// It closed the connection without a word: its way to refuse.
    #[error("the node hung up")]
    HungUp,
    /// No answer in time: a session may have been opened and dies by SRS's own timeout.
    #[error("the node did not answer in time")]
    TimedOut,
    /// Its answer says that the stream is published already (409, SRS 7.0.121 and later).
    #[error("the node says the stream is busy")]
    Busy,
    /// Its hook refused (401, 403).
    #[error("the node's hook refused")]
    Refused,
    /// It does not like the offer (400).
    #[error("the node refuses the offer")]
    Offer,
    /// Another status, no `Location`, or a body that is no answer.
    #[error("the node's answer cannot be used: {0}")]
    BadAnswer(&'static str),
}

impl SrsError {
    const fn outcome(self) -> UpstreamOutcome {
        match self {
            Self::NotListening | Self::Unreachable => UpstreamOutcome::Unreachable,
            Self::HungUp => UpstreamOutcome::HungUp,
            Self::TimedOut => UpstreamOutcome::TimedOut,
            Self::Busy => UpstreamOutcome::Busy,
            Self::Refused => UpstreamOutcome::Refused,
            Self::Offer => UpstreamOutcome::Offer,
            Self::BadAnswer(_) => UpstreamOutcome::BadAnswer,
        }
    }
}

/// The client; one for all nodes.
#[derive(Debug, Clone)]
pub struct SrsClient {
    http: reqwest::Client,
    metrics: Metrics,
}

impl SrsClient {
    /// Builds it.
    ///
    /// # Errors
    /// When TLS roots cannot be read; plain HTTP is all that is used.
    pub fn new(metrics: Metrics) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http, metrics })
    }

    /// Opens a session.
    ///
    /// # Errors
    /// [`SrsError`].
    pub async fn open(&self, at: OpenAt<'_>) -> Result<Accepted, SrsError> {
        let began = std::time::Instant::now();
        let result = match tokio::time::timeout(at.within, self.post(at)).await {
            Ok(result) => result,
            Err(_) => Err(SrsError::TimedOut),
        };
        let outcome = result.as_ref().map_or_else(|e| e.outcome(), |_| UpstreamOutcome::Accepted);
        self.metrics.upstream(at.role, outcome, began.elapsed());
        result
    }

    async fn post(&self, at: OpenAt<'_>) -> Result<Accepted, SrsError> {
        let request = self
            .http
            .post(open_url(at))
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/sdp")
            .header("X-Forwarded-For", at.client.to_string())
            .body(at.offer.to_owned());
        let response = request.send().await.map_err(|e| classify(&e))?;
        match response.status() {
            StatusCode::CREATED => {}
            StatusCode::CONFLICT => return Err(SrsError::Busy),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(SrsError::Refused),
            StatusCode::BAD_REQUEST => return Err(SrsError::Offer),
            _ => return Err(SrsError::BadAnswer("status is not 201")),
        }
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let session = location.and_then(SrsSession::parse).ok_or(SrsError::BadAnswer("no usable Location"))?;
        let answer = read(response).await?;
        Ok(Accepted { session, answer })
    }

    /// Ends a session. SRS says yes also for one that is gone.
    ///
    /// # Errors
    /// [`SrsError::HungUp`] when SRS does not take the token, which only a session of another run has; the others as in opening.
    pub async fn delete(&self, api: &Url, stream: &StreamId, session: &SrsSession) -> Result<(), SrsError> {
        let request = self.http.delete(delete_url(api, stream, session)).header(header::CONNECTION, "close");
        let response = request.timeout(CALL_MAX).send().await.map_err(|e| classify(&e))?;
        if response.status().is_success() { Ok(()) } else { Err(SrsError::BadAnswer("status is not 2xx")) }
    }

    /// Asks who the node is, which run, and which version.
    ///
    /// # Errors
    /// [`SrsError`].
    pub async fn versions(&self, api: &Url, within: Duration) -> Result<Versions, SrsError> {
        let request = self.http.get(versions_url(api)).header(header::CONNECTION, "close").timeout(within);
        let response = request.send().await.map_err(|e| classify(&e))?;
        if !response.status().is_success() {
            return Err(SrsError::BadAnswer("status is not 2xx"));
        }
        let text = read(response).await?;
        serde_json::from_str(&text).map_err(|_| SrsError::BadAnswer("no versions"))
    }
}

/// Reads a body as text, at most [`ANSWER_BYTES_MAX`].
async fn read(mut response: reqwest::Response) -> Result<String, SrsError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| classify(&e))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(SrsError::BadAnswer("over the size limit"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| SrsError::BadAnswer("not UTF-8"))
}

pub(crate) fn classify(error: &reqwest::Error) -> SrsError {
    if error.is_connect() {
        if refused(error) { SrsError::NotListening } else { SrsError::Unreachable }
    } else if error.is_timeout() {
        SrsError::TimedOut
    } else {
        SrsError::HungUp
    }
}

/// Whether a connection was refused, which only an operating system without a listener does.
fn refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = inner.source();
    }
    false
}
