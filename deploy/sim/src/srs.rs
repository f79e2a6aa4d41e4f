//! Media nodes, as SRS behaves: it takes a stream's name before it asks, keeps a refused WHIP session until its time is over, tells its hooks once
//! and forgets those that nobody answers, and loses everything with its process.

use crate::domain::claims::Owner;
use crate::{exec::Sim, forward, net::Proc, world::World};
use proto::{ClientId, NodeId, ServiceId, SessionId, StreamId, internal::Credential, session::Role};
use std::{cell::Cell, collections::BTreeMap};

/// How long SRS keeps a session that sends nothing (`stun_timeout`).
pub(crate) const SILENT_MS: u64 = 30_000;

/// A media node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) service: ServiceId,
    pub(crate) clients: BTreeMap<u32, Client>,
    pub(crate) names: BTreeMap<StreamId, u32>,
}

/// What an edge lets in with.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) session: SessionId,
    pub(crate) epoch: u64,
    pub(crate) edge: usize,
    /// By the true time.
    pub(crate) expires: u64,
}

/// What a client brings.
#[derive(Debug, Clone)]
pub(crate) enum Right {
    /// An edge admitted it.
    Ticket(Ticket),
    /// It reached the node directly.
    Key { credential: Credential, takeover: bool },
}

/// One client of a node.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) stream: StreamId,
    pub(crate) role: Role,
    pub(crate) right: Right,
    /// The hook said yes.
    pub(crate) accepted: bool,
    pub(crate) since: u64,
    /// It sends nothing any more: who carried it is gone.
    pub(crate) silent_since: Option<u64>,
}

/// What a node tells.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) action: Action,
    pub(crate) from: Owner,
    pub(crate) stream: StreamId,
    pub(crate) right: Right,
}

/// Which hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    Play,
    Unpublish,
    Stop,
}

/// Why a client is not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum No {
    /// SRS itself: the name is taken.
    Name,
    /// The hook.
    Refused,
    /// It was kicked, or the node died, before it was in.
    Gone,
}

pub(crate) fn client_id(client: u32) -> Option<ClientId> {
    ClientId::parse(&format!("c{client}")).ok()
}

pub(crate) fn client_number(client: &ClientId) -> Option<u32> {
    client.as_str().get(1..)?.parse().ok()
}

impl Node {
    pub(crate) fn owner(&self, client: u32) -> Option<Owner> {
        Some(Owner { node: self.id.clone(), service: self.service.clone(), client: client_id(client)? })
    }
}

fn enter(w: &mut World, n: usize, stream: &StreamId, role: Role, right: &Right, now: u64) -> Result<u32, No> {
    if role == Role::Publish && w.nodes[n].names.contains_key(stream) {
        return Err(No::Name);
    }
    w.clients += 1;
    let id = w.clients;
    let node = &mut w.nodes[n];
    if role == Role::Publish {
        node.names.insert(stream.clone(), id);
    }
    let (stream, right) = (stream.clone(), right.clone());
    node.clients.insert(id, Client { stream, role, right, accepted: false, since: now, silent_since: None });
    w.dirty = true;
    Ok(id)
}

/// A client comes: runs at the node.
///
/// `entered` tells its number as soon as it has one, for a caller that hears no answer.
pub(crate) async fn come(
    sim: Sim,
    n: usize,
    stream: StreamId,
    role: Role,
    right: Right,
    entered: &Cell<Option<u32>>,
) -> Result<u32, No> {
    let came = enter(&mut sim.w(), n, &stream, role, &right, sim.now());
    let id = match came {
        Ok(id) => id,
        Err(no) => {
            // An SRT client that finds the name taken is told off with an end that is not its own.
            stray(&sim, n, &stream, &right);
            return Err(no);
        }
    };
    entered.set(Some(id));
    let Some(hook) = hook(&sim, n, id, if role == Role::Publish { Action::Publish } else { Action::Play }) else {
        return Err(No::Gone);
    };
    let yes = forward::ask(&sim, n, hook).await;
    let mut w = sim.w();
    let Some(client) = w.nodes[n].clients.get_mut(&id) else { return Err(No::Gone) };
    if yes {
        client.accepted = true;
        w.dirty = true;
        return Ok(id);
    }
    let direct = matches!(client.right, Right::Key { .. });
    client.silent_since = Some(sim.now());
    drop(w);
    if direct || role == Role::Play {
        leave(&sim, n, id);
    }
    Err(No::Refused)
}

fn stray(sim: &Sim, n: usize, stream: &StreamId, right: &Right) {
    let (hook, direct) = {
        let mut w = sim.w();
        w.clients += 1;
        let id = w.clients;
        let direct = matches!(right, Right::Key { .. });
        let Some(from) = w.nodes[n].owner(id) else { return };
        let hook = Hook { action: Action::Unpublish, from, stream: stream.clone(), right: right.clone() };
        (hook, direct)
    };
    if direct {
        sim.w().seen("end of a stranger");
        let task = sim.clone();
        sim.spawn(Proc::N(n), async move { forward::tell(&task, n, hook).await });
    }
}

fn hook(sim: &Sim, n: usize, id: u32, action: Action) -> Option<Hook> {
    let w = sim.w();
    let node = &w.nodes[n];
    let client = node.clients.get(&id)?;
    let from = node.owner(id)?;
    Some(Hook { action, from, stream: client.stream.clone(), right: client.right.clone() })
}

/// A client goes, or is put out: its end is told once.
pub(crate) fn leave(sim: &Sim, n: usize, id: u32) -> bool {
    let role = sim.w().nodes[n].clients.get(&id).map(|client| client.role);
    let action = match role {
        Some(Role::Publish) => Action::Unpublish,
        Some(Role::Play) => Action::Stop,
        None => return false,
    };
    let told = hook(sim, n, id, action);
    {
        let mut w = sim.w();
        let node = &mut w.nodes[n];
        if let Some(client) = node.clients.remove(&id)
            && node.names.get(&client.stream) == Some(&id)
        {
            node.names.remove(&client.stream);
        }
        w.dirty = true;
    }
    if let Some(told) = told {
        let task = sim.clone();
        sim.spawn(Proc::N(n), async move { forward::tell(&task, n, told).await });
    }
    true
}

/// What a node's API tells of a client: its bytes, which grow while it sends.
pub(crate) fn bytes(client: &Client, now: u64) -> u64 {
    client.silent_since.unwrap_or(now).saturating_sub(client.since)
}

/// The node's own life: heartbeats, and sessions whose time is over.
pub(crate) fn start(sim: &Sim, n: usize) {
    let task = sim.clone();
    sim.spawn(Proc::N(n), async move {
        let first = task.w().dice.below(300);
        task.sleep(first).await;
        loop {
            forward::beat(&task, n).await;
            task.sleep(5_000).await;
        }
    });
    let task = sim.clone();
    sim.spawn(Proc::N(n), async move {
        loop {
            task.sleep(1_000).await;
            let now = task.now();
            let over = |client: &Client| client.silent_since.is_some_and(|at| now.saturating_sub(at) >= SILENT_MS);
            let gone: Vec<u32> =
                task.w().nodes[n].clients.iter().filter(|(_, client)| over(client)).map(|(id, _)| *id).collect();
            for id in gone {
                leave(&task, n, id);
            }
        }
    });
}
