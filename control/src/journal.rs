//! Hooks that were accepted while Postgres was away, and how they are written down once it is back.
//!
//! They wait in a capped list in Redis, in memory while that is away too. Handing one in twice changes nothing: session and broadcast are drawn from
//! the hook itself. Where two publishers of one stream met, the older stays and the other is kicked.

use crate::{
    admission,
    app::State,
    claiming,
    domain::{
        claims::{Holder, Owner},
        homes::{self, Hold, broadcast_of, session_of},
        hooks::{Kind, Presented, Refusal, kind, presented, stream, ticket_fits, token_fits},
    },
    hooks::play,
    jobs::{self, JobError},
    sessions::{Known, live},
    store::pg::{
        claims::{
            self, Asked, Fence, Held, Which,
            replay::{self, Publish},
        },
        kicks, tokens,
    },
};
use kit::{kv::Cmd, pg::PgError};
use proto::{
    NodeId, StreamId,
    internal::Credential,
    journal::{BATCH_MAX, ENTRIES_MAX, JournalEntry},
    keys,
    session::{EndReason, Role},
    srs::hook::{BODY_BYTES_MAX, Hook},
    ticket::{Scope, Ticket},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Appends an entry and drops the oldest above the limit; how many were dropped.
const PUSH: &str = "
redis.call('RPUSH', KEYS[1], ARGV[1])
local over = redis.call('LLEN', KEYS[1]) - tonumber(ARGV[2])
if over > 0 then redis.call('LPOP', KEYS[1], over) return over end
return 0";
/// One control node writes down at a time; given up when it is done.
const LEASE: Duration = Duration::from_secs(10);
/// Looks at one entry before it is left to the reconciliation.
const LOOKS_MAX: usize = 3;

/// What could not be given to Redis.
#[derive(Debug, Default)]
pub struct Journal(Mutex<VecDeque<JournalEntry>>);

impl Journal {
    fn push(&self, entry: JournalEntry) -> usize {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push_back(entry);
        let over = entries.len().saturating_sub(ENTRIES_MAX);
        entries.drain(..over).count()
    }

    fn take(&self) -> Vec<JournalEntry> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = entries.len().min(BATCH_MAX);
        entries.drain(..count).collect()
    }

    fn give_back(&self, batch: Vec<JournalEntry>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in batch.into_iter().rev() {
            entries.push_front(entry);
        }
    }

    /// Entries that wait in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// None waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keeps a hook that was answered with yes at `at_ms` (unix milliseconds).
pub async fn keep(state: &State, hook: &Hook, node: &NodeId, at_ms: u64) {
    let Ok(body) = serde_json::to_string(hook) else { return };
    let entry = JournalEntry { node: node.clone(), body, at_ms };
    let json = serde_json::to_vec(&entry).unwrap_or_default();
    let lost = match state.kv.one(Cmd::eval(PUSH, keys::JOURNAL).arg(json).num(ENTRIES_MAX)).await {
        Ok(reply) => usize::try_from(reply.int().unwrap_or_default()).unwrap_or_default(),
        Err(_) => state.journal.push(entry),
    };
    state.media.journal("kept", 1);
    if lost > 0 {
        tracing::warn!(lost, "the journal is full: the oldest hooks are dropped");
        state.media.journal("lost", lost);
    }
}

/// Writes down what waits, oldest first.
///
/// # Errors
/// A store that is away: the rest waits on.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    loop {
        let batch = state.journal.take();
        if batch.is_empty() {
            break;
        }
        if let Err(error) = replay(state, &batch).await {
            state.journal.give_back(batch);
            return Err(error.into());
        }
    }
    if state.kv.one(Cmd::on("LLEN", keys::JOURNAL)).await.and_then(|reply| reply.int()).unwrap_or_default() == 0 {
        return Ok(());
    }
    if !jobs::lease(state, "journal", LEASE).await {
        return Ok(());
    }
    let done = from_redis(state).await;
    state.kv.one(Cmd::del(&keys::lease("journal"))).await?;
    done
}

async fn from_redis(state: &State) -> Result<(), JobError> {
    loop {
        let list = state.kv.one(Cmd::on("LRANGE", keys::JOURNAL).num(0).num(BATCH_MAX.saturating_sub(1))).await?;
        let list = list.list()?;
        if list.is_empty() {
            return Ok(());
        }
        let count = list.len();
        let read = list.iter().filter_map(|reply| reply.json::<JournalEntry>().ok().flatten());
        replay(state, &read.collect::<Vec<_>>()).await?;
        state.kv.one(Cmd::on("LTRIM", keys::JOURNAL).num(count).num(-1)).await?;
        state.kv.one(Cmd::expire(&keys::lease("journal"), LEASE)).await?;
    }
}

/// Writes down entries in their order. What no longer means anything is void.
///
/// # Errors
/// [`PgError::Away`]: some may be written down; hand all in again.
pub async fn replay(state: &State, entries: &[JournalEntry]) -> Result<(), PgError> {
    for entry in entries {
        let done = match one(state, entry).await {
            Ok(true) => "written",
            Ok(false) => "void",
            Err(error @ PgError::Away(_)) => return Err(error),
            Err(error @ PgError::Statement(_)) => {
                tracing::error!(error = %kit::telemetry::chain(&error), node = %entry.node, "a journaled hook cannot be written down");
                "void"
            }
        };
        state.media.journal(done, 1);
    }
    Ok(())
}

/// True if it was written down.
async fn one(state: &State, entry: &JournalEntry) -> Result<bool, PgError> {
    let Some(hook) = Some(&entry.body).filter(|body| body.len() <= BODY_BYTES_MAX) else { return Ok(false) };
    let Ok(hook) = serde_json::from_str::<Hook>(hook) else { return Ok(false) };
    let Ok((node, service, client)) = hook.origin() else { return Ok(false) };
    if node != entry.node {
        return Ok(false);
    }
    // Of a run that is over nothing is left.
    let over = state.nodes.info(&node).is_some_and(|info| info.service != service);
    let from = Owner { node, service, client };
    match kind(hook.action) {
        Kind::Publish if over => Ok(false),
        Kind::Publish => published(state, entry, &hook, &from).await,
        Kind::Unpublish => match stream(&hook) {
            Ok(stream) => ended(state, &from, Some(&stream), entry.at_ms).await,
            Err(_) => Ok(false),
        },
        Kind::Close => {
            let ended = ended(state, &from, None, entry.at_ms).await?;
            Ok(live::closed(state, &from, EndReason::ClientLeft).await || ended)
        }
        Kind::Stop => Ok(live::closed(state, &from, EndReason::ClientLeft).await),
        Kind::Play if over => Ok(false),
        Kind::Play => Ok(played(state, &hook, &from).await.unwrap_or_default()),
        Kind::Connect | Kind::Forward | Kind::Told => Ok(false),
    }
}

async fn ended(state: &State, from: &Owner, stream: Option<&StreamId>, at_ms: u64) -> Result<bool, PgError> {
    let ended = replay::end(&state.pg, from, stream, at_ms).await?;
    for publisher in &ended {
        live::ended(state, publisher, EndReason::ClientLeft).await;
    }
    Ok(!ended.is_empty())
}

/// Opens a viewer's session again; with a ticket only, since without one nobody journals a viewer.
async fn played(state: &State, hook: &Hook, from: &Owner) -> Option<bool> {
    let stream = stream(hook).ok()?;
    let secrets = state.secrets().ok()?;
    let Ok(Presented::Ticket(text)) = presented(hook.param(), hook.protocol()) else { return None };
    let scope = Scope { node: &from.node, service: &from.service, stream: &stream };
    let ticket = Ticket::open(text, &secrets.keyring, scope).ok()?;
    ticket_fits(&ticket, Role::Play, hook.param(), 0, true).ok()?;
    let mut session = play::session(hook, from, &stream, ticket.epoch);
    session.id = ticket.session;
    session.protocol = ticket.protocol;
    session.edge = Some(ticket.edge);
    session.ip = ticket.client;
    let owner = state.away.homes().get(&stream).and_then(|home| home.owner);
    state.sessions.open(Known { session, owner, credential: None }).await.ok()?;
    Some(true)
}

/// What let a journaled publisher in.
struct Admitted {
    session: proto::SessionId,
    epoch: u64,
    credential: Credential,
    ticket: Option<Ticket>,
}

/// `None`: nobody who may publish.
async fn admitted(
    state: &State,
    entry: &JournalEntry,
    hook: &Hook,
    from: &Owner,
    stream: &StreamId,
) -> Result<Option<Admitted>, PgError> {
    let Ok(secrets) = state.secrets() else {
        return Err(PgError::Away("the cluster's secrets are not known yet".into()));
    };
    let at = entry.at_ms / 1000;
    let (epoch, known) = match state.away.homes().get(stream) {
        Some(home) if matches!(&home.hold, Hold::Live { from: f, .. } if f == from) => {
            (home.epoch, home.credential.clone())
        }
        Some(_) | None => (1, None),
    };
    let session = session_of(from, entry.at_ms);
    let direct = |credential| Ok(Some(Admitted { session, epoch, credential, ticket: None }));
    match presented(hook.param(), hook.protocol()) {
        Ok(Presented::Ticket(text)) => {
            let scope = Scope { node: &from.node, service: &from.service, stream };
            let ticket = Ticket::open(text, &secrets.keyring, scope).ok();
            let ticket = ticket.filter(|ticket| ticket_fits(ticket, Role::Publish, hook.param(), at, true).is_ok());
            Ok(ticket.map(|ticket| Admitted {
                session: ticket.session,
                epoch: epoch.max(ticket.epoch),
                credential: known.unwrap_or(Credential::Open),
                ticket: Some(ticket),
            }))
        }
        Ok(Presented::Key(text)) => match admission::key(state, &secrets, text, stream).await {
            Ok(credential) => direct(credential),
            Err(Refusal::Away) => Err(PgError::Away("a stream key cannot be asked for".into())),
            Err(_) => Ok(None),
        },
        Ok(Presented::Token(text)) => {
            let claims = secrets.media.verify(text, at).ok();
            let Some(claims) = claims.filter(|it| token_fits(it, stream, Role::Publish, hook.address()).is_ok()) else {
                return Ok(None);
            };
            let client = state.pg.get().await?;
            let valid = tokens::is_valid(&**client, stream, claims.jti).await?;
            if valid { direct(Credential::Token { jti: claims.jti }) } else { Ok(None) }
        }
        Ok(Presented::Nothing) | Err(_) => Ok(None),
    }
}

async fn published(state: &State, entry: &JournalEntry, hook: &Hook, from: &Owner) -> Result<bool, PgError> {
    let Ok(stream) = stream(hook) else { return Ok(false) };
    let Some(admitted) = admitted(state, entry, hook, from, &stream).await? else { return Ok(false) };
    let ticket = admitted.ticket.as_ref();
    let it = Publish {
        stream: &stream,
        session: admitted.session,
        from,
        protocol: ticket.map_or_else(|| hook.protocol(), |ticket| ticket.protocol),
        credential: &admitted.credential,
        ip: ticket.map_or_else(|| hook.address(), |ticket| ticket.client),
        edge: ticket.map(|ticket| &ticket.edge),
        broadcast: broadcast_of(from, &stream, entry.at_ms),
        epoch: admitted.epoch,
        at_ms: entry.at_ms,
        late: ticket.is_some_and(|ticket| ticket.expired(entry.at_ms / 1000)),
    };
    let mut fence = None;
    for _ in 0..LOOKS_MAX {
        let asked = replay::publish(&state.pg, &it, fence).await?;
        if asked.owner.is_none() {
            return refuse(state, from, "revoked").await;
        }
        if asked.taken.is_some() {
            taken(state, &it, asked).await;
            return Ok(true);
        }
        let Some(holder) = asked.before else { return Ok(false) };
        if asked.seen || holder.session == it.session && holder.from == *from {
            return Ok(false);
        }
        if claiming::look(state, &holder).await == Holder::Gone {
            for gone in claims::end(&state.pg, Which::Client(&holder.from), EndReason::Reconciled).await? {
                live::ended(state, &gone, EndReason::Reconciled).await;
            }
        } else if homes::stays(holder.since_ms, entry.at_ms) {
            state.media.claim("conflict");
            // First of all: Redis may be slow to come back.
            let refused = refuse(state, from, "taken_over").await;
            live::closed(state, from, EndReason::TakenOver).await;
            return refused;
        } else {
            fence = Some(Fence { epoch: holder.epoch, live: true });
        }
    }
    Ok(false)
}

/// It is live by right now, and whoever was younger is kicked.
async fn taken(state: &State, it: &Publish<'_>, asked: Asked) {
    let (Some(owner), Some(taken)) = (asked.owner, asked.taken) else { return };
    if let Some(old) = asked.before.filter(|_| asked.put_out) {
        state.media.claim("conflict");
        claiming::put_out(state, &old, owner).await;
    }
    let held = Held {
        stream: it.stream.clone(),
        epoch: taken.epoch,
        session: it.session,
        from: it.from.clone(),
        protocol: it.protocol,
        ip: it.ip,
        edge: it.edge.cloned(),
        credential: it.credential.clone(),
        broadcast: Some(it.broadcast),
        since_ms: it.at_ms,
        owner: Some(owner),
    };
    live::published(state, &held).await;
}

/// The publisher may not go on: its kick is written down and carried out.
async fn refuse(state: &State, from: &Owner, why: &str) -> Result<bool, PgError> {
    kicks::owe(&state.pg, std::slice::from_ref(from), why, 0).await?;
    state.kicker.owed(1);
    Ok(false)
}
