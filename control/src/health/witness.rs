//! Words of other witnesses: control nodes that are asked, edges that report, and how both reach the node's prober.

use super::run::feed;
use crate::{
    app::State,
    domain::health::{Input, Witness},
};
use kit::clock;
use proto::{
    ControlId, EdgeId, NodeId,
    internal::bearer,
    node::{LookRequest, Met, NodeReport},
};
use std::{sync::Arc, time::Duration};

/// How long another control node may take: a probe of a second, and the way there.
const ASK_MAX: Duration = Duration::from_millis(1_500);

/// Asks the next control node to look, in a task of its own: one question of each node at a time.
pub fn ask(state: &Arc<State>, node: &NodeId, now_ms: u64) {
    let order = state.health.controls.order(node, now_ms);
    let Some((control, url)) = order.into_iter().find_map(|(id, url)| Some((id, url?))) else { return };
    let Some(service) = state.health.begin_ask(node) else { return };
    let (state, node) = (Arc::clone(state), node.clone());
    tokio::spawn(async move {
        let asked = LookRequest { service };
        let path = format!("{url}/internal/v1/nodes/{node}:look");
        match post(&state, state.health.controls.caller(), &path, &asked).await {
            Some(Ok(response)) if response.status().is_success() => {
                if let Ok(report) = response.json::<NodeReport>().await {
                    state.health.metrics.witness("control", report.met);
                    let word = Input::Word(Witness::Control(control), report.service, report.met);
                    feed(&state, &node, word, clock::unix_ms());
                }
            }
            Some(Ok(response)) => {
                tracing::debug!(%node, %control, status = %response.status(), "a witness did not look")
            }
            Some(Err(error)) => missed(&state, &control, &error),
            None => {}
        }
        state.health.finish(&node, |busy| busy.ask = false);
    });
}

/// Looks at a node for another control node; `None` when its address is not known here or too many looks go on.
pub async fn look(state: &State, node: &NodeId, asked: LookRequest) -> Option<NodeReport> {
    let api = state.nodes.api(node)?;
    let _permit = state.health.looks.try_acquire().ok()?;
    let met = match state.srs.probe(&api, node).await {
        Ok(service) if service == asked.service => Met::Answered,
        Ok(_) => Met::OtherRun,
        Err(met) => met,
    };
    Some(NodeReport { service: asked.service, met })
}

/// Takes in what an edge met. The node's prober hears of it too, unless it came from another control node already.
pub fn reported(state: &Arc<State>, node: &NodeId, edge: &EdgeId, report: NodeReport, forwarded: bool) {
    let now_ms = clock::unix_ms();
    state.health.metrics.witness("edge", report.met);
    let word = Input::Word(Witness::Edge(edge.clone()), report.service.clone(), report.met);
    feed(state, node, word, now_ms);
    if !forwarded {
        forward(state, node, Some(edge.clone()), report, now_ms);
    }
}

/// This process met another run than it knew: the node's prober should look.
pub fn tell_prober(state: &Arc<State>, node: &NodeId, now_ms: u64) {
    let Some(service) = state.health.service(node) else { return };
    forward(state, node, state.health.controls.caller(), NodeReport { service, met: Met::OtherRun }, now_ms);
}

fn forward(state: &Arc<State>, node: &NodeId, by: Option<EdgeId>, report: NodeReport, now_ms: u64) {
    let prober = state.health.controls.order(node, now_ms).into_iter().next();
    let Some((control, Some(url))) = prober else { return };
    let (state, node) = (Arc::clone(state), node.clone());
    tokio::spawn(async move {
        // As many as looks: what does not fit is told again a second later.
        let Ok(_permit) = state.health.looks.try_acquire() else { return };
        let path = format!("{url}/internal/v1/nodes/{node}:report?forwarded=true");
        if let Some(Err(error)) = post(&state, by, &path, &report).await {
            missed(&state, &control, &error);
        }
    });
}

fn missed(state: &State, control: &ControlId, error: &reqwest::Error) {
    tracing::debug!(%control, error = %kit::telemetry::chain(error), "another control-api does not answer");
    state.health.controls.missed(control);
}

/// `None` while the cluster's secrets are not known.
async fn post(
    state: &State,
    by: Option<EdgeId>,
    path: &str,
    body: &impl serde::Serialize,
) -> Option<Result<reqwest::Response, reqwest::Error>> {
    let secrets = state.secrets().ok()?;
    let bearer = bearer(&secrets.keyring.current, &by?, clock::unix());
    Some(state.srs.http().post(path).bearer_auth(bearer).timeout(ASK_MAX).json(body).send().await)
}

impl super::Fitness {
    fn begin_ask(&self, node: &NodeId) -> Option<proto::ServiceId> {
        let mut nodes = self.lock();
        let entry = nodes.get_mut(node).filter(|entry| !entry.busy.ask)?;
        let service = entry.health.service().cloned()?;
        entry.busy.ask = true;
        Some(service)
    }
}
