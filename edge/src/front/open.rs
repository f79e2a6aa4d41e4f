//! Opening a WebRTC session: read the offer, get a grant, post to the node, mend the answer, seal the handle.

use super::{Grant, Lease, OpenRequest, Opened, Parts, attempt::AttemptError};
use crate::{
    error::ApiError,
    srs::{Accepted, OpenAt, SrsError, SrsSession},
};
use proto::{
    SessionId, TokenId,
    handle::Handle,
    ice,
    secret::sha256_hex,
    ticket::ufrag_hash,
    wire::sdp::{Answer, AnswerError, AnswerOptions, Candidates, Kind, Offer, SdpError},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::Instrument as _;

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
    token: Option<(TokenId, SessionId)>,
}

/// By when a session that is asked for now must be open.
pub(super) fn deadline() -> Instant {
    Instant::now() + OPEN_MAX
}

/// A fresh session id.
pub(crate) fn draw_session() -> SessionId {
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
    pub(super) async fn open(self: &Arc<Self>, request: &OpenRequest) -> Result<Held, ApiError> {
        let (deadline, wanted) = (deadline(), &request.wanted);
        let result = match Offer::inspect(&request.offer, wanted.role) {
            Ok(offer) => self.open_offer(request, &offer, deadline).await,
            Err(error) => Err(self.bad_offer(request, &error).await),
        };
        let verdict = result.as_ref().map_or_else(|error| error.row().code, |_| "ok");
        self.metrics.admission(wanted.role, verdict);
        if let Ok(held) = &result {
            tracing::info!(
                session.id = %held.handle.session, stream.id = %wanted.stream, role = wanted.role.as_str(),
                node = %held.handle.node, "session opened"
            );
        }
        result
    }

    /// A bad offer costs as much of the limit as a good one.
    async fn bad_offer(&self, request: &OpenRequest, error: &SdpError) -> ApiError {
        if let Err(limited) = self.admission.limit(request.wanted.role.as_str(), request.wanted.client).await {
            return limited;
        }
        match error.kind() {
            Kind::Malformed => ApiError::SdpMalformed(error.to_string()),
            Kind::Unusable => ApiError::SdpUnsupported(error.to_string()),
        }
    }

    async fn open_offer(
        self: &Arc<Self>,
        request: &OpenRequest,
        offer: &Offer,
        deadline: Instant,
    ) -> Result<Held, ApiError> {
        let span = tracing::Span::current();
        span.record("stream.id", tracing::field::display(&request.wanted.stream));
        let mut grant = self.grant(request.wanted.clone(), None, deadline).await?;
        loop {
            span.record("session.id", tracing::field::display(grant.session()));
            match self.attempt(offer, &grant).await {
                Ok((opened, handle)) => {
                    let token = grant.settle(Some(&handle)).await;
                    return Ok(Held { opened, handle, token });
                }
                Err(error) => grant = grant.retry(error).await?,
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
    async fn attempt(self: &Arc<Self>, offer: &Offer, grant: &Grant) -> Result<(Opened, Handle), AttemptError> {
        let node = grant.node();
        let ufrag = ice::ufrag(&node.id, &grant.session());
        let target = match &self.relay {
            // One whose WebRTC port cannot be found takes nobody: nothing was opened.
            Some(relay) => Some(relay.target(node).await.ok_or(AttemptError::Node(SrsError::Unreachable))?),
            None => None,
        };
        let accepted = match self.post(offer, grant, &ufrag).await {
            Ok(accepted) => {
                self.nodes.fine(&node.id, &grant.placement().service);
                accepted
            }
            Err(error) => return Err(self.attempt_failed(grant, error).await),
        };
        let made = finish(offer, grant, &accepted, (&ufrag, self.candidates()));
        match (&made, &self.relay, target) {
            (Err(_), ..) => self.drop_session(grant, &accepted.session).await,
            (Ok(_), Some(relay), Some(target)) => {
                let lease = Lease::new(self, grant.wanted(), grant.placement(), grant.session());
                relay.expect(target, &ice::password(&grant.secrets().keyring.current, &ufrag), lease);
            }
            (Ok(_), ..) => {}
        }
        made
    }

    /// Where clients send their packets.
    fn candidates(&self) -> Candidates {
        self.relay.as_ref().map_or(Candidates::Keep, |relay| Candidates::Replace(relay.hosts().to_vec()))
    }

    async fn post(&self, offer: &Offer, grant: &Grant, ufrag: &str) -> Result<Accepted, SrsError> {
        let wanted = grant.wanted();
        let at = OpenAt {
            api: &grant.node().api,
            role: wanted.role,
            stream: &wanted.stream,
            ticket: &grant.ticket_with(ufrag_hash(ufrag)),
            ufrag,
            password: &ice::password(&grant.secrets().keyring.current, ufrag),
            client: wanted.client,
            offer: &offer.for_upstream(),
            within: grant.deadline().saturating_duration_since(Instant::now()),
        };
        let span = tracing::info_span!("srs.post", node = %grant.node().id, role = wanted.role.as_str());
        self.srs.open(at).instrument(span).await
    }

    async fn drop_session(&self, grant: &Grant, session: &SrsSession) {
        let node = grant.node();
        if let Err(error) = self.srs.delete(&node.api, grant.stream(), session).await {
            tracing::warn!(node = %node.id, %error, "a session that is of no use could not be ended at its node");
        }
    }
}

fn finish(
    offer: &Offer,
    grant: &Grant,
    accepted: &Accepted,
    (ufrag, candidates): (&str, Candidates),
) -> Result<(Opened, Handle), AttemptError> {
    if accepted.session.server_ufrag() != ufrag {
        return Err(AttemptError::Collision);
    }
    let (node, wanted) = (&grant.node().id, grant.wanted());
    let options = AnswerOptions { candidates, msid: wanted.stream.to_string() };
    let answer = mend(accepted, offer, ufrag, &options).map_err(|error| {
        tracing::error!(node = %node, %error, "a media node's answer cannot be passed on: {error}");
        AttemptError::Node(SrsError::BadAnswer("cannot be mended"))
    })?;
    let handle = Handle {
        session: grant.session(),
        role: wanted.role,
        stream: wanted.stream.clone(),
        node: node.clone(),
        service: grant.placement().service.clone(),
        epoch: grant.epoch(),
        client_ufrag_hash: ufrag_hash(offer.ufrag()),
        srs_session: accepted.session.name().into(),
        srs_token: accepted.session.token().into(),
    };
    let sealed = handle.seal(&grant.secrets().keyring.current, kit::random::bytes());
    let sealed = sealed.map_err(|_| AttemptError::Node(SrsError::BadAnswer("names too long")))?;
    let (etag, session) = (etag(&handle.session), handle.session);
    Ok((Opened { handle: sealed, etag, answer, session, node: node.clone() }, handle))
}

fn mend(accepted: &Accepted, offer: &Offer, ufrag: &str, options: &AnswerOptions) -> Result<String, AnswerError> {
    let answer = Answer::read(accepted.answer.as_bytes())?;
    answer.check_ufrag(ufrag)?;
    answer.repair(offer, options)
}
