//! Journaled hooks written down afterwards: what was accepted while Postgres was away.

use super::{
    Fence, Param,
    row::{self, Asked, Ended, credential_words},
    sql,
};
use crate::domain::claims::Owner;
use kit::pg::{Pg, PgError, Type};
use proto::{BroadcastId, EdgeId, SessionId, StreamId, internal::Credential, session::Protocol};
use std::net::IpAddr;

/// A publisher that was taken in.
#[derive(Debug, Clone)]
pub struct Publish<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// Its session.
    pub session: SessionId,
    /// Its connection.
    pub from: &'a Owner,
    /// How.
    pub protocol: Protocol,
    /// What let it in.
    pub credential: &'a Credential,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// The edge that admitted it.
    pub edge: Option<&'a EdgeId>,
    /// Its broadcast, drawn from the hook: one that is there already says that the hook was written down before.
    pub broadcast: BroadcastId,
    /// The epoch it was given; it gets no lower one.
    pub epoch: u64,
    /// Unix milliseconds at which it was taken in.
    pub at_ms: u64,
    /// Its ticket's time was over: only the same connection may come again.
    pub late: bool,
}

/// Makes the claim live, unless the hook was written down before or somebody else is live. `fence` is a live holder that makes way: its kick is
/// written down in the same statement.
///
/// # Errors
/// [`PgError`].
pub async fn publish(pg: &Pg, it: &Publish<'_>, fence: Option<Fence>) -> Result<Asked, PgError> {
    let (kind, credential) = credential_words(it.credential);
    let (session, broadcast) = (it.session.uuid(), it.broadcast.uuid());
    let edge = it.edge.map(EdgeId::as_str);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (epoch, at_ms, fenced) = (number(it.epoch), number(it.at_ms), fence.map(|fence| number(fence.epoch)));
    let params: [Param<'_>; 15] = [
        (&it.stream.as_str(), Type::TEXT),
        (&session, Type::UUID),
        (&it.from.node.as_str(), Type::TEXT),
        (&it.from.service.as_str(), Type::TEXT),
        (&it.from.client.as_str(), Type::TEXT),
        (&edge, Type::TEXT),
        (&it.protocol.as_str(), Type::TEXT),
        (&it.ip, Type::INET),
        (&kind, Type::TEXT),
        (&credential, Type::TEXT),
        (&broadcast, Type::UUID),
        (&epoch, Type::INT8),
        (&at_ms, Type::INT8),
        (&fenced, Type::INT8),
        (&it.late, Type::BOOL),
    ];
    row::asked(&super::one(pg, sql::REPLAY, &params).await?)
}

/// Frees what a connection held at `at_ms` (unix milliseconds), of one stream or all; what it was given later is left alone.
///
/// # Errors
/// [`PgError`].
pub async fn end(pg: &Pg, from: &Owner, stream: Option<&StreamId>, at_ms: u64) -> Result<Vec<Ended>, PgError> {
    let stream = stream.map(StreamId::as_str);
    let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
    let params: [Param<'_>; 5] = [
        (&stream, Type::TEXT),
        (&from.node.as_str(), Type::TEXT),
        (&from.service.as_str(), Type::TEXT),
        (&from.client.as_str(), Type::TEXT),
        (&at_ms, Type::INT8),
    ];
    super::many(pg, sql::REPLAY_END, &params).await?.iter().map(row::ended).collect()
}
