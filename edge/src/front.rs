//! What the HTTP front asks for: open a session, look at one, end one.

mod attempt;
mod failure;
mod grant;
mod lease;
mod open;
mod play;
mod publish;
mod session;
mod wire;

pub use grant::{Grant, GrantRequest};
pub(crate) use lease::Adopted;
pub use lease::Lease;
pub(crate) use open::draw_session;
pub(crate) use wire::Parts;

use crate::{
    config::Config, error::ApiError, hls::Hls, hooks::Hooks, leases::Leases, metrics::Metrics, nodes::NodeTable,
    rtc::Relay,
};
use proto::{EdgeId, NodeId, SessionId, node::SrtPort, srs::api::Versions};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tracing::Instrument as _;

/// How long one node may take to say its version.
const VERSIONS_WITHIN: Duration = Duration::from_secs(1);

/// Requests that are limited per client address, besides opening (which [`Front::open`] limits itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedOp {
    /// `PATCH` of a session.
    Patch,
    /// `DELETE` of a session.
    Delete,
}

impl LimitedOp {
    const fn name(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// A parsed POST: everything that decides about a new WebRTC session.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// Who wants what.
    pub wanted: GrantRequest,
    /// The offer as it came, already within the body limit.
    pub offer: Vec<u8>,
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
    /// `edge` (whether it takes sessions), `redis`, `control-api`, `secrets`, `nodes`.
    pub name: &'static str,
    /// Whether it can be used now.
    pub ready: bool,
    /// A few words for the operator.
    pub detail: String,
}

/// The flows behind the HTTP front. Cheap to clone; every clone is the same edge.
#[derive(Debug, Clone)]
pub struct Front(Arc<Parts>);

impl Front {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self(parts)
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

    /// The WebRTC relay, unless it is switched off.
    #[must_use]
    pub fn relay(&self) -> Option<&Relay> {
        self.0.relay.as_deref()
    }

    /// Sessions whose media passes this edge.
    #[must_use]
    pub fn leases(&self) -> &Leases {
        self.0.replica.leases()
    }

    /// What cookies, tickets and handles are made with; `None` until the cluster has told it.
    pub(crate) fn secrets(&self) -> Option<Arc<crate::replica::Secrets>> {
        self.0.replica.secrets()
    }

    /// Hooks of media nodes.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.0.hooks
    }

    /// Sessions whose media passes this edge; for tests.
    #[must_use]
    pub fn lease_ids(&self) -> Vec<SessionId> {
        self.0.replica.leases().all().into_iter().map(|(session, _)| session).collect()
    }

    /// HLS.
    pub(crate) fn hls(&self) -> &Hls {
        &self.0.hls
    }

    /// Every dependency and whether it can be used; for `/readyz`, answered from memory.
    #[must_use]
    pub fn readiness(&self) -> Vec<Dependency> {
        self.0.readiness()
    }

    /// Whether this edge is about to end, and takes no more sessions.
    #[must_use]
    pub fn leaving(&self) -> bool {
        self.0.leaving.is_cancelled()
    }

    /// The version of the first media node that answers.
    ///
    /// # Errors
    /// [`ApiError::NodeUnavailable`].
    pub async fn node_versions(&self) -> Result<Versions, ApiError> {
        for node in self.0.nodes.look(NodeTable::in_use) {
            if let Ok(versions) = self.0.srs.versions(&node.api, VERSIONS_WITHIN).await {
                return Ok(versions);
            }
        }
        Err(ApiError::NodeUnavailable)
    }

    /// Counts one request of `client` against its limit.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub async fn limit(&self, op: LimitedOp, client: IpAddr) -> Result<(), ApiError> {
        self.0.admission.limit(op.name(), client).await
    }

    /// Admits, places and opens a session.
    ///
    /// Runs as a task of its own: a client that hangs up while it is under way leaves nothing behind, because the session is then ended
    /// as soon as it is there.
    ///
    /// # Errors
    /// The refusal to answer with. Nothing is left behind then, at the node or elsewhere.
    pub async fn open(&self, request: OpenRequest) -> Result<Opened, ApiError> {
        if self.leaving() {
            return Err(ApiError::Leaving);
        }
        let (reply, answer) = oneshot::channel();
        let parts = self.0.clone();
        let flow = async move {
            let result = parts.open(&request).await;
            if let Err(Ok(unheard)) = reply.send(result) {
                parts.undo(&unheard).await;
            }
        };
        self.0.flows.spawn(flow.in_current_span());
        // The sender is lost only if the task panicked, which is logged there.
        answer.await.unwrap_or(Err(ApiError::Internal)).map(|held| held.opened)
    }

    /// Admits and places a session that its protocol's own front then opens at the node.
    ///
    /// Runs as a task of its own, so that a client that hangs up while it is under way leaves no reservation behind.
    ///
    /// # Errors
    /// The refusal for the client; each protocol has its own words for it. Nothing is held then.
    pub async fn grant(&self, wanted: GrantRequest) -> Result<Grant, ApiError> {
        self.grant_at(wanted, None).await
    }

    /// The same for an SRT caller: a publisher is placed at a node whose port takes its kind. Whether a stream's present node does is the caller's to
    /// look at: a viewer has no choice of nodes.
    ///
    /// # Errors
    /// As of [`Front::grant`].
    pub async fn grant_srt(&self, wanted: GrantRequest, port: SrtPort) -> Result<Grant, ApiError> {
        self.grant_at(wanted, Some(port)).await
    }

    /// Whether any node has a port for this kind of SRT caller.
    #[must_use]
    pub fn has_srt_port(&self, port: SrtPort) -> bool {
        self.0.nodes.look(|table| table.has_srt_port(port))
    }

    async fn grant_at(&self, wanted: GrantRequest, srt: Option<SrtPort>) -> Result<Grant, ApiError> {
        if self.leaving() {
            return Err(ApiError::Leaving);
        }
        let (reply, answer) = oneshot::channel();
        let (parts, role) = (self.0.clone(), wanted.role);
        self.0.flows.spawn(async move {
            let result = parts.grant(wanted, srt, open::deadline()).await;
            // A grant that nobody takes gives back what it holds.
            drop(reply.send(result));
        });
        let result = answer.await.unwrap_or(Err(ApiError::Internal));
        if let Err(error) = &result {
            self.0.metrics.admission(role, error.row().code);
        }
        result
    }

    /// Opens a handle and asks whether its session still runs.
    ///
    /// # Errors
    /// [`ApiError::SessionUnknown`], or what is wrong with a credential that was sent along.
    pub async fn session(&self, handle: &str, credential: Option<&str>) -> Result<Session, ApiError> {
        self.0.session(handle, credential).await
    }

    /// Ends a session at its node.
    ///
    /// # Errors
    /// [`ApiError::SessionUnknown`] also when it has ended before.
    pub async fn close(&self, handle: &str, credential: Option<&str>) -> Result<(), ApiError> {
        self.0.close(handle, credential).await
    }
}
