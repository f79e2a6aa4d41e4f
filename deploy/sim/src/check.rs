//! What must hold, whatever happens.

use crate::domain::claims::Owner;
use crate::{
    control::table,
    net::Proc,
    pg::Grant,
    srs::{self, Client, Right},
    world::World,
};
use gossip::Key;
use proto::{SessionId, StreamId, session::Role};
use std::collections::BTreeMap;

/// How long two publishers of one stream may be, counted from the moment at which whatever excuses them is over: docs/failures.md.
const ONE_AGAIN_MS: u64 = 5_000;
/// Within so long without a fault every node is compared with the tables: the period, what is too young to be judged, and an adoption before.
const COMPARED_MS: u64 = 30_000;
/// How long a cut excuses what was begun under it.
const CUT_COUNTS_MS: u64 = 5_000;

/// What the checks remember.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    epochs: BTreeMap<StreamId, u64>,
    excused_until: BTreeMap<StreamId, u64>,
    looked: u64,
}

impl Checks {
    /// Looks at the world after a step. False: something is broken.
    pub(crate) fn step(&mut self, w: &mut World, now: u64) -> bool {
        w.now = now;
        w.remember_cuts();
        let grants = std::mem::take(&mut w.pg.grants);
        for grant in &grants {
            bound(w, grant);
            moved(w, grant);
            w.dirty = true;
        }
        if now >= self.looked + 1_000 {
            self.looked = now;
            undead(w);
        }
        for ended in std::mem::take(&mut w.pg.lost) {
            lost(w, &ended);
        }
        if w.dirty {
            w.dirty = false;
            self.epochs(w);
            self.one_publisher(w, now);
        } else if !self.excused_until.is_empty() {
            self.one_publisher(w, now);
        }
        w.failure.is_none()
    }

    /// Epochs never fall.
    fn epochs(&mut self, w: &mut World) {
        let mut fell = None;
        for (stream, claim) in &w.pg.claims {
            let known = self.epochs.entry(stream.clone()).or_default();
            if claim.epoch < *known {
                fell = Some(format!("the epoch of {stream} fell from {known} to {}", claim.epoch));
            }
            *known = claim.epoch;
        }
        if let Some(why) = fell {
            w.fail(why);
        }
    }

    /// At most one publisher of a stream, but for what docs/failures.md excuses.
    fn one_publisher(&mut self, w: &mut World, now: u64) {
        let mut by_stream: BTreeMap<&StreamId, Vec<(usize, u32)>> = BTreeMap::new();
        for (n, node) in w.nodes.iter().enumerate().filter(|(n, _)| w.life(Proc::N(*n)).is_some()) {
            for (stream, id) in &node.names {
                if node.clients.get(id).is_some_and(|client| client.accepted && client.silent_since.is_none()) {
                    by_stream.entry(stream).or_default().push((n, *id));
                }
            }
        }
        let mut broken = None;
        self.excused_until.retain(|stream, _| by_stream.get(stream).is_some_and(|all| all.len() > 1));
        for (stream, all) in by_stream.into_iter().filter(|(_, all)| all.len() > 1) {
            let excuse = excuse(w, &all, now);
            let until = self.excused_until.entry(stream.clone()).or_insert(0);
            if let Some(until_ms) = excuse {
                *until = (*until).max(until_ms);
            }
            if now > *until {
                let names: Vec<String> = all.iter().map(|(n, id)| format!("c{id} at n{n}")).collect();
                broken = Some(format!("{stream} has {} publishers: {}", all.len(), names.join(", ")));
            }
        }
        if let Some(why) = broken {
            w.fail(why);
        }
    }
}

/// Until when two publishers are excused, if they are.
fn excuse(w: &World, all: &[(usize, u32)], now: u64) -> Option<u64> {
    // Postgres was away, or a node whose client should be kicked cannot be reached by those who would do it.
    let away = w.pg_away_ms.map(|at| at + ONE_AGAIN_MS);
    let cut = all.iter().filter_map(|(n, _)| w.cut_ms.get(&Proc::N(*n))).map(|at| at + CUT_COUNTS_MS).max();
    away.max(cut).filter(|until| *until >= now)
}

/// A session that comes back though its client is gone is found out by the next comparisons with its node.
fn undead(w: &mut World) {
    for c in 0..w.controls.len() {
        if let Some((since, client)) = table::undead(w, c)
            && w.now.saturating_sub(since.max(w.fault_ms)) > COMPARED_MS
            && w.life(Proc::C(c)).is_some()
        {
            w.fail(format!("control {c}: the session of {client} is back from the dead, and stays"));
        }
    }
}

/// No decision lifts a node above ⌈1.25 × its weighted mean⌉.
fn bound(w: &mut World, grant: &Grant) {
    let Some((own, total, weight, weights)) = grant.counts else { return };
    let bound = (total * weight * 5).div_ceil(weights * 4);
    if own > bound {
        w.fail(format!("{} was given {} as stream {own} of {total}; {bound} are its share", grant.node, grant.stream));
    }
}

/// A live publisher keeps its stream unless somebody with the right to it takes it over.
fn moved(w: &mut World, grant: &Grant) {
    let Some(old) = &grant.from else { return };
    if grant.takeover || !sends(w, &old.owner) {
        return;
    }
    let Some(n) = w.node_index(&old.owner.node) else { return };
    let cut = w.cut_ms.get(&Proc::N(n)).is_some_and(|at| w.now.saturating_sub(*at) <= CUT_COUNTS_MS);
    if !cut {
        let (stream, from, to) = (&grant.stream, &old.owner.node, &grant.node);
        w.fail(format!(
            "{stream} went from {from} to {to} though its publisher {} is there and sends",
            old.owner.client
        ));
    }
}

/// What a node carried is not ended while others reach it.
fn lost(w: &mut World, owner: &Owner) {
    if !sends(w, owner) {
        return;
    }
    let Some(n) = w.node_index(&owner.node) else { return };
    if w.recently_missing(n) < 2 && w.has_witness(n) {
        w.fail(format!(
            "{} lost {} though at most one process cannot reach it and another says so",
            owner.node, owner.client
        ));
    }
}

fn sends(w: &World, owner: &Owner) -> bool {
    let Some((n, client)) = w.node_index(&owner.node).zip(srs::client_number(&owner.client)) else { return false };
    w.is_connected(n, &owner.service, client)
        && w.nodes[n].clients.get(&client).is_some_and(|client| client.accepted && client.silent_since.is_none())
}

/// The session that a client's ticket names.
pub(crate) const fn session_of(client: &Client) -> Option<SessionId> {
    match &client.right {
        Right::Ticket(ticket) => Some(ticket.session),
        Right::Key { .. } => None,
    }
}

/// After quiet: every table holds what the nodes carry, all of it and nothing else; every publisher has its claim, and the other way round.
pub(crate) fn quiet(w: &mut World) {
    let mut truth: BTreeMap<Key, (Option<SessionId>, StreamId, Role)> = BTreeMap::new();
    for node in &w.nodes {
        for (id, client) in node.clients.iter().filter(|(_, client)| client.accepted) {
            if let Some(owner) = node.owner(*id) {
                let key = Key::new(owner.node, owner.service, owner.client);
                truth.insert(key, (session_of(client), client.stream.clone(), client.role));
            }
        }
    }
    let mut wrong = Vec::new();
    for c in 0..w.controls.len() {
        let held: BTreeMap<Key, SessionId> = table::all(w, c).into_iter().collect();
        for key in held.keys().filter(|key| !truth.contains_key(key)) {
            wrong.push(format!("control {c} has a session of {}, which is gone", key.client));
        }
        for (key, (session, stream, role)) in &truth {
            match (held.get(key), session) {
                (None, _) => {
                    wrong.push(format!("control {c} lacks {} of {stream}, client {}", role.as_str(), key.client))
                }
                (Some(held), Some(session)) if held != session => {
                    wrong.push(format!("control {c} calls client {} by another session", key.client));
                }
                (Some(_), _) => {}
            }
        }
    }
    let claims: Vec<(StreamId, Owner)> = w.pg.live().into_iter().map(|(stream, _, _, owner)| (stream, owner)).collect();
    for (stream, owner) in &claims {
        if !sends(w, owner) {
            wrong.push(format!(
                "the claim of {stream} is held by client {} of {}, which is gone",
                owner.client, owner.node
            ));
        }
        if w.redis.placements.get(stream).is_none_or(|placement| placement.node != owner.node) {
            wrong.push(format!("readers do not find {stream} on {}", owner.node));
        }
        for (e, edge) in w.edges.iter().enumerate() {
            if edge.placements.get(stream).is_none_or(|placement| placement.node != owner.node) {
                wrong.push(format!("edge {e} does not find {stream} on {}", owner.node));
            }
        }
    }
    for (key, (_, stream, role)) in &truth {
        let Some(node) = key.run.node().filter(|_| *role == Role::Publish) else { continue };
        if !claims.iter().any(|(of, owner)| of == stream && owner.node == *node && owner.client == key.client) {
            wrong.push(format!("client {} publishes {stream} without a claim", key.client));
        }
    }
    if !wrong.is_empty() {
        wrong.truncate(12);
        w.fail(format!("after quiet: {}", wrong.join("; ")));
    }
}
