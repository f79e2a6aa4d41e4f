//! IO shell of [`Witness`]: looks at nodes and tells control-api. Holds no rules.

use super::{
    Keeper, poll,
    table::names,
    witness::{Input, Output, Witness},
};
use crate::{control::Control, srs::SrsClient};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use proto::{
    NodeId,
    node::{Met, NodeReport},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// When nothing is to be looked at.
const IDLE: Duration = Duration::from_secs(3600);

/// One call that ended.
enum Done {
    Probed(NodeId, Met),
    Told(NodeId),
}

/// Looks at nodes in trouble and tells of them. Bounds: one look and one report a node under way, one report waiting.
pub struct Watch {
    keeper: Keeper,
    srs: SrsClient,
    control: Control,
    inbox: mpsc::Receiver<Input>,
    witness: Witness,
    started: Instant,
    calls: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Nodes that are being told of, with what is to be told next.
    telling: BTreeMap<NodeId, Option<NodeReport>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("witness", &self.witness).finish_non_exhaustive()
    }
}

impl Watch {
    /// Hears what is met from `inbox`.
    #[must_use]
    pub fn new(keeper: Keeper, srs: SrsClient, control: Control, inbox: mpsc::Receiver<Input>) -> Self {
        let (witness, calls) = (Witness::default(), FuturesUnordered::new());
        Self { keeper, srs, control, inbox, witness, started: Instant::now(), calls, telling: BTreeMap::new() }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.forever()).await;
    }

    async fn forever(&mut self) {
        loop {
            let due = self.started + self.witness.next_at().unwrap_or_else(|| self.started.elapsed() + IDLE);
            let input = tokio::select! {
                sign = self.inbox.recv() => match sign {
                    Some(sign) => sign,
                    None => return,
                },
                Some(done) = self.calls.next(), if !self.calls.is_empty() => match done {
                    Done::Probed(node, met) => Input::Probed { node, met },
                    Done::Told(node) => {
                        self.told(node);
                        continue;
                    }
                },
                () = tokio::time::sleep_until(due) => Input::Timeout,
            };
            for output in self.witness.handle(self.started.elapsed(), input) {
                match output {
                    Output::Probe(node) => self.probe(node),
                    Output::Report(node, report) => self.report(node, report),
                }
            }
        }
    }

    fn probe(&self, node: NodeId) {
        let (keeper, srs) = (self.keeper.clone(), self.srs.clone());
        self.calls.push(async move { Done::Probed(node.clone(), look(&keeper, &srs, &node).await) }.boxed());
    }

    fn report(&mut self, node: NodeId, report: NodeReport) {
        if !self.keeper.nodes.look(|table| table.is_member(&node)) {
            return;
        }
        if let Some(next) = self.telling.get_mut(&node) {
            *next = Some(report);
            return;
        }
        self.telling.insert(node.clone(), None);
        self.keeper.metrics.nodes().reported(report.met);
        tracing::info!(node = %node, service = %report.service, met = ?report.met, "telling control-api of a media node");
        let control = self.control.clone();
        let tell = async move {
            if let Err(error) = control.report(&node, &report).await {
                tracing::debug!(node = %node, %error, "no control-api took a report");
            }
            Done::Told(node)
        };
        self.calls.push(tell.boxed());
    }

    fn told(&mut self, node: NodeId) {
        if let Some(Some(next)) = self.telling.remove(&node) {
            self.report(node, next);
        }
    }
}

/// Asks a node who it is, and lets streams and table know.
async fn look(keeper: &Keeper, srs: &SrsClient, node: &NodeId) -> Met {
    // Gone from the table: nobody waits for the answer.
    let Some(at) = keeper.nodes.get(node) else { return Met::Answered };
    let met = match srs.versions(&at.api, poll::WITHIN).await {
        Ok(versions) => match names(&versions).filter(|(said, _)| said == node) {
            Some((_, service)) => {
                if let Some(heard) = keeper.nodes.answers(node, &service) {
                    keeper.heard(&heard);
                }
                let same = at.service.is_none_or(|expected| expected == service);
                return if same { Met::Answered } else { Met::OtherRun };
            }
            None => {
                tracing::error!(node = %node, "another server answers at a media node's address");
                Met::Silent
            }
        },
        Err(error) => poll::met(error),
    };
    if keeper.nodes.change(|table| table.fails(node, met)) {
        keeper.streams.node_doubted(node);
        keeper.count();
        tracing::warn!(node = %node, ?met, "media node does not answer; it is not used until it does");
    }
    met
}
