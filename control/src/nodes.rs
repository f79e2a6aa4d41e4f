//! What this process knows of the media nodes: who is enrolled, and its own copy of `ks:nodes`, so that decisions wait for no store.

mod checks;

pub use checks::Checked;

use crate::domain::{
    enrolment::Enrolment,
    nodes::{self, NodeState},
    told,
};
use checks::Checks;
use proto::{NodeId, ServiceId, fleet::NodeInfo, node::NodeAddresses, secret::sha256_hex};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use tokio::sync::{Mutex, MutexGuard, Notify};

/// All enrolments, by id.
pub type Enrolments = BTreeMap<NodeId, Arc<Enrolment>>;

/// The nodes. [`crate::jobs::enrolments`] keeps the enrolments as Postgres has them; while it is away the last ones count.
#[derive(Debug)]
pub struct Nodes {
    enrolled: RwLock<Arc<Enrolments>>,
    /// Hashes of all their secrets.
    secrets: RwLock<BTreeSet<String>>,
    heard: RwLock<BTreeMap<NodeId, NodeInfo>>,
    checks: Checks,
    /// Held while the enrolments are read, so that an older answer never comes after a newer one; true once `NODES_BOOTSTRAP` is in Postgres.
    reading: Mutex<bool>,
    changed: Notify,
}

/// A node that is to be dialled back.
#[derive(Debug)]
pub struct Due {
    /// What it said.
    pub info: NodeInfo,
    /// Where; `None` when nobody knows.
    pub at: Option<NodeAddresses>,
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
        let nodes = Self {
            enrolled: RwLock::default(),
            secrets: RwLock::default(),
            heard: RwLock::default(),
            checks: Checks::default(),
            reading: Mutex::default(),
            changed: Notify::new(),
        };
        nodes.enrol(enrolled);
        nodes
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
        self.checks.keep(|node| enrolled.contains_key(node));
        let all = enrolled.values().map(|node| &node.secrets);
        let hashes = all.flat_map(|own| own.previous.iter().map(|(hash, _)| hash).chain([&own.current]));
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = hashes.cloned().collect();
        *self.enrolled.write().unwrap_or_else(PoisonError::into_inner) = enrolled;
    }

    /// Whether any node has this secret, or had it. That tells by time nothing of a secret, because its hash is looked up.
    #[must_use]
    pub fn is_secret(&self, secret: &str) -> bool {
        let hash = sha256_hex(secret.as_bytes());
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).contains(&hash)
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
        if beat != Beat::Same {
            self.checks.due.notify_one();
        }
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

    /// What a node is by its heartbeats alone; `None` when it is not enrolled.
    #[must_use]
    pub fn state(&self, node: &NodeId, now_ms: u64) -> Option<NodeState> {
        self.enrolments().contains_key(node).then(|| nodes::state(self.read().get(node), now_ms))
    }

    /// Whether this run of a node was dialled back and all was well.
    #[must_use]
    pub fn is_checked(&self, node: &NodeId, run: &ServiceId) -> bool {
        self.checks(node).is_some_and(|checked| checked.ok && checked.service == *run)
    }

    /// Where a node is: as enrolled, else as its heartbeat told.
    #[must_use]
    pub fn addresses(&self, node: &NodeId) -> Option<NodeAddresses> {
        let enrolled = self.enrolment(node)?;
        let at = enrolled.at.clone().or_else(|| self.read().get(node).and_then(told::addresses))?;
        Some(NodeAddresses { srt_encrypted: enrolled.srt_encrypted, ..at })
    }

    /// The base URL of a node's API, if it is known.
    #[must_use]
    pub fn api(&self, node: &NodeId) -> Option<String> {
        self.addresses(node).map(|at| format!("http://{}", at.api))
    }

    /// What came of dialling a node back last; `None` when that was never done.
    #[must_use]
    pub fn checks(&self, node: &NodeId) -> Option<Checked> {
        self.checks.of(node).0
    }

    /// Why a node's last heartbeat was refused; `None` when it was not.
    #[must_use]
    pub fn why_refused(&self, node: &NodeId) -> Option<String> {
        self.checks.of(node).1
    }

    /// Takes in what came of dialling a node back; true when that is another than before.
    pub fn checked(&self, node: &NodeId, checked: Checked) -> bool {
        self.enrolments().contains_key(node) && self.checks.learn(node, checked)
    }

    /// A heartbeat was taken in (`None`) or refused; true when that is another than before.
    pub fn beat_refused(&self, node: &NodeId, why: Option<String>) -> bool {
        self.enrolments().contains_key(node) && self.checks.refuse(node, why)
    }

    /// Takes one of the heartbeats that a node may send.
    ///
    /// # Errors
    /// Milliseconds until the next is taken.
    pub fn may_beat(&self, node: &NodeId, now_ms: u64) -> Result<(), u64> {
        self.checks.beat(node, now_ms)
    }

    /// Nodes that are to be dialled back now.
    #[must_use]
    pub fn due(&self, now_ms: u64) -> Vec<Due> {
        let heard = self.all().into_iter().filter_map(|(node, info)| Some((self.addresses(&node), info?)));
        let is_due = |due: &Due| {
            let last = self.checks(&due.info.id);
            Checked::is_due(last.as_ref(), &due.info, due.at.as_ref(), now_ms)
        };
        heard.map(|(at, info)| Due { info, at }).filter(is_due).collect()
    }

    /// Waits until a node came that was not dialled back yet.
    pub async fn wait_due(&self) {
        self.checks.due.notified().await;
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
