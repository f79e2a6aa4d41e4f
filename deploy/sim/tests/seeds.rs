//! The short form of `make sim`, and whether the simulation can fail at all.

use sim::{Broken, run, run_many};

/// Seeds of the short form.
const SHORT: u64 = 150;
/// Every broken rule is found within so many seeds.
const CAUGHT_WITHIN: u64 = 400;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn a_cluster_holds_whatever_breaks() {
    let (failed, seen) = run_many(0, SHORT, Broken::Nothing, threads());
    if let Some((seed, why)) = failed {
        panic!("seed {seed} is broken {why}\nreplay: make sim FROM={seed} SEEDS=1");
    }
    for what in [
        "node cut off from its prober only",
        "redis away",
        "postgres away",
        "both stores away",
        "redis flushed",
        "adoption",
        "adoption during a cut",
        "close before open",
        "node restarted",
        "control killed",
        "edge killed",
        "all controls killed",
        "node down",
        "takeover",
        "message lost",
        "message twice",
        "accepted by the journal",
    ] {
        assert!(seen.contains_key(what), "no seed had: {what}; had {seen:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 8] {
        let (one, other) = (run(seed, Broken::Nothing, false), run(seed, Broken::Nothing, true));
        assert_eq!((one.steps, one.fingerprint, &one.seen), (other.steps, other.fingerprint, &other.seen));
        assert!(one.trace.is_empty() && !other.trace.is_empty());
    }
    assert_ne!(run(3, Broken::Nothing, false).fingerprint, run(8, Broken::Nothing, false).fingerprint);
}

#[test]
fn every_broken_rule_is_caught() {
    for broken in Broken::ALL {
        let (failed, _) = run_many(0, CAUGHT_WITHIN, broken, threads());
        assert!(failed.is_some(), "{broken:?} goes unnoticed in {CAUGHT_WITHIN} seeds");
    }
}
