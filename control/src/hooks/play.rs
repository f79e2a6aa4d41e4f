//! `on_play`: at the stream's home only; with a ticket, or a token where the stream is private. Answered from Redis; Postgres on a miss.

use super::publish::new_session;
use crate::{
    admission,
    app::State,
    domain::{
        self,
        claims::Owner,
        homes::Hold,
        hooks::{Presented, Refusal, bound_to, presented, ticket_fits},
    },
    secrets::Secrets,
    sessions::{Known, Opened, live},
    store::{
        cache,
        pg::claims::{self, time_of},
    },
};
use kit::{clock, kv::Cmd};
use proto::{
    StreamId, UserId,
    fleet::{Placement, StreamCache},
    internal::Credential,
    keys,
    session::{Protocol, Role, Session},
    srs::hook::Hook,
    stream::Visibility,
    ticket::{Scope, Ticket},
};

/// What must be known to let a viewer in.
struct Facts {
    owner: Option<UserId>,
    visibility: Visibility,
    placement: Placement,
    /// The session of the ticket, if it was met before.
    met: Option<Known>,
}

/// Decides.
///
/// # Errors
/// Why SRS is to refuse.
pub async fn decide(state: &State, hook: &Hook, from: &Owner, stream: &StreamId) -> Result<(), Refusal> {
    let secrets = state.secrets().map_err(|_| Refusal::Away)?;
    match presented(hook.param(), hook.protocol())? {
        Presented::Ticket(text) => ticket(state, &secrets, hook, from, stream, text).await,
        Presented::Token(text) => direct(state, &secrets, hook, from, stream, Some(text)).await,
        // A stream key is a right to publish; it opens nothing here.
        Presented::Key(_) | Presented::Nothing => direct(state, &secrets, hook, from, stream, None).await,
    }
}

async fn ticket(
    state: &State,
    secrets: &Secrets,
    hook: &Hook,
    from: &Owner,
    stream: &StreamId,
    text: &str,
) -> Result<(), Refusal> {
    let scope = Scope { node: &from.node, service: &from.service, stream };
    let ticket = Ticket::open(text, &secrets.keyring, scope)?;
    crate::http::observe::concerns(stream, &ticket.session);
    let facts = facts(state, from, stream, Some(&ticket)).await?;
    let met = facts.met.as_ref().map(|known| &known.session.client_id);
    bound_to(met, &from.client)?;
    ticket_fits(&ticket, Role::Play, hook.param(), clock::unix(), met.is_some())?;
    at_home(&facts.placement, from)?;
    let mut session = session(hook, from, stream, facts.placement.epoch);
    session.id = ticket.session;
    session.protocol = ticket.protocol;
    session.edge = Some(ticket.edge);
    session.ip = ticket.client;
    open(state, Known { session, owner: facts.owner, credential: None }).await
}

async fn direct(
    state: &State,
    secrets: &Secrets,
    hook: &Hook,
    from: &Owner,
    stream: &StreamId,
    token: Option<&str>,
) -> Result<(), Refusal> {
    let facts = facts(state, from, stream, None).await?;
    at_home(&facts.placement, from)?;
    let session = session(hook, from, stream, facts.placement.epoch);
    let mut credential: Option<Credential> = None;
    if facts.visibility == Visibility::Private {
        let text = token.ok_or(Refusal::Private)?;
        let checked = admission::token(state, secrets, text, stream, Role::Play, hook.address(), session.id).await?;
        credential = Some(checked);
    }
    open(state, Known { session, owner: facts.owner, credential }).await
}

fn at_home(placement: &Placement, from: &Owner) -> Result<(), Refusal> {
    if placement.node == from.node && placement.service == from.service { Ok(()) } else { Err(Refusal::NotHome) }
}

/// A viewer's session as its hook tells it.
pub(crate) fn session(hook: &Hook, from: &Owner, stream: &StreamId, epoch: u64) -> Session {
    Session {
        id: new_session(),
        stream: stream.clone(),
        role: Role::Play,
        protocol: hook.protocol(),
        node: from.node.clone(),
        service: from.service.clone(),
        client_id: from.client.clone(),
        edge: None,
        ip: hook.address(),
        epoch,
        broadcast: None,
        opened_at: time_of(clock::unix_ms()),
        closed_at: None,
        reason: None,
    }
}

async fn open(state: &State, known: Known) -> Result<(), Refusal> {
    match live::opened(state, known).await {
        Opened::Open | Opened::Again => Ok(()),
        Opened::OtherClient => Err(Refusal::TicketReplayed),
    }
}

/// One round trip to Redis; what it does not know is asked of Postgres and put there.
async fn facts(state: &State, from: &Owner, stream: &StreamId, ticket: Option<&Ticket>) -> Result<Facts, Refusal> {
    let mut commands = vec![Cmd::get(&keys::placement(stream)), Cmd::get(&keys::stream(stream))];
    commands.extend(ticket.map(|ticket| Cmd::get(&keys::session(&ticket.session))));
    let mut replies = state.kv.run(commands).await.unwrap_or_default().into_iter();
    let placement: Option<Placement> = replies.next().and_then(|reply| reply.json().ok().flatten());
    let known: Option<StreamCache> = replies.next().and_then(|reply| reply.json().ok().flatten());
    let met: Option<Known> = replies.next().and_then(|reply| reply.json().ok().flatten());
    // Without Redis the table alone knows whose session it is.
    let met = met.or_else(|| ticket.and_then(|ticket| state.gossip.find(ticket.session)));
    if let (Some(placement), Some(known)) = (placement, known) {
        return Ok(Facts { owner: Some(known.owner), visibility: known.visibility, placement, met });
    }
    if state.away.is_on() {
        return from_memory(state, from, stream, ticket, met);
    }
    let present = match claims::of_stream(&state.pg, stream).await {
        Err(error) if state.away.notes(&error) => return from_memory(state, from, stream, ticket, met),
        present => present?.ok_or(Refusal::NoStream)?,
    };
    let facts = domain::stream::Facts { id: stream.clone(), owner: present.owner, visibility: present.visibility };
    let mut found = vec![cache::stream(&facts)];
    found.extend(present.live.as_ref().map(|held| live::place(&held.placement())));
    if state.kv.run(found).await.is_err() {
        state.metrics.redis_skipped("placement");
    }
    let held = present.live.ok_or(Refusal::NotLive)?;
    Ok(Facts { owner: Some(present.owner), visibility: present.visibility, placement: held.placement(), met })
}

/// Both stores are away: the last homes tell; of a stream they do not know a ticket does, which is for this node and run only. Nobody knows the
/// stream's visibility then, so it counts as private.
fn from_memory(
    state: &State,
    from: &Owner,
    stream: &StreamId,
    ticket: Option<&Ticket>,
    met: Option<Known>,
) -> Result<Facts, Refusal> {
    let home = state.away.homes().get(stream).cloned();
    let live = home.as_ref().and_then(|home| match &home.hold {
        Hold::Live { session, from: holder } => Some((holder.clone(), *session, home.epoch)),
        Hold::Free { .. } | Hold::Reserved { .. } => None,
    });
    let told = ticket.map(|ticket| (from.clone(), ticket.session, ticket.epoch));
    let (at, session, epoch) = live.or(told).ok_or(Refusal::Away)?;
    let placement = Placement {
        stream: stream.clone(),
        node: at.node,
        service: at.service,
        epoch,
        session,
        protocol: Protocol::Webrtc,
        since_ms: clock::unix_ms(),
    };
    Ok(Facts { owner: home.and_then(|home| home.owner), visibility: Visibility::Private, placement, met })
}
