//! Starts edge-gateway: settings, log, app, and the end on SIGTERM or SIGINT.

use clap::Parser;
use edge::{App, Config};
use kit::{
    env::{EXIT_CODE, Env},
    otlp::Otlp,
};
use std::{io::Write as _, process::ExitCode};
use tokio_util::sync::CancellationToken;

/// Keystone's edge: what publishers and viewers reach, by WHIP, WHEP, RTMP, SRT, WebRTC, HLS and HTTP-FLV.
///
/// It takes no command. Settings come from the environment (docs/config.md).
#[derive(Debug, Parser)]
#[command(name = "edge-gateway", version)]
struct Args {}

#[actix_web::main]
async fn main() -> ExitCode {
    Args::parse();
    kit::tls::install_provider();
    let config = match Config::read(Env::of_process()) {
        Ok(config) => config,
        Err(mistakes) => {
            drop(writeln!(std::io::stderr(), "edge-gateway cannot start:\n{mistakes}"));
            return ExitCode::from(EXIT_CODE);
        }
    };
    let otlp = config.otlp.clone().map(|endpoint| Otlp { endpoint, service: "edge-gateway", begins: true });
    let traces = match kit::telemetry::start(config.log_format, config.log_filter.as_deref(), otlp.as_ref()) {
        Ok(traces) => traces,
        Err(why) => {
            drop(writeln!(std::io::stderr(), "edge-gateway cannot start: {why}"));
            return ExitCode::from(EXIT_CODE);
        }
    };
    let ended = serve(config).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "edge-gateway failed");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let app = App::build(config).await?;
    let shutdown = CancellationToken::new();
    let signalled = shutdown.clone();
    actix_web::rt::spawn(async move {
        if let Err(error) = kit::shutdown::signalled().await {
            tracing::error!(%error, "signals cannot be heard; stopping");
        }
        signalled.cancel();
    });
    app.run(shutdown).await
}
