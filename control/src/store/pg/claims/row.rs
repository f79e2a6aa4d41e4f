//! Rows read into the domain's shapes.

use crate::domain::claims::{Claim, Owner, State};
use kit::pg::{PgError, Row};
use proto::{
    BroadcastId, ClientId, EdgeId, NodeId, ServiceId, SessionId, StreamId, TokenId, UserId,
    fleet::Placement,
    internal::Credential,
    session::{EndReason, Protocol, Role, Session},
    stream::Visibility,
};
use std::net::IpAddr;

/// What a statement that asks for a stream says.
#[derive(Debug)]
pub struct Asked {
    /// The stream's owner; `None` when there is no such stream.
    pub owner: Option<UserId>,
    /// What was given.
    pub taken: Option<Taken>,
    /// The claim as it was just before.
    pub before: Option<Held>,
    /// The claim as the rules see it, before.
    pub claim: Option<Claim>,
    /// A live holder was put out and its kick is owed.
    pub put_out: bool,
    /// The broadcast that would begin has begun before: a hook that was handed in again.
    pub seen: bool,
    /// Postgres's clock, unix milliseconds.
    pub now_ms: u64,
}

/// What was given to a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The claim's epoch.
    pub epoch: u64,
    /// Its node.
    pub node: NodeId,
    /// That node's run.
    pub service: ServiceId,
}

/// What a statement that confirms says.
#[derive(Debug)]
pub struct Confirmed {
    /// The stream's owner; `None` when there is no such stream.
    pub owner: Option<UserId>,
    /// The epoch, if it was confirmed now.
    pub epoch: Option<u64>,
    /// What the reservation said of the client.
    pub ip: Option<IpAddr>,
    /// The edge that reserved.
    pub edge: Option<EdgeId>,
    /// The claim as the rules see it, before.
    pub claim: Option<Claim>,
    /// Postgres's clock, unix milliseconds.
    pub now_ms: u64,
}

/// A claim that was freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its stream.
    pub stream: StreamId,
    /// The epoch that ended.
    pub epoch: u64,
    /// Its session.
    pub session: SessionId,
    /// It was live, not just reserved.
    pub live: bool,
    /// Its node.
    pub node: NodeId,
    /// That node's run.
    pub service: ServiceId,
    /// Its connection, if it was live.
    pub client: Option<ClientId>,
    /// The stream's owner.
    pub owner: UserId,
}

/// A live claim with all that is kept of its publisher.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its stream.
    pub stream: StreamId,
    /// Its epoch.
    pub epoch: u64,
    /// Its session.
    pub session: SessionId,
    /// Its connection.
    pub from: Owner,
    /// How its media arrives.
    pub protocol: Protocol,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// The edge that admitted it.
    pub edge: Option<EdgeId>,
    /// What let it in.
    pub credential: Credential,
    /// Its broadcast.
    pub broadcast: Option<BroadcastId>,
    /// Unix milliseconds of its publish hook.
    pub since_ms: u64,
    /// The stream's owner.
    pub owner: Option<UserId>,
}

impl Held {
    /// The claim as readers of Redis see it.
    #[must_use]
    pub fn placement(&self) -> Placement {
        Placement {
            stream: self.stream.clone(),
            node: self.from.node.clone(),
            service: self.from.service.clone(),
            epoch: self.epoch,
            session: self.session,
            protocol: self.protocol,
            since_ms: self.since_ms,
        }
    }

    /// The publisher's session.
    #[must_use]
    pub fn session(&self) -> Session {
        Session {
            id: self.session,
            stream: self.stream.clone(),
            role: Role::Publish,
            protocol: self.protocol,
            node: self.from.node.clone(),
            service: self.from.service.clone(),
            client_id: self.from.client.clone(),
            edge: self.edge.clone(),
            ip: self.ip,
            epoch: self.epoch,
            broadcast: self.broadcast,
            opened_at: time_of(self.since_ms),
            closed_at: None,
            reason: None,
        }
    }
}

/// A stream with its claim.
#[derive(Debug)]
pub struct Present {
    /// The stream's owner.
    pub owner: UserId,
    /// Who may play it.
    pub visibility: Visibility,
    /// Its live publisher.
    pub live: Option<Held>,
}

/// Unix milliseconds as a time; the epoch's start for what no calendar holds.
#[must_use]
pub fn time_of(unix_ms: u64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

pub(super) fn credential_words(credential: &Credential) -> (&'static str, String) {
    match credential {
        Credential::StreamKey { hash } => ("stream_key", hash.clone()),
        Credential::Token { jti } => ("token", jti.to_string()),
        Credential::Open => ("open", String::new()),
    }
}

/// The database's word for a reason.
#[must_use]
pub const fn reason_word(reason: EndReason) -> &'static str {
    match reason {
        EndReason::ClientLeft => "client_left",
        EndReason::Kicked => "kicked",
        EndReason::TakenOver => "taken_over",
        EndReason::Revoked => "revoked",
        EndReason::NodeLost => "node_lost",
        EndReason::StreamMoved => "stream_moved",
        EndReason::Reconciled => "reconciled",
    }
}

/// Reads the database's word for a protocol; a word of a newer version counts as RTMP, the plainest.
#[must_use]
fn protocol_of(word: &str) -> Protocol {
    let all = [Protocol::Webrtc, Protocol::Rtmp, Protocol::Srt, Protocol::Hls, Protocol::HttpFlv];
    all.into_iter().find(|p| p.as_str() == word).unwrap_or(Protocol::Rtmp)
}

/// A row that cannot be what it should be: only a foreign hand or a bug writes one.
fn broken(what: &str) -> PgError {
    PgError::Away(format!("the claims table holds a {what} that does not read").into())
}

fn text<T>(row: &Row, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, PgError> {
    let value: Option<String> = row.try_get(name)?;
    value.map(|text| read(&text).ok_or_else(|| broken(name))).transpose()
}

fn number(row: &Row, name: &str) -> Result<Option<u64>, PgError> {
    let value: Option<i64> = row.try_get(name)?;
    Ok(value.map(|number| u64::try_from(number).unwrap_or_default()))
}

fn user(row: &Row) -> Result<Option<UserId>, PgError> {
    Ok(row.try_get::<_, Option<uuid::Uuid>>("owner_id")?.map(UserId::from_uuid))
}

/// Node, run and client, as far as the row has them.
type Origin = (Option<NodeId>, Option<ServiceId>, Option<ClientId>);

fn origin(row: &Row) -> Result<Origin, PgError> {
    Ok((
        text(row, "node", |t| NodeId::parse(t).ok())?,
        text(row, "service", |t| ServiceId::parse(t).ok())?,
        text(row, "client_id", |t| ClientId::parse(t).ok())?,
    ))
}

fn credential(row: &Row) -> Result<Credential, PgError> {
    let kind: String = row.try_get("credential_kind")?;
    let value: String = row.try_get("credential")?;
    Ok(match kind.as_str() {
        "stream_key" => Credential::StreamKey { hash: value },
        "token" => Credential::Token { jti: TokenId::parse(&value).map_err(|_| broken("token id"))? },
        _ => Credential::Open,
    })
}

fn claim(row: &Row) -> Result<Option<Claim>, PgError> {
    let Some(epoch) = number(row, "epoch")? else { return Ok(None) };
    let session: Option<uuid::Uuid> = row.try_get("session_id")?;
    let session = session.map(SessionId::from_uuid);
    let state: String = row.try_get("state")?;
    let (node, service, client) = origin(row)?;
    let state = match (state.as_str(), session, node, service, client) {
        ("reserved", Some(session), Some(node), Some(service), _) => {
            State::Reserved { session, node, service, until_ms: number(row, "until_ms")?.unwrap_or_default() }
        }
        ("live", Some(session), Some(node), Some(service), Some(client)) => {
            State::Live { session, owner: Owner { node, service, client } }
        }
        ("free", Some(session), Some(node), Some(service), Some(client)) => {
            State::Free { last: Some((session, Owner { node, service, client })) }
        }
        ("free", ..) => State::Free { last: None },
        _ => return Err(broken("state")),
    };
    Ok(Some(Claim { epoch, state, credential: credential(row)? }))
}

/// The row as a live claim; `None` when it is not live.
pub(super) fn held(row: &Row) -> Result<Option<Held>, PgError> {
    let Some(Claim { epoch, state: State::Live { session, owner: from }, credential }) = claim(row)? else {
        return Ok(None);
    };
    let protocol: String = row.try_get("protocol")?;
    let stream: String = row.try_get("stream_id")?;
    Ok(Some(Held {
        stream: StreamId::parse(&stream).map_err(|_| broken("stream id"))?,
        epoch,
        session,
        from,
        protocol: protocol_of(&protocol),
        ip: row.try_get("client_ip")?,
        edge: text(row, "edge", |t| EdgeId::parse(t).ok())?,
        credential,
        broadcast: row.try_get::<_, Option<uuid::Uuid>>("broadcast_id")?.map(BroadcastId::from_uuid),
        since_ms: number(row, "since_ms")?.unwrap_or_default(),
        owner: user(row)?,
    }))
}

pub(super) fn asked(row: &Row) -> Result<Asked, PgError> {
    let taken = match number(row, "taken_epoch")? {
        None => None,
        Some(epoch) => {
            let node = text(row, "taken_node", |t| NodeId::parse(t).ok())?;
            let service = text(row, "taken_service", |t| ServiceId::parse(t).ok())?;
            let (node, service) = node.zip(service).ok_or_else(|| broken("node"))?;
            Some(Taken { epoch, node, service })
        }
    };
    Ok(Asked {
        owner: user(row)?,
        taken,
        before: held(row)?,
        claim: claim(row)?,
        put_out: row.try_get("put_out")?,
        seen: row.try_get("seen")?,
        now_ms: number(row, "now_ms")?.unwrap_or_default(),
    })
}

pub(super) fn confirmed(row: &Row) -> Result<Confirmed, PgError> {
    Ok(Confirmed {
        owner: user(row)?,
        epoch: number(row, "taken_epoch")?,
        ip: row.try_get("taken_ip")?,
        edge: text(row, "taken_edge", |t| EdgeId::parse(t).ok())?,
        claim: claim(row)?,
        now_ms: number(row, "now_ms")?.unwrap_or_default(),
    })
}

pub(super) fn ended(row: &Row) -> Result<Ended, PgError> {
    let (node, service, client) = origin(row)?;
    let session: Option<uuid::Uuid> = row.try_get("session_id")?;
    let stream: String = row.try_get("stream_id")?;
    let state: String = row.try_get("state")?;
    Ok(Ended {
        stream: StreamId::parse(&stream).map_err(|_| broken("stream id"))?,
        epoch: number(row, "epoch")?.unwrap_or_default(),
        session: session.map(SessionId::from_uuid).ok_or_else(|| broken("session"))?,
        live: state == "live",
        node: node.ok_or_else(|| broken("node"))?,
        service: service.ok_or_else(|| broken("service"))?,
        client,
        owner: user(row)?.ok_or_else(|| broken("owner"))?,
    })
}

pub(super) fn present(row: &Row) -> Result<Present, PgError> {
    let visibility: String = row.try_get("visibility")?;
    Ok(Present {
        owner: user(row)?.ok_or_else(|| broken("owner"))?,
        visibility: Visibility::from_word(&visibility).unwrap_or_default(),
        live: held(row)?,
    })
}

pub(super) fn count(row: &Row) -> Result<(NodeId, u32), PgError> {
    let node = text(row, "node", |t| NodeId::parse(t).ok())?.ok_or_else(|| broken("node"))?;
    Ok((node, u32::try_from(number(row, "streams")?.unwrap_or_default()).unwrap_or(u32::MAX)))
}
