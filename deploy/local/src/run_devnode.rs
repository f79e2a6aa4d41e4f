//! `keystone devnode`: one built-in media node as a process of its own, as SRS would be.

use crate::{
    cli::Devnode,
    config::Config,
    devnode::{self, DevNodeConfig},
    up::cancel_on_signal,
};
use kit::telemetry::LogFormat;
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

/// As in `deploy/srs.conf.local`.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// Runs the node until a signal comes.
///
/// # Errors
/// An address that cannot be bound.
pub async fn run(args: Devnode, config: Config) -> anyhow::Result<ExitCode> {
    kit::telemetry::start(LogFormat::Text, config.log_filter.as_deref(), None).map_err(anyhow::Error::msg)?;
    let cancel = cancel_on_signal()?;
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let node = DevNodeConfig {
        node_id: args.id,
        listen_api: loopback(args.api),
        listen_http: loopback(args.http),
        listen_rtmp: loopback(args.rtmp),
        listen_rtc: SocketAddr::new(args.host, args.rtc),
        candidate: args.host,
        hook_url: config.devnode_hook_url,
        heartbeat_url: config.devnode_heartbeat_url,
        heartbeat_interval: HEARTBEAT_EVERY,
    };
    devnode::run(node, cancel.cancelled_owned()).await?;
    Ok(ExitCode::SUCCESS)
}
