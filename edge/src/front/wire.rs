//! The parts that the flows use, and how they are put together.

use super::Dependency;
use crate::{
    admit::Admission,
    config::Config,
    control::Control,
    hls::Hls,
    hooks::Hooks,
    metrics::Metrics,
    nodes::{Keeper, NodeTable, Nodes},
    replica::Replica,
    rtc::Relay,
    srs::SrsClient,
    stream::Registry,
};
use kit::kv::Kv;
use proto::EdgeId;
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Everything a flow may need.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) edge: EdgeId,
    pub(crate) metrics: Metrics,
    pub(crate) kv: Kv,
    pub(crate) replica: Replica,
    pub(crate) nodes: Nodes,
    pub(crate) keeper: Keeper,
    pub(crate) streams: Arc<Registry>,
    pub(crate) admission: Admission,
    pub(crate) control: Control,
    pub(crate) srs: SrsClient,
    pub(crate) hooks: Hooks,
    pub(crate) hls: Hls,
    /// `None`: answers carry the nodes' own candidates.
    pub(crate) relay: Option<Arc<Relay>>,
    /// Cancelled when this edge takes no more sessions, because it is about to end.
    pub(crate) leaving: CancellationToken,
    /// Flows under way; the process waits for them before it ends.
    pub(crate) flows: TaskTracker,
}

impl Parts {
    /// Does something that nobody waits for; the process waits for it before it ends.
    pub(super) fn behind(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Outside a runtime everything is coming down; what was held then runs out by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.flows.spawn_on(work, &runtime);
        }
    }

    /// Every dependency, by what was seen last.
    pub(super) fn readiness(&self) -> Vec<Dependency> {
        let (up, all) = self.nodes.look(NodeTable::counts);
        let controls =
            if self.config.controls.is_empty() { self.replica.controls().len() } else { self.config.controls.len() };
        let redis = self.kv.connected();
        let secrets = self.replica.secrets().is_some();
        let told = |yes: bool, good: &str, bad: &str| if yes { good.to_owned() } else { bad.to_owned() };
        let (leaving, known) = (self.leaving.is_cancelled(), all > 0);
        let nodes = format!("{up} of {all} answer");
        vec![
            Dependency { name: "edge", ready: !leaving, detail: told(!leaving, "takes sessions", "is about to end") },
            Dependency { name: "redis", ready: redis, detail: told(redis, "connected", "not connected") },
            Dependency {
                name: "secrets",
                ready: secrets,
                detail: told(secrets, "known", "neither EDGE_SECRET nor Redis gave them yet"),
            },
            Dependency { name: "control-api", ready: controls > 0, detail: format!("{controls} known") },
            Dependency {
                name: "nodes",
                ready: up > 0,
                detail: told(known, &nodes, "none: neither control-api enrolled one nor SRS_UPSTREAM names one"),
            },
        ]
    }
}
