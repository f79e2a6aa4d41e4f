//! control-api: settings, logging, then one of its commands.

use clap::Parser as _;
use control::{cli, config::Config};
use kit::env::{EXIT_CODE, Env};
use std::{io::Write as _, process::ExitCode};

#[actix_web::main]
async fn main() -> ExitCode {
    let command = cli::Args::parse().command();
    if matches!(command, cli::Command::Openapi) {
        return cli::print_description().map_or_else(|why| fail(&format!("{why:#}"), 1), |()| ExitCode::SUCCESS);
    }
    kit::tls::install_provider();
    let config = match Config::from_env(Env::of_process()) {
        Ok(config) => config,
        Err(mistakes) => return fail(&mistakes.to_string(), EXIT_CODE),
    };
    if let Err(why) = kit::telemetry::start(config.log_format, config.log_filter.as_deref()) {
        return fail(&why, EXIT_CODE);
    }
    match cli::run(command, config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&format!("{why:#}"), 1),
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    // Standard error may be closed; the exit code still tells.
    writeln!(std::io::stderr(), "control-api: {why}").ok();
    ExitCode::from(code)
}
