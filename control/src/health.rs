//! Keeps the health of every media node: who probes it, what was met, what follows. The rules are [`crate::domain::health`].
//!
//! [`run`] is the one task; everything else only tells it something: hooks, heartbeats, reports of edges, news.

pub mod controls;
pub mod drain;
pub mod lost;
pub mod members;
pub mod run;
pub mod witness;

use crate::{
    domain::health::{Health, Input, Output},
    metrics::nodes::NodeMetrics,
};
use controls::Controls;
use proto::{
    NodeId, ServiceId,
    node::{Met, NodeState},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Work on a node that goes on; one of each kind at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Busy {
    probe: bool,
    ask: bool,
    clear: bool,
    lost: bool,
    drain: bool,
}

/// One node.
#[derive(Debug, Default)]
struct Entry {
    health: Health,
    /// This process probes it.
    ours: bool,
    /// When it is probed next, unix milliseconds.
    due_ms: u64,
    busy: Busy,
    /// The last answer of any kind, for the time a verdict took.
    alive_ms: u64,
    /// When this process last heard it by a hook, and which of that the other control nodes know.
    hooked_ms: u64,
    shared_ms: u64,
    /// When a batch of what is on it was last ended by a drain.
    drained_ms: u64,
    /// When what it carried was last ended.
    ended_ms: u64,
}

/// The nodes' health, as this process sees it.
#[derive(Debug)]
pub struct Fitness {
    nodes: Mutex<BTreeMap<NodeId, Entry>>,
    /// Who else could probe.
    pub controls: Controls,
    /// Something changed: the membership is to be told, or a node looked at.
    wake: Notify,
    dirty: std::sync::atomic::AtomicBool,
    writing: tokio::sync::Mutex<()>,
    /// Looks for others that go on at once.
    looks: tokio::sync::Semaphore,
    /// What is counted.
    pub metrics: NodeMetrics,
}

/// Looks for other control nodes at once.
const LOOKS_MAX: usize = 32;

impl Fitness {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(controls: Controls, metrics: NodeMetrics) -> Self {
        Self {
            nodes: Mutex::default(),
            controls,
            wake: Notify::new(),
            dirty: std::sync::atomic::AtomicBool::new(true),
            writing: tokio::sync::Mutex::default(),
            looks: tokio::sync::Semaphore::new(LOOKS_MAX),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Entry>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a node is as this process judges it or was told; `None` when it is not enrolled.
    #[must_use]
    pub fn state(&self, node: &NodeId) -> Option<NodeState> {
        self.lock().get(node).map(|entry| entry.health.state())
    }

    /// A node's present run, as it was heard or probed last.
    #[must_use]
    pub fn run_of(&self, node: &NodeId) -> Option<ServiceId> {
        self.lock().get(node).and_then(|entry| entry.health.service().cloned())
    }

    /// A hook of a node: a sign of life. Costs no round trip; other control nodes hear of it within a second.
    pub fn hook(&self, node: &NodeId, service: &ServiceId, now_ms: u64) {
        let mut nodes = self.lock();
        let Some(entry) = nodes.get_mut(node) else { return };
        if entry.health.service() != Some(service) {
            return;
        }
        (entry.hooked_ms, entry.alive_ms) = (now_ms, now_ms);
        let outputs = entry.health.step(Input::Hook(service.clone()), now_ms);
        if outputs.contains(&Output::Look) {
            entry.due_ms = now_ms;
            self.wake.notify_one();
        }
    }

    /// Holds the membership as it is while the guard lives, against whatever is judged meanwhile.
    pub async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    /// The membership may be another one: read and tell it soon.
    pub fn stir(&self) {
        self.dirty.store(true, std::sync::atomic::Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Feeds one node's machine; what is to be done comes back.
    fn step(&self, node: &NodeId, input: Input, now_ms: u64) -> Vec<Output> {
        let mut nodes = self.lock();
        let Some(entry) = nodes.get_mut(node) else { return Vec::new() };
        let before = entry.alive_ms;
        let alive = match &input {
            Input::Beat(_) | Input::Heard(_) | Input::Word(_, _, Met::Answered) => true,
            Input::Hook(_)
            | Input::Word(..)
            | Input::Checked(_)
            | Input::Stale(_)
            | Input::Told(..)
            | Input::Deaf
            | Input::Tick => false,
        };
        if alive {
            entry.alive_ms = now_ms;
        }
        let outputs = entry.health.step(input, now_ms);
        for output in &outputs {
            match output {
                Output::Changed { to, cause, .. } => {
                    self.metrics.verdict(*to, *cause);
                    if *to == NodeState::Down && before > 0 {
                        self.metrics.detected(now_ms.saturating_sub(before));
                    }
                }
                Output::Look => {
                    entry.due_ms = now_ms;
                    self.wake.notify_one();
                }
                Output::Run(_) | Output::Ask | Output::Clear => {}
            }
        }
        outputs
    }
}

impl Fitness {
    /// Hooks that the other control nodes do not know of yet.
    pub fn unshared(&self, now_ms: u64) -> Vec<(NodeId, ServiceId, u64)> {
        let mut nodes = self.lock();
        let mut out = Vec::new();
        for (node, entry) in nodes.iter_mut().filter(|(_, entry)| !entry.ours && entry.hooked_ms > entry.shared_ms) {
            if let Some(service) = entry.health.service() {
                out.push((node.clone(), service.clone(), entry.hooked_ms));
            }
            entry.shared_ms = now_ms.max(entry.hooked_ms);
        }
        out
    }

    /// Another control node heard a hook at `at_ms` by its own clock.
    pub fn signed(&self, node: &NodeId, service: &ServiceId, at_ms: u64, now_ms: u64) {
        let mut nodes = self.lock();
        let Some(entry) = nodes.get_mut(node).filter(|entry| entry.ours && at_ms > entry.shared_ms) else { return };
        // Clocks differ: that its time grew counts, and the first one read tells at most its own time.
        let heard_ms = if entry.shared_ms == 0 { at_ms.min(now_ms) } else { now_ms };
        entry.shared_ms = at_ms;
        entry.health.step(Input::Hook(service.clone()), heard_ms);
    }
}
