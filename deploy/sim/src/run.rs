//! One seed from its beginning to its end, and many of them on all cores.

use crate::{
    Broken, check,
    check::Checks,
    clients::{self, Publisher},
    control, edge,
    exec::Sim,
    faults, forward,
    net::Proc,
    srs::{self, Node},
    world::World,
};
use proto::{NodeId, ServiceId, StreamId, TokenId, internal::Credential};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Everything is up and has found each other by then.
const READY_MS: u64 = 6_000;
/// Clients come and go, and things break, for so long.
const BUSY_MS: u64 = 50_000;
/// Then all is whole and nobody comes or goes, for as long as it takes to adopt, to time out and to compare.
const QUIET_MS: u64 = 60_000;

/// What became of a seed.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What was broken, and when; `None`: all held.
    pub failure: Option<String>,
    /// How often each thing happened.
    pub seen: BTreeMap<&'static str, u64>,
    /// The last lines of what happened, if they were asked for.
    pub trace: Vec<String>,
    /// Steps of tasks.
    pub steps: u64,
    /// Stands for all that happened: the same for the same seed.
    pub fingerprint: u64,
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, broken: Broken, traced: bool) -> Outcome {
    let sim = Sim::new(World::new(seed, broken, traced));
    build(&sim);
    faults::start(&sim, seed, READY_MS, READY_MS + BUSY_MS - 5_000);
    let mut checks = Checks::default();
    sim.run(READY_MS + BUSY_MS, |w, now| checks.step(w, now));
    if sim.w().failure.is_none() {
        sim.w().busy = false;
        faults::heal(&sim);
        sim.run(READY_MS + BUSY_MS + QUIET_MS, |w, now| checks.step(w, now));
    }
    let mut outcome = Outcome { steps: sim.steps(), ..Outcome::default() };
    {
        let mut w = sim.w();
        if w.failure.is_none() {
            check::quiet(&mut w);
        }
        outcome.failure = w.failure.take();
        outcome.seen = std::mem::take(&mut w.seen);
        outcome.trace = w.take_trace();
        outcome.fingerprint = w.dice.next();
    }
    sim.clear();
    outcome
}

fn build(sim: &Sim) {
    let (controls, edges, nodes, streams) = {
        let mut w = sim.w();
        (w.dice.between(2, 4), w.dice.between(1, 3), w.dice.between(2, 4), w.dice.between(2, 6))
    };
    for n in 0..usize::try_from(nodes).unwrap_or(2) {
        let mut w = sim.w();
        let (Ok(id), Ok(service)) = (NodeId::parse(&format!("n{n}")), ServiceId::parse(&format!("n{n}run1"))) else {
            return;
        };
        w.begin(Proc::N(n));
        let weight = u8::try_from(w.dice.between(1, 3)).unwrap_or(1);
        w.weights.insert(id.clone(), weight);
        w.nodes.push(Node { id, service, clients: BTreeMap::new(), names: BTreeMap::new() });
    }
    for c in 0..usize::try_from(controls).unwrap_or(2) {
        control::start(sim, c);
        let mut w = sim.w();
        let skewed = w.dice.percent(50);
        if skewed {
            let skew = i64::try_from(w.dice.below(4_000)).unwrap_or(0) - 2_000;
            w.controls[c].skew_ms = skew;
        }
    }
    for e in 0..usize::try_from(edges).unwrap_or(1) {
        edge::start(sim, e);
    }
    for n in 0..usize::try_from(nodes).unwrap_or(2) {
        srs::start(sim, n);
    }
    forward::start(sim);
    people(sim, streams);
}

fn people(sim: &Sim, streams: u64) {
    for number in 0..streams {
        let Ok(stream) = StreamId::parse(&format!("s{number}")) else { return };
        sim.w().streams.push(stream.clone());
        let key = Credential::StreamKey { hash: format!("{number:064}") };
        let (direct_percent, twins, rival, takeover_percent, stay_ms) = {
            let mut w = sim.w();
            let direct = [0, 30, 100][w.dice.index(3)];
            let takeover = if w.dice.percent(40) { 25 } else { 0 };
            (direct, w.dice.percent(30), w.dice.percent(20), takeover, w.dice.between(2_000, 40_000))
        };
        let like = Publisher { stream, credential: key, direct_percent, takeover_percent, pause_ms: 3_000, stay_ms };
        if twins {
            clients::publisher(sim, like.clone());
        }
        if rival {
            let bytes = sim.w().dice.bytes16();
            let credential = Credential::Token { jti: TokenId::from_bytes(bytes) };
            clients::publisher(sim, Publisher { credential, takeover_percent: 0, ..like.clone() });
        }
        clients::publisher(sim, like);
    }
    let viewers = sim.w().dice.between(2, 12);
    for _ in 0..viewers {
        let stay = sim.w().dice.between(1_000, 30_000);
        clients::viewer(sim, 2_000, stay);
    }
}

/// Runs `seeds` seeds from `from` on, on `threads` threads; tells the lowest that failed, and how often each thing happened.
#[must_use]
pub fn run_many(
    from: u64,
    seeds: u64,
    broken: Broken,
    threads: usize,
) -> (Option<(u64, String)>, BTreeMap<&'static str, u64>) {
    let next = AtomicU64::new(0);
    let stop = AtomicU64::new(seeds);
    let all = Mutex::new((None::<(u64, String)>, BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    // After a failure only what comes before it is of interest.
                    if at >= stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run(from + at, broken, false);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    for (what, count) in outcome.seen {
                        *all.1.entry(what).or_default() += count;
                    }
                    if let Some(why) = outcome.failure {
                        stop.fetch_min(at, Ordering::Relaxed);
                        if all.0.as_ref().is_none_or(|(seed, _)| *seed > from + at) {
                            all.0 = Some((from + at, why));
                        }
                    }
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `seeds` seeds from `from` on, on `threads` threads; every one that failed, in order.
#[must_use]
pub fn run_all(from: u64, seeds: u64, threads: usize) -> Vec<(u64, String)> {
    let next = AtomicU64::new(from);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from.saturating_add(seeds) {
                        return;
                    }
                    if let Some(why) = run(seed, Broken::Nothing, false).failure {
                        all.lock().unwrap_or_else(PoisonError::into_inner).push((seed, why));
                    }
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_unstable();
    all
}
