//! What the edge answers a media node by itself, when no control-api does.
//!
//! An edge does not know the nodes' secrets. What stands for authenticity here is the MAC of the ticket alone: it was made by an edge of this
//! cluster for one node, run and stream, and only a client that was admitted has it. A hook that asks and carries none is refused. One that tells
//! of an end is believed if its ticket verifies, if its client was let in here, or if a control-api took hooks with the same secret from this node
//! before; any other is answered with yes, since SRS does not heed the answer, and forgotten.

use super::bound::{Bound, Client, Held};
use proto::{
    SessionId, StreamId,
    fleet::Placement,
    secret::Keyring,
    session::Role,
    srs::hook::{Action, Hook},
    ticket::{self, Misfit, Scope, Ticket},
};

/// Longest body of a hook that the edge decides itself and writes into its journal, in bytes; SRS sends under 4 KiB.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Why SRS is told no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum No {
    /// Not a hook, or one whose node, run, client or stream is no name.
    Malformed,
    /// It carries no ticket: only control-api can decide about it.
    NoTicket,
    /// The cluster's secret is not known yet.
    NoSecret,
    /// Not a ticket of this cluster for this node, run and stream.
    Ticket,
    /// The ticket is for the other role, or for another ICE session.
    Misfit,
    /// The ticket's first hook comes too late.
    Expired,
    /// The ticket came with another client before, or its session has ended.
    Replayed,
    /// Somebody else publishes the stream.
    Busy,
    /// The stream is on another node.
    NotHome,
}

impl No {
    /// The word used in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoTicket => "no_ticket",
            Self::NoSecret => "no_secret",
            Self::Ticket => "ticket",
            Self::Misfit => "misfit",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::Busy => "busy",
            Self::NotHome => "not_home",
        }
    }

    /// The `code` SRS hears: any integer but 0 refuses; these are the ones control-api would say.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Ticket | Self::Misfit | Self::Expired | Self::Replayed => 403,
            Self::Busy | Self::NotHome => 409,
            Self::NoTicket | Self::NoSecret => 503,
        }
    }
}

/// What the edge would do with a hook by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// Yes, and nothing follows.
    Yes,
    /// Yes: the client is let in, which is journaled.
    Opens(Client, Held),
    /// Yes: what the client held is over, which is journaled. With a placement, the stream is known here to end with it.
    Ends(Client, Option<Placement>),
    /// No.
    No(No),
}

/// What is known when a hook comes.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Opens tickets; `None` while no secret is known.
    pub keyring: Option<&'a Keyring>,
    /// Where the hook's stream is, as last heard.
    pub placement: Option<&'a Placement>,
    /// Who holds what.
    pub bound: &'a Bound,
    /// A control-api took hooks with this secret from this node before, or this edge let the client in.
    pub vouched: bool,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// The connection a hook is about.
#[must_use]
pub fn client(hook: &Hook) -> Option<Client> {
    hook.origin().ok().map(|(node, service, id)| Client { node, service, id })
}

/// The role that a hook asks for; `None` when it asks for none.
#[must_use]
pub const fn asks(action: Action) -> Option<Role> {
    match action {
        Action::OnPublish => Some(Role::Publish),
        Action::OnPlay => Some(Role::Play),
        Action::OnConnect
        | Action::OnClose
        | Action::OnUnpublish
        | Action::OnStop
        | Action::OnDvr
        | Action::OnHls
        | Action::OnForward => None,
    }
}

/// Whether a hook tells of an end.
#[must_use]
pub const fn ends(action: Action) -> bool {
    matches!(action, Action::OnUnpublish | Action::OnStop | Action::OnClose)
}

/// The stream and the verified ticket of a hook. It may have expired.
///
/// # Errors
/// Why there is none.
pub fn ticket(hook: &Hook, from: &Client, keyring: Option<&Keyring>) -> Result<(StreamId, Ticket), No> {
    let stream = hook.stream().map_err(|_| No::Malformed)?;
    let text = hook.param().get(ticket::PARAM).ok_or(No::NoTicket)?;
    let scope = Scope { node: &from.node, service: &from.service, stream: &stream };
    let ticket = Ticket::open(text, keyring.ok_or(No::NoSecret)?, scope).map_err(|_| No::Ticket)?;
    Ok((stream, ticket))
}

/// Decides. `session_closed` says whether a session is known to have ended.
#[must_use]
pub fn decide(hook: &Hook, facts: &Facts<'_>, session_closed: impl Fn(&SessionId) -> bool) -> Own {
    let Some(from) = client(hook) else {
        return if asks(hook.action).is_some() { Own::No(No::Malformed) } else { Own::Yes };
    };
    if let Some(role) = asks(hook.action) {
        return match opens(hook, &from, role, facts, session_closed) {
            Ok(held) => Own::Opens(from, held),
            Err(no) => Own::No(no),
        };
    }
    if ends(hook.action) { ended(hook, from, facts) } else { Own::Yes }
}

fn opens(
    hook: &Hook,
    from: &Client,
    role: Role,
    facts: &Facts<'_>,
    session_closed: impl Fn(&SessionId) -> bool,
) -> Result<Held, No> {
    let (stream, ticket) = ticket(hook, from, facts.keyring)?;
    ticket.fits(role, hook.param().get(ticket::UFRAG_PARAM)).map_err(|misfit| match misfit {
        Misfit::Role | Misfit::Ufrag => No::Misfit,
    })?;
    match facts.bound.client(&ticket.session) {
        Some(known) if known == from => {}
        Some(_) => return Err(No::Replayed),
        None if ticket.expired(facts.now_ms / 1000) => return Err(No::Expired),
        None if session_closed(&ticket.session) => return Err(No::Replayed),
        None => {}
    }
    if let Some(at) = facts.placement {
        let here = at.node == from.node && at.service == from.service;
        let overtaken = at.epoch > ticket.epoch || (at.epoch == ticket.epoch && at.session != ticket.session);
        match role {
            Role::Publish if overtaken => return Err(No::Busy),
            Role::Play if !here => return Err(No::NotHome),
            Role::Publish | Role::Play => {}
        }
    }
    let Ticket { session, protocol, epoch, .. } = ticket;
    Ok(Held { stream, session, role, protocol, epoch, since_ms: facts.now_ms })
}

fn ended(hook: &Hook, from: Client, facts: &Facts<'_>) -> Own {
    let session = match (facts.bound.of(&from), ticket(hook, &from, facts.keyring)) {
        (Some(held), _) => Some(held.session),
        // A second client with the same ticket was refused, and SRS tells of its end all the same: that is nobody's.
        (None, Ok((_, ticket))) if facts.bound.client(&ticket.session).is_some_and(|known| *known != from) => {
            return Own::Yes;
        }
        (None, Ok((_, ticket))) => Some(ticket.session),
        (None, Err(_)) if facts.vouched => None,
        (None, Err(_)) => return Own::Yes,
    };
    let publishes = hook.action != Action::OnStop;
    let over = facts.placement.filter(|at| publishes && session == Some(at.session));
    Own::Ends(from, over.cloned())
}

#[cfg(test)]
mod tests;
