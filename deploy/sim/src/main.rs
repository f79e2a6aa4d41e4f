//! `make sim SEEDS=n [FROM=seed]`: runs the simulation on all cores.

use clap::Parser;
use std::{io::Write as _, process::ExitCode, time::Instant};

/// Runs seeds of the simulated cluster; ends with 1 and a line to replay it when one of them breaks what must hold.
#[derive(Debug, Parser)]
struct Args {
    /// Seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Tells every seed that breaks something, instead of ending with the first and its trace.
    #[arg(long)]
    keep_going: bool,
    /// Breaks each rule in turn on purpose and tells the first seed that notices.
    #[arg(long)]
    broken: bool,
}

fn main() -> ExitCode {
    match tell(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn tell(args: &Args) -> std::io::Result<bool> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if args.broken {
        let mut all = true;
        for broken in sim::Broken::ALL {
            let (failed, _) = sim::run_many(args.from, args.seeds, broken, threads);
            all &= failed.is_some();
            let found = failed.map_or_else(|| "goes unnoticed".to_owned(), |(seed, why)| format!("seed {seed}: {why}"));
            writeln!(std::io::stdout(), "{broken:?}: {found}")?;
        }
        return Ok(all);
    }
    if args.keep_going {
        let broken = sim::run_all(args.from, args.seeds, threads);
        for (seed, why) in &broken {
            writeln!(std::io::stdout(), "seed {seed} is broken {why}")?;
        }
        writeln!(std::io::stdout(), "{} of {} seeds from {} on are broken", broken.len(), args.seeds, args.from)?;
        return Ok(broken.is_empty());
    }
    let began = Instant::now();
    let (failed, seen) = sim::run_many(args.from, args.seeds, sim::Broken::Nothing, threads);
    let took = began.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    for (what, count) in &seen {
        writeln!(out, "{count:>10}  {what}")?;
    }
    let Some((seed, why)) = failed else {
        let rate = f64::from(u32::try_from(args.seeds).unwrap_or(u32::MAX)) / took.max(0.001);
        writeln!(
            out,
            "{} seeds from {} on hold: {took:.1} s, {rate:.1} seeds/s on {threads} threads",
            args.seeds, args.from
        )?;
        return Ok(true);
    };
    for line in sim::run(seed, sim::Broken::Nothing, true).trace {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "seed {seed} is broken {why}\nreplay: make sim FROM={seed} SEEDS=1")?;
    Ok(false)
}
