//! A control-api: the shell of this simulation around the real rules.

pub(crate) mod claiming;
pub(crate) mod health;
pub(crate) mod hooks;
mod jobs;
mod members;
pub(crate) mod routes;
pub(crate) mod table;

use crate::{
    controls::Controls,
    domain::{claims::Owner, placing::Nodes},
};
use crate::{
    exec::Sim,
    net::Proc,
    pg::Ended,
    world::{EPOCH_MS, World},
};
use proto::{
    ControlId, NodeId, SessionId, StreamId,
    event::{Event, Told},
    fleet::Placement,
    node::Membership,
    session::{EndReason, Protocol, Role},
};
use std::{collections::BTreeMap, sync::Arc};

/// What one control-api keeps in memory.
pub(crate) struct Control {
    pub(crate) id: ControlId,
    /// Its clock against the true one, ms.
    pub(crate) skew_ms: i64,
    pub(crate) began: u64,
    pub(crate) nodes: BTreeMap<NodeId, health::Entry>,
    pub(crate) others: Controls,
    pub(crate) membership: Membership,
    pub(crate) ring: Arc<Nodes>,
    pub(crate) dirty: bool,
    pub(crate) writing: bool,
    pub(crate) table: gossip::Core,
    pub(crate) watched: table::Watched,
    pub(crate) reached: bool,
    /// Publishers seen without a claim: when first, and when last.
    pub(crate) unclaimed: Vec<(Owner, u64, u64)>,
    /// The newest heartbeat and hook of each node that was read from Redis.
    pub(crate) beats: BTreeMap<NodeId, u64>,
    pub(crate) hooks: BTreeMap<NodeId, u64>,
    /// Kicks that could not be written down.
    pub(crate) unwritten: Vec<Owner>,
}

impl Control {
    /// Takes a membership that is newer than what is known.
    pub(crate) fn learn(&mut self, membership: &Membership) {
        if (membership.version > self.membership.version || self.membership.version == 0)
            && let Ok(nodes) = Nodes::of(membership)
        {
            self.membership = membership.clone();
            self.ring = Arc::new(nodes);
        }
    }
}

/// A control-api's wall clock, unix milliseconds.
pub(crate) fn unix_ms(w: &World, c: usize) -> u64 {
    (EPOCH_MS + w.now).saturating_add_signed(w.controls[c].skew_ms)
}

/// Begins the next life of a control-api.
pub(crate) fn start(sim: &Sim, c: usize) {
    let fresh = {
        let mut w = sim.w();
        let life = w.begin(Proc::C(c));
        let Ok(id) = ControlId::parse(&format!("ctl{c}-{life}")) else { return };
        let skew_ms = w.controls.get(c).map_or(0, |control| control.skew_ms);
        let now = w.now;
        let table = table::fresh(&id, life, c, (EPOCH_MS + now).saturating_add_signed(skew_ms), now);
        let ring = Arc::new(Nodes { version: 0, ring: empty_ring(), runs: BTreeMap::new(), srt: None });
        Control {
            others: Controls::new(id.clone()),
            id,
            skew_ms,
            began: now,
            nodes: BTreeMap::new(),
            membership: Membership::default(),
            ring,
            dirty: true,
            writing: false,
            table,
            watched: table::Watched::default(),
            reached: false,
            unclaimed: Vec::new(),
            beats: BTreeMap::new(),
            hooks: BTreeMap::new(),
            unwritten: Vec::new(),
        }
    };
    {
        let mut w = sim.w();
        if c < w.controls.len() {
            w.controls[c] = fresh;
        } else {
            w.controls.push(fresh);
        }
    }
    health::start(sim, c);
    jobs::start(sim, c);
    table::start(sim, c);
}

fn empty_ring() -> placement::Ring {
    match placement::Ring::build(&[]) {
        Ok(ring) => ring,
        Err(error) => unreachable!("an empty ring is built: {error}"),
    }
}

/// News from another process.
pub(crate) fn news(sim: &Sim, c: usize, told: &Told) {
    match &told.event {
        Event::MembersChanged { .. } => {
            sim.w().controls[c].dirty = true;
        }
        Event::StreamLive { .. }
        | Event::StreamEnded { .. }
        | Event::SessionOpened { .. }
        | Event::SessionClosed { .. }
        | Event::TokenRevoked { .. }
        | Event::StreamChanged { .. }
        | Event::KeyRevoked { .. }
        | Event::SecretsChanged
        | Event::NodeUp { .. }
        | Event::NodeDown { .. } => {}
    }
}

/// A publisher as it was confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) stream: StreamId,
    pub(crate) epoch: u64,
    pub(crate) session: SessionId,
    pub(crate) owner: Owner,
    pub(crate) edge: Option<usize>,
}

impl Held {
    pub(crate) fn placement(&self) -> Placement {
        Placement {
            stream: self.stream.clone(),
            node: self.owner.node.clone(),
            service: self.owner.service.clone(),
            epoch: self.epoch,
            session: self.session,
            protocol: Protocol::Webrtc,
            since_ms: 0,
        }
    }
}

/// A publisher was confirmed: placement, news, session.
pub(crate) async fn published(sim: &Sim, c: usize, held: Held) {
    sim.w().note(|| format!("control {c}: {} is live on {} epoch {}", held.stream, held.owner.node, held.epoch));
    table::open(sim, c, &held.stream, Role::Publish, &held.owner, held.session, held.epoch, held.edge);
    let placement = held.placement();
    let me = Proc::C(c);
    if sim.redis(me, |redis, _| redis.place(&placement)).await.is_ok() {
        sim.tell(me, Event::StreamLive { placement, owner: None }).await;
    }
}

/// A publisher is gone.
pub(crate) async fn ended(sim: &Sim, c: usize, ended: Ended, reason: EndReason) {
    sim.w().note(|| {
        format!("control {c}: {} ended on {} epoch {} ({reason:?})", ended.stream, ended.owner.node, ended.epoch)
    });
    table::close_client(sim, c, &ended.owner, reason);
    let (stream, epoch) = (ended.stream.clone(), ended.epoch);
    let me = Proc::C(c);
    if sim.redis(me, |redis, _| redis.unplace(&stream, epoch)).await.is_ok() {
        sim.tell(me, Event::StreamEnded { stream: ended.stream, epoch, owner: None, reason }).await;
    }
}
