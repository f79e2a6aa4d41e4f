//! The WebRTC relay beside an echo that looks at nothing: what a relayed packet costs, what the relay adds to its way, and what a session holds.
//!
//! Both are asked for the same round trips. The echo (`bench/echo.c`: `recvmmsg`, `sendmmsg`) takes a packet and sends it, once each; the relay does
//! that twice, towards the node and back, and each passing counts. The relay's node is another echo. CPU is that of the relay's threads, and of the
//! echo's process.

mod coturn;
mod flood;
mod flow;
mod stand;

use crate::report::Report;
use flow::Outcome;
use stand::{Echo, Stand};
use std::time::Duration;

/// Round trips a second that are tried, upwards; the last without loss counts.
const RATES: [u32; 6] = [5_000, 10_000, 20_000, 40_000, 60_000, 80_000];
/// How long each is tried.
const EACH: Duration = Duration::from_secs(2);
/// For latency: far from what the machine can do.
const CALM: u32 = 2_000;
/// Sessions held for the memory of one.
const HELD: u32 = 8_000;
/// A relayed packet may cost 1 / 0.8 of the echo's when packets come one by one, and no more than it when they come in bursts of one flow.
const SINGLE_MOST: f64 = 1.25;
const JOINED_MOST: f64 = 1.0;
/// Checks a second of a flood, and the stream beside it: packets a second of a few megabits.
const FLOOD: u32 = 50_000;
const STREAM: u32 = 500;
/// Bytes of a held session, and milliseconds added, at most.
const SESSION_BYTES_MOST: f64 = 16_384.0;
const ADDED_MS_MOST: f64 = 1.0;

/// How the generator sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sends {
    /// Each packet by a call of its own, so that nothing was joined before it arrives.
    Single,
    /// Bursts of one flow by one call, which arrive joined where that was asked for.
    Joined,
}

/// Runs it all.
///
/// # Errors
/// Something that is measured against is missing, or packets do not come through.
pub async fn run() -> anyhow::Result<Report> {
    let stand = Stand::start().await?;
    let echo = Echo::start()?;
    let mut report = Report::new("rtc");
    let kinds = [
        ("1 session, one by one", 1, Sends::Single, Some(SINGLE_MOST)),
        ("50 sessions, one by one", 50, Sends::Single, None),
        ("1 session, bursts", 1, Sends::Joined, Some(JOINED_MOST)),
    ];
    for (name, flows, sends, most) in kinds {
        let bare = best(|rate| echo.measure(flows, sends, rate, EACH))?;
        let relayed = best(|rate| stand.measure(flows, sends, rate, EACH))?;
        report.add(format!("{name}: echo"), bare.packets_per_cpu_second(1), "packets/CPU s");
        report.add(format!("{name}: echo, without loss up to"), f64::from(bare.rate), "round trips/s");
        report.add(format!("{name}: relay"), relayed.packets_per_cpu_second(2), "packets/CPU s");
        report.add(format!("{name}: relay, without loss up to"), f64::from(relayed.rate), "round trips/s");
        let ratio = bare.packets_per_cpu_second(1) / relayed.packets_per_cpu_second(2);
        let what = format!("{name}: CPU of a relayed packet to the echo's");
        match most {
            Some(most) => report.add_wanted(what, ratio, "×", most),
            None => report.add(what, ratio, "×"),
        }
    }
    beside_coturn(&stand, &mut report)?;
    let mut direct = echo.measure(1, Sends::Single, CALM, EACH)?;
    let mut through = stand.measure(1, Sends::Single, CALM, EACH)?;
    report.add("round trip to the echo, p99", direct.latencies.percentile(99), "ms");
    report.add("round trip through the relay, p50", through.latencies.percentile(50), "ms");
    let added = through.latencies.percentile(99) - direct.latencies.percentile(99);
    report.add_wanted("p99 that the relay adds to a round trip", added, "ms", ADDED_MS_MOST);
    hostile(&stand, &mut report)?;
    report.add_wanted("memory of an idle session", stand.memory(HELD)?, "bytes", SESSION_BYTES_MOST);
    Ok(report)
}

/// The pace of coturn's own generator, far from what either can do.
fn beside_coturn(stand: &Stand, report: &mut Report) -> anyhow::Result<()> {
    let relayed = stand.measure(coturn::CLIENTS.into(), Sends::Single, coturn::RATE, EACH)?.packets_per_cpu_second(2);
    report.add("40 sessions at 2,000 round trips/s: relay", relayed, "packets/CPU s");
    if let Some(peer) = coturn::packets_per_cpu_second()? {
        report.add("40 sessions at 2,000 round trips/s: coturn", peer, "packets/CPU s");
        report.add("40 sessions at 2,000 round trips/s: CPU of a packet to coturn's", peer / relayed, "×");
    }
    Ok(())
}

/// One stream beside a flood of forged checks, and without it.
fn hostile(stand: &Stand, report: &mut Report) -> anyhow::Result<()> {
    let mut calm = stand.measure(1, Sends::Single, STREAM, EACH)?;
    let flood = stand.flood(FLOOD)?;
    let mut beside = stand.measure(1, Sends::Single, STREAM, 2 * EACH)?;
    let rate = flood.end()?;
    report.add("flood: forged checks", rate, "/s");
    report.add_wanted("flood: packets of the stream beside it that were lost", beside.lost() as f64, "packets", 0.0);
    report.add("flood: CPU of the relay", beside.cpu_seconds / (2 * EACH).as_secs_f64(), "cores");
    for percent in [50, 99, 100] {
        report.add(
            format!("round trip of the stream, p{percent}, without it"),
            calm.latencies.percentile(percent),
            "ms",
        );
        report.add(
            format!("round trip of the stream, p{percent}, beside it"),
            beside.latencies.percentile(percent),
            "ms",
        );
    }
    Ok(())
}

/// The last rate without loss.
fn best(mut measure: impl FnMut(u32) -> anyhow::Result<Outcome>) -> anyhow::Result<Outcome> {
    let mut best = measure(RATES[0])?;
    anyhow::ensure!(best.lost() == 0, "{} of {} packets were lost at {} a second", best.lost(), best.sent, RATES[0]);
    for rate in &RATES[1..] {
        let outcome = measure(*rate)?;
        if outcome.lost() > 0 || outcome.late() {
            break;
        }
        best = outcome;
    }
    Ok(best)
}
