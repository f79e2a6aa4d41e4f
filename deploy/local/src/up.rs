//! `keystone up`: a cluster until Ctrl-C.

use crate::{
    cli::{Up, repository},
    cluster::Cluster,
    config::{Config, Media},
    dotenv, observe,
    plan::{ClusterError, Options, Plan, PortBase, Scope},
    report, say,
    tools::MediaChoice,
};
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a control-api, edge or media node stays away after it died: long enough to see what the others make of it.
const AGAIN: Duration = Duration::from_secs(10);

/// Runs the command. Exit code 0 after Ctrl-C or SIGTERM, 1 when it could not start, or a child died that there is one of.
///
/// # Errors
/// What kept the cluster from starting.
pub async fn run(args: Up, config: Config) -> anyhow::Result<ExitCode> {
    let root = repository(&std::env::current_dir()?);
    let scope = if args.deps_only { Scope::Deps } else { Scope::All };
    let cancel = cancel_on_signal()?;
    let mut cluster = match Cluster::start(args.cluster.options(&root, scope), &config, &cancel).await {
        Ok(cluster) => cluster,
        Err(ClusterError::Cancelled) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error.into()),
    };
    for line in report::table(&cluster) {
        say::out(&line);
    }
    if args.deps_only {
        let file = root.join(".env");
        dotenv::write(&file, cluster.plan())?;
        say::out(&format!(
            "settings written to {}: now `make run-control`, `make run-gateway`, `make run-web`",
            file.display()
        ));
    }
    if args.observe {
        let specs = observe::specs(cluster.plan(), &config)?;
        let names = specs.iter().map(|spec| spec.name.clone()).collect::<Vec<_>>();
        cluster.children().start(specs).await?;
        let ports = cluster.plan().ports;
        say::out(&format!("prometheus: http://127.0.0.1:{}/alerts", ports.prometheus()));
        if names.iter().any(|name| name.starts_with("grafana")) {
            say::out(&format!("grafana: http://127.0.0.1:{}/dashboards", ports.grafana()));
        } else {
            say::out("grafana: not installed (Debian has no package of it); deploy/grafana/*.json are to be imported");
        }
    }
    say::out("Ctrl-C ends all of it.");
    let code = tokio::select! {
        () = cancel.cancelled() => ExitCode::SUCCESS,
        () = keep(&mut cluster) => ExitCode::FAILURE,
    };
    finish(cluster).await;
    Ok(code)
}

/// Starts again what dies, as whatever runs a cluster does; returns when something died without which there is none, or that does not start any more.
async fn keep(cluster: &mut Cluster) {
    loop {
        let death = cluster.died().await;
        say::note(&format!("keystone: {death}"));
        if !is_one_of_many(&death.name) {
            say::note("keystone: ending the rest: there is no second one of it");
            return;
        }
        say::note(&format!("keystone: the cluster goes on; {} is started again in {} s", death.name, AGAIN.as_secs()));
        tokio::time::sleep(AGAIN).await;
        if let Err(error) = cluster.children().start_again(&death.name).await {
            say::note(&format!("keystone: {error}"));
            say::note("keystone: ending the rest");
            return;
        }
        say::note(&format!("keystone: {} runs again", death.name));
    }
}

/// Whether others of its kind do its work meanwhile.
fn is_one_of_many(child: &str) -> bool {
    ["control-", "edge-", "node-", "prometheus", "grafana"].iter().any(|kind| child.starts_with(kind))
}

/// Writes what services and media nodes need when Docker runs the stores and the nodes (deploy/docker-compose.dev.yml).
///
/// # Errors
/// What keeps the cluster's folder or `.env` from being written.
pub fn dev_settings(config: &Config) -> anyhow::Result<ExitCode> {
    let root = repository(&std::env::current_dir()?);
    let options = Options {
        ports: PortBase::AsIs,
        // Nothing is looked for on this machine: the image brings SRS.
        media: Some(Media::Builtin),
        scope: Scope::Deps,
        ..Options::in_repository(&root)
    };
    let mut plan = Plan::make(options, config)?;
    let srs = MediaChoice::Srs { program: "srs".into(), version: String::new() };
    for node in &mut plan.nodes {
        node.prepare(&srs)?;
    }
    dotenv::write(&root.join(".env"), &plan)?;
    Ok(ExitCode::SUCCESS)
}

/// Ends the cluster in order and says who had to be killed.
pub async fn finish(cluster: Cluster) {
    let killed = cluster.stop().await;
    if !killed.is_empty() {
        say::note(&format!("keystone: did not end in time and had to be killed: {}", killed.join(", ")));
    }
}

/// Fires at the first SIGINT, SIGTERM or SIGHUP. Further ones change nothing: every wait of the ending has a deadline.
///
/// # Errors
/// When the system lets nobody listen for signals.
pub fn cancel_on_signal() -> std::io::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let mut signals =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    let fire = cancel.clone();
    tokio::spawn(async move {
        let [interrupt, terminate, hangup] = &mut signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        fire.cancel();
        // The handlers stay, so that a second Ctrl-C does not end us before the children.
        std::future::pending::<()>().await;
    });
    Ok(cancel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is_one_of_ends_the_cluster() {
        for many in ["control-0", "edge-11", "node-3"] {
            assert!(is_one_of_many(many), "{many}");
        }
        for one in ["postgres", "redis", "caddy"] {
            assert!(!is_one_of_many(one), "{one}");
        }
    }
}
