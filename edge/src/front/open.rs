//! What publishing and playing have in common: read the offer, admit, post to the node, mend the answer, seal the handle.

use super::{OpenRequest, Opened, Parts, failure};
use crate::{
    admit::{Admitted, Ask},
    error::ApiError,
    nodes::NodeAddress,
    replica::Secrets,
    srs::{Accepted, OpenAt, SrsError, SrsSession},
    stream::core::{NewSession, Pass},
};
use proto::{
    NodeId, ServiceId, SessionId, TokenId,
    fleet::Placement,
    handle::Handle,
    ice,
    internal::Credential,
    node::Met,
    secret::sha256_hex,
    session::{Protocol, Role},
    ticket::{LIFE_SECONDS, Scope, Ticket, ufrag_hash},
    wire::sdp::{Answer, AnswerError, AnswerOptions, Candidates, Kind, Offer, SdpError},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long opening may take in all: clients give up after 5 s.
const OPEN_MAX: Duration = Duration::from_millis(4_500);
/// Characters of an entity tag.
const ETAG_LEN: usize = 20;

/// A session that is open at its node, with what undoing it takes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) opened: Opened,
    handle: Handle,
    /// The single-use token it holds, and the session id that token was taken for.
    pub(super) token: Option<(TokenId, SessionId)>,
}

impl Held {
    /// The session as its stream's actor keeps it. A viewer's token is kept along: its revocation ends the session.
    pub(super) fn to_keep(&self, at: Arc<Placement>, admitted: &Admitted) -> NewSession {
        let handle = &self.handle;
        let pass = match &admitted.credential {
            Credential::Token { jti } if handle.role == Role::Play => {
                Some(Box::new(Pass { jti: *jti, handle: handle.clone() }))
            }
            Credential::Token { .. } | Credential::StreamKey { .. } | Credential::Open => None,
        };
        NewSession { id: handle.session, role: handle.role, at, pass }
    }
}

/// One attempt to open a session at one node.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) node: NodeAddress,
    pub(super) service: ServiceId,
    pub(super) epoch: u64,
    pub(super) session: SessionId,
    pub(super) deadline: Instant,
}

/// Why an attempt at a node failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptError {
    /// The node's doing.
    Node(SrsError),
    /// It hung up, and no control-api is there to answer its hook: what it was waiting for is known.
    NoHook,
    /// The name we chose was taken there: try again with another.
    Collision,
}

impl AttemptError {
    pub(super) fn api(self) -> ApiError {
        match self {
            Self::Node(error) => failure::of_node(error),
            Self::NoHook => ApiError::Away { what: "control-api" },
            Self::Collision => ApiError::UpstreamRefused,
        }
    }

    /// Whether another attempt may go better: nothing was opened, and another name or node is to be had.
    pub(super) const fn again(self) -> bool {
        matches!(self, Self::Collision | Self::Node(SrsError::NotListening | SrsError::Unreachable))
    }
}

/// A fresh session id.
pub(super) fn draw_session() -> SessionId {
    SessionId::from_bytes(kit::random::bytes())
}

/// The entity tag of a session: stays the same, tells nothing.
pub(super) fn etag(session: &SessionId) -> String {
    let mut text = sha256_hex(format!("etag {session}").as_bytes());
    text.truncate(ETAG_LEN);
    text
}

impl Parts {
    /// The whole of a POST.
    pub(super) async fn open(&self, request: &OpenRequest) -> Result<Held, ApiError> {
        let deadline = Instant::now() + OPEN_MAX;
        let result = match Offer::inspect(&request.offer, request.role) {
            Ok(offer) => self.open_offer(request, &offer, deadline).await,
            Err(error) => Err(self.bad_offer(request, &error).await),
        };
        let verdict = result.as_ref().map_or_else(|error| error.row().code, |_| "ok");
        self.metrics.admission(request.role, verdict);
        if let Ok(held) = &result {
            tracing::info!(
                session.id = %held.handle.session, stream.id = %request.stream, role = request.role.as_str(),
                node = %held.handle.node, "session opened"
            );
        }
        result
    }

    /// A bad offer costs as much of the limit as a good one.
    async fn bad_offer(&self, request: &OpenRequest, error: &SdpError) -> ApiError {
        if let Err(limited) = self.admission.limit(request.role.as_str(), request.client).await {
            return limited;
        }
        match error.kind() {
            Kind::Malformed => ApiError::SdpMalformed(error.to_string()),
            Kind::Unusable => ApiError::SdpUnsupported(error.to_string()),
        }
    }

    async fn open_offer(&self, request: &OpenRequest, offer: &Offer, deadline: Instant) -> Result<Held, ApiError> {
        let session = draw_session();
        let credential = request.credential.as_deref();
        let ask = Ask { stream: &request.stream, credential, client: request.client, session };
        let (taken, result) = match request.role {
            Role::Publish => {
                let admitted = self.admission.publish(ask).await?;
                (admitted.taken, self.publish(request, offer, &admitted, session, deadline).await)
            }
            Role::Play => {
                let seen = self.streams.get(&request.stream).and_then(|stream| stream.peek());
                let admitted = self.admission.play(ask, seen.is_none()).await?;
                (admitted.taken, self.play(request, offer, seen, &admitted, session, deadline).await)
            }
        };
        match result {
            Ok(held) => Ok(Held { token: taken.map(|jti| (jti, session)), ..held }),
            Err(error) => {
                if let Some(jti) = taken {
                    self.admission.give_back(jti, session).await;
                }
                Err(error)
            }
        }
    }

    /// Ends what nobody heard of.
    pub(super) async fn undo(&self, held: &Held) {
        self.metrics.unheard();
        tracing::info!(session.id = %held.handle.session, "the client was gone before the answer; its session is ended");
        if let Err(error) = self.end(&held.handle).await {
            tracing::warn!(session.id = %held.handle.session, %error, "it could not be ended and dies by the node's own timeout");
        }
        if let Some((jti, session)) = held.token {
            self.admission.give_back(jti, session).await;
        }
    }

    /// Posts to one node and makes of its answer what the client gets.
    pub(super) async fn attempt(
        &self,
        request: &OpenRequest,
        offer: &Offer,
        target: &Target,
    ) -> Result<Held, AttemptError> {
        let secrets = self.replica.secrets().ok_or(AttemptError::Node(SrsError::BadAnswer("no secrets")))?;
        let ufrag = ice::ufrag(&target.node.id, kit::random::bytes());
        let accepted = self.post(request, offer, target, &secrets, &ufrag).await;
        let accepted = match accepted {
            Ok(accepted) => {
                self.nodes.fine(&target.node.id, &target.service);
                accepted
            }
            Err(error) => return Err(self.node_failed(request, target, error).await),
        };
        let made = self.finish(request, offer, target, &secrets, &accepted, &ufrag);
        if made.is_err() {
            self.drop_session(request, target, &accepted.session).await;
        }
        made
    }

    /// Notes what a failed request tells of its node. One that was not answered may also be the hook's doing: then the node is looked at.
    pub(super) fn node_erred(&self, node: &NodeId, service: &ServiceId, error: SrsError) {
        match error {
            SrsError::NotListening => drop(self.keeper.failed(node, service, Met::Refused)),
            SrsError::Unreachable => drop(self.keeper.failed(node, service, Met::Silent)),
            SrsError::TimedOut | SrsError::HungUp => self.nodes.doubt(node, service),
            SrsError::Busy | SrsError::Refused | SrsError::Offer | SrsError::BadAnswer(_) => {}
        }
    }

    async fn node_failed(&self, request: &OpenRequest, target: &Target, error: SrsError) -> AttemptError {
        self.node_erred(&target.node.id, &target.service, error);
        tracing::warn!(
            node = %target.node.id, stream.id = %request.stream, role = request.role.as_str(), %error,
            "a media node did not open a session: {error}"
        );
        if error == SrsError::HungUp && !self.control.answers().await {
            return AttemptError::NoHook;
        }
        AttemptError::Node(error)
    }

    async fn post(
        &self,
        request: &OpenRequest,
        offer: &Offer,
        target: &Target,
        secrets: &Secrets,
        ufrag: &str,
    ) -> Result<Accepted, SrsError> {
        let ticket = Ticket {
            session: target.session,
            role: request.role,
            protocol: Protocol::Webrtc,
            expires_at: kit::clock::unix().saturating_add(LIFE_SECONDS),
            epoch: target.epoch,
            client: Some(request.client),
            ufrag_hash: ufrag_hash(ufrag),
            edge: self.edge.clone(),
        };
        let scope = Scope { node: &target.node.id, service: &target.service, stream: &request.stream };
        let at = OpenAt {
            api: &target.node.api,
            role: request.role,
            stream: &request.stream,
            ticket: &ticket.seal(&secrets.keyring.current, scope),
            ufrag,
            password: &ice::password(&secrets.keyring.current, ufrag),
            client: request.client,
            offer: &offer.for_upstream(),
            within: target.deadline.saturating_duration_since(Instant::now()),
        };
        self.srs.open(at).await
    }

    fn finish(
        &self,
        request: &OpenRequest,
        offer: &Offer,
        target: &Target,
        secrets: &Secrets,
        accepted: &Accepted,
        ufrag: &str,
    ) -> Result<Held, AttemptError> {
        if accepted.session.server_ufrag() != ufrag {
            return Err(AttemptError::Collision);
        }
        let answer = mend(accepted, offer, ufrag, request).map_err(|error| {
            tracing::error!(node = %target.node.id, %error, "a media node's answer cannot be passed on: {error}");
            AttemptError::Node(SrsError::BadAnswer("cannot be mended"))
        })?;
        let handle = Handle {
            session: target.session,
            role: request.role,
            stream: request.stream.clone(),
            node: target.node.id.clone(),
            service: target.service.clone(),
            epoch: target.epoch,
            client_ufrag_hash: ufrag_hash(offer.ufrag()),
            srs_session: accepted.session.name().into(),
            srs_token: accepted.session.token().into(),
        };
        let sealed = handle.seal(&secrets.keyring.current, kit::random::bytes());
        let sealed = sealed.map_err(|_| AttemptError::Node(SrsError::BadAnswer("names too long")))?;
        let opened = Opened {
            handle: sealed,
            etag: etag(&target.session),
            answer,
            session: target.session,
            node: target.node.id.clone(),
        };
        Ok(Held { opened, handle, token: None })
    }

    async fn drop_session(&self, request: &OpenRequest, target: &Target, session: &SrsSession) {
        if let Err(error) = self.srs.delete(&target.node.api, &request.stream, session).await {
            tracing::warn!(node = %target.node.id, %error, "a session that is of no use could not be ended at its node");
        }
    }
}

fn mend(accepted: &Accepted, offer: &Offer, ufrag: &str, request: &OpenRequest) -> Result<String, AnswerError> {
    let answer = Answer::read(accepted.answer.as_bytes())?;
    answer.check_ufrag(ufrag)?;
    let options = AnswerOptions { candidates: Candidates::Keep, msid: request.stream.to_string() };
    answer.repair(offer, &options)
}
