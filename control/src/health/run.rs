//! The task that probes, and what follows from what was met.

use super::{drain, lost, members, witness};
use crate::{
    app::State,
    domain::health::{Cause, Input, Output, Witness},
    hooks::heartbeat,
    store::cache::event,
};
use kit::clock;
use proto::{
    NodeId, ServiceId,
    event::Event,
    node::{Met, NodeState},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often time is told to the machines.
const TICK: Duration = Duration::from_millis(100);
/// Between two probes of a node in quiet, in milliseconds: no more than one a second in all.
const PROBE_EVERY_MS: u64 = 1_000;
/// Between two probes of a node that somebody misses, or that is to join.
const PROBE_UNEASY_MS: u64 = 250;
/// Without Redis nobody is judged before this age of the process, in milliseconds: it may hold what the others judged.
const WAIT_FOR_REDIS_MS: u64 = 2_000;
/// How often what a node that is down carried is ended again: something may have come late.
const END_AGAIN_MS: u64 = 5_000;

/// Runs until `stop`.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let began_ms = clock::unix_ms();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = state.health.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
        turn(&state, began_ms);
    }
}

fn turn(state: &Arc<State>, began_ms: u64) {
    let now_ms = clock::unix_ms();
    let informed = state.health.controls.is_informed(now_ms);
    let judges = informed || now_ms.saturating_sub(began_ms) >= WAIT_FOR_REDIS_MS;
    let enrolled: Vec<NodeId> = state.nodes.enrolments().keys().cloned().collect();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    if state.health.retain(&enrolled) {
        state.health.stir();
    }
    for node in &enrolled {
        let ours = judges && state.health.controls.is_ours(node, now_ms);
        if state.health.is_new_to(node, ours)
            && let Some(member) = state.fleet.member(node)
        {
            // Whoever judges from now on begins with what was judged before.
            state.health.step(node, Input::Told(member.state, member.service), now_ms);
        }
        if state.health.take_on(node, ours, now_ms) {
            state.health.stir();
        }
        let checked = state.health.run_of(node).is_some_and(|run| state.nodes.is_checked(node, &run));
        feed(state, node, Input::Checked(checked), now_ms);
        if !informed {
            feed(state, node, Input::Deaf, now_ms);
        }
        let stretch = if informed { 1 } else { state.health.controls.known() };
        if ours && let Some(api) = state.nodes.api(node) {
            probe_if_due(state, node, api, now_ms, stretch);
        }
        if ours {
            drain::spawn_if_due(state, node, now_ms);
        }
        if ours && state.health.is_to_end(node, now_ms) {
            lost::spawn(state, node);
        }
        if let Some(known) = state.health.state(node) {
            let count = counts.entry(known.as_str()).or_default();
            *count = count.saturating_add(1);
        }
    }
    for word in [NodeState::Joining, NodeState::Up, NodeState::Suspect, NodeState::Down].map(NodeState::as_str) {
        state.health.metrics.count(word, counts.get(word).copied().unwrap_or_default());
    }
    if state.health.dirty.swap(false, Ordering::Relaxed) {
        let state = Arc::clone(state);
        // One writes, one waits: bounded by the lock inside.
        tokio::spawn(async move { members::sync(&state).await });
    }
}

/// Tells a node's machine something and does what follows.
pub fn feed(state: &Arc<State>, node: &NodeId, input: Input, now_ms: u64) {
    if let Input::Beat(_) | Input::Heard(_) = input {
        state.health.ensure(node);
    }
    for output in state.health.step(node, input, now_ms) {
        match output {
            Output::Changed { from, to, cause } => changed(state, node, from, to, cause),
            Output::Run(service) => restarted(state, node, service, now_ms),
            Output::Ask => witness::ask(state, node, now_ms),
            Output::Clear => lost::clear(state, node),
            Output::Look => {}
        }
    }
}

fn changed(state: &Arc<State>, node: &NodeId, from: NodeState, to: NodeState, cause: Cause) {
    let (from_word, to_word, why) = (from.as_str(), to.as_str(), cause.as_str());
    if matches!(to, NodeState::Suspect | NodeState::Down) {
        tracing::warn!(%node, from = from_word, to = to_word, why, "a media node's state changed");
    } else {
        tracing::info!(%node, from = from_word, to = to_word, why, "a media node's state changed");
    }
    state.health.stir();
    if to == NodeState::Down {
        lost::spawn(state, node);
    }
    let news = match to {
        NodeState::Up if from == NodeState::Joining => Event::NodeUp { node: node.clone() },
        NodeState::Down => Event::NodeDown { node: node.clone() },
        NodeState::Joining if cause == Cause::Restarted => Event::NodeDown { node: node.clone() },
        NodeState::Up | NodeState::Joining | NodeState::Suspect => return,
    };
    let state = Arc::clone(state);
    // One task a change of state: bounded by how fast nodes change.
    tokio::spawn(async move {
        if state.kv.one(event(&news)).await.is_err() {
            state.metrics.redis_skipped("node");
        }
    });
}

/// A run that was not known here: what the others carried is over.
fn restarted(state: &Arc<State>, node: &NodeId, service: ServiceId, now_ms: u64) {
    state.health.stir();
    witness::tell_prober(state, node, now_ms);
    let (state, node) = (Arc::clone(state), node.clone());
    // One task a run of a node: bounded by how often nodes restart.
    tokio::spawn(async move {
        if let Err(error) = heartbeat::restarted(&state, &node, &service).await {
            tracing::warn!(%error, %node, "what a node's old run held cannot be freed yet; the reconciliation does it");
        }
    });
}

fn probe_if_due(state: &Arc<State>, node: &NodeId, api: String, now_ms: u64, stretch: u64) {
    if !state.health.begin_probe(node, now_ms) {
        return;
    }
    let (state, node) = (Arc::clone(state), node.clone());
    // One at a time of each node, of a second at most.
    tokio::spawn(async move {
        let began = Instant::now();
        let answer = state.srs.probe(&api, &node).await;
        let met = answer.as_ref().map_or_else(|met| *met, |_| Met::Answered);
        state.health.metrics.probed(met, began.elapsed());
        let now_ms = clock::unix_ms();
        if let Some(service) = answer.ok().or_else(|| state.health.service(&node)) {
            feed(&state, &node, Input::Word(Witness::Prober, service, met), now_ms);
        }
        state.health.end_probe(&node, now_ms, stretch);
    });
}

impl super::Fitness {
    /// Makes room for a node that is enrolled.
    fn ensure(&self, node: &NodeId) {
        let mut nodes = self.lock();
        if !nodes.contains_key(node) {
            let mut entry = super::Entry::default();
            entry.health.judge(false);
            nodes.insert(node.clone(), entry);
        }
    }

    /// Forgets nodes that are not enrolled any more; true if there were some.
    fn retain(&self, enrolled: &[NodeId]) -> bool {
        let mut nodes = self.lock();
        let before = nodes.len();
        nodes.retain(|node, _| enrolled.contains(node));
        nodes.len() != before
    }

    /// Whether this process begins to judge a node now; makes room for it.
    fn is_new_to(&self, node: &NodeId, ours: bool) -> bool {
        self.ensure(node);
        ours && self.lock().get(node).is_some_and(|entry| !entry.ours)
    }

    /// Says whether this process judges a node; true if that changed.
    fn take_on(&self, node: &NodeId, ours: bool, now_ms: u64) -> bool {
        let mut nodes = self.lock();
        let Some(entry) = nodes.get_mut(node) else { return false };
        let changed = entry.ours != ours;
        if changed {
            entry.ours = ours;
            entry.due_ms = now_ms;
            entry.health.judge(ours);
        }
        changed
    }

    /// The present run, as this process knows it.
    #[must_use]
    pub fn service(&self, node: &NodeId) -> Option<ServiceId> {
        self.lock().get(node).and_then(|entry| entry.health.service().cloned())
    }

    fn begin_probe(&self, node: &NodeId, now_ms: u64) -> bool {
        let mut nodes = self.lock();
        let Some(entry) = nodes.get_mut(node) else { return false };
        if entry.busy.probe || entry.due_ms > now_ms {
            return false;
        }
        entry.busy.probe = true;
        entry.due_ms = u64::MAX;
        true
    }

    fn end_probe(&self, node: &NodeId, now_ms: u64, stretch: u64) {
        let mut nodes = self.lock();
        let Some(entry) = nodes.get_mut(node) else { return };
        entry.busy.probe = false;
        let every = if entry.health.is_uneasy() { PROBE_UNEASY_MS } else { PROBE_EVERY_MS };
        // A look that was asked for meanwhile is this soon enough.
        let asked = if entry.due_ms == u64::MAX { every } else { every.min(PROBE_UNEASY_MS) };
        entry.due_ms = now_ms.saturating_add(asked.saturating_mul(stretch));
    }

    /// Whether what a node that is down carried is to be ended (again).
    fn is_to_end(&self, node: &NodeId, now_ms: u64) -> bool {
        let nodes = self.lock();
        nodes
            .get(node)
            .is_some_and(|entry| entry.health.is_gone(now_ms) && now_ms.saturating_sub(entry.ended_ms) >= END_AGAIN_MS)
    }
}
