//! The table of this process, shared by hooks, readers and the task that gossips.
//!
//! One lock around the pure core, held for single changes and reads and never across an await; there is no queue in front of it that could grow.

use super::told::{self, Bound};
use crate::{
    metrics::{Metrics, gossip::GossipMetrics},
    sessions::{Known, OnNode, Opened, SessionView},
};
use ::gossip::{Core, Filter, Key, Keys, Now, Origin, Run, Size};
use futures_util::{FutureExt as _, future::BoxFuture};
use kit::{
    clock,
    kv::{Kv, KvError},
};
use proto::{
    ClientId, ControlId, EdgeId, NodeId, ServiceId, SessionId, StreamId,
    fleet::Placement,
    keys,
    secret::{ClusterSecret, Keyring},
    session::{EndReason, Protocol, Role},
};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::sync::Notify;

/// [`SessionView`] by gossip.
#[derive(Debug)]
pub struct GossipSessions {
    core: Mutex<Core>,
    kv: Kv,
    start: Instant,
    pub(super) wake: Notify,
    pub(super) metrics: GossipMetrics,
    skipped: Metrics,
    compare: AtomicBool,
}

impl GossipSessions {
    /// An empty table of a control node that begins now. It hears and says nothing until its task runs.
    #[must_use]
    pub fn new(id: &ControlId, kv: Kv, metrics: &Metrics) -> Self {
        // Nobody can seal for these; the task puts the cluster's in their place.
        let unknown = ClusterSecret::from_bytes(kit::random::bytes());
        let keys = Keys::new(&Keyring { current: unknown, previous: None });
        let me = Origin { control: id.clone(), incarnation: clock::unix_ms() };
        let now = Now { mono_ms: 0, unix_ms: clock::unix_ms() };
        let seed = u64::from_le_bytes(kit::random::bytes());
        Self {
            core: Mutex::new(Core::new(me, keys, seed, now)),
            kv,
            start: Instant::now(),
            wake: Notify::new(),
            metrics: GossipMetrics::new(metrics.book()),
            skipped: metrics.clone(),
            compare: AtomicBool::new(false),
        }
    }

    /// This moment.
    pub(super) fn now(&self) -> Now {
        let mono_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, unix_ms: clock::unix_ms() }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn kv(&self) -> &Kv {
        &self.kv
    }

    /// Changes the table and wakes the task that tells others.
    fn change<R>(&self, act: impl FnOnce(&mut Core, Now) -> R) -> R {
        let done = act(&mut self.core(), self.now());
        self.wake.notify_one();
        done
    }

    pub(super) fn skipped(&self) {
        self.skipped.redis_skipped("session");
    }

    /// Whether the table is as whole as it gets.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.core().ready()
    }

    /// The next comparison with the media nodes is this node's too, whoever else makes one.
    pub(super) fn compare_all(&self) {
        self.compare.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked for since the last call.
    pub fn take_compare_all(&self) -> bool {
        self.compare.swap(false, Ordering::Relaxed)
    }

    /// How large it is.
    #[must_use]
    pub fn size(&self) -> Size {
        self.core().size()
    }

    /// Writes the size down for a scrape.
    pub fn size_at_scrape(&self) {
        self.metrics.size(&self.size());
    }

    /// Open sessions of each role and protocol.
    #[must_use]
    pub fn open_by(&self) -> Vec<(Role, Protocol, usize)> {
        self.core().open_by().collect()
    }

    /// How many streams are live, and the viewers of the `most` that have the most.
    #[must_use]
    pub fn busiest(&self, most: usize) -> (usize, Vec<u32>) {
        self.core().busiest(most)
    }

    /// Open publishers on each node that has open sessions.
    #[must_use]
    pub fn publishers_by_node(&self) -> BTreeMap<NodeId, u32> {
        self.core().publishers_by_node()
    }

    /// A sum over the open sessions; equal tables have equal ones.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.core().digest()
    }

    /// A session in the table, open or ended of late.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<Known> {
        self.core().get(id)
    }

    async fn open_now(&self, known: Known) -> Opened {
        let bound = told::bind(&self.kv, &known).await;
        if bound == Ok(Bound::Other) {
            return Opened::OtherClient;
        }
        let opened = self.change(|core, now| core.open(now, &known));
        if bound.is_err() {
            // The table alone binds then.
            self.skipped();
        }
        match opened {
            ::gossip::Opened::OtherClient => return Opened::OtherClient,
            ::gossip::Opened::Again => return Opened::Again,
            ::gossip::Opened::Open => {}
        }
        if bound != Ok(Bound::Again) && told::opened(&self.kv, &known).await.is_err() {
            self.skipped();
        }
        Opened::Open
    }

    async fn ended(&self, known: Option<Known>) -> Option<Known> {
        let known = known?;
        if told::ended(&self.kv, std::slice::from_ref(&known)).await.is_err() {
            self.skipped();
        }
        Some(known)
    }

    async fn get_now(&self, id: SessionId) -> Option<Known> {
        if let Some(known) = self.find(id) {
            return Some(known);
        }
        // Opened a moment ago by another control node, or ended before this one began.
        self.kv.json::<Known>(&keys::session(&id)).await.ok().flatten()
    }

    async fn close_now(&self, id: SessionId, reason: EndReason) -> Option<Known> {
        if self.find(id).is_some() {
            let known = self.change(|core, now| core.close(now, id, reason));
            return self.ended(known).await;
        }
        let mut known = self.get_now(id).await.filter(|known| known.session.closed_at.is_none())?;
        let key = Key::of(&known.session);
        let closed = self.change(|core, now| core.close_client(now, &key, reason));
        known.session.closed_at = Some(time::OffsetDateTime::UNIX_EPOCH + clock::since_epoch());
        known.session.reason = Some(reason);
        self.ended(closed.or(Some(known))).await
    }
}

impl SessionView for GossipSessions {
    fn list(
        &self,
        filter: crate::domain::sessions::Filter,
        after: Option<SessionId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Known>, KvError>> {
        let filter = Filter { streams: filter.streams, role: filter.role, node: None };
        async move { Ok(self.core().list(&filter, after, limit)) }.boxed()
    }

    fn get(&self, id: SessionId) -> BoxFuture<'_, Result<Option<Known>, KvError>> {
        async move { Ok(self.get_now(id).await) }.boxed()
    }

    fn viewers(&self, of: Vec<Placement>) -> BoxFuture<'_, Result<Vec<u64>, KvError>> {
        let core = self.core();
        let counts = of.iter().map(|placement| core.viewers(&placement.stream)).collect();
        async move { Ok(counts) }.boxed()
    }

    fn viewers_of(&self, streams: &[&StreamId]) -> Vec<u64> {
        let core = self.core();
        streams.iter().map(|stream| core.viewers(stream)).collect()
    }

    fn on_nodes(&self, nodes: Vec<NodeId>) -> BoxFuture<'_, Result<Vec<u64>, KvError>> {
        let core = self.core();
        let counts = nodes.iter().map(|node| core.on_node(node)).collect();
        async move { Ok(counts) }.boxed()
    }

    fn open(&self, known: Known) -> BoxFuture<'_, Result<Opened, KvError>> {
        async move { Ok(self.open_now(known).await) }.boxed()
    }

    fn confirm(&self, id: SessionId) {
        self.change(|core, now| core.confirm(now, id));
    }

    fn close(&self, id: SessionId, reason: EndReason) -> BoxFuture<'_, Result<Option<Known>, KvError>> {
        async move { Ok(self.close_now(id, reason).await) }.boxed()
    }

    fn close_client(
        &self,
        node: NodeId,
        service: ServiceId,
        client: ClientId,
        reason: EndReason,
    ) -> BoxFuture<'_, Result<Option<Known>, KvError>> {
        let key = Key::new(node, service, client);
        async move {
            let known = self.change(|core, now| core.close_client(now, &key, reason));
            Ok(self.ended(known).await)
        }
        .boxed()
    }

    fn lose(&self, node: &NodeId, spare: Option<&ServiceId>) -> usize {
        self.change(|core, now| core.lost_other_runs(now, node, spare))
    }

    fn lose_run(&self, node: &NodeId, service: &ServiceId) -> usize {
        let run = Run::Node { node: node.clone(), service: service.clone() };
        self.change(|core, now| core.lost(now, &run))
    }

    fn lose_edge(&self, edge: &EdgeId) -> usize {
        self.change(|core, now| core.lost(now, &Run::Edge(edge.clone())))
    }

    fn edges(&self) -> Vec<EdgeId> {
        self.core().edges()
    }

    fn of_node(&self, node: NodeId) -> BoxFuture<'_, Result<Vec<OnNode>, KvError>> {
        let found = self.core().of_node(&node);
        async move { Ok(found) }.boxed()
    }
}
