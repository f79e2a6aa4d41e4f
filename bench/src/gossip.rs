//! The session table of 16 control nodes at a million sessions: the real core and codec over a channel that is played, in virtual time.

mod cluster;

use crate::report::Report;
use anyhow::{Context as _, ensure};
use cluster::{Cluster, Cost, Wire};

/// Control nodes.
const NODES: usize = 16;
/// Open sessions that all of them hold.
const SESSIONS: u64 = 1_000_000;
/// What a session may take, in bytes, all included.
const BYTES_MAX: f64 = 300.0;
/// Changes a virtual second, all nodes together: half of them begin a session, half end one.
const RATE: u64 = 10_000;
/// Virtual milliseconds that changes go on.
const MEASURED_MS: u64 = 5_000;
/// Virtual milliseconds after which nothing may be missing any more.
const QUIET_MS: u64 = 10_000;
/// Virtual milliseconds from a publisher to every subscriber.
const DELAY_MS: u64 = 1;
/// Of this many messages one is lost, for each receiver by itself.
const LOST_OF: u64 = 100;
/// In turn: nothing is lost; changes are; questions for what was missed, and their answers, are lost as well.
const CHANNELS: [(&str, Wire); 3] = [
    ("no loss", Wire { delay_ms: DELAY_MS, lost_of: None, repair_too: false }),
    ("1 % of changes lost", Wire { delay_ms: DELAY_MS, lost_of: Some(LOST_OF), repair_too: false }),
    ("1 % of all lost", Wire { delay_ms: DELAY_MS, lost_of: Some(LOST_OF), repair_too: true }),
];

/// Measures.
///
/// # Errors
/// The tables are not equal in the end, or a message is refused.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("gossip");
    let before = resident_bytes()?;
    let mut cluster = Cluster::new(NODES)?;
    let filled = cluster.fill(SESSIONS)?;
    cluster.check(SESSIONS)?;
    let held = resident_bytes()?.saturating_sub(before);
    let replicas = SESSIONS * u64::try_from(NODES)?;
    report.add_wanted("memory of a session on a node", held as f64 / replicas as f64, "bytes", BYTES_MAX);
    report.add("a session's beginning, 400 in a message", filled.published as f64 / SESSIONS as f64, "bytes");
    report.add("filling: CPU of one node for a million", filled.cpu_seconds / NODES as f64, "s");

    for (name, wire) in CHANNELS {
        cluster.wire = wire;
        let cost = cluster.change(RATE, MEASURED_MS)?;
        let changes = RATE * MEASURED_MS / 1_000;
        cluster.settle(QUIET_MS)?;
        let mut spread = cluster.spread()?;
        ensure!(u64::try_from(spread.len())? == changes, "{} changes of {changes} reached all nodes", spread.len());
        spread.sort_unstable();
        let rank = |percent: usize| spread.get((spread.len() * percent).div_ceil(100).max(1) - 1).copied();
        for (percent, word) in [(50, "p50"), (99, "p99"), (100, "longest")] {
            let ms = rank(percent).context("there were changes")?;
            report.add(format!("{name}: until all nodes have a change: {word}"), ms as f64, "virtual ms");
        }
        tell(&mut report, name, &cost, changes);
        cluster.check(SESSIONS)?;
    }
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn tell(report: &mut Report, name: &str, cost: &Cost, changes: u64) {
    let (changes, seconds, nodes) = (changes as f64, MEASURED_MS as f64 / 1_000.0, NODES as f64);
    report.add(format!("{name}: published for a change"), cost.published as f64 / changes, "bytes");
    report.add(format!("{name}: asked for and sent again, for a change"), cost.repaired as f64 / changes, "bytes");
    report.add(format!("{name}: messages a node takes in"), cost.taken as f64 / seconds / nodes, "/s");
    report.add(format!("{name}: changes in a message"), changes / cost.messages.max(1) as f64, "");
    report.add(format!("{name}: CPU of one node at 10,000 changes/s"), cost.cpu_seconds / seconds / nodes, "s/s");
    report.add(format!("{name}: of that for changes of its own"), cost.own_seconds / seconds / nodes, "s/s");
}

fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1_024)
}
