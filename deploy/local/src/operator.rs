//! The operator's commands: `keystone status`, `keystone nodes …`, `keystone users …`, `keystone route`, `keystone kick`.
//!
//! They speak to control-api as any administrator may, through [`door::Door`]. Answers are read by name and what is absent shows as `-`: the
//! tool is also used against a cluster that is older or newer than itself.

pub(crate) mod door;
mod nodes;
mod read;
mod route;
mod status;
mod table;
mod users;

use crate::{
    cli::{Kick, Nodes, NodesCommand, Route, Status, Users, UsersCommand},
    config::Config,
    say,
};
use door::Door;
pub use door::DoorError;
use std::process::ExitCode;

/// `keystone status`. Exit code 1 when a part of the cluster did not answer.
///
/// # Errors
/// Without an address or credentials.
pub async fn status(args: Status, config: Config) -> anyhow::Result<ExitCode> {
    let mut door = Door::open(&args.api, &config).await?;
    let seen = status::Seen::look(&mut door).await;
    if args.json {
        say::out(&seen.json());
    } else {
        seen.lines(kit::clock::unix_ms(), usize::from(args.sessions)).iter().for_each(|line| say::out(line));
    }
    Ok(if seen.whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `keystone nodes …`.
///
/// # Errors
/// What control-api refused and why.
pub async fn nodes(args: Nodes, config: Config) -> anyhow::Result<ExitCode> {
    let mut door = Door::open(&args.api, &config).await?;
    match args.command {
        NodesCommand::List { json } => nodes::list(&mut door, json).await?,
        NodesCommand::Show { node, json } => nodes::show(&mut door, &node, json).await?,
        NodesCommand::Add(add) => nodes::add(&mut door, &add).await?,
        NodesCommand::Cordon { node, force } => nodes::cordon(&mut door, &node, force).await?,
        NodesCommand::Drain { node, deadline, no_wait, force } => {
            return Ok(nodes::drain(&mut door, &node, deadline, !no_wait, force).await?);
        }
        NodesCommand::Undrain { node } => nodes::undrain(&mut door, &node).await?,
        NodesCommand::Remove { node, force } => nodes::remove(&mut door, &node, force).await?,
        NodesCommand::RotateSecret { node, overlap } => nodes::rotate(&mut door, &node, overlap).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `keystone users …`.
///
/// # Errors
/// What control-api refused and why.
pub async fn users(args: Users, config: Config) -> anyhow::Result<ExitCode> {
    let mut door = Door::open(&args.api, &config).await?;
    match args.command {
        UsersCommand::List { json } => users::list(&mut door, json).await?,
        UsersCommand::Add { email, name, role } => {
            users::add(&mut door, &email, name.as_deref(), &role).await?;
        }
        UsersCommand::ResetPassword { email } => users::reset_password(&mut door, &email).await?,
        UsersCommand::Disable { email } => users::disable(&mut door, &email, true).await?,
        UsersCommand::Enable { email } => users::disable(&mut door, &email, false).await?,
        UsersCommand::SetRole { email, role } => users::set_role(&mut door, &email, &role).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `keystone route STREAM`.
///
/// # Errors
/// What control-api refused and why.
pub async fn route(args: Route, config: Config) -> anyhow::Result<ExitCode> {
    let mut door = Door::open(&args.api, &config).await?;
    let explained = door.get(&format!("/v1/streams/{}/route?explain=1", args.stream)).await?;
    if args.json {
        say::out(&read::pretty(&explained));
    } else {
        route::lines(&args.stream, &explained).iter().for_each(|line| say::out(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// `keystone kick SESSION`.
///
/// # Errors
/// What control-api refused and why.
pub async fn kick(args: Kick, config: Config) -> anyhow::Result<ExitCode> {
    let mut door = Door::open(&args.api, &config).await?;
    door.delete(&format!("/v1/sessions/{}", args.session)).await?;
    say::out(&format!("session {} is being ended", args.session));
    Ok(ExitCode::SUCCESS)
}
