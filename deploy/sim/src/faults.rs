//! What is broken, drawn from the seed: each seed has a few of these, some of them at the same time.

use crate::{control, edge, exec::Sim, net::Proc, srs, world::World};
use proto::ServiceId;

/// One way to break things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ProberCut,
    RedisAway,
    RedisFlush,
    PgAway,
    BothAway,
    ControlKilled,
    AllControlsKilled,
    NodeKilled,
    EdgeKilled,
    ControlCutOff,
    ControlWithoutRedis,
    NodeCutOff,
    Drain,
    BadChannel,
    /// A control-api dies while another one's channel is cut.
    AdoptionDuringCut,
}

const ALL: [Fault; 15] = [
    Fault::ProberCut,
    Fault::RedisAway,
    Fault::RedisFlush,
    Fault::PgAway,
    Fault::BothAway,
    Fault::ControlKilled,
    Fault::AllControlsKilled,
    Fault::NodeKilled,
    Fault::EdgeKilled,
    Fault::ControlCutOff,
    Fault::ControlWithoutRedis,
    Fault::NodeCutOff,
    Fault::Drain,
    Fault::BadChannel,
    Fault::AdoptionDuringCut,
];

/// Draws the faults of a seed and lets them happen from `from` to `to`.
pub(crate) fn start(sim: &Sim, seed: u64, from: u64, to: u64) {
    let count = sim.w().dice.between(2, 6);
    for turn in 0..count {
        // The first is given by the seed's number, so that every kind occurs in every fifteen seeds.
        let (fault, at) = {
            let mut w = sim.w();
            let kinds = u64::try_from(ALL.len()).unwrap_or(1);
            let kind = if turn == 0 { seed % kinds } else { w.dice.below(kinds) };
            (ALL[usize::try_from(kind).unwrap_or(0)], w.dice.between(from, to))
        };
        let task = sim.clone();
        sim.spawn(Proc::Out, async move {
            task.sleep(at).await;
            task.w().note(|| format!("fault {fault:?}"));
            happen(&task, fault).await;
        });
    }
}

async fn happen(sim: &Sim, fault: Fault) {
    match fault {
        Fault::ProberCut => prober_cut(sim).await,
        Fault::RedisAway => away(sim, &[Proc::Redis], "redis away").await,
        Fault::RedisFlush => flush(sim),
        Fault::PgAway => away(sim, &[Proc::Pg], "postgres away").await,
        Fault::BothAway => away(sim, &[Proc::Redis, Proc::Pg], "both stores away").await,
        Fault::ControlKilled => {
            let c = any(sim, |w| w.controls.len());
            kill_control(sim, c, 500, 20_000).await;
        }
        Fault::AllControlsKilled => {
            sim.w().seen("all controls killed");
            let all = sim.w().controls.len();
            for c in 0..all {
                let task = sim.clone();
                sim.spawn(Proc::Out, async move { kill_control(&task, c, 1_000, 6_000).await });
            }
        }
        Fault::NodeKilled => node_killed(sim).await,
        Fault::EdgeKilled => edge_killed(sim).await,
        Fault::ControlCutOff => {
            let c = any(sim, |w| w.controls.len());
            sim.w().seen("control cut off");
            let others = |proc| proc != Proc::C(c);
            cut_off(sim, Proc::C(c), others, 3_000, 40_000).await;
        }
        Fault::ControlWithoutRedis => {
            let c = any(sim, |w| w.controls.len());
            sim.w().seen("control without redis");
            cut_off(sim, Proc::C(c), |proc| proc == Proc::Redis, 3_000, 40_000).await;
        }
        Fault::NodeCutOff => {
            let n = any(sim, |w| w.nodes.len());
            sim.w().seen("node cut off");
            cut_off(sim, Proc::N(n), |proc| proc != Proc::Out, 2_000, 30_000).await;
        }
        Fault::Drain => drain(sim).await,
        Fault::BadChannel => bad_channel(sim).await,
        Fault::AdoptionDuringCut => {
            let (cut, killed) = {
                let mut w = sim.w();
                let count = w.controls.len();
                let cut = w.dice.index(count);
                (cut, (cut + 1) % count)
            };
            let task = sim.clone();
            sim.spawn(Proc::Out, async move {
                cut_off(&task, Proc::C(cut), |proc| proc == Proc::Redis, 25_000, 35_000).await;
            });
            sim.sleep(1_000).await;
            kill_control(sim, killed, 20_000, 30_000).await;
        }
    }
}

fn any(sim: &Sim, count: impl Fn(&World) -> usize) -> usize {
    let mut w = sim.w();
    let count = count(&w);
    w.dice.index(count)
}

async fn for_a_while(sim: &Sim, least: u64, most: u64) {
    let ms = sim.w().dice.between(least, most);
    sim.sleep(ms).await;
}

async fn away(sim: &Sim, stores: &[Proc], what: &'static str) {
    {
        let mut w = sim.w();
        w.seen(what);
        stores.iter().for_each(|store| w.cut(Proc::Out, *store));
    }
    for_a_while(sim, 1_000, 30_000).await;
    let mut w = sim.w();
    stores.iter().for_each(|store| w.join(Proc::Out, *store));
    w.note(|| format!("{what}: over"));
}

fn flush(sim: &Sim) {
    let mut w = sim.w();
    w.seen("redis flushed");
    w.redis = crate::redis::Redis::default();
}

async fn cut_off(sim: &Sim, one: Proc, from: impl Fn(Proc) -> bool, least: u64, most: u64) {
    let others: Vec<Proc> = {
        let mut w = sim.w();
        let mut all: Vec<Proc> = (0..w.controls.len()).map(Proc::C).collect();
        all.extend((0..w.edges.len()).map(Proc::E));
        all.extend((0..w.nodes.len()).map(Proc::N));
        all.extend([Proc::Pg, Proc::Redis, Proc::Out]);
        all.retain(|other| *other != one && from(*other));
        all.iter().for_each(|other| w.cut(one, *other));
        w.note(|| format!("{one:?} is cut off from {all:?}"));
        all
    };
    for_a_while(sim, least, most).await;
    let mut w = sim.w();
    others.iter().for_each(|other| w.join(one, *other));
    w.note(|| format!("{one:?} is joined again"));
}

async fn prober_cut(sim: &Sim) {
    let (prober, n) = {
        let mut w = sim.w();
        let count = w.nodes.len();
        let n = w.dice.index(count);
        let id = w.nodes[n].id.clone();
        let prober = (0..w.controls.len())
            .find(|c| w.life(Proc::C(*c)).is_some() && control::health::probes(&w, *c, &id))
            .unwrap_or(0);
        w.seen("node cut off from its prober only");
        (prober, n)
    };
    cut_off(sim, Proc::C(prober), |proc| proc == Proc::N(n), 4_000, 40_000).await;
}

async fn kill_control(sim: &Sim, c: usize, least: u64, most: u64) {
    {
        let mut w = sim.w();
        if w.life(Proc::C(c)).is_none() {
            return;
        }
        w.seen("control killed");
        w.end(Proc::C(c));
        w.note(|| format!("control {c} is killed"));
    }
    for_a_while(sim, least, most).await;
    revive_control(sim, c);
}

fn revive_control(sim: &Sim, c: usize) {
    if sim.w().life(Proc::C(c)).is_none() {
        sim.w().note(|| format!("control {c} begins"));
        control::start(sim, c);
    }
}

async fn node_killed(sim: &Sim) {
    let n = any(sim, |w| w.nodes.len());
    {
        let mut w = sim.w();
        if w.life(Proc::N(n)).is_none() {
            return;
        }
        w.seen("node restarted");
        w.end(Proc::N(n));
        w.dirty = true;
        w.note(|| format!("node {n} is killed"));
    }
    for_a_while(sim, 200, 25_000).await;
    revive_node(sim, n);
}

fn revive_node(sim: &Sim, n: usize) {
    {
        let mut w = sim.w();
        if w.life(Proc::N(n)).is_some() {
            return;
        }
        let life = w.begin(Proc::N(n));
        let Ok(service) = ServiceId::parse(&format!("n{n}run{life}")) else { return };
        let node = &mut w.nodes[n];
        node.service = service;
        node.clients.clear();
        node.names.clear();
        w.note(|| format!("node {n} begins"));
    }
    srs::start(sim, n);
}

async fn edge_killed(sim: &Sim) {
    let e = any(sim, |w| w.edges.len());
    let relays = {
        let mut w = sim.w();
        if w.life(Proc::E(e)).is_none() {
            return;
        }
        w.seen("edge killed");
        w.end(Proc::E(e));
        std::mem::take(&mut w.edges[e].relays)
    };
    edge::cut(sim, &relays);
    for_a_while(sim, 500, 8_000).await;
    if sim.w().life(Proc::E(e)).is_none() {
        edge::start(sim, e);
    }
}

async fn drain(sim: &Sim) {
    let n = any(sim, |w| w.nodes.len());
    let id = {
        let mut w = sim.w();
        w.seen("node drained");
        let id = w.nodes[n].id.clone();
        w.draining.insert(id.clone());
        id
    };
    for_a_while(sim, 3_000, 20_000).await;
    sim.w().draining.remove(&id);
}

async fn bad_channel(sim: &Sim) {
    {
        let mut w = sim.w();
        w.seen("bad channel");
        (w.lost_percent, w.twice_percent, w.slow_percent) =
            (w.dice.between(1, 30), w.dice.between(0, 20), w.dice.between(0, 30));
    }
    for_a_while(sim, 5_000, 30_000).await;
    let mut w = sim.w();
    (w.lost_percent, w.twice_percent, w.slow_percent) = (0, 0, 0);
}

/// Makes everything whole, for the quiet at the end.
pub(crate) fn heal(sim: &Sim) {
    let (controls, edges, nodes) = {
        let mut w = sim.w();
        w.heal();
        w.note(|| "all is whole again".to_owned());
        (w.controls.len(), w.edges.len(), w.nodes.len())
    };
    (0..nodes).for_each(|n| revive_node(sim, n));
    (0..controls).for_each(|c| revive_control(sim, c));
    for e in 0..edges {
        if sim.w().life(Proc::E(e)).is_none() {
            edge::start(sim, e);
        }
    }
}
