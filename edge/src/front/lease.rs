//! A session whose media this edge relays.

use super::{GrantRequest, Parts};
use crate::{
    leases::{Kept, Traffic},
    stream::core::{Input, NewSession},
};
use proto::{
    SessionId, StreamId,
    fleet::Placement,
    keys,
    session::{Protocol, Role, Session},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// An open session. Dropped: it is over.
pub struct Lease {
    parts: Arc<Parts>,
    session: SessionId,
    stream: StreamId,
    role: Role,
    protocol: Protocol,
    epoch: u64,
    kept: Arc<Kept>,
    detached: bool,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("session", &self.session).field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn new(parts: &Arc<Parts>, wanted: &GrantRequest, at: &Placement, session: SessionId) -> Self {
        Self::keep(parts, wanted, at.epoch, session)
    }

    fn keep(parts: &Arc<Parts>, wanted: &GrantRequest, epoch: u64, session: SessionId) -> Self {
        let kept = parts.replica.leases().add(session, wanted.role, wanted.protocol);
        // Its end may have been told before it was known to be open.
        if parts.replica.closed(&session) {
            kept.end();
        }
        Self {
            parts: parts.clone(),
            session,
            stream: wanted.stream.clone(),
            role: wanted.role,
            protocol: wanted.protocol,
            epoch,
            kept,
            detached: false,
        }
    }

    /// The session's id.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Its stream.
    #[must_use]
    pub const fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// What it does.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Resolves when the cluster says that the session is over: kicked, revoked, moved, or gone with its node. Its relay must end at once then.
    pub fn ended(&self) -> WaitForCancellationFuture<'_> {
        self.kept.ended().cancelled()
    }

    /// The same, to be given away.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.kept.ended().clone()
    }

    /// What passed so far.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        self.kept.traffic()
    }

    /// Ends the relay here and not the session: another edge carries it from now on.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.parts.replica.leases().remove(&self.session);
        if self.detached {
            return;
        }
        tracing::info!(
            session.id = %self.session, stream.id = %self.stream, role = self.role.as_str(), protocol = self.protocol.as_str(),
            received = self.kept.traffic().received_bytes(), sent = self.kept.traffic().sent_bytes(), "session over"
        );
        self.parts.over(self.session, &self.stream, self.role, self.epoch);
    }
}

/// Whose a session is that another edge opened.
#[derive(Debug)]
pub(crate) enum Adopted {
    /// It runs, and this edge relays it from now on.
    Runs(Lease),
    /// It has ended.
    Over,
    /// Nobody knows it yet, or nobody could be asked.
    Unknown,
}

impl Parts {
    /// Finds out whose a session is that another edge opened, and has its stream's actor hold it.
    pub(crate) async fn adopt(self: &Arc<Self>, session: SessionId) -> Adopted {
        let known = match self.kv.json::<Session>(&keys::session(&session)).await {
            Ok(Some(known)) => Some(known),
            Ok(None) | Err(_) => self.control.session(&session).await.ok().flatten(),
        };
        let Some(known) = known else { return Adopted::Unknown };
        let run = self.nodes.service(&known.node);
        if known.closed_at.is_some() || run.is_some_and(|run| run != known.service) || self.replica.closed(&session) {
            return Adopted::Over;
        }
        let placed = self.replica.placements(|all| all.get(&known.stream).cloned());
        let at = placed.filter(|at| at.node == known.node && at.service == known.service);
        let epoch = at.as_ref().map_or(known.epoch, |at| at.epoch);
        let wanted = GrantRequest {
            role: known.role,
            protocol: known.protocol,
            stream: known.stream.clone(),
            credential: None,
            client: known.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            takeover: false,
        };
        let lease = Lease::keep(self, &wanted, epoch, session);
        if let (Some(at), Ok(actor)) = (at, self.streams.get_or_start(&known.stream)) {
            actor.opened(NewSession { id: session, role: known.role, at: Arc::new(at), pass: None }).await;
        }
        Adopted::Runs(lease)
    }

    /// Remembers here that a session is over.
    pub(super) fn over(&self, session: SessionId, stream: &StreamId, role: Role, epoch: u64) {
        self.replica.learn_closed(session);
        if let Some(relay) = &self.relay {
            relay.cut(&session);
        }
        if let Some(actor) = self.streams.get(stream) {
            actor.tell(Input::Closed(session));
        }
        if role == Role::Publish {
            self.replica.change_placements(|all| all.ended(stream, epoch));
        }
    }
}
