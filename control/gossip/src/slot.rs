//! A session in about 140 bytes.

use crate::{
    intern::{NONE, Names},
    key::{Client, Key, Run},
    origin::NO_ORIGIN,
};
use proto::{
    BroadcastId, EdgeId, SessionId, StreamId, UserId,
    internal::Credential,
    session::{EndReason, Known, Protocol, Role, Session},
};
use std::net::IpAddr;
use time::OffsetDateTime;

/// Whose change an entry's present state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) seq: u64,
    pub(crate) origin: u16,
    /// How often the entry was adopted.
    pub(crate) term: u16,
}

impl Stamp {
    /// Nobody's: stands behind every other.
    pub(crate) const NOBODY: Self = Self { seq: 0, origin: NO_ORIGIN, term: 0 };
}

/// How far an entry's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age {
    /// How often its run was lost before.
    pub(crate) era: u16,
    /// How often the same connection began anew.
    pub(crate) turn: u16,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Open,
    /// It ended; the record is still there.
    Closed(EndReason),
    /// Its end came before its beginning: there is no record.
    Bare(EndReason),
}

/// What few sessions have.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) broadcast: Option<BroadcastId>,
    pub(crate) credential: Option<Credential>,
    /// The node's run of a session that is keyed by its edge, and the node's name for it.
    pub(crate) home: Option<(u32, Client)>,
}

/// One entry.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) client: Client,
    pub(crate) session: SessionId,
    pub(crate) ip: [u8; 16],
    pub(crate) opened_ms: u64,
    pub(crate) epoch: u64,
    pub(crate) extra: Option<Box<Extra>>,
    pub(crate) stamp: Stamp,
    pub(crate) age: Age,
    pub(crate) run: u32,
    pub(crate) stream: u32,
    pub(crate) owner: u32,
    pub(crate) edge: u32,
    /// Neighbours among the open sessions of the stream, and of the run.
    pub(crate) of_stream: (u32, u32),
    pub(crate) of_run: (u32, u32),
    /// Seconds of the process at which its end was heard of.
    pub(crate) closed_s: u32,
    /// Milliseconds from its beginning to its end.
    pub(crate) lasted_ms: u32,
    pub(crate) life: Life,
    pub(crate) role: Role,
    pub(crate) protocol: Protocol,
    pub(crate) ip_bits: IpBits,
}

/// What [`Slot::ip`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpBits {
    None,
    V4,
    V6,
}

/// Names that slots share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) streams: Names<StreamId, Heads>,
    pub(crate) runs: Names<Run, RunState>,
    pub(crate) owners: Names<UserId>,
    pub(crate) edges: Names<EdgeId>,
}

/// The open sessions of a stream.
#[derive(Debug)]
pub(crate) struct Heads {
    pub(crate) first: u32,
    pub(crate) open: u32,
    pub(crate) viewers: u32,
}

impl Default for Heads {
    fn default() -> Self {
        Self { first: NONE, open: 0, viewers: 0 }
    }
}

/// A run, its open sessions, and how often it was lost.
#[derive(Debug)]
pub(crate) struct RunState {
    pub(crate) heads: Heads,
    pub(crate) era: u16,
    pub(crate) stamp: Stamp,
    /// When it was lost, in unix milliseconds.
    pub(crate) at_ms: u64,
    /// When its loss was heard of, in milliseconds of the process.
    pub(crate) lost_ms: u64,
}

impl Default for RunState {
    fn default() -> Self {
        Self { heads: Heads::default(), era: 0, stamp: Stamp::NOBODY, at_ms: 0, lost_ms: 0 }
    }
}

pub(crate) fn unix_ms(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos().checked_div(1_000_000).unwrap_or(0)).unwrap_or(0)
}

pub(crate) fn time_of(unix_ms: u64) -> OffsetDateTime {
    let nanos = i128::from(unix_ms).saturating_mul(1_000_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

const fn pack_ip(ip: Option<IpAddr>) -> ([u8; 16], IpBits) {
    match ip {
        None => ([0; 16], IpBits::None),
        Some(IpAddr::V6(ip)) => (ip.octets(), IpBits::V6),
        Some(IpAddr::V4(ip)) => (ip.to_ipv6_mapped().octets(), IpBits::V4),
    }
}

impl Shared {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { streams: Names::new(seed), runs: Names::new(seed), owners: Names::new(seed), edges: Names::new(seed) }
    }

    /// Packs a session; its run is taken already.
    pub(crate) fn pack(&mut self, known: &Known, run: u32, age: Age) -> Slot {
        let session = &known.session;
        let (ip, ip_bits) = pack_ip(session.ip);
        let key = Key::of(session);
        let home = matches!(key.run, Run::Edge(_)).then(|| {
            let home = Run::Node { node: session.node.clone(), service: session.service.clone() };
            (self.runs.take(&home), Client::new(&session.client_id))
        });
        let plain = home.is_none() && session.broadcast.is_none() && known.credential.is_none();
        let extra = (!plain)
            .then(|| Box::new(Extra { broadcast: session.broadcast, credential: known.credential.clone(), home }));
        Slot {
            client: Client::new(&key.client),
            session: session.id,
            ip,
            opened_ms: unix_ms(session.opened_at),
            epoch: session.epoch,
            extra,
            stamp: Stamp::NOBODY,
            age,
            run,
            stream: self.streams.take(&session.stream),
            owner: known.owner.as_ref().map_or(NONE, |owner| self.owners.take(owner)),
            edge: session.edge.as_ref().map_or(NONE, |edge| self.edges.take(edge)),
            of_stream: (NONE, NONE),
            of_run: (NONE, NONE),
            closed_s: 0,
            lasted_ms: 0,
            life: Life::Open,
            role: session.role,
            protocol: session.protocol,
            ip_bits,
        }
    }

    /// An end without a beginning.
    pub(crate) fn bare(client: &proto::ClientId, run: u32, age: Age, reason: EndReason, closed_ms: u64) -> Slot {
        Slot {
            client: Client::new(client),
            session: SessionId::from_bytes([0; 16]),
            ip: [0; 16],
            opened_ms: closed_ms,
            epoch: 0,
            extra: None,
            stamp: Stamp::NOBODY,
            age,
            run,
            stream: NONE,
            owner: NONE,
            edge: NONE,
            of_stream: (NONE, NONE),
            of_run: (NONE, NONE),
            closed_s: 0,
            lasted_ms: 0,
            life: Life::Bare(reason),
            role: Role::Play,
            protocol: Protocol::Rtmp,
            ip_bits: IpBits::None,
        }
    }

    /// Gives back what a slot took.
    pub(crate) fn release(&mut self, slot: &Slot) {
        self.runs.release(slot.run);
        if let Some((home, _)) = slot.extra.as_ref().and_then(|extra| extra.home.as_ref()) {
            self.runs.release(*home);
        }
        if slot.stream != NONE {
            self.streams.release(slot.stream);
        }
        if slot.owner != NONE {
            self.owners.release(slot.owner);
        }
        if slot.edge != NONE {
            self.edges.release(slot.edge);
        }
    }

    /// The key of a slot.
    pub(crate) fn key(&self, slot: &Slot) -> Option<Key> {
        Some(Key { run: self.runs.name(slot.run)?.clone(), client: slot.client.id()? })
    }

    /// The session in a slot; `None` for an end without a beginning.
    pub(crate) fn unpack(&self, slot: &Slot) -> Option<Known> {
        let (closed_at, reason) = match slot.life {
            Life::Open => (None, None),
            Life::Closed(reason) => {
                (Some(time_of(slot.opened_ms.saturating_add(u64::from(slot.lasted_ms)))), Some(reason))
            }
            Life::Bare(_) => return None,
        };
        let extra = slot.extra.as_ref();
        let home = extra.and_then(|extra| extra.home.as_ref());
        let (run, client) = home.map_or((slot.run, &slot.client), |(run, client)| (*run, client));
        let Run::Node { node, service } = self.runs.name(run)?.clone() else { return None };
        let ip = std::net::Ipv6Addr::from(slot.ip);
        let session = Session {
            id: slot.session,
            stream: self.streams.name(slot.stream)?.clone(),
            role: slot.role,
            protocol: slot.protocol,
            node,
            service,
            client_id: client.id()?,
            edge: self.edges.name(slot.edge).cloned(),
            ip: match slot.ip_bits {
                IpBits::None => None,
                IpBits::V4 => ip.to_ipv4_mapped().map(IpAddr::V4),
                IpBits::V6 => Some(IpAddr::V6(ip)),
            },
            epoch: slot.epoch,
            broadcast: extra.and_then(|extra| extra.broadcast),
            opened_at: time_of(slot.opened_ms),
            closed_at,
            reason,
        };
        let credential = extra.and_then(|extra| extra.credential.clone());
        Some(Known { session, owner: self.owners.name(slot.owner).copied(), credential })
    }
}
