//! Publishers and viewers: they come by an edge or straight to a node, stay a while, notice when they are cut off, come back, leave.

use crate::{
    edge::{self, At},
    exec::Sim,
    net::Proc,
    srs::{self, Right},
    world::World,
};
use proto::{StreamId, internal::Credential, session::Role};
use std::{cell::Cell, rc::Rc};

const GIVE_UP_MS: u64 = 10_000;
const NOTICE_MS: u64 = 200;
/// A player that gets no media for so long goes.
const DARK_MS: u64 = 10_000;

/// What one publisher of a stream is like.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) stream: StreamId,
    pub(crate) credential: Credential,
    /// How often it goes straight to a node, of 100.
    pub(crate) direct_percent: u64,
    pub(crate) takeover_percent: u64,
    /// Longest pause and longest stay.
    pub(crate) pause_ms: u64,
    pub(crate) stay_ms: u64,
}

pub(crate) fn publisher(sim: &Sim, like: Publisher) {
    let task = sim.clone();
    sim.spawn(Proc::Out, async move {
        loop {
            let (pause, direct, takeover) = {
                let mut w = task.w();
                let pause = w.dice.between(50, like.pause_ms);
                (pause, w.dice.percent(like.direct_percent), w.dice.percent(like.takeover_percent))
            };
            task.sleep(pause).await;
            if !task.w().busy {
                return;
            }
            let at = if direct {
                straight(&task, &like, takeover).await
            } else {
                let e = task.w().any_edge();
                let publish = edge::publish(task.clone(), e, like.stream.clone(), like.credential.clone(), takeover);
                let work = Box::pin(publish);
                task.call(Proc::Out, Proc::E(e), GIVE_UP_MS, work).await.ok().flatten()
            };
            let Some(at) = at else { continue };
            task.w().seen("published");
            stay(&task, &at, like.stay_ms).await;
        }
    });
}

async fn straight(sim: &Sim, like: &Publisher, takeover: bool) -> Option<At> {
    let (n, service) = {
        let mut w = sim.w();
        let count = w.nodes.len();
        let n = w.dice.index(count);
        (n, w.nodes[n].service.clone())
    };
    let right = Right::Key { credential: like.credential.clone(), takeover };
    let entered = Rc::new(Cell::new(None));
    let work = {
        let (task, stream, entered) = (sim.clone(), like.stream.clone(), Rc::clone(&entered));
        async move { srs::come(task, n, stream, Role::Publish, right, &entered).await }
    };
    match sim.call(Proc::Out, Proc::N(n), GIVE_UP_MS, work).await {
        Ok(Ok(client)) => {
            let service_now = sim.w().nodes[n].service.clone();
            Some((n, service_now, client))
        }
        Ok(Err(_)) => None,
        Err(_) => {
            if let Some(client) = entered.get() {
                edge::cut(sim, &[(n, service, client)]);
            }
            None
        }
    }
}

/// Watchers of any stream.
pub(crate) fn viewer(sim: &Sim, pause_ms: u64, stay_ms: u64) {
    let task = sim.clone();
    sim.spawn(Proc::Out, async move {
        loop {
            let pause = task.w().dice.between(20, pause_ms);
            task.sleep(pause).await;
            if !task.w().busy {
                return;
            }
            let (e, stream) = {
                let mut w = task.w();
                let count = w.streams.len();
                let at = w.dice.index(count);
                (w.any_edge(), w.streams[at].clone())
            };
            let work = Box::pin(edge::play(task.clone(), e, stream));
            if let Some(at) = task.call(Proc::Out, Proc::E(e), GIVE_UP_MS, work).await.ok().flatten() {
                task.w().seen("played");
                stay(&task, &at, stay_ms).await;
            }
        }
    });
}

/// Stays until it is enough or the connection is gone. Whoever is there when the quiet begins stays for good.
async fn stay(sim: &Sim, (n, service, client): &At, longest_ms: u64) {
    let until = {
        let mut w = sim.w();
        // Some are gone before their hook is answered everywhere.
        let short = w.dice.percent(15);
        w.now + if short { w.dice.between(0, 30) } else { w.dice.between(500, longest_ms) }
    };
    let mut dark_since = None;
    loop {
        let left = until.saturating_sub(sim.now());
        sim.sleep(left.clamp(1, NOTICE_MS)).await;
        let (there, busy, dark) = {
            let w = sim.w();
            let sends = w.nodes[*n].clients.get(client).is_some_and(|client| client.silent_since.is_none());
            let dark = w.nodes[*n].clients.get(client).is_some_and(|client| is_dark(&w, *n, client));
            (w.is_connected(*n, service, *client) && sends, w.busy, dark)
        };
        if !there {
            sim.w().seen("client was cut off");
            return;
        }
        dark_since = dark.then(|| dark_since.unwrap_or_else(|| sim.now()));
        let tired = dark_since.is_some_and(|at| sim.now().saturating_sub(at) >= DARK_MS);
        if tired || (busy && sim.now() >= until) {
            let (task, run, client, n) = (sim.clone(), service.clone(), *client, *n);
            sim.spawn(Proc::N(n), async move {
                if task.w().nodes[n].service == run {
                    srs::leave(&task, n, client);
                }
            });
            return;
        }
    }
}

/// Whether a player gets nothing: nobody publishes its stream at its node.
fn is_dark(w: &World, n: usize, client: &srs::Client) -> bool {
    let node = &w.nodes[n];
    let publisher = node.names.get(&client.stream).and_then(|id| node.clients.get(id));
    client.role == Role::Play && !publisher.is_some_and(|client| client.accepted && client.silent_since.is_none())
}
