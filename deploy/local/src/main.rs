//! `keystone`: a whole cluster on one machine, and the operator's commands.

use clap::Parser;
use keystone::{
    chaos,
    cli::{Cli, Command},
    config::Config,
    demo, doctor, hostile, matrix, operator, run_devnode, say, test_stores, up,
};
use std::process::ExitCode;

// Children end with the thread that started them, so all of them are started from this one.
#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    kit::tls::install_provider();
    let config = match Config::from_process() {
        Ok(config) => config,
        Err(error) => {
            say::note(&format!("keystone: {error}"));
            return ExitCode::from(64);
        }
    };
    let result = match cli.command {
        Command::Up(args) => up::run(args, config).await,
        Command::Demo(args) => Box::pin(demo::run(args, config)).await,
        Command::Devnode(args) => run_devnode::run(args, config).await,
        Command::DevSettings => up::dev_settings(&config),
        Command::Status(args) => operator::status(args, config).await,
        Command::Nodes(args) => operator::nodes(args, config).await,
        Command::Users(args) => operator::users(args, config).await,
        Command::Route(args) => operator::route(args, config).await,
        Command::Kick(args) => operator::kick(args, config).await,
        Command::Doctor(args) => Box::pin(doctor::run(args, config)).await,
        Command::Probe { url } => doctor::probe(&url).await,
        Command::Chaos(args) => Box::pin(chaos::command(args, config)).await,
        Command::Matrix(args) => Box::pin(matrix::command(args, config)).await,
        Command::Hostile(args) => Box::pin(hostile::command(args, config)).await,
        Command::TestStores(args) => test_stores::run(args, config).await,
    };
    result.unwrap_or_else(|error| {
        say::note(&format!("keystone: {error}"));
        ExitCode::FAILURE
    })
}
