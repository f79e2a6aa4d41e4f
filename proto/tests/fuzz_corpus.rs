//! The fuzz targets without libFuzzer: every seed and every input that once failed, and a guard against quadratic time.
#![expect(clippy::unwrap_used, reason = "a corpus that cannot be read has nothing to say")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    time::Duration,
};

/// Sizes of which the larger may take at most [`GROWTH_MAX`] times as long.
const SMALL_BYTES: usize = 64 * 1024;
const LARGE_BYTES: usize = 512 * 1024;
/// Linear time is 8, quadratic 64; the room is for caches, allocation and a machine that does other things.
const GROWTH_MAX: u128 = 24;
/// The small input is repeated until a round takes this long.
const ROUND_MIN: Duration = Duration::from_millis(1);
/// Rounds of which the quickest counts, where the first looked slow.
const ROUNDS: usize = 5;
/// Seeds of a target that are grown, and pieces of a seed that it is grown with.
const SEEDS: usize = 3;
const PIECES: usize = 6;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

/// The seeds of a target, in the order of their names.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let listed = std::fs::read_dir(folder(name)).unwrap_or_else(|e| panic!("corpus of {name}: {e}"));
    let mut paths: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_target_has_seeds_and_every_folder_a_target() {
    for (name, _) in targets::ALL {
        assert!(!seeds(name).is_empty(), "no seeds for {name}");
    }
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(targets::ALL.iter().any(|(known, _)| *known == name), "corpus/{name} belongs to no target");
    }
}

#[test]
fn no_seed_fails() {
    for (name, target) in targets::ALL {
        for (path, bytes) in seeds(name) {
            let ran = std::panic::catch_unwind(|| target(&bytes));
            assert!(ran.is_ok(), "{name} fails on {}", path.display());
        }
    }
}

/// Plain noise of one byte.
fn noise(bytes: usize) -> Vec<Vec<u8>> {
    [0, b'a', b'\n', b'=', 0xff].iter().map(|byte| vec![*byte; bytes]).collect()
}

/// A seed filled up to `bytes` with one of its lines or pieces: what a parser that looks back would be slow on. Deterministic.
fn grown(seed: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    for line in seed.split_inclusive(|byte| *byte == b'\n') {
        pieces.push((at, at + line.len()));
        at += line.len();
    }
    for length in [1, 8, 64] {
        let from = seed.len() / 2;
        pieces.push((from, (from + length).min(seed.len())));
    }
    pieces.retain(|(from, to)| from < to);
    // Long seeds have many lines like each other.
    let step = pieces.len().div_ceil(PIECES).max(1);
    let grow = |(from, to): (usize, usize)| {
        let mut input = seed[..from].to_vec();
        while input.len() + (seed.len() - to) < bytes {
            input.extend_from_slice(&seed[from..to]);
        }
        input.extend_from_slice(&seed[to..]);
        input
    };
    pieces.into_iter().step_by(step).map(grow).collect()
}

/// Processor time of this thread: other work on the machine does not count.
fn clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap(), u32::try_from(now.tv_nsec).unwrap())
}

/// The quickest of some rounds, for `repeats` runs each.
fn time(target: fn(&[u8]), input: &[u8], repeats: u32, rounds: usize) -> Duration {
    let round = || {
        let begin = clock();
        for _ in 0..repeats {
            target(black_box(input));
        }
        clock().saturating_sub(begin)
    };
    (0..rounds).map(|_| round()).min().unwrap()
}

/// How many times as long the large input takes as the small one.
fn growth(target: fn(&[u8]), small: &[u8], large: &[u8], rounds: usize) -> u128 {
    let mut repeats = 1;
    let mut short = time(target, small, repeats, rounds);
    while short < ROUND_MIN && repeats < 1 << 20 {
        repeats *= 8;
        short = time(target, small, repeats, rounds);
    }
    time(target, large, repeats, rounds).as_nanos() / short.as_nanos().max(1)
}

#[test]
fn time_grows_with_length_and_not_with_its_square() {
    let mut slow = Vec::new();
    for (name, target) in targets::ALL {
        let mut seeds = seeds(name);
        seeds.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.len()));
        let (mut small, mut large) = (noise(SMALL_BYTES), noise(LARGE_BYTES));
        for (_, seed) in seeds.iter().take(SEEDS) {
            small.extend(grown(seed, SMALL_BYTES));
            large.extend(grown(seed, LARGE_BYTES));
        }
        for (at, (small, large)) in small.iter().zip(&large).enumerate() {
            // Once is enough where it is quick; a slow round on a busy machine is looked at again.
            let grew = |rounds| growth(*target, small, large, rounds);
            if grew(1) > GROWTH_MAX && grew(ROUNDS) > GROWTH_MAX {
                slow.push(format!("{name}, input {at}: {} times as long", grew(ROUNDS)));
            }
        }
    }
    assert!(slow.is_empty(), "8 times the bytes took more than {GROWTH_MAX} times as long:\n{}", slow.join("\n"));
}

/// The guard itself: something quadratic is noticed.
#[test]
fn a_target_of_quadratic_time_is_noticed() {
    let quadratic: fn(&[u8]) = |data| {
        let data = data.get(..data.len() / 64).unwrap_or_default();
        let pairs = data.iter().map(|a| data.iter().filter(|b| *b == a).count()).sum::<usize>();
        assert_ne!(black_box(pairs), 1);
    };
    let linear: fn(&[u8]) = |data| assert_ne!(black_box(data.iter().filter(|byte| **byte == 7).count()), 1);
    let (small, large) = (vec![0; SMALL_BYTES], vec![0; LARGE_BYTES]);
    assert!(growth(quadratic, &small, &large, ROUNDS) > GROWTH_MAX);
    assert!(growth(linear, &small, &large, ROUNDS) <= GROWTH_MAX);
}
