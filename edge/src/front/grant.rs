//! The right to open one session at one node: admitted, and placed (viewers) or reserved (publishers).
//!
//! What every protocol holds between a client's word and the node's. A grant that is dropped gives back what it holds; one whose node accepted
//! becomes a [`Lease`].

use super::{
    Lease, Parts,
    attempt::AttemptError,
    open::draw_session,
    publish::{Reserved, Turn},
};
use crate::{
    admit::Ask,
    error::ApiError,
    nodes::NodeAddress,
    replica::Secrets,
    srs::SrsError,
    stream::{
        StreamHandle,
        core::{Input, NewSession, Pass},
    },
};
use proto::{
    SessionId, StreamId, TokenId,
    fleet::Placement,
    handle::Handle,
    internal::Credential,
    node::SrtPort,
    session::{Protocol, Role},
    ticket::{LIFE_SECONDS, Scope, Ticket, UFRAG_HASH_BYTES},
};
use std::{net::IpAddr, sync::Arc};
use tokio::time::Instant;

/// Who wants what.
#[derive(Clone)]
pub struct GrantRequest {
    /// Publish or play.
    pub role: Role,
    /// How the media will travel.
    pub protocol: Protocol,
    /// The stream.
    pub stream: StreamId,
    /// A token or stream key.
    pub credential: Option<String>,
    /// The client's address as far as trusted proxies tell.
    pub client: IpAddr,
    /// `takeover=1`: end a present publisher of the same credential or owner.
    pub takeover: bool,
}

impl std::fmt::Debug for GrantRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("GrantRequest");
        f.field("role", &self.role)
            .field("protocol", &self.protocol)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// A single-use token that was taken for a session. Dropped: it is given back.
pub(super) struct Taken {
    parts: Arc<Parts>,
    token: Option<(TokenId, SessionId)>,
}

impl Taken {
    fn new(parts: &Arc<Parts>, jti: Option<TokenId>, session: SessionId) -> Self {
        Self { parts: parts.clone(), token: jti.map(|jti| (jti, session)) }
    }

    /// The session came about.
    fn keep(mut self) -> Option<(TokenId, SessionId)> {
        self.token.take()
    }

    async fn give_back(mut self) {
        if let Some((jti, session)) = self.token.take() {
            self.parts.admission.give_back(jti, session).await;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some((jti, session)) = self.token.take() {
            let parts = self.parts.clone();
            self.parts.behind(async move { parts.admission.give_back(jti, session).await });
        }
    }
}

/// What a publisher's grant holds besides.
pub(super) struct Hold {
    pub(super) turn: Turn,
    pub(super) reserved: Reserved,
}

/// Where a session goes.
pub(super) struct Placed {
    pub(super) at: Arc<Placement>,
    pub(super) node: NodeAddress,
    pub(super) actor: StreamHandle,
    /// `None` for viewers.
    pub(super) hold: Option<Hold>,
    pub(super) session: SessionId,
}

/// The right to open one session at one node.
pub struct Grant {
    parts: Arc<Parts>,
    wanted: GrantRequest,
    secrets: Arc<Secrets>,
    credential: Credential,
    taken: Taken,
    placed: Placed,
    attempts: u32,
    deadline: Instant,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("Grant");
        f.field("wanted", &self.wanted)
            .field("session", &self.placed.session)
            .field("node", &self.placed.node.id)
            .finish_non_exhaustive()
    }
}

impl Grant {
    /// Attempts at most: the second is for another node, or another session name.
    pub(super) const ATTEMPTS: u32 = 2;

    /// Who wanted what.
    #[must_use]
    pub const fn wanted(&self) -> &GrantRequest {
        &self.wanted
    }

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> &StreamId {
        &self.wanted.stream
    }

    /// The node to open the session at, with its addresses.
    #[must_use]
    pub const fn node(&self) -> &NodeAddress {
        &self.placed.node
    }

    /// Where the stream is, or will be once the node has accepted its publisher.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placed.at
    }

    /// The session's id.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.placed.session
    }

    /// The epoch it is opened under.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.placed.at.epoch
    }

    /// By when the node must have accepted: clients give up after that.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The value of [`proto::ticket::PARAM`] that takes the place of the client's credential on the way to the node.
    #[must_use]
    pub fn ticket(&self) -> String {
        self.ticket_with([0; UFRAG_HASH_BYTES])
    }

    /// The same, bound to an ICE name besides.
    pub(super) fn ticket_with(&self, ufrag_hash: [u8; UFRAG_HASH_BYTES]) -> String {
        let Placed { at, node, session, .. } = &self.placed;
        let ticket = Ticket {
            session: *session,
            role: self.wanted.role,
            protocol: self.wanted.protocol,
            expires_at: kit::clock::unix().saturating_add(LIFE_SECONDS),
            epoch: at.epoch,
            client: Some(self.wanted.client),
            ufrag_hash,
            edge: self.parts.edge.clone(),
        };
        let scope = Scope { node: &node.id, service: &at.service, stream: &self.wanted.stream };
        ticket.seal(&self.secrets.keyring.current, scope)
    }

    /// The node did not accept: notes what that tells of the node, and gives another grant where trying again may help.
    ///
    /// # Errors
    /// The refusal for the client. Nothing is held then.
    pub async fn failed(self, error: SrsError) -> Result<Self, ApiError> {
        let (parts, role) = (self.parts.clone(), self.wanted.role);
        let error = parts.attempt_failed(&self, error).await;
        let again = self.retry(error).await;
        if let Err(error) = &again {
            parts.metrics.admission(role, error.row().code);
        }
        again
    }

    pub(super) async fn retry(self, error: AttemptError) -> Result<Self, ApiError> {
        let Self { parts, wanted, secrets, credential, taken, placed, attempts, deadline } = self;
        let more = attempts < Self::ATTEMPTS;
        let Placed { at, node, actor, hold, .. } = placed;
        let next = match hold {
            Some(Hold { mut turn, reserved }) => {
                turn.tried.push(node.id.clone());
                reserved.release().await;
                if error.again() && more {
                    parts.reserve(&wanted, &credential, turn, attempts + 1).await
                } else {
                    Err(error.api())
                }
            }
            None if error == AttemptError::Collision && more => {
                Ok((Placed { at, node, actor, hold: None, session: draw_session() }, attempts + 1))
            }
            None => Err(error.api()),
        };
        match next {
            Ok((placed, attempts)) => {
                Ok(Self { parts, wanted, secrets, credential, taken, placed, attempts, deadline })
            }
            Err(error) => {
                taken.give_back().await;
                Err(error)
            }
        }
    }

    /// The node accepted: the session is the stream's from now on. It is this edge's to relay, and ends when the lease is dropped.
    pub async fn opened(self) -> Lease {
        self.parts.metrics.admission(self.wanted.role, "ok");
        tracing::info!(
            session.id = %self.placed.session, stream.id = %self.wanted.stream, role = self.wanted.role.as_str(),
            protocol = self.wanted.protocol.as_str(), node = %self.placed.node.id, "session opened"
        );
        // Registered first: an end that is told from now on is heard.
        let lease = Lease::new(&self.parts, &self.wanted, &self.placed.at, self.placed.session);
        self.settle(None).await;
        lease
    }

    /// Writes down that the session is open. `handle` is how its node ends it, for a session whose media does not end with this edge's relay. Gives
    /// the single-use token it holds, and the session id that was taken for.
    pub(super) async fn settle(self, handle: Option<&Handle>) -> Option<(TokenId, SessionId)> {
        let Self { parts, wanted, credential, taken, placed, .. } = self;
        let Placed { at, actor, hold, session, .. } = placed;
        if hold.is_some() {
            parts.replica.change_placements(|all| all.live(Placement::clone(&at)));
            actor.tell(Input::Live(at.clone()));
        }
        // Publishers are ended by control-api when what let them in is revoked, relayed ones by this edge too.
        let revocable = wanted.role == Role::Play || handle.is_none();
        let pass = match credential {
            Credential::Token { jti } if revocable => Some(Box::new(Pass { jti, handle: handle.cloned() })),
            Credential::Token { .. } | Credential::StreamKey { .. } | Credential::Open => None,
        };
        actor.opened(NewSession { id: session, role: wanted.role, at, pass }).await;
        if let Some(Hold { turn, reserved }) = hold {
            // It has taken in both by then: who comes to play right behind a publisher's success finds the stream.
            drop(actor.place().await);
            reserved.keep();
            drop(turn);
        }
        taken.keep()
    }
}

impl Parts {
    /// Admits, then places or reserves, at a node with the port that an SRT caller needs.
    pub(super) async fn grant(
        self: &Arc<Self>,
        wanted: GrantRequest,
        srt: Option<SrtPort>,
        deadline: Instant,
    ) -> Result<Grant, ApiError> {
        let secrets = self.replica.secrets().ok_or(ApiError::Away { what: "secrets" })?;
        let session = draw_session();
        let ask =
            Ask { stream: &wanted.stream, credential: wanted.credential.as_deref(), client: wanted.client, session };
        let (credential, taken, placed) = match wanted.role {
            Role::Publish => {
                let admitted = self.admission.publish(ask).await?;
                let taken = Taken::new(self, admitted.taken, session);
                let placed = match self.turn(&wanted, srt, session).await {
                    Ok(turn) => self.reserve(&wanted, &admitted.credential, turn, 1).await,
                    Err(error) => Err(error),
                };
                (admitted.credential, taken, placed)
            }
            Role::Play => {
                let seen = self.streams.get(&wanted.stream).and_then(|stream| stream.peek());
                let admitted = self.admission.play(ask, seen.is_none()).await?;
                let taken = Taken::new(self, admitted.taken, session);
                let placed = self.follow(&wanted, seen, &admitted, session).await.map(|placed| (placed, 1));
                (admitted.credential, taken, placed)
            }
        };
        match placed {
            Ok((placed, attempts)) => {
                Ok(Grant { parts: self.clone(), wanted, secrets, credential, taken, placed, attempts, deadline })
            }
            Err(error) => {
                taken.give_back().await;
                Err(error)
            }
        }
    }
}
