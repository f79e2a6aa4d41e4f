//! control-api: settings, logging, then one of its commands.

use clap::Parser as _;
use control::{cli, config::Config};
use kit::{
    env::{EXIT_CODE, Env},
    otlp::Otlp,
};
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
    let otlp = config.otlp.clone().map(|endpoint| Otlp { endpoint, service: "control-api", begins: false });
    let traces = match kit::telemetry::start(config.log_format, config.log_filter.as_deref(), otlp.as_ref()) {
        Ok(traces) => traces,
        Err(why) => return fail(&why, EXIT_CODE),
    };
    let ended = cli::run(command, config).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&format!("{why:#}"), 1),
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    // Standard error may be closed; the exit code still tells.
    writeln!(std::io::stderr(), "control-api: {why}").ok();
    ExitCode::from(code)
}
