//! The shell around `gossip::Core`: the session table of one control-api.

use super::{jobs, unix_ms};
use crate::domain::claims::Owner;
use crate::{Broken, exec::Sim, net::Proc, redis::Message, srs, world::World};
use gossip::{Core, Event, Filter, Key, Keys, Now, Opened, Origin, Output, Run};
use proto::{
    ControlId, EdgeId, NodeId, ServiceId, SessionId, StreamId,
    secret::{ClusterSecret, Keyring},
    session::{EndReason, Known, Protocol, Role, Session},
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Longest wait between two looks at the clock, and shortest.
const WAIT_MAX_MS: u64 = 50;
const WAIT_MIN_MS: u64 = 5;

/// What the checks remember of one life of a table.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Connections whose end this process was told, or heard of.
    closed: BTreeMap<Key, u64>,
    connected: bool,
    cut_since: Option<u64>,
    /// Sessions that are open again though their client is gone, and since when.
    undead: BTreeMap<Key, u64>,
}

pub(crate) fn fresh(id: &ControlId, life: u32, c: usize, unix_ms: u64, mono_ms: u64) -> Core {
    let keys = Keys::new(&Keyring { current: ClusterSecret::from_setting("simulation"), previous: None });
    let me = Origin { control: id.clone(), incarnation: u64::from(life) };
    Core::new(me, keys, u64::try_from(c).unwrap_or(0), Now { mono_ms, unix_ms })
}

fn now(w: &World, c: usize) -> Now {
    Now { mono_ms: w.now, unix_ms: unix_ms(w, c) }
}

fn time_of(unix_ms: u64) -> OffsetDateTime {
    let nanos = i128::from(unix_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn key(owner: &Owner) -> Key {
    Key::new(owner.node.clone(), owner.service.clone(), owner.client.clone())
}

/// Does something with the table, then what follows from it.
fn with<T>(sim: &Sim, c: usize, work: impl FnOnce(&mut Core, Now) -> T) -> T {
    let (done, outputs) = {
        let mut w = sim.w();
        let now = now(&w, c);
        let table = &mut w.controls[c].table;
        let done = work(table, now);
        (done, table.outputs())
    };
    for output in outputs {
        perform(sim, c, output);
    }
    done
}

fn perform(sim: &Sim, c: usize, output: Output) {
    match output {
        Output::Publish(bytes) => publish(sim, c, None, bytes),
        Output::Send { to, bytes } => publish(sim, c, Some(to), bytes),
        Output::Opened { session, .. } => opened(sim, c, session),
        Output::Closed { session, .. } => {
            let mut w = sim.w();
            let now = w.now;
            let control = &mut w.controls[c];
            if let Some(known) = control.table.get(session) {
                let key = Key::of(&known.session);
                control.watched.undead.remove(&key);
                control.watched.closed.insert(key, now);
                w.note(|| format!("table {c}: {} is over", known.session.client_id));
            }
        }
        Output::Reconcile { nodes, .. } => {
            let task = sim.clone();
            sim.spawn(Proc::C(c), async move {
                for node in nodes {
                    jobs::reconcile(&task, c, &node).await;
                }
            });
        }
        Output::Event(event) => happened(sim, c, &event),
    }
}

fn publish(sim: &Sim, c: usize, to: Option<ControlId>, bytes: Vec<u8>) {
    let only = to.map(|id| sim.w().controls.iter().position(|control| control.id == id));
    let (task, looped) = (sim.clone(), sim.w().broken == Broken::AdoptWhileDown && only.is_none());
    sim.spawn(Proc::C(c), async move {
        let sent = task.redis(Proc::C(c), |_, _| ()).await.is_ok();
        if sent {
            task.spread(&Message::Gossip(bytes), |proc| match only {
                None => matches!(proc, Proc::C(_)),
                Some(at) => at.is_some_and(|at| proc == Proc::C(at)),
            });
        } else if looped {
            // Broken on purpose: the shell hands its own messages back to itself, so a dead channel looks alive.
            message(&task, c, &bytes);
        }
    });
}

/// A session that is open here: not one whose end was heard and whose client is gone.
fn opened(sim: &Sim, c: usize, session: SessionId) {
    let mut w = sim.w();
    let Some(known) = w.controls[c].table.get(session) else { return };
    w.note(|| format!("table {c}: {} is there", known.session.client_id));
    let key = Key::of(&known.session);
    if !w.controls[c].watched.closed.contains_key(&key) {
        return;
    }
    let n = w.node_index(&known.session.node);
    let client = srs::client_number(&known.session.client_id);
    let lives = n.zip(client).is_some_and(|(n, client)| w.is_connected(n, &known.session.service, client));
    if !lives {
        w.seen("back from the dead for a while");
        let now = w.now;
        w.controls[c].watched.undead.entry(key).or_insert(now);
    }
}

fn happened(sim: &Sim, c: usize, event: &Event) {
    let mut w = sim.w();
    match event {
        Event::Adopted { from, entries } => {
            let (life, now) = (w.controls[c].watched.cut_since, w.now);
            w.note(|| format!("control {c}: adopts {entries} sessions of {from}"));
            w.seen("adoption");
            let others_cut = w.controls.iter().any(|control| control.watched.cut_since.is_some());
            if others_cut {
                w.seen("adoption during a cut");
            }
            if life.is_some_and(|since| now.saturating_sub(since) > 5_000) {
                w.fail(format!("control {c} adopts sessions of {from} while its own channel is down"));
            }
        }
        // Healed by a comparison; that it is, is what equal tables after quiet are looked at for.
        Event::Diverged { .. } => w.seen("tables differed"),
        Event::Asked { snapshot, .. } => w.seen(if *snapshot { "snapshot asked for" } else { "range asked for" }),
        Event::Dropped { .. } => w.seen("replica dropped"),
        Event::Unanswered => w.seen("want unanswered"),
        Event::Applied { .. } | Event::Answered { .. } | Event::Ready => {}
    }
}

/// A message of another control-api, or one of our own that came back.
pub(crate) fn message(sim: &Sim, c: usize, bytes: &[u8]) {
    let heard = with(sim, c, |table, now| table.message(now, bytes));
    if let Err(error) = heard {
        let mut w = sim.w();
        // Sent to the life before.
        if error != gossip::Error::NotForUs {
            w.fail(format!("control {c} cannot read a message: {error}"));
        }
    }
}

pub(crate) fn start(sim: &Sim, c: usize) {
    let task = sim.clone();
    sim.spawn(Proc::C(c), async move {
        loop {
            let (is, was, lie) = {
                let mut w = task.w();
                let is = w.reaches(Proc::C(c), Proc::Redis);
                let now = w.now;
                let lie = w.broken == Broken::AdoptWhileDown;
                let watched = &mut w.controls[c].watched;
                let was = std::mem::replace(&mut watched.connected, is);
                watched.cut_since = if is { None } else { watched.cut_since.or(Some(now)) };
                (is, was, lie)
            };
            if is && !was {
                with(&task, c, Core::channel_up);
            } else if was && !is && !lie {
                with(&task, c, Core::channel_down);
            }
            let due = with(&task, c, |table, now| {
                table.tick(now);
                table.due(now)
            });
            let wait = due.saturating_sub(task.now()).clamp(WAIT_MIN_MS, WAIT_MAX_MS);
            task.sleep(wait).await;
        }
    });
}

#[expect(clippy::too_many_arguments, reason = "a session's own fields")]
pub(crate) fn open(
    sim: &Sim,
    c: usize,
    stream: &StreamId,
    role: Role,
    owner: &Owner,
    session: SessionId,
    epoch: u64,
    edge: Option<usize>,
) {
    let opened_at = time_of(unix_ms(&sim.w(), c));
    let session = Session {
        id: session,
        stream: stream.clone(),
        role,
        protocol: Protocol::Webrtc,
        node: owner.node.clone(),
        service: owner.service.clone(),
        client_id: owner.client.clone(),
        edge: edge.and_then(|e| EdgeId::parse(&format!("e{e}")).ok()),
        ip: None,
        epoch,
        broadcast: None,
        opened_at,
        closed_at: None,
        reason: None,
    };
    let known = Known { session, owner: None, credential: None };
    let opened = with(sim, c, |table, now| table.open(now, &known));
    sim.w().note(|| format!("table {c}: {} is opened: {opened:?}", owner.client));
    if opened == Opened::OtherClient {
        sim.w().seen("ticket replayed");
    }
}

pub(crate) fn close_client(sim: &Sim, c: usize, owner: &Owner, reason: EndReason) {
    let key = key(owner);
    {
        let mut w = sim.w();
        if w.broken == Broken::ForgetEarlyClose && w.controls[c].table.of_client(&key).is_none() {
            // Broken on purpose: an end that comes before its beginning is nothing.
            return;
        }
        let now = w.now;
        w.controls[c].watched.closed.insert(key.clone(), now);
    }
    let was = with(sim, c, |table, now| table.close_client(now, &key, reason));
    sim.w().note(|| {
        format!(
            "table {c}: {} is closed ({reason:?}), was {}",
            owner.client,
            if was.is_some() { "open" } else { "not open" }
        )
    });
    if was.is_none() {
        sim.w().seen("close before open");
    }
}

pub(crate) fn lost(sim: &Sim, c: usize, run: &Run) {
    with(sim, c, |table, now| table.lost(now, run));
}

pub(crate) fn lost_other_runs(sim: &Sim, c: usize, node: &NodeId, service: &ServiceId) {
    with(sim, c, |table, now| table.lost_other_runs(now, node, Some(service)));
}

pub(crate) fn knows(sim: &Sim, c: usize, owner: &Owner) -> bool {
    sim.w().controls[c].table.of_client(&key(owner)).is_some()
}

/// Whether a connection's end was heard since `at`: a list of clients that was made before does not bring it back.
pub(crate) fn ended_since(sim: &Sim, c: usize, owner: &Owner, at: u64) -> bool {
    sim.w().controls[c].watched.closed.get(&key(owner)).is_some_and(|closed| *closed >= at)
}

pub(crate) fn is_settled(sim: &Sim, c: usize) -> bool {
    sim.w().controls[c].table.ready()
}

/// How long ago a connection's session began, by this process's clock.
pub(crate) fn age_ms(sim: &Sim, c: usize, owner: &Owner) -> Option<u64> {
    of_node(sim, c, &owner.node).into_iter().find(|(one, _)| one == owner).map(|(_, age)| age)
}

/// The open sessions on a node, each with its age.
pub(crate) fn of_node(sim: &Sim, c: usize, node: &NodeId) -> Vec<(Owner, u64)> {
    let w = sim.w();
    let now_ms = unix_ms(&w, c);
    let all = w.controls[c].table.of_node(node).into_iter();
    all.map(|one| {
        let owner = Owner { node: node.clone(), service: one.service, client: one.client };
        (owner, now_ms.saturating_sub(one.opened_ms))
    })
    .collect()
}

/// Where a stream's publisher is, by the table.
pub(crate) fn home(sim: &Sim, c: usize, stream: &StreamId) -> Option<(NodeId, ServiceId)> {
    let w = sim.w();
    let table = &w.controls[c].table;
    let known = table.of_stream(stream).into_iter().filter_map(|id| table.get(id));
    let publisher =
        known.filter(|known| known.session.role == Role::Publish).max_by_key(|known| known.session.epoch)?;
    Some((publisher.session.node, publisher.session.service))
}

/// The oldest session that is open though its end was heard and its client is gone.
pub(crate) fn undead(w: &World, c: usize) -> Option<(u64, String)> {
    let oldest = w.controls[c].watched.undead.iter().min_by_key(|(_, since)| **since)?;
    Some((*oldest.1, oldest.0.client.to_string()))
}

/// Every open session of a table by its connection, with its id.
pub(crate) fn all(w: &World, c: usize) -> Vec<(Key, SessionId)> {
    let list = w.controls[c].table.list(&Filter::default(), None, gossip::limits::LIST_MAX);
    list.into_iter().map(|known| (Key::of(&known.session), known.session.id)).collect()
}
