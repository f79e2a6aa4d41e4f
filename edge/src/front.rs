//! What the HTTP front asks for: open a session, look at one, end one.

use crate::{config::Config, error::ApiError, metrics::Metrics};
use proto::{EdgeId, NodeId, SessionId, StreamId, session::Role};
use std::{net::IpAddr, sync::Arc};

/// Requests that are limited per client address, besides opening (which [`Front::open`] limits itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedOp {
    /// `PATCH` of a session.
    Patch,
    /// `DELETE` of a session.
    Delete,
}

/// A parsed POST: everything that decides about a new session.
#[derive(Clone)]
pub struct OpenRequest {
    /// Publish or play.
    pub role: Role,
    /// The stream.
    pub stream: StreamId,
    /// A token or stream key, from `Authorization: Bearer` or `?token=`.
    pub credential: Option<String>,
    /// The offer as it came, already within the body limit.
    pub offer: Vec<u8>,
    /// The client's address as far as trusted proxies tell.
    pub client: IpAddr,
    /// `?takeover=1`: end a present publisher of the same owner.
    pub takeover: bool,
}

impl std::fmt::Debug for OpenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenRequest").field("role", &self.role).field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// A session that a media node accepted.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The last segment of its URL: a capability, never logged.
    pub handle: String,
    /// Its entity tag without quotes; changes only if ICE restarts, which it does not.
    pub etag: String,
    /// The answer, repaired, CRLF lines.
    pub answer: String,
    /// Its id.
    pub session: SessionId,
    /// Its node.
    pub node: NodeId,
}

/// A session that is known to be alive.
#[derive(Debug, Clone)]
pub struct Session {
    /// What its URL said.
    pub handle: proto::handle::Handle,
    /// Its entity tag without quotes.
    pub etag: String,
}

/// One dependency as `/readyz` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// `redis`, `control-api`, `secrets`, `nodes`.
    pub name: &'static str,
    /// Whether it can be used now.
    pub ready: bool,
    /// A few words for the operator.
    pub detail: String,
}

/// The flows behind the HTTP front. Cheap to clone; every clone is the same edge.
#[derive(Debug, Clone)]
pub struct Front(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    config: Config,
    edge: EdgeId,
    metrics: Metrics,
}

impl Front {
    pub(crate) fn build(config: Config, edge: EdgeId, metrics: Metrics) -> Self {
        Self(Arc::new(Parts { config, edge, metrics }))
    }

    /// This process, for `X-Keystone-Edge`.
    #[must_use]
    pub fn edge(&self) -> &EdgeId {
        &self.0.edge
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Every dependency and whether it can be used; for `/readyz`, answered from memory.
    #[must_use]
    pub fn readiness(&self) -> Vec<Dependency> {
        Vec::new()
    }

    /// Counts one request of `client` against its limit.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub async fn limit(&self, _op: LimitedOp, _client: IpAddr) -> Result<(), ApiError> {
        std::future::ready(Ok(())).await
    }

    /// Admits, places and opens a session.
    ///
    /// # Errors
    /// The refusal to answer with. Nothing is left behind then, at the node or elsewhere.
    pub async fn open(&self, _request: OpenRequest) -> Result<Opened, ApiError> {
        std::future::ready(Err(ApiError::NodeUnavailable)).await
    }

    /// Opens a handle and asks whether its session still runs.
    ///
    /// # Errors
    /// [`ApiError::SessionUnknown`], or what is wrong with a credential that was sent along.
    pub async fn session(&self, _handle: &str, _credential: Option<&str>) -> Result<Session, ApiError> {
        std::future::ready(Err(ApiError::SessionUnknown)).await
    }

    /// Ends a session at its node.
    ///
    /// # Errors
    /// [`ApiError::SessionUnknown`] also when it has ended before.
    pub async fn close(&self, _handle: &str, _credential: Option<&str>) -> Result<(), ApiError> {
        std::future::ready(Err(ApiError::SessionUnknown)).await
    }
}
