//! One change as bytes. What follows the known fields is skipped, so that a newer version can add to them.

use crate::{
    error::Error,
    key::{Key, Run},
    merge::Value,
    slot::{Age, time_of, unix_ms},
    wire::{self, Names, Reader},
};
use proto::{
    BroadcastId, ClientId, EdgeId, NodeId, ServiceId, SessionId, StreamId, TokenId, UserId,
    internal::Credential,
    session::{EndReason, Known, Protocol, Role, Session},
};
use std::net::IpAddr;

const OPEN: u8 = 1;
const CLOSED: u8 = 2;
const LOST: u8 = 3;

const PROTOCOLS: [Protocol; 5] = [Protocol::Webrtc, Protocol::Rtmp, Protocol::Srt, Protocol::Hls, Protocol::HttpFlv];
const REASONS: [EndReason; 7] = [
    EndReason::ClientLeft,
    EndReason::Kicked,
    EndReason::TakenOver,
    EndReason::Revoked,
    EndReason::NodeLost,
    EndReason::StreamMoved,
    EndReason::Reconciled,
];

const HAS_EDGE: u8 = 1 << 4;
const HAS_OWNER: u8 = 1 << 5;
const HAS_BROADCAST: u8 = 1 << 6;
const PUBLISHES: u8 = 1 << 7;
const IP_V4: u8 = 1;
const IP_V6: u8 = 2;
const BY_KEY: u8 = 1 << 2;
const BY_TOKEN: u8 = 2 << 2;
const BY_NOTHING: u8 = 3 << 2;
const CREDENTIALS: u8 = 3 << 2;

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|each| each == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
}

/// Writes a change: its kind, its length, and its fields. `base_ms` is the message's own time.
pub(crate) fn write(out: &mut Vec<u8>, names: &mut Names, value: &Value, base_ms: u64) {
    let mut body = Vec::with_capacity(128);
    let kind = match value {
        Value::Open { age, term, known } => {
            write_age(&mut body, *age, *term);
            write_known(&mut body, names, known, base_ms);
            OPEN
        }
        Value::Closed { key, age, term, reason, closed_ms, ago_ms } => {
            write_age(&mut body, *age, *term);
            write_run(&mut body, names, &key.run);
            wire::text(&mut body, key.client.as_str());
            body.push(place(&REASONS, reason));
            wire::near(&mut body, *closed_ms, base_ms);
            wire::number(&mut body, *ago_ms);
            CLOSED
        }
        Value::Lost { run, era, term, at_ms, ago_ms } => {
            write_age(&mut body, Age { era: *era, turn: 0 }, *term);
            write_run(&mut body, names, run);
            wire::near(&mut body, *at_ms, base_ms);
            wire::number(&mut body, *ago_ms);
            LOST
        }
    };
    out.push(kind);
    wire::number(out, u64::try_from(body.len()).unwrap_or(0));
    out.extend_from_slice(&body);
}

fn write_age(out: &mut Vec<u8>, age: Age, term: u16) {
    for part in [age.era, age.turn, term] {
        wire::number(out, u64::from(part));
    }
}

fn write_run(out: &mut Vec<u8>, names: &mut Names, run: &Run) {
    let (first, second) = match run {
        Run::Node { node, service } => (node.as_str(), service.as_str()),
        Run::Edge(edge) => (edge.as_str(), ""),
    };
    for name in [first, second] {
        wire::number(out, names.number(name.as_bytes()));
    }
}

fn write_known(out: &mut Vec<u8>, names: &mut Names, known: &Known, base_ms: u64) {
    let session = &known.session;
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    out.push(
        place(&PROTOCOLS, &session.protocol)
            | flag(session.role == Role::Publish, PUBLISHES)
            | flag(session.edge.is_some(), HAS_EDGE)
            | flag(known.owner.is_some(), HAS_OWNER)
            | flag(session.broadcast.is_some(), HAS_BROADCAST),
    );
    let ip = match session.ip {
        None => 0,
        Some(IpAddr::V4(_)) => IP_V4,
        Some(IpAddr::V6(_)) => IP_V6,
    };
    out.push(
        ip | match known.credential {
            None => 0,
            Some(Credential::StreamKey { .. }) => BY_KEY,
            Some(Credential::Token { .. }) => BY_TOKEN,
            Some(Credential::Open) => BY_NOTHING,
        },
    );
    for name in [session.node.as_str(), session.service.as_str(), session.stream.as_str()] {
        wire::number(out, names.number(name.as_bytes()));
    }
    wire::text(out, session.client_id.as_str());
    out.extend_from_slice(session.id.as_bytes());
    if let Some(edge) = &session.edge {
        wire::number(out, names.number(edge.as_str().as_bytes()));
    }
    if let Some(owner) = &known.owner {
        wire::number(out, names.number(owner.as_bytes()));
    }
    if let Some(broadcast) = &session.broadcast {
        out.extend_from_slice(broadcast.as_bytes());
    }
    match session.ip {
        None => {}
        Some(IpAddr::V4(ip)) => out.extend_from_slice(&ip.octets()),
        Some(IpAddr::V6(ip)) => out.extend_from_slice(&ip.octets()),
    }
    match &known.credential {
        Some(Credential::StreamKey { hash }) => wire::text(out, hash),
        Some(Credential::Token { jti }) => out.extend_from_slice(jti.as_bytes()),
        Some(Credential::Open) | None => {}
    }
    wire::near(out, unix_ms(session.opened_at), base_ms);
    wire::number(out, session.epoch);
}

/// Reads a change; `None` for one of a kind that this version does not know.
pub(crate) fn read(reader: &mut Reader<'_>, names: &[&[u8]], base_ms: u64) -> Result<Option<Value>, Error> {
    let kind = reader.byte()?;
    let len = reader.count(crate::limits::ENTRY_BYTES_MAX)?;
    let mut body = Reader::new(reader.take(len)?);
    if ![OPEN, CLOSED, LOST].contains(&kind) {
        return Ok(None);
    }
    let age = Age { era: body.small()?, turn: body.small()? };
    let term = body.small()?;
    Ok(Some(match kind {
        OPEN => Value::Open { age, term, known: Box::new(read_known(&mut body, names, base_ms)?) },
        CLOSED => Value::Closed {
            key: Key {
                run: read_run(&mut body, names)?,
                client: ClientId::parse(body.text()?).map_err(|_| Error::Damaged)?,
            },
            age,
            term,
            reason: *REASONS.get(usize::from(body.byte()?)).unwrap_or(&EndReason::ClientLeft),
            closed_ms: body.near(base_ms)?,
            ago_ms: body.number()?,
        },
        _ => Value::Lost {
            run: read_run(&mut body, names)?,
            era: age.era,
            term,
            at_ms: body.near(base_ms)?,
            ago_ms: body.number()?,
        },
    }))
}

fn name<'a>(reader: &mut Reader<'_>, names: &[&'a [u8]]) -> Result<&'a [u8], Error> {
    let number = usize::try_from(reader.number()?).map_err(|_| Error::Damaged)?;
    names.get(number).copied().ok_or(Error::Damaged)
}

fn id<T: std::str::FromStr>(reader: &mut Reader<'_>, names: &[&[u8]]) -> Result<T, Error> {
    let text = std::str::from_utf8(name(reader, names)?).map_err(|_| Error::Damaged)?;
    text.parse().map_err(|_| Error::Damaged)
}

fn read_run(reader: &mut Reader<'_>, names: &[&[u8]]) -> Result<Run, Error> {
    let (first, second) = (name(reader, names)?, name(reader, names)?);
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Error::Damaged);
    if second.is_empty() {
        return Ok(Run::Edge(EdgeId::parse(text(first)?).map_err(|_| Error::Damaged)?));
    }
    let node = NodeId::parse(text(first)?).map_err(|_| Error::Damaged)?;
    let service = ServiceId::parse(text(second)?).map_err(|_| Error::Damaged)?;
    Ok(Run::Node { node, service })
}

fn read_known(reader: &mut Reader<'_>, names: &[&[u8]], base_ms: u64) -> Result<Known, Error> {
    let (flags, more) = (reader.byte()?, reader.byte()?);
    let has = |flag: u8| flags & flag != 0;
    let node: NodeId = id(reader, names)?;
    let service: ServiceId = id(reader, names)?;
    let stream: StreamId = id(reader, names)?;
    let client_id = ClientId::parse(reader.text()?).map_err(|_| Error::Damaged)?;
    let session = SessionId::from_bytes(reader.fixed()?);
    let edge: Option<EdgeId> = if has(HAS_EDGE) { Some(id(reader, names)?) } else { None };
    let owner = if has(HAS_OWNER) {
        let bytes = name(reader, names)?.try_into().map_err(|_| Error::Damaged)?;
        Some(UserId::from_bytes(bytes))
    } else {
        None
    };
    let broadcast = if has(HAS_BROADCAST) { Some(BroadcastId::from_bytes(reader.fixed()?)) } else { None };
    let ip = match more & 3 {
        0 => None,
        IP_V4 => Some(IpAddr::from(reader.fixed::<4>()?)),
        IP_V6 => Some(IpAddr::from(reader.fixed::<16>()?)),
        _ => return Err(Error::Damaged),
    };
    let credential = match more & CREDENTIALS {
        BY_KEY => Some(Credential::StreamKey { hash: reader.text()?.to_owned() }),
        BY_TOKEN => Some(Credential::Token { jti: TokenId::from_bytes(reader.fixed()?) }),
        BY_NOTHING => Some(Credential::Open),
        _ => None,
    };
    let opened_at = time_of(reader.near(base_ms)?);
    let session = Session {
        id: session,
        stream,
        role: if has(PUBLISHES) { Role::Publish } else { Role::Play },
        protocol: *PROTOCOLS.get(usize::from(flags & 0x0f)).ok_or(Error::Damaged)?,
        node,
        service,
        client_id,
        edge,
        ip,
        epoch: reader.number()?,
        broadcast,
        opened_at,
        closed_at: None,
        reason: None,
    };
    Ok(Known { session, owner, credential })
}
