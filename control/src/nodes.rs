//! What this process knows of the media nodes: who is enrolled, and its own copy of `ks:nodes`, so that decisions wait for no store.

use crate::domain::{
    enrolment::Enrolment,
    nodes::{self, NodeState},
};
use proto::{NodeId, fleet::NodeInfo};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use tokio::sync::{Mutex, MutexGuard, Notify};

/// All enrolments, by id.
pub type Enrolments = BTreeMap<NodeId, Arc<Enrolment>>;

/// The nodes. [`crate::jobs::enrolments`] keeps the enrolments as Postgres has them; while it is away the last ones count.
#[derive(Debug)]
pub struct Nodes {
    enrolled: RwLock<Arc<Enrolments>>,
    heard: RwLock<BTreeMap<NodeId, NodeInfo>>,
    /// Held while the enrolments are read, so that an older answer never comes after a newer one; true once `NODES_BOOTSTRAP` is in Postgres.
    reading: Mutex<bool>,
    changed: Notify,
}

/// What a heartbeat was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The first one this process hears of the node.
    First,
    /// The same run as before.
    Same,
    /// The node was restarted since.
    Restarted,
    /// It is of a run that is over; it was answered late.
    Stale,
}

impl Nodes {
    /// Starts with what is enrolled; none was heard.
    pub fn new(enrolled: impl IntoIterator<Item = Enrolment>) -> Self {
        Self {
            enrolled: RwLock::new(Arc::new(by_id(enrolled))),
            heard: RwLock::default(),
            reading: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Everybody that is enrolled.
    #[must_use]
    pub fn enrolments(&self) -> Arc<Enrolments> {
        Arc::clone(&self.enrolled.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the operator said of a node; `None` when it is not enrolled.
    #[must_use]
    pub fn enrolment(&self, node: &NodeId) -> Option<Arc<Enrolment>> {
        self.enrolments().get(node).cloned()
    }

    /// Takes in who is enrolled; what was heard of others is forgotten.
    pub fn enrol(&self, enrolled: impl IntoIterator<Item = Enrolment>) {
        let enrolled = Arc::new(by_id(enrolled));
        self.write().retain(|node, _| enrolled.contains_key(node));
        *self.enrolled.write().unwrap_or_else(PoisonError::into_inner) = enrolled;
    }

    /// The right to read the enrolments; the value is true once `NODES_BOOTSTRAP` is in Postgres.
    pub async fn reading(&self) -> MutexGuard<'_, bool> {
        self.reading.lock().await
    }

    /// The enrolments may have changed elsewhere: they are read soon.
    pub fn told(&self) {
        self.changed.notify_one();
    }

    /// Waits for [`Self::told`].
    pub async fn wait(&self) {
        self.changed.notified().await;
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<NodeId, NodeInfo>> {
        self.heard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<NodeId, NodeInfo>> {
        self.heard.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a heartbeat said.
    pub fn hear(&self, mut info: NodeInfo) -> Beat {
        let mut heard = self.write();
        if let Some(known) = heard.get(&info.id) {
            info.bandwidth_kbps = nodes::bandwidth_kbps(known, &info);
        }
        let beat = match heard.get(&info.id) {
            None => Beat::First,
            Some(known) if known.service == info.service => Beat::Same,
            Some(known) if nodes::is_later_run(known, &info) => Beat::Restarted,
            Some(_) => return Beat::Stale,
        };
        heard.insert(info.id.clone(), info);
        beat
    }

    /// Takes in what other control nodes heard. Gives back the nodes that were restarted.
    pub fn merge(&self, infos: Vec<NodeInfo>) -> Vec<NodeInfo> {
        let enrolled = self.enrolments();
        let mut heard = self.write();
        let mut restarted = Vec::new();
        for info in infos.into_iter().filter(|info| enrolled.contains_key(&info.id)) {
            match heard.get(&info.id) {
                Some(known) if known.seen_at_ms >= info.seen_at_ms => continue,
                Some(known) if known.service != info.service => restarted.push(info.clone()),
                Some(_) | None => {}
            }
            heard.insert(info.id.clone(), info);
        }
        restarted
    }

    /// What a node said last.
    #[must_use]
    pub fn info(&self, node: &NodeId) -> Option<NodeInfo> {
        self.read().get(node).cloned()
    }

    /// What a node is; `None` when it is not enrolled.
    #[must_use]
    pub fn state(&self, node: &NodeId, now_ms: u64) -> Option<NodeState> {
        self.enrolments().contains_key(node).then(|| nodes::state(self.read().get(node), now_ms))
    }

    /// Where a node's API is: where the operator said, else where its heartbeat tells.
    #[must_use]
    pub fn api(&self, node: &NodeId) -> Option<String> {
        if let Some(at) = self.enrolment(node).as_ref().and_then(|enrolment| enrolment.at.as_ref()) {
            return Some(format!("http://{}", at.api));
        }
        self.read().get(node).and_then(nodes::api_url)
    }

    /// Every enrolled node with what it said last.
    #[must_use]
    pub fn all(&self) -> Vec<(NodeId, Option<NodeInfo>)> {
        let heard = self.read();
        self.enrolments().keys().map(|node| (node.clone(), heard.get(node).cloned())).collect()
    }
}

fn by_id(enrolled: impl IntoIterator<Item = Enrolment>) -> Enrolments {
    enrolled.into_iter().map(|node| (node.id.clone(), Arc::new(node))).collect()
}
