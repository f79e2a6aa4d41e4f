//! Getting a stream for a publisher: asks the claim, looks at its holder if the rules want that, puts the holder out if they allow it.

use crate::{
    app::State,
    away,
    domain::{
        claims::{self as rules, Ask, Holder, RETRY_AFTER_SECONDS, Verdict, Watch},
        placing::Room,
    },
    kicker,
    placing::{self, PlacingError},
    sessions::live,
    srs::SrsError,
    store::pg::claims::{self, Asked, Ended, Fence, Held, Publisher, Taken},
    streams,
};
use kit::{clock, kv::Cmd, pg::PgError};
use proto::{
    BroadcastId, ClientId, UserId,
    internal::{Credential, ReserveRequest},
    keys,
    node::NodeState,
    session::EndReason,
};
use std::time::Duration;

/// Statements tried for one publisher: each but the last follows from what the one before saw.
const ATTEMPTS_MAX: usize = 5;
/// How long a look at a holder's bytes is remembered, unless it is renewed.
const WATCH_TTL: Duration = Duration::from_secs(60);

/// What became of a publisher that asked for a stream.
#[derive(Debug)]
pub enum Claimed {
    /// The stream is its own.
    Granted {
        /// Where and under which epoch.
        taken: Taken,
        /// The stream's owner.
        owner: UserId,
        /// Postgres's clock, unix milliseconds.
        now_ms: u64,
    },
    /// Somebody else's.
    Busy {
        /// Seconds after which to ask again.
        retry_after: u64,
    },
    /// There is no such stream.
    NoStream,
    /// The node has no room for one more; another one may.
    NoRoom,
}

/// A publisher's wish.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// To have the stream reserved, where there is room.
    Reserve(Option<&'a Room>),
    /// To have it at once as this connection: SRS has taken it already, so no bound is asked for.
    Live(&'a ClientId, BroadcastId),
}

/// Asks for a stream.
///
/// # Errors
/// [`PgError`].
pub async fn claim(
    state: &State,
    publisher: &Publisher<'_>,
    wish: Wish<'_>,
    takeover: bool,
) -> Result<Claimed, PgError> {
    let ask = Ask { session: publisher.session, credential: publisher.credential.clone(), takeover };
    let (mut fence, mut holder) = (None, Holder::Unseen);
    for _ in 0..ATTEMPTS_MAX {
        let asked = match wish {
            Wish::Reserve(room) => match claims::reserve(&state.pg, publisher, fence, room).await? {
                Some(asked) => asked,
                None => {
                    state.media.claim("over_bound");
                    return Ok(Claimed::NoRoom);
                }
            },
            Wish::Live(client, broadcast) => claims::take_live(&state.pg, publisher, client, broadcast, fence).await?,
        };
        let Some(owner) = asked.owner else { return Ok(Claimed::NoStream) };
        if let Some(taken) = asked.taken.clone() {
            if let Some(old) = asked.before.filter(|_| asked.put_out) {
                put_out(state, &old, owner).await;
            }
            return Ok(Claimed::Granted { taken, owner, now_ms: asked.now_ms });
        }
        if let Some(taken) = held_already(&asked, publisher, wish) {
            return Ok(Claimed::Granted { taken, owner, now_ms: asked.now_ms });
        }
        match rules::ask(asked.claim.as_ref(), asked.now_ms, &ask, holder) {
            // The statement saw the row change under it: the next one sees what it became.
            Verdict::Granted { .. } => {}
            Verdict::TakeOver { from } => fence = Some(Fence { epoch: from, live: asked.before.is_some() }),
            Verdict::Look => {
                holder = match &asked.before {
                    Some(held) => look(state, held).await,
                    None => Holder::Active,
                };
            }
            Verdict::Busy { retry_after } => {
                state.media.claim("busy");
                return Ok(Claimed::Busy { retry_after });
            }
        }
    }
    state.media.claim("busy");
    Ok(Claimed::Busy { retry_after: RETRY_AFTER_SECONDS })
}

/// Decisions made for one reservation, each on what the nodes carry by then, before it is told that there is no room.
const DECISIONS_MAX: usize = 16;
/// Nodes tried by one decision.
const NODES_TRIED_MAX: usize = 4;

/// What became of a reservation.
#[derive(Debug)]
pub enum Reserved {
    /// As for a claim; never [`Claimed::NoRoom`].
    Claimed(Claimed),
    /// From memory, while Postgres is away.
    Provisional(Taken),
    /// No node can take the stream; a word on each.
    NoNode(String),
}

/// Reserves a stream on the first node that is fit and has room: of those that the edge proposes, else of the own choice.
///
/// # Errors
/// [`PlacingError`].
pub async fn reserve(state: &State, ask: &ReserveRequest) -> Result<Reserved, PlacingError> {
    if !state.away.is_on() {
        let mut done = by_database(state, ask).await;
        // An open edge admits everybody, also to streams that nobody made.
        if matches!(done, Ok(Reserved::Claimed(Claimed::NoStream)))
            && ask.credential == Credential::Open
            && streams::create_open(state, &ask.stream).await?
        {
            done = by_database(state, ask).await;
        }
        match done {
            Err(PlacingError::Store(error)) if state.away.notes(&error) => {
                tracing::warn!(error = %kit::telemetry::chain(&error), stream = %ask.stream, "a stream is reserved from memory");
            }
            done => return done,
        }
    }
    Ok(away::reserve(state, ask)?)
}

async fn by_database(state: &State, ask: &ReserveRequest) -> Result<Reserved, PlacingError> {
    for _ in 0..DECISIONS_MAX {
        let decided = placing::decision(state, &ask.stream, ask.srt).await?;
        let order = decided.order(&ask.nodes);
        if order.is_empty() {
            return Ok(Reserved::NoNode(decided.why_none(&ask.nodes)));
        }
        for place in order.iter().take(NODES_TRIED_MAX) {
            let publisher = Publisher {
                stream: &ask.stream,
                session: ask.session,
                node: &place.node,
                service: &place.service,
                protocol: ask.protocol,
                credential: &ask.credential,
                ip: ask.client,
                edge: Some(&ask.edge),
            };
            let room = decided.room(&place.node);
            match claim(state, &publisher, Wish::Reserve(room.as_ref()), ask.takeover).await? {
                // Others were given it meanwhile.
                Claimed::NoRoom => {}
                claimed @ (Claimed::Granted { .. } | Claimed::Busy { .. } | Claimed::NoStream) => {
                    return Ok(Reserved::Claimed(claimed));
                }
            }
        }
    }
    Ok(Reserved::NoNode("all filled up while it was asked for; try again".to_owned()))
}

/// The same publisher asking twice: an edge that lost our answer, or a hook that SRS posts again.
fn held_already(asked: &Asked, publisher: &Publisher<'_>, wish: Wish<'_>) -> Option<Taken> {
    let held = asked.before.as_ref()?;
    let same_client = match wish {
        Wish::Reserve(_) => false,
        Wish::Live(client, _) => {
            held.from.client == *client && held.from.node == *publisher.node && held.from.service == *publisher.service
        }
    };
    (held.session == publisher.session || same_client).then(|| Taken {
        epoch: held.epoch,
        node: held.from.node.clone(),
        service: held.from.service.clone(),
    })
}

/// Kicks a publisher whose claim was given to another, and tells of its end.
pub async fn put_out(state: &State, old: &Held, owner: UserId) {
    // SRS gives the name to the next publisher only when the old one is gone.
    kicker::now(state, &old.from).await;
    let ended = Ended {
        stream: old.stream.clone(),
        epoch: old.epoch,
        session: old.session,
        live: true,
        node: old.from.node.clone(),
        service: old.from.service.clone(),
        client: Some(old.from.client.clone()),
        owner,
    };
    live::ended(state, &ended, EndReason::TakenOver).await;
    state.media.claim("taken_over");
}

/// Looks at the connection that holds a claim.
pub async fn look(state: &State, held: &Held) -> Holder {
    let node = &held.from.node;
    let down = matches!(state.health.state(node), None | Some(NodeState::Down));
    let Some(api) = state.nodes.api(node) else { return if down { Holder::Gone } else { Holder::Active } };
    match state.srs.client(&api, &held.from.service, &held.from.client).await {
        Ok(None) | Err(SrsError::Gone | SrsError::OtherRun) => Holder::Gone,
        Ok(Some(client)) => watch(state, held, client.recv_bytes).await,
        Err(SrsError::Away(_)) if down => Holder::Gone,
        Err(SrsError::Away(_)) => Holder::Active,
    }
}

/// Compares a holder's bytes with the look before, which any control node may have taken. Without Redis nobody counts as silent.
async fn watch(state: &State, held: &Held, bytes: u64) -> Holder {
    let field = format!("{}/{}", held.from.service, held.from.client);
    let key = keys::node_watch(&held.from.node);
    let before = state.kv.one(Cmd::on("HGET", &key).arg(&field)).await.ok();
    let before = before.as_ref().and_then(|reply| read_watch(reply.text()?));
    let (holder, watch) = rules::judge(before, bytes, clock::unix_ms());
    if before != Some(watch) {
        let write = vec![Cmd::hset(&key, &field, write_watch(watch)), Cmd::expire(&key, WATCH_TTL)];
        if state.kv.run(write).await.is_err() {
            state.metrics.redis_skipped("watch");
        }
    }
    holder
}

/// Reads what [`write_watch`] wrote.
#[must_use]
pub fn read_watch(text: &str) -> Option<Watch> {
    let (bytes, since_ms) = text.split_once(' ')?;
    Some(Watch { bytes: bytes.parse().ok()?, since_ms: since_ms.parse().ok()? })
}

/// A watch as Redis keeps it.
#[must_use]
pub fn write_watch(watch: Watch) -> String {
    format!("{} {}", watch.bytes, watch.since_ms)
}
