//! How long it takes to find a stream's node.

use crate::report::{Report, median};
use anyhow::Context as _;
use placement::{Member, Ring};
use proto::NodeId;
use std::{hint::black_box, time::Instant};

/// Different keys looked up.
const KEYS: usize = 100_000;
/// Passes over the keys; the median counts.
const PASSES: usize = 11;
/// Wanted at 1,000 nodes, ns.
const WANTED_NS: f64 = 100.0;

/// Looks up every key at 10, 100 and 1,000 nodes: the first owner, and the first three as failover needs them.
///
/// # Errors
/// No ring can be built.
pub fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("placement lookup");
    let keys: Vec<String> = (0..KEYS).map(|n| format!("stream{n:08x}")).collect();
    for nodes in [10, 100, 1_000] {
        let members: Vec<Member> =
            (0..nodes).map(|n| NodeId::parse(&format!("node-{n}")).map(Member::new)).collect::<Result<_, _>>()?;
        let began = Instant::now();
        let ring = Ring::build(&members).context("ring")?;
        let built = began.elapsed();
        let owner = time(&keys, |key| ring.owner(key).is_some());
        let owners = time(&keys, |key| ring.owners(key).take(3).count() == 3);
        let what = format!("{nodes} nodes: owner");
        match nodes {
            1_000 => report.add_wanted(what, owner, "ns", WANTED_NS),
            _ => report.add(what, owner, "ns"),
        }
        report.add(format!("{nodes} nodes: first three owners"), owners, "ns");
        report.add(format!("{nodes} nodes: building the ring"), built.as_secs_f64() * 1e3, "ms");
    }
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn time(keys: &[String], look: impl Fn(&[u8]) -> bool) -> f64 {
    let pass = || {
        let began = Instant::now();
        let found = keys.iter().filter(|key| look(black_box(key.as_bytes()))).count();
        let nanos = began.elapsed().as_nanos() as f64;
        assert_eq!(black_box(found), keys.len(), "every key has owners");
        nanos / keys.len() as f64
    };
    let passes: Vec<f64> = (0..PASSES).map(|_| pass()).collect();
    median(&passes)
}
