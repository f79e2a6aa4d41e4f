//! The parts that the flows use, and how they are put together.

use super::Dependency;
use crate::{
    admit::Admission,
    config::Config,
    control::Control,
    hooks::Hooks,
    metrics::Metrics,
    nodes::{NodeTable, Nodes},
    replica::Replica,
    srs::SrsClient,
    stream::Registry,
};
use kit::kv::Kv;
use proto::EdgeId;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Everything a flow may need.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) edge: EdgeId,
    pub(crate) metrics: Metrics,
    pub(crate) kv: Kv,
    pub(crate) replica: Replica,
    pub(crate) nodes: Nodes,
    pub(crate) streams: Arc<Registry>,
    pub(crate) admission: Admission,
    pub(crate) control: Control,
    pub(crate) srs: SrsClient,
    pub(crate) hooks: Hooks,
    /// Flows under way; the process waits for them before it ends.
    pub(crate) flows: TaskTracker,
}

impl Parts {
    /// Every dependency, by what was seen last.
    pub(super) fn readiness(&self) -> Vec<Dependency> {
        let (up, all) = self.nodes.look(NodeTable::counts);
        let controls =
            if self.config.controls.is_empty() { self.replica.controls().len() } else { self.config.controls.len() };
        let redis = self.kv.connected();
        let secrets = self.replica.secrets().is_some();
        let told = |yes: bool, good: &str, bad: &str| if yes { good.to_owned() } else { bad.to_owned() };
        vec![
            Dependency { name: "redis", ready: redis, detail: told(redis, "connected", "not connected") },
            Dependency {
                name: "secrets",
                ready: secrets,
                detail: told(secrets, "known", "neither EDGE_SECRET nor Redis gave them yet"),
            },
            Dependency { name: "control-api", ready: controls > 0, detail: format!("{controls} known") },
            Dependency { name: "nodes", ready: up > 0, detail: format!("{up} of {all} answer") },
        ]
    }
}
