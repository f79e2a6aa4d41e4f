//! Publisher claims in Postgres: one statement a change, each carrying out a rule of [`crate::domain::claims`] under the row's own lock.
//!
//! A statement answers with what it did *and* with the row as it was before, so that the rule can say why when it did nothing. Epochs only
//! ever go up here: no statement writes one but `epoch + 1` or the same.

pub mod replay;
mod row;
mod sql;

pub use row::{Asked, Confirmed, Ended, Held, Present, Taken, reason_word, time_of};

use super::word;
use crate::domain::{claims::Owner, placing::Room};
use kit::pg::{Pg, PgError, Row, ToSql, Type};
use proto::{
    BroadcastId, EdgeId, NodeId, ServiceId, SessionId, StreamId, UserId,
    internal::Credential,
    session::{EndReason, Protocol},
};
use row::credential_words;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// A publisher that wants a stream.
#[derive(Debug, Clone)]
pub struct Publisher<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// Its session.
    pub session: SessionId,
    /// Where it publishes or will publish.
    pub node: &'a NodeId,
    /// That node's run.
    pub service: &'a ServiceId,
    /// How.
    pub protocol: Protocol,
    /// What let it in.
    pub credential: &'a Credential,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// The edge that admitted it.
    pub edge: Option<&'a EdgeId>,
}

/// The holder that may be put out: nobody else is, if it changed meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Fence {
    /// Its epoch.
    pub epoch: u64,
    /// It was live rather than reserved.
    pub live: bool,
}

pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// The state by which `claims_room` refuses (migration 5).
const OVER_BOUND: &str = "KS001";

/// Reserves the stream for [`proto::internal::RESERVATION_SECONDS`], or says who has it.
///
/// `None`: the node has no `room` for one more, and nothing was changed. Room is counted under the lock of the node's load, so it holds among
/// all control nodes.
///
/// With a `fence` that very holder is put out: its kick is written down and its broadcast ended in the same statement.
///
/// # Errors
/// [`PgError`].
pub async fn reserve(
    pg: &Pg,
    publisher: &Publisher<'_>,
    fence: Option<Fence>,
    room: Option<&Room>,
) -> Result<Option<Asked>, PgError> {
    match take(pg, publisher, None, fence, room).await {
        Ok(asked) => Ok(Some(asked)),
        Err(PgError::Statement(error)) if error.code().is_some_and(|code| code.code() == OVER_BOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the stream at once to a publisher that reached SRS directly and begins its broadcast, or says who has it. No bound is asked for: SRS
/// has taken it already.
///
/// # Errors
/// [`PgError`].
pub async fn take_live(
    pg: &Pg,
    publisher: &Publisher<'_>,
    client: &proto::ClientId,
    broadcast: BroadcastId,
    fence: Option<Fence>,
) -> Result<Asked, PgError> {
    take(pg, publisher, Some((client, broadcast)), fence, None).await
}

async fn take(
    pg: &Pg,
    publisher: &Publisher<'_>,
    live: Option<(&proto::ClientId, BroadcastId)>,
    fence: Option<Fence>,
    room: Option<&Room>,
) -> Result<Asked, PgError> {
    let (kind, credential) = credential_words(publisher.credential);
    let (session, ip) = (publisher.session.uuid(), publisher.ip);
    let edge = publisher.edge.map(EdgeId::as_str);
    let client = live.map(|(client, _)| client.as_str());
    let broadcast = live.map(|(_, broadcast)| broadcast.uuid());
    let epoch = fence.map(|f| i64::try_from(f.epoch).unwrap_or(i64::MAX));
    let fenced_state = fence.map(|f| if f.live { "live" } else { "reserved" });
    let seconds = i64::try_from(proto::internal::RESERVATION_SECONDS).unwrap_or(i64::MAX);
    let among: Option<Vec<&str>> = room.map(|room| room.among.iter().map(NodeId::as_str).collect());
    let percent = i64::from(placement::BOUND_PERCENT);
    let (weight, weights) = (room.map(|room| i64::from(room.weight)), room.map(|room| i64::from(room.weights)));
    let streams_max = room.and_then(|room| room.limit).map(i64::from);
    let params: [Param<'_>; 19] = [
        (&publisher.stream.as_str(), Type::TEXT),
        (&session, Type::UUID),
        (&publisher.node.as_str(), Type::TEXT),
        (&publisher.service.as_str(), Type::TEXT),
        (&client, Type::TEXT),
        (&edge, Type::TEXT),
        (&publisher.protocol.as_str(), Type::TEXT),
        (&ip, Type::INET),
        (&kind, Type::TEXT),
        (&credential, Type::TEXT),
        (&broadcast, Type::UUID),
        (&seconds, Type::INT8),
        (&epoch, Type::INT8),
        (&fenced_state, Type::TEXT),
        (&among, Type::TEXT_ARRAY),
        (&percent, Type::INT8),
        (&weight, Type::INT8),
        (&weights, Type::INT8),
        (&streams_max, Type::INT8),
    ];
    row::asked(&one(pg, sql::TAKE, &params).await?)
}

/// Confirms a reservation (or a publish again on the same connection) and begins its broadcast. A ticket that comes `late` opens no reservation.
///
/// # Errors
/// [`PgError`].
pub async fn confirm(
    pg: &Pg,
    stream: &StreamId,
    session: SessionId,
    epoch: u64,
    from: &Owner,
    broadcast: BroadcastId,
    late: bool,
) -> Result<Confirmed, PgError> {
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    let params: [Param<'_>; 8] = [
        (&stream.as_str(), Type::TEXT),
        (&session.uuid(), Type::UUID),
        (&from.node.as_str(), Type::TEXT),
        (&from.service.as_str(), Type::TEXT),
        (&from.client.as_str(), Type::TEXT),
        (&epoch, Type::INT8),
        (&broadcast.uuid(), Type::UUID),
        (&late, Type::BOOL),
    ];
    row::confirmed(&one(pg, sql::CONFIRM, &params).await?)
}

/// Which claims end.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// That of this connection, of this stream if the hook named one. It may publish again on the same connection.
    Connection(&'a Owner, Option<&'a StreamId>),
    /// That of this connection, for good.
    Client(&'a Owner),
    /// That of this session, for good.
    Session(SessionId),
    /// That of this stream, for good.
    Stream(&'a StreamId),
    /// Those that this credential let in: its kind's word and its hash or id.
    Credential(&'a Credential),
    /// All on a node but those of this run; all of them without one.
    Node(&'a NodeId, Option<&'a ServiceId>),
    /// All on one run of a node.
    Run(&'a NodeId, &'a ServiceId),
}

/// Frees claims and ends their broadcasts; reservations too, except for [`Which::Connection`] and [`Which::Client`]. Nothing held is nothing done.
///
/// Where the reason says that SRS does not know yet (kicked, revoked, moved), the kick is written down in the same statement.
///
/// # Errors
/// [`PgError`].
pub async fn end(pg: &Pg, which: Which<'_>, reason: EndReason) -> Result<Vec<Ended>, PgError> {
    let word = reason_word(reason);
    let owe = matches!(reason, EndReason::Kicked | EndReason::Revoked | EndReason::StreamMoved);
    let mut forget = true;
    let (mut stream, mut session, mut node, mut service, mut client) = (None, None, None, None, None);
    let (mut kind, mut credential, mut other_run) = (None, None, None);
    match which {
        Which::Connection(owner, of) => {
            forget = false;
            stream = of.map(StreamId::as_str);
            (node, service) = (Some(owner.node.as_str()), Some(owner.service.as_str()));
            client = Some(owner.client.as_str());
        }
        Which::Client(owner) => {
            (node, service) = (Some(owner.node.as_str()), Some(owner.service.as_str()));
            client = Some(owner.client.as_str());
        }
        Which::Session(id) => session = Some(id.uuid()),
        Which::Stream(id) => stream = Some(id.as_str()),
        Which::Credential(by) => {
            let (k, c) = credential_words(by);
            (kind, credential) = (Some(k), Some(c));
        }
        Which::Node(id, run) => {
            node = Some(id.as_str());
            other_run = run.map(ServiceId::as_str);
        }
        Which::Run(id, run) => (node, service) = (Some(id.as_str()), Some(run.as_str())),
    }
    let params: [Param<'_>; 11] = [
        (&word, Type::TEXT),
        (&forget, Type::BOOL),
        (&stream, Type::TEXT),
        (&session, Type::UUID),
        (&node, Type::TEXT),
        (&service, Type::TEXT),
        (&client, Type::TEXT),
        (&kind, Type::TEXT),
        (&credential, Type::TEXT),
        (&other_run, Type::TEXT),
        (&owe, Type::BOOL),
    ];
    many(pg, sql::END, &params).await?.iter().map(row::ended).collect()
}

/// Frees a reservation that its edge gave up; another epoch or a confirmed claim is left alone. True if it was held.
///
/// # Errors
/// [`PgError`].
pub async fn give_up(pg: &Pg, stream: &StreamId, session: SessionId, epoch: u64) -> Result<bool, PgError> {
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    let params: [Param<'_>; 3] = [(&stream.as_str(), Type::TEXT), (&session.uuid(), Type::UUID), (&epoch, Type::INT8)];
    Ok(!many(pg, sql::GIVE_UP, &params).await?.is_empty())
}

/// Frees reservations that ran out; how many.
///
/// # Errors
/// [`PgError`].
pub async fn expire(pg: &Pg) -> Result<usize, PgError> {
    Ok(many(pg, sql::EXPIRE, &[]).await?.len())
}

/// The claim of one stream with the stream's owner; `None` when it does not exist or was deleted.
///
/// # Errors
/// [`PgError`].
pub async fn of_stream(pg: &Pg, stream: &StreamId) -> Result<Option<Present>, PgError> {
    let rows = many(pg, sql::OF_STREAM, &[(&stream.as_str(), Type::TEXT)]).await?;
    rows.first().map(row::present).transpose()
}

/// Every live claim, or those on one node.
///
/// # Errors
/// [`PgError`].
pub async fn live(pg: &Pg, node: Option<&NodeId>) -> Result<Vec<Held>, PgError> {
    let node = node.map(NodeId::as_str);
    let rows = many(pg, sql::LIVE, &[(&node, Type::TEXT)]).await?;
    rows.iter().filter_map(|row| row::held(row).transpose()).collect()
}

/// Streams of one owner that somebody publishes or reserved.
///
/// # Errors
/// [`PgError`].
pub async fn held_by(pg: &Pg, owner: UserId) -> Result<Vec<StreamId>, PgError> {
    many(pg, sql::HELD_BY, &[(&owner.uuid(), Type::UUID)]).await?.iter().map(|row| word(row, "stream_id")).collect()
}

/// How many streams each node has, live and reserved; a node without any is not there.
///
/// # Errors
/// [`PgError`].
pub async fn streams_by_node(pg: &Pg) -> Result<BTreeMap<NodeId, u32>, PgError> {
    let rows = many(pg, sql::STREAMS_BY_NODE, &[]).await?;
    rows.iter().map(row::count).collect()
}

pub(super) async fn one(pg: &Pg, sql: &str, params: &[Param<'_>]) -> Result<Row, PgError> {
    let mut rows = many(pg, sql, params).await?;
    rows.pop().ok_or_else(|| PgError::Away("a statement that always answers one row answered none".into()))
}

/// Times a statement is tried that Postgres gave up for another's sake. The order of locks is the same everywhere, so once should do.
const TRIES_MAX: usize = 3;

/// How long a statement about claims may take; longer is Postgres being away, be it stopped or cut off. SRS waits for the answer meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(3);

pub(super) async fn many(pg: &Pg, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, PgError> {
    let client = pg.get().await?;
    for _ in 1..=TRIES_MAX {
        match tokio::time::timeout(ANSWER_MAX, client.query_typed(sql, params)).await {
            Ok(Err(error)) if gave_way(&error) => tracing::warn!(%error, "a statement gave way to another"),
            Ok(done) => return Ok(done?),
            Err(late) => {
                // The connection still waits for that answer.
                kit::pg::discard(client);
                return Err(PgError::Away(late.into()));
            }
        }
    }
    Err(PgError::Away("a statement gave way to others each time".into()))
}

/// A deadlock was broken, or a row changed under a stricter isolation than the default one.
fn gave_way(error: &tokio_postgres::Error) -> bool {
    use tokio_postgres::error::SqlState;
    error
        .code()
        .is_some_and(|code| *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE)
}
