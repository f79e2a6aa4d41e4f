//! Starts edge-gateway: settings, log, app, and the end on SIGTERM or SIGINT.

use edge::{App, Config};
use kit::env::{EXIT_CODE, Env};
use std::{io::Write as _, process::ExitCode};
use tokio_util::sync::CancellationToken;

#[actix_web::main]
async fn main() -> ExitCode {
    kit::tls::install_provider();
    let config = match Config::read(Env::of_process()) {
        Ok(config) => config,
        Err(mistakes) => {
            drop(writeln!(std::io::stderr(), "edge-gateway cannot start:\n{mistakes}"));
            return ExitCode::from(EXIT_CODE);
        }
    };
    if let Err(why) = kit::telemetry::start(config.log_format, config.log_filter.as_deref()) {
        drop(writeln!(std::io::stderr(), "edge-gateway cannot start: {why}"));
        return ExitCode::from(EXIT_CODE);
    }
    match serve(config).await {
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
