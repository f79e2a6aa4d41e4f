//! Publisher claims: which one publisher a stream belongs to. Rules only; the statements that carry them out are `store::pg::claims`.
//!
//! Two things hold whatever the order of calls: the epoch of a stream never falls, and at most one session owns it. `store::pg::claims`
//! applies the same rules inside one statement each, so that two control nodes cannot both say yes; a test runs both side by side.

use proto::{ClientId, NodeId, ServiceId, SessionId, internal::Credential};

/// What Retry-After says while another publisher is live, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 2;

/// A connection as SRS names it: what an accepted publisher is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// Its run.
    pub service: ServiceId,
    /// The client on it.
    pub client: ClientId,
}

/// Whose the stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody's. The last publisher may come back on its own connection (RTMP publishes again after unpublish), so that is remembered.
    Free {
        /// The session and the connection that held it last, if its end was an ordinary one.
        last: Option<(SessionId, Owner)>,
    },
    /// Promised to a session that an edge admitted and that no hook has confirmed yet.
    Reserved {
        /// Whose.
        session: SessionId,
        /// Where it will publish.
        node: NodeId,
        /// That node's run.
        service: ServiceId,
        /// Unix milliseconds after which anybody may have it.
        until_ms: u64,
    },
    /// Published.
    Live {
        /// The publisher's session.
        session: SessionId,
        /// Its connection.
        owner: Owner,
    },
}

/// One stream's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Grows with every accepted publisher; kept while free.
    pub epoch: u64,
    /// Whose it is.
    pub state: State,
    /// What let the present (or last) publisher in.
    pub credential: Credential,
}

/// What is known of the connection that holds a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody has looked.
    Unseen,
    /// Its bytes still grow, or it has not been watched long enough to say otherwise.
    Active,
    /// It is connected and sends nothing.
    Silent,
    /// Its node does not know it, or the node's process is gone.
    Gone,
}

/// A publisher asking for a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Its session.
    pub session: SessionId,
    /// What let it in; verified by whoever asks.
    pub credential: Credential,
    /// It wants a present publisher ended.
    pub takeover: bool,
}

/// What becomes of an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The stream is its own, under this epoch.
    Granted {
        /// The claim's epoch from now on.
        epoch: u64,
    },
    /// It may have the stream once the holder of this epoch is put out in the same statement.
    TakeOver {
        /// The epoch to be replaced; if it is another by then, ask again.
        from: u64,
    },
    /// The holder's connection must be looked at first.
    Look,
    /// Somebody else's.
    Busy {
        /// Seconds after which asking again makes sense.
        retry_after: u64,
    },
}

/// Decides on a publisher that asks for a stream, be it to reserve it or (a client that reached SRS directly) to have it at once.
#[must_use]
pub fn ask(present: Option<&Claim>, now_ms: u64, ask: &Ask, holder: Holder) -> Verdict {
    let Some(claim) = present else { return Verdict::Granted { epoch: 1 } };
    let next = Verdict::Granted { epoch: claim.epoch.saturating_add(1) };
    let by_wish = ask.takeover && ask.credential != Credential::Open;
    match &claim.state {
        State::Free { .. } => next,
        State::Reserved { session, .. } if *session == ask.session => Verdict::Granted { epoch: claim.epoch },
        State::Reserved { until_ms, .. } if *until_ms <= now_ms => next,
        State::Reserved { .. } if by_wish => Verdict::TakeOver { from: claim.epoch },
        State::Reserved { until_ms, .. } => {
            Verdict::Busy { retry_after: until_ms.saturating_sub(now_ms).div_ceil(1000).max(1) }
        }
        State::Live { session, .. } if *session == ask.session => Verdict::Granted { epoch: claim.epoch },
        State::Live { .. } if by_wish || holder == Holder::Gone => Verdict::TakeOver { from: claim.epoch },
        State::Live { .. } if claim.credential != ask.credential => busy(),
        State::Live { .. } => match holder {
            Holder::Unseen => Verdict::Look,
            Holder::Silent | Holder::Gone => Verdict::TakeOver { from: claim.epoch },
            Holder::Active => busy(),
        },
    }
}

const fn busy() -> Verdict {
    Verdict::Busy { retry_after: RETRY_AFTER_SECONDS }
}

/// What becomes of a publish hook that carries a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// The reservation is now a live claim, under this epoch.
    Live {
        /// The claim's epoch.
        epoch: u64,
    },
    /// It was confirmed before for the same connection.
    Again,
    /// Refuse the publisher.
    Refused(Refusal),
}

/// Why a ticket does not open its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The stream is not (or no longer) reserved for this session.
    NotReserved,
    /// The session belongs to another connection already.
    OtherClient,
    /// The reservation is for another node or run.
    Elsewhere,
}

/// Decides on a hook whose ticket names `session`, made under `epoch`, from the connection `from`.
///
/// A reservation that ran out still counts while nobody else took it: its owner was slow, not wrong.
#[must_use]
pub fn confirm(present: Option<&Claim>, session: SessionId, epoch: u64, from: &Owner) -> Confirm {
    let Some(claim) = present else { return Confirm::Refused(Refusal::NotReserved) };
    match &claim.state {
        State::Reserved { session: s, node, service, .. } if *s == session && claim.epoch == epoch => {
            if *node == from.node && *service == from.service {
                Confirm::Live { epoch }
            } else {
                Confirm::Refused(Refusal::Elsewhere)
            }
        }
        State::Live { session: s, owner } if *s == session => {
            if owner == from {
                Confirm::Again
            } else {
                Confirm::Refused(Refusal::OtherClient)
            }
        }
        State::Free { last: Some((s, owner)) } if *s == session => {
            if owner == from {
                Confirm::Live { epoch: claim.epoch.saturating_add(1) }
            } else {
                Confirm::Refused(Refusal::OtherClient)
            }
        }
        State::Free { .. } | State::Reserved { .. } | State::Live { .. } => Confirm::Refused(Refusal::NotReserved),
    }
}

/// Whether the end of the connection `from` frees the stream; anybody else's end is nothing to it.
#[must_use]
pub fn ends(present: &Claim, from: &Owner) -> bool {
    matches!(&present.state, State::Live { owner, .. } if owner == from)
}

/// Whether an edge that gives up frees the stream: only its own reservation, of that very epoch.
#[must_use]
pub fn gives_up(present: &Claim, session: SessionId, epoch: u64) -> bool {
    present.epoch == epoch && matches!(&present.state, State::Reserved { session: s, .. } if *s == session)
}

/// Whether a reservation has run out.
#[must_use]
pub const fn expired(present: &Claim, now_ms: u64) -> bool {
    matches!(&present.state, State::Reserved { until_ms, .. } if *until_ms <= now_ms)
}

/// Whether a new run of a node voids the claim: nothing outlives the process that carried it.
#[must_use]
pub fn lost(present: &Claim, node: &NodeId, service: &ServiceId) -> bool {
    match &present.state {
        State::Free { .. } => false,
        State::Reserved { node: n, service: s, .. } => n == node && s != service,
        State::Live { owner, .. } => owner.node == *node && owner.service != *service,
    }
}

/// Least time a publisher's byte count must stand still before it counts as silent, in milliseconds.
///
/// SRS adds a WebRTC client's bytes to what its API shows every 5 s, an RTMP or SRT client's every 3 s; a shorter watch would find every healthy
/// publisher silent.
///
/// Source: SRS 5.0.216 `srs_app_rtc_server.cpp` (`on_timer`), `srs_app_server.cpp` and `srs_app_srt_server.cpp` (`resample_kbps`).
pub const SILENT_MS: u64 = 6_000;

/// What was seen of a publisher's bytes, kept between looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Bytes received from it.
    pub bytes: u64,
    /// Unix milliseconds of the first look that saw this count.
    pub since_ms: u64,
}

/// Judges a holder by its byte count now against the look before; gives back what to remember for the next one.
#[must_use]
pub fn judge(before: Option<Watch>, bytes: u64, now_ms: u64) -> (Holder, Watch) {
    match before {
        Some(watch) if watch.bytes == bytes => {
            let silent = now_ms.saturating_sub(watch.since_ms) >= SILENT_MS;
            (if silent { Holder::Silent } else { Holder::Active }, watch)
        }
        Some(_) | None => (Holder::Active, Watch { bytes, since_ms: now_ms }),
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
