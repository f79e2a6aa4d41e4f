//! `bench placement|routing|gossip|whip|hls|sessions|hooks|rtc|claims|replace|rtmp|all`: runs measurements; tables on standard error, a JSON line each on standard output.

use bench::{gossip, hls, hooks, placement, replace, report::Report, routing, rtc, rtmp, sessions, whip};
use clap::{Parser, ValueEnum};
use keystone::{
    config::{Config, Media},
    tools::{self, MediaChoice},
};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(about = "Measures Keystone; see bench/README.md")]
struct Cli {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// Exit 1 when a figure is over its bound, not only when a measurement failed.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Placement lookup at 10, 100 and 1,000 nodes.
    Placement,
    /// Where a viewer goes, by the edge's memory and by Redis.
    Routing,
    /// The session table of 16 control nodes at a million sessions; takes 6 GB of memory.
    Gossip,
    /// WHIP POST through the edge and through nginx.
    Whip,
    /// HLS through the edge and through nginx with a cache.
    Hls,
    /// Memory of held WHEP sessions.
    Sessions,
    /// Hook decisions of control-api; needs `TEST_DATABASE_URL`.
    Hooks,
    /// Packets, latency and memory of the WebRTC relay.
    Rtc,
    /// Claims of control-api; needs `TEST_DATABASE_URL`.
    Claims,
    /// A killed media node: until it is known and replaced; with the built-in node, and with SRS when there is one.
    Replace,
    /// RTMP publishers through the edge and through `HAProxy`, CPU for a gigabyte.
    Rtmp,
    /// Everything.
    All,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let wants = |what| cli.what == what || cli.what == What::All;
    let mut met = true;
    let mut tell = |report: Report| {
        met &= report.is_met();
        report.print()
    };
    if wants(What::Placement) {
        tell(placement::run()?)?;
    }
    if wants(What::Routing) {
        tell(routing::run().await?)?;
    }
    if wants(What::Gossip) {
        tell(gossip::run()?)?;
    }
    if wants(What::Whip) {
        tell(whip::run().await?)?;
    }
    if wants(What::Hls) {
        tell(hls::run().await?)?;
    }
    if wants(What::Sessions) {
        tell(sessions::run().await?)?;
    }
    if wants(What::Hooks) {
        tell(hooks::run().await?)?;
    }
    if wants(What::Rtc) {
        tell(rtc::run().await?)?;
    }
    if wants(What::Claims) {
        tell(hooks::claims::run().await?)?;
    }
    if wants(What::Rtmp) {
        tell(Box::pin(rtmp::run()).await?)?;
    }
    if wants(What::Replace) {
        tell(Box::pin(replace::run(Media::Builtin)).await?)?;
        if matches!(tools::media(&Config::from_process()?, Media::Auto)?, MediaChoice::Srs { .. }) {
            tell(Box::pin(replace::run(Media::Srs)).await?)?;
        }
    }
    Ok(if met || !cli.strict { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
