//! Publishers while Postgres is away: decided by [`crate::domain::homes`] from memory, and kept in the [`crate::journal`] until it is back.

use crate::{
    app::State,
    claiming::Reserved,
    domain::{
        claims::{self as rules, Ask, Owner},
        homes::{Hold, Home, Homes, Provisional, broadcast_of, session_of},
        hooks::Refusal,
    },
    journal, placing,
    sessions::live,
    store::pg::claims::{self, Ended, Held, Taken},
};
use kit::{clock, pg::PgError};
use placement::RingError;
use proto::{
    NodeId, SessionId, StreamId, TokenId,
    internal::{Credential, ProposedNode, ReserveRequest},
    srs::hook::Hook,
    ticket::Ticket,
};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How long Postgres counts as away after it was found so, in milliseconds: publishers then do not each wait to find it out.
const BELIEVED_MS: u64 = 1_000;
/// Revoked tokens remembered; the one that expires first is forgotten first.
const REVOKED_MAX: usize = 100_000;

/// What this process knows without Postgres.
#[derive(Debug, Default)]
pub struct Away {
    homes: Mutex<Homes>,
    revoked: Mutex<BTreeMap<TokenId, u64>>,
    until_ms: AtomicU64,
}

impl Away {
    /// The last homes.
    pub fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether Postgres was found away a moment ago.
    #[must_use]
    pub fn is_on(&self) -> bool {
        clock::unix_ms() < self.until_ms.load(Ordering::Relaxed)
    }

    /// Notes what a statement ended with; true if Postgres is away.
    pub fn notes(&self, error: &PgError) -> bool {
        // A process that is overrun is not one without Postgres: it says 503.
        let away = matches!(error, PgError::Away(_)) && !error.is_busy();
        if away {
            self.until_ms.store(clock::unix_ms().saturating_add(BELIEVED_MS), Ordering::Relaxed);
        }
        away
    }

    /// A token was revoked; `expires_at` in unix seconds.
    pub fn revoke(&self, jti: TokenId, expires_at: u64) {
        let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        if revoked.len() >= REVOKED_MAX {
            let now = clock::unix();
            revoked.retain(|_, end| *end > now);
        }
        if revoked.len() < REVOKED_MAX {
            revoked.insert(jti, expires_at);
        }
    }

    /// Whether a token is known to be revoked.
    #[must_use]
    pub fn is_revoked(&self, jti: &TokenId) -> bool {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner).contains_key(jti)
    }

    /// A publisher was confirmed.
    pub fn live(&self, held: &Held) {
        self.homes().learn(&held.stream, home(held));
    }

    /// Whether a stream key of this hash was the last that opened the stream: good enough while nobody can be asked.
    #[must_use]
    pub fn opened(&self, stream: &StreamId, credential: &Credential) -> bool {
        self.homes().get(stream).is_some_and(|home| home.credential.as_ref() == Some(credential))
    }
}

/// A live claim as a home.
#[must_use]
pub fn home(held: &Held) -> Home {
    Home {
        node: held.from.node.clone(),
        service: held.from.service.clone(),
        epoch: held.epoch,
        hold: Hold::Live { session: held.session, from: held.from.clone() },
        credential: Some(held.credential.clone()),
        owner: held.owner,
    }
}

/// Whether the last membership has this node up, or at least suspect, under this run and not draining.
fn fit(nodes: &crate::domain::placing::Nodes) -> impl Fn(&ProposedNode) -> bool + use<'_> {
    |at| {
        let state = nodes.ring.member(&at.node).map(|member| member.state);
        let takes = matches!(state, Some(placement::State::Up | placement::State::Suspect));
        takes && nodes.agrees(&at.node, &at.service)
    }
}

/// The first node of the ring's order that is up, else the first suspect one. Loads do not count: every control node must say the same.
fn ring_home(nodes: &crate::domain::placing::Nodes, stream: &StreamId) -> Option<ProposedNode> {
    let first = |state| {
        let mut order = nodes.ring.owners(stream.as_str().as_bytes()).filter(move |member| member.state == state);
        order.find_map(|member| {
            Some(ProposedNode { node: member.id.clone(), service: nodes.runs.get(&member.id)?.clone() })
        })
    };
    first(placement::State::Up).or_else(|| first(placement::State::Suspect))
}

/// Reserves from memory.
///
/// # Errors
/// [`RingError`].
pub fn reserve(state: &State, ask: &ReserveRequest) -> Result<Reserved, RingError> {
    let nodes = placing::nodes(state)?;
    let wish = Ask { session: ask.session, credential: ask.credential.clone(), takeover: ask.takeover };
    let ring = ring_home(&nodes, &ask.stream);
    let said = state.away.homes().reserve(&ask.stream, &wish, ring.as_ref(), fit(&nodes), clock::unix_ms());
    Ok(match said {
        Provisional::Granted { at, epoch } => {
            state.media.claim("provisional");
            Reserved::Provisional(Taken { epoch, node: at.node, service: at.service })
        }
        Provisional::Busy { retry_after } => Reserved::Claimed(crate::claiming::Claimed::Busy { retry_after }),
        Provisional::Nowhere => Reserved::NoNode("none is up".to_owned()),
    })
}

impl From<rules::Refusal> for Refusal {
    fn from(refusal: rules::Refusal) -> Self {
        match refusal {
            rules::Refusal::NotReserved => Self::NotReserved,
            rules::Refusal::OtherClient => Self::TicketReplayed,
            rules::Refusal::Elsewhere => Self::NotHome,
        }
    }
}

/// Takes in a publisher with a verified ticket.
///
/// # Errors
/// [`Refusal`].
pub async fn ticket(
    state: &State,
    hook: &Hook,
    from: &Owner,
    stream: &StreamId,
    ticket: &Ticket,
) -> Result<(), Refusal> {
    let at_ms = clock::unix_ms();
    let late = ticket.expired(at_ms / 1000);
    let epoch = state.away.homes().confirm(stream, ticket.session, ticket.epoch, from, late)?;
    let mut held = held(state, hook, from, stream, ticket.session, epoch, at_ms);
    held.protocol = ticket.protocol;
    held.ip = ticket.client;
    held.edge = Some(ticket.edge.clone());
    accepted(state, hook, &held).await;
    Ok(())
}

/// Takes in a publisher that reached its node directly.
///
/// # Errors
/// [`Refusal`].
pub async fn direct(
    state: &State,
    hook: &Hook,
    from: &Owner,
    stream: &StreamId,
    credential: &Credential,
) -> Result<(), Refusal> {
    let at_ms = clock::unix_ms();
    let nodes = placing::nodes(state).map_err(|_| Refusal::Away)?;
    let ask = Ask { session: session_of(from, at_ms), credential: credential.clone(), takeover: false };
    let ring = ring_home(&nodes, stream);
    let taken = state.away.homes().direct(stream, &ask, from, ring.as_ref(), fit(&nodes), at_ms);
    let (session, epoch) = taken.map_err(|refusal| match refusal {
        rules::Refusal::NotReserved => Refusal::Busy,
        other @ (rules::Refusal::OtherClient | rules::Refusal::Elsewhere) => other.into(),
    })?;
    accepted(state, hook, &held(state, hook, from, stream, session, epoch, at_ms)).await;
    Ok(())
}

fn held(
    state: &State,
    hook: &Hook,
    from: &Owner,
    stream: &StreamId,
    session: SessionId,
    epoch: u64,
    at_ms: u64,
) -> Held {
    let known = state.away.homes().get(stream).map(|home| (home.credential.clone(), home.owner));
    let (credential, owner) = known.unwrap_or_default();
    Held {
        stream: stream.clone(),
        epoch,
        session,
        from: from.clone(),
        protocol: hook.protocol(),
        ip: hook.address(),
        edge: None,
        credential: credential.unwrap_or(Credential::Open),
        broadcast: Some(broadcast_of(from, stream, at_ms)),
        since_ms: at_ms,
        owner,
    }
}

async fn accepted(state: &State, hook: &Hook, held: &Held) {
    state.media.claim("provisional_live");
    journal::keep(state, hook, &held.from.node, held.since_ms).await;
    live::published(state, held).await;
}

/// A connection's publisher is gone. True if it was known; the hook is kept in either case when it names the stream.
pub async fn ended(state: &State, hook: &Hook, from: &Owner, stream: Option<&StreamId>) -> bool {
    let found = state.away.homes().end(from, stream);
    if stream.is_some() || !found.is_empty() {
        journal::keep(state, hook, &from.node, clock::unix_ms()).await;
    }
    for (stream, session, epoch) in &found {
        let owner = state.away.homes().get(stream).and_then(|home| home.owner);
        live::unwritten_end(state, stream, *epoch, *session, owner).await;
    }
    !found.is_empty()
}

/// Learns every live claim, and takes out of Redis the placements of streams that have none.
///
/// # Errors
/// Postgres away.
pub async fn learn(state: &State) -> Result<Vec<Held>, PgError> {
    let before = state.away.homes().live();
    let live = claims::live(&state.pg, None).await.inspect_err(|error| {
        state.away.notes(error);
    })?;
    state.away.homes().reconciled(live.iter().map(|held| (held.stream.clone(), home(held))).collect(), &before);
    Ok(live)
}

/// What [`Ended`] tells of a publisher, to memory.
pub fn forget(state: &State, ended: &Ended) {
    state.away.homes().ended(&ended.stream, ended.epoch);
}

/// Whether the last homes know the stream as live on this node and run.
#[must_use]
pub fn is_home(state: &State, stream: &StreamId, node: &NodeId, service: &proto::ServiceId) -> Option<(bool, Home)> {
    let home = state.away.homes().get(stream).cloned()?;
    let here = home.node == *node && home.service == *service && matches!(home.hold, Hold::Live { .. });
    Some((here, home))
}
