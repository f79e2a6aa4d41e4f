//! Client of control-api's internal API: claims, keys, visibility, routes, sessions.
//!
//! Any control-api will do. One that refuses the connection, is too slow or says 503 is passed over for the next; the one that answered
//! last is asked first.

use crate::{metrics::Metrics, replica::Replica};
use proto::{
    EdgeId, NodeId, SessionId, StreamId,
    fleet::{KeyCache, Placement},
    internal::{
        ReleaseRequest, Reservation, ReserveRequest, RouteAnswer, SessionAnswer, SessionsAnswer, SessionsRequest,
        StreamAnswer, VerifyKeyRequest,
    },
    journal::JournalRequest,
    node::NodeReport,
};
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use url::Url;

/// How long a control-api may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_millis(300);
/// How long a look-up may take, over all control-apis asked.
const LOOKUP_MAX: Duration = Duration::from_secs(1);
/// How long one control-api may take for a look-up before the next is asked.
const LOOKUP_TRY_MAX: Duration = Duration::from_millis(500);
/// How long a reservation may take: control-api may watch a silent publisher for 2 s before it decides about a takeover.
const RESERVE_MAX: Duration = Duration::from_millis(2_800);
/// How long it may take to write a batch of journal entries down.
const JOURNAL_MAX: Duration = Duration::from_secs(5);
/// How long it may take to put a batch of sessions into the table.
const SESSIONS_MAX: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most control-apis that are tried for one call.
const TRIED_MAX: usize = 4;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// None could be asked, or none could decide.
    #[error("no control-api answers")]
    Away,
    /// There is no such thing.
    #[error("control-api knows none")]
    NotFound,
    /// Somebody else has it.
    #[error("control-api says it is taken")]
    Busy {
        /// Seconds after which to try again.
        retry_after: u64,
    },
    /// Our request or bearer was refused: a bug, or secrets that differ.
    #[error("control-api refuses the edge: {0}")]
    Refused(StatusCode),
}

/// The client.
#[derive(Debug, Clone)]
pub struct Control {
    http: reqwest::Client,
    fixed: Arc<[Url]>,
    replica: Replica,
    edge: EdgeId,
    metrics: Metrics,
    preferred: Arc<AtomicUsize>,
}

impl Control {
    /// Builds it. `fixed` is `CONTROL_API_URL`; when empty the control-apis alive in Redis are asked.
    ///
    /// # Errors
    /// When TLS roots cannot be read.
    pub fn new(fixed: &[Url], replica: Replica, edge: EdgeId, metrics: Metrics) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(Duration::from_secs(20))
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http, fixed: fixed.into(), replica, edge, metrics, preferred: Arc::default() })
    }

    /// Reserves a stream for a publisher.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn reserve(&self, request: &ReserveRequest) -> Result<Reservation, ControlError> {
        self.call(Method::POST, "/internal/v1/claims", Some(request), RESERVE_MAX).await?.ok_or(ControlError::Away)
    }

    /// Gives a reservation back.
    ///
    /// # Errors
    /// [`ControlError`]; the reservation then ends by itself.
    pub async fn release(&self, request: &ReleaseRequest) -> Result<(), ControlError> {
        self.call::<_, serde_json::Value>(Method::POST, "/internal/v1/claims:release", Some(request), LOOKUP_MAX)
            .await?;
        Ok(())
    }

    /// Asks for a stream key by its hash; `None` for one that is not valid.
    ///
    /// # Errors
    /// [`ControlError`], never `NotFound`.
    pub async fn key(&self, hash: &str) -> Result<Option<KeyCache>, ControlError> {
        let request = VerifyKeyRequest { hash: hash.to_owned() };
        found(self.call(Method::POST, "/internal/v1/keys:verify", Some(&request), LOOKUP_MAX).await)
    }

    /// Asks for a stream's visibility and owner.
    ///
    /// # Errors
    /// [`ControlError`], never `NotFound`.
    pub async fn stream(&self, stream: &StreamId) -> Result<Option<StreamAnswer>, ControlError> {
        found(self.call::<(), _>(Method::GET, &format!("/internal/v1/streams/{stream}"), None, LOOKUP_MAX).await)
    }

    /// Asks where a stream is live; `None` when nobody publishes it.
    ///
    /// # Errors
    /// [`ControlError`]; `NotFound` when there is no such stream.
    pub async fn route(&self, stream: &StreamId) -> Result<Option<Placement>, ControlError> {
        let path = format!("/internal/v1/route/{stream}");
        let answer: Option<RouteAnswer> = self.call::<(), _>(Method::GET, &path, None, LOOKUP_MAX).await?;
        Ok(answer.and_then(|route| route.placement))
    }

    /// Asks for a session; `None` when there never was one or it is forgotten.
    ///
    /// # Errors
    /// [`ControlError`], never `NotFound`.
    pub async fn session(&self, session: &SessionId) -> Result<Option<SessionAnswer>, ControlError> {
        found(self.call::<(), _>(Method::GET, &format!("/internal/v1/sessions/{session}"), None, LOOKUP_MAX).await)
    }

    /// Tells of sessions that only this edge knows, and hears what became of them.
    ///
    /// # Errors
    /// [`ControlError`]: tell them again.
    pub async fn sessions(&self, request: &SessionsRequest) -> Result<SessionsAnswer, ControlError> {
        let answer = self.call(Method::POST, "/internal/v1/sessions", Some(request), SESSIONS_MAX).await?;
        answer.ok_or(ControlError::Away)
    }

    /// Tells what was met at a media node.
    ///
    /// # Errors
    /// [`ControlError`]; what still lasts is told again.
    pub async fn report(&self, node: &NodeId, report: &NodeReport) -> Result<(), ControlError> {
        let path = format!("/internal/v1/nodes/{node}:report");
        self.call::<_, serde_json::Value>(Method::POST, &path, Some(report), LOOKUP_MAX).await?;
        Ok(())
    }

    /// Whether any control-api is there at all: tells a hook that was refused from one that nobody heard.
    pub async fn answers(&self) -> bool {
        let looks = self.origins().into_iter().take(TRIED_MAX).map(|mut url| {
            url.set_path("/healthz");
            self.http.get(url).timeout(LOOKUP_TRY_MAX).send()
        });
        let answers = futures_util::future::join_all(looks).await;
        answers.into_iter().any(|answer| answer.is_ok_and(|response| !response.status().is_server_error()))
    }

    /// Hands journal entries in; they are written down, or void, when this is `Ok`.
    ///
    /// # Errors
    /// [`ControlError`]: keep them.
    pub async fn journal(&self, request: &JournalRequest) -> Result<(), ControlError> {
        match self
            .call::<_, serde_json::Value>(Method::POST, "/internal/v1/journal", Some(request), JOURNAL_MAX)
            .await?
        {
            None => Ok(()),
            Some(_) => Err(ControlError::Away),
        }
    }

    /// One that was asked first did not answer: the next is asked first from now on.
    pub(crate) fn passed_over(&self) {
        self.metrics.control_away();
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// Where they are, the one that answered last first.
    pub(crate) fn origins(&self) -> Vec<Url> {
        let mut origins = if self.fixed.is_empty() { self.replica.controls() } else { self.fixed.to_vec() };
        if !origins.is_empty() {
            let first = self.preferred.load(Ordering::Relaxed) % origins.len();
            origins.rotate_left(first);
        }
        origins
    }

    /// Asks one control-api after the other; `None` is an answer without a body.
    async fn call<B, T>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        within: Duration,
    ) -> Result<Option<T>, ControlError>
    where
        B: Serialize + Sync,
        T: DeserializeOwned,
    {
        let deadline = tokio::time::Instant::now() + within;
        let Some(secrets) = self.replica.secrets() else { return Err(ControlError::Away) };
        for origin in self.origins().into_iter().take(TRIED_MAX) {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                break;
            }
            let bearer = proto::internal::bearer(&secrets.keyring.current, &self.edge, kit::clock::unix());
            let mut url = origin;
            url.set_path(path);
            let patience = if within > LOOKUP_MAX { left } else { left.min(LOOKUP_TRY_MAX) };
            let mut request = self.http.request(method.clone(), url).bearer_auth(bearer).timeout(patience);
            if let Some(body) = body {
                request = request.json(body);
            }
            match ask(request).await {
                Ok(answer) => return Ok(answer),
                Err(ControlError::Away) => self.passed_over(),
                Err(other) => return Err(other),
            }
        }
        Err(ControlError::Away)
    }
}

fn found<T>(answer: Result<Option<T>, ControlError>) -> Result<Option<T>, ControlError> {
    match answer {
        Err(ControlError::NotFound) => Ok(None),
        other => other,
    }
}

async fn ask<T: DeserializeOwned>(request: RequestBuilder) -> Result<Option<T>, ControlError> {
    let mut response = request.send().await.map_err(|error| {
        tracing::debug!(error = %error.without_url(), "a control-api did not answer");
        ControlError::Away
    })?;
    let status = response.status();
    match status {
        StatusCode::NO_CONTENT => return Ok(None),
        StatusCode::NOT_FOUND => return Err(ControlError::NotFound),
        StatusCode::CONFLICT => {
            let after = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            return Err(ControlError::Busy { retry_after: after.unwrap_or(crate::error::BUSY_RETRY_SECONDS) });
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => return Err(ControlError::Away),
        _ if !status.is_success() => {
            tracing::error!(%status, "control-api refuses this edge: do EDGE_SECRET and the clocks agree?");
            return Err(ControlError::Refused(status));
        }
        _ => {}
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| ControlError::Away)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ControlError::Away);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map(Some).map_err(|error| {
        tracing::error!(%error, "control-api answered what cannot be read");
        ControlError::Away
    })
}
