//! Asks each node of `SRS_UPSTREAM` for its version every 2 s: that tells its id, its run and that it answers. Members are not polled.

use super::{Keeper, witness::Input};
use crate::srs::{SrsClient, SrsError};
use futures_util::future::join_all;
use proto::node::Met;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(2);
/// How long a node may take.
pub(super) const WITHIN: Duration = Duration::from_secs(1);

/// What a failed call tells of its node.
#[must_use]
pub(super) fn met(error: SrsError) -> Met {
    if error == SrsError::NotListening { Met::Refused } else { Met::Silent }
}

/// Asks all nodes of the setting once, side by side; takes at most a second.
pub async fn round(keeper: &Keeper, srs: &SrsClient) {
    let nodes = &keeper.nodes;
    let asked = nodes.look(super::NodeTable::to_poll);
    let answers = join_all(asked.iter().map(|(_, api)| srs.versions(api, WITHIN))).await;
    for ((index, api), answer) in asked.iter().zip(answers) {
        match answer {
            Ok(versions) => match nodes.heard(*index, &versions) {
                Ok(heard) => {
                    keeper.heard(&heard);
                    let (node, met) = (heard.id, if heard.before.is_some() { Met::OtherRun } else { Met::Answered });
                    nodes.sign(Input::Met { node, service: heard.before.unwrap_or(heard.service), met });
                }
                Err(why) => tracing::error!(api = %api, %why, "media node is not used: it {why}"),
            },
            Err(error) => {
                let id = nodes.look(|table| table.fixed_id(*index));
                let service = id.as_ref().and_then(|id| nodes.service(id));
                if let (Some(id), Some(service)) = (id, service)
                    && keeper.failed(&id, &service, met(error))
                {
                    tracing::warn!(api = %api, %error, "media node does not answer: {error}");
                }
            }
        }
    }
    keeper.count();
}

/// Asks for ever, until `stop`.
pub async fn run(keeper: Keeper, srs: SrsClient, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let forever = async {
        loop {
            ticks.tick().await;
            round(&keeper, &srs).await;
        }
    };
    stop.run_until_cancelled(forever).await;
}
