//! `on_publish`: a ticket confirms its reservation; a key or token of a client that reached SRS directly claims the stream here.

use crate::{
    admission,
    app::State,
    away,
    claiming::{self, Claimed, Wish},
    domain::{
        claims::{self as rules, Confirm, Owner},
        hooks::{Presented, Refusal, presented, session_id, ticket_fits},
    },
    secrets::Secrets,
    sessions::live,
    store::pg::claims::{self, Held, Publisher},
};
use kit::{clock, random};
use proto::{
    BroadcastId, StreamId,
    internal::Credential,
    session::{Protocol, Role},
    srs::hook::Hook,
    ticket::{Scope, Ticket},
};

/// Decides.
///
/// # Errors
/// Why SRS is to refuse.
pub async fn decide(state: &State, hook: &Hook, from: &Owner, stream: &StreamId) -> Result<(), Refusal> {
    let secrets = state.secrets().map_err(|_| Refusal::Away)?;
    match presented(hook.param(), hook.protocol())? {
        Presented::Ticket(text) => ticket(state, &secrets, hook, from, stream, text).await,
        Presented::Key(text) => {
            let credential = admission::key(state, &secrets, text, stream).await?;
            direct(state, hook, from, stream, &credential, new_session()).await
        }
        Presented::Token(text) => {
            let session = new_session();
            let (role, ip) = (Role::Publish, hook.address());
            let credential = admission::token(state, &secrets, text, stream, role, ip, session).await?;
            let decided = direct(state, hook, from, stream, &credential, session).await;
            if decided.is_err() {
                admission::give_back(state, &credential, session).await;
            }
            decided
        }
        Presented::Nothing => Err(Refusal::NoCredential),
    }
}

pub(crate) fn new_session() -> proto::SessionId {
    session_id(clock::unix_ms(), random::bytes())
}

fn new_broadcast() -> BroadcastId {
    BroadcastId::from_uuid(new_session().uuid())
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
    // Whether its time matters depends on the claim, so the statement asks for that.
    ticket_fits(&ticket, Role::Publish, hook.param(), clock::unix(), true)?;
    let late = ticket.expired(clock::unix());
    let broadcast = new_broadcast();
    if state.away.is_on() {
        return away::ticket(state, hook, from, stream, &ticket).await;
    }
    let said = match claims::confirm(&state.pg, stream, ticket.session, ticket.epoch, from, broadcast, late).await {
        Err(error) if state.away.notes(&error) => return away::ticket(state, hook, from, stream, &ticket).await,
        said => said?,
    };
    let owner = said.owner.ok_or(Refusal::NoStream)?;
    let Some(epoch) = said.epoch else {
        return match rules::confirm(said.claim.as_ref(), ticket.session, ticket.epoch, from) {
            Confirm::Again => Ok(()),
            Confirm::Live { .. } if late => Err(Refusal::TicketExpired),
            Confirm::Refused(rules::Refusal::OtherClient) => Err(Refusal::TicketReplayed),
            Confirm::Live { .. } | Confirm::Refused(_) => Err(Refusal::NotReserved),
        };
    };
    state.media.claim("confirmed");
    let held = Held {
        stream: stream.clone(),
        epoch,
        session: ticket.session,
        from: from.clone(),
        protocol: ticket.protocol,
        ip: ticket.client,
        edge: Some(ticket.edge),
        credential: said.claim.map_or(Credential::Open, |claim| claim.credential),
        broadcast: Some(broadcast),
        since_ms: said.now_ms,
        owner: Some(owner),
    };
    live::published(state, &held).await;
    Ok(())
}

async fn direct(
    state: &State,
    hook: &Hook,
    from: &Owner,
    stream: &StreamId,
    credential: &Credential,
    session: proto::SessionId,
) -> Result<(), Refusal> {
    let protocol = hook.protocol();
    if protocol == Protocol::Hls || protocol == Protocol::HttpFlv {
        return Err(Refusal::Malformed);
    }
    let publisher = Publisher {
        stream,
        session,
        node: &from.node,
        service: &from.service,
        protocol,
        credential,
        ip: hook.address(),
        edge: None,
    };
    let broadcast = new_broadcast();
    let takeover = hook.param().get("takeover") == Some("1");
    if state.away.is_on() {
        return away::direct(state, hook, from, stream, credential).await;
    }
    let claimed = match claiming::claim(state, &publisher, Wish::Live(&from.client, broadcast), takeover).await {
        Err(error) if state.away.notes(&error) => return away::direct(state, hook, from, stream, credential).await,
        claimed => claimed?,
    };
    let Claimed::Granted { taken, owner, now_ms } = claimed else {
        return Err(match claimed {
            Claimed::NoStream => Refusal::NoStream,
            Claimed::Busy { .. } | Claimed::NoRoom | Claimed::Granted { .. } => Refusal::Busy,
        });
    };
    state.media.claim("direct");
    let held = Held {
        stream: stream.clone(),
        epoch: taken.epoch,
        session,
        from: from.clone(),
        protocol,
        ip: hook.address(),
        edge: None,
        credential: credential.clone(),
        broadcast: Some(broadcast),
        since_ms: now_ms,
        owner: Some(owner),
    };
    live::published(state, &held).await;
    Ok(())
}
