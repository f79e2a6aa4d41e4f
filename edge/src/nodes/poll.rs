//! Asks each node for its version every 2 s: that tells its id, its run and that it answers.

use super::Nodes;
use crate::{metrics::Metrics, srs::SrsClient, stream::Registry};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(2);
/// How long a node may take.
const WITHIN: Duration = Duration::from_secs(1);

/// Asks all nodes once, side by side; takes at most a second.
pub async fn round(nodes: &Nodes, srs: &SrsClient, streams: &Registry, metrics: &Metrics) {
    let apis = nodes.look(super::NodeTable::apis);
    let asked = apis.iter().map(|api| srs.versions(api, WITHIN));
    for (index, (api, answer)) in apis.iter().zip(join_all(asked).await).enumerate() {
        match answer {
            Ok(versions) => match nodes.heard(index, &versions) {
                Ok(heard) => {
                    if heard.came_up || heard.restarted {
                        tracing::info!(node = %heard.id, service = %heard.service, restarted = heard.restarted, "media node answers");
                    }
                    if heard.restarted {
                        streams.node_changed(&heard.id, Some(&heard.service));
                    }
                }
                Err(why) => tracing::error!(api = %api, %why, "media node is not used: it {why}"),
            },
            Err(error) => {
                if nodes.silent(index) {
                    tracing::warn!(api = %api, %error, "media node does not answer: {error}");
                }
            }
        }
    }
    let (up, all) = nodes.look(super::NodeTable::counts);
    metrics.nodes(up, all);
}

/// Asks for ever, until `stop`.
pub async fn run(nodes: Nodes, srs: SrsClient, streams: Arc<Registry>, metrics: Metrics, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let forever = async {
        loop {
            ticks.tick().await;
            round(&nodes, &srs, &streams, &metrics).await;
        }
    };
    stop.run_until_cancelled(forever).await;
}
