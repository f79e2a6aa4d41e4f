//! The HLS sessions that this edge serves: its own, which it opened and tells of, and those that another edge opened.
//!
//! There is nothing that ends with a viewer of HLS, so its session is over when nothing was asked for under its value for a while.

use crate::leases::Kept;
use proto::{
    SessionId, StreamId,
    internal::{EdgeSession, EndedSession, SESSIONS_BATCH_MAX},
    session::EndReason,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Sessions held at most, about 1 KiB each.
pub(crate) const VIEWERS_MAX: usize = 100_000;
/// Ends that wait to be told at most; the oldest are dropped, and found by control-api when the edge's list does not name them.
const ENDS_MAX: usize = 100_000;
/// A session is over after so many of its stream's segments, within these bounds.
const SILENT_SEGMENTS: u64 = 3;
const SILENT_MS: (u64, u64) = (10_000, 60_000);
/// How often another edge's session is told to be served here, in milliseconds.
const SEEN_EVERY_MS: u64 = 3_000;

/// What control-api is told of a session.
#[derive(Debug, Clone)]
pub(crate) struct Record(pub(crate) EdgeSession);

/// One session.
#[derive(Debug)]
pub(crate) struct Viewer {
    pub(crate) record: Record,
    /// Its bytes at this edge, and its end.
    pub(crate) kept: Arc<Kept>,
    /// This edge opened it.
    mine: AtomicBool,
    /// control-api has it.
    told: AtomicBool,
    pub(super) seen_ms: AtomicU64,
    pub(super) checked_ms: AtomicU64,
    shown_ms: AtomicU64,
    silent_ms: AtomicU64,
}

impl Viewer {
    /// It asked for a playlist whose segments are as long.
    pub(super) fn seen(&self, now_ms: u64, target: Duration) {
        self.seen_ms.store(now_ms, Ordering::Relaxed);
        let silent = u64::try_from(target.as_millis()).unwrap_or(u64::MAX).saturating_mul(SILENT_SEGMENTS);
        self.silent_ms.store(silent.clamp(SILENT_MS.0, SILENT_MS.1), Ordering::Relaxed);
    }

    /// Whether this edge tells of it.
    pub(crate) fn is_mine(&self) -> bool {
        self.mine.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct State {
    all: HashMap<SessionId, Arc<Viewer>>,
    /// Who watches a stream from an address: segments of public streams do not say for whom they are.
    by_address: HashMap<(StreamId, IpAddr), VecDeque<Arc<Viewer>>>,
    to_open: VecDeque<SessionId>,
    to_close: VecDeque<EndedSession>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Viewers {
    state: Mutex<State>,
    start: Instant,
}

impl Default for Viewers {
    fn default() -> Self {
        Self { state: Mutex::default(), start: Instant::now() }
    }
}

/// What is to be told of sessions next.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) opened: Vec<EdgeSession>,
    pub(crate) closed: Vec<EndedSession>,
}

impl Viewers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the edge began.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.state().all.len()
    }

    /// One by its session.
    pub(crate) fn get(&self, session: &SessionId) -> Option<Arc<Viewer>> {
        self.state().all.get(session).cloned()
    }

    /// Holds a session; `None` when there are too many.
    pub(crate) fn hold(&self, record: Record, mine: bool, kept: Arc<Kept>) -> Option<Arc<Viewer>> {
        let now = self.now_ms();
        let mut state = self.state();
        if state.all.len() >= VIEWERS_MAX {
            return None;
        }
        let (session, address) = (record.0.id, (record.0.stream.clone(), record.0.client));
        let viewer = Arc::new(Viewer {
            record,
            kept,
            mine: AtomicBool::new(mine),
            told: AtomicBool::new(false),
            seen_ms: AtomicU64::new(now),
            checked_ms: AtomicU64::new(now),
            shown_ms: AtomicU64::new(0),
            silent_ms: AtomicU64::new(SILENT_MS.0),
        });
        state.all.insert(session, viewer.clone());
        state.by_address.entry(address).or_default().push_back(viewer.clone());
        if mine {
            state.to_open.push_back(session);
        }
        Some(viewer)
    }

    /// Lets go of a session without telling anybody.
    pub(crate) fn drop_held(&self, session: &SessionId) -> Option<Arc<Viewer>> {
        let mut state = self.state();
        let viewer = state.all.remove(session)?;
        let address = (viewer.record.0.stream.clone(), viewer.record.0.client);
        if let Some(there) = state.by_address.get_mut(&address) {
            there.retain(|other| other.record.0.id != *session);
            if there.is_empty() {
                state.by_address.remove(&address);
            }
        }
        Some(viewer)
    }

    /// Counts bytes of a segment for whoever watches the stream from there: in turn, where there are several.
    pub(crate) fn credit(&self, stream: &StreamId, client: IpAddr, bytes: u64) {
        let mut state = self.state();
        let Some(there) = state.by_address.get_mut(&(stream.clone(), client)) else { return };
        if let Some(next) = there.pop_front() {
            next.kept.traffic().sent(bytes);
            there.push_back(next);
        }
    }

    /// Sessions that were silent for too long, or were ended.
    pub(crate) fn silent(&self, now_ms: u64) -> Vec<Arc<Viewer>> {
        let over = |viewer: &Arc<Viewer>| {
            let silent = now_ms.saturating_sub(viewer.seen_ms.load(Ordering::Relaxed));
            silent >= viewer.silent_ms.load(Ordering::Relaxed) || viewer.kept.ended().is_cancelled()
        };
        self.state().all.values().filter(|viewer| over(viewer)).cloned().collect()
    }

    /// Another edge served it: it is not silent.
    pub(crate) fn seen_elsewhere(viewer: &Viewer, now_ms: u64) {
        viewer.seen_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Ends a session; its end is told if its beginning was.
    pub(crate) fn end(&self, session: &SessionId, reason: EndReason) {
        let Some(viewer) = self.drop_held(session) else { return };
        if !viewer.is_mine() || !viewer.told.load(Ordering::Relaxed) || viewer.kept.ended().is_cancelled() {
            return;
        }
        let mut state = self.state();
        if state.to_close.len() >= ENDS_MAX {
            state.to_close.pop_front();
        }
        state.to_close.push_back(EndedSession { id: *session, reason });
    }

    /// Another edge's sessions that were served here since they were last shown to be.
    pub(crate) fn to_show(&self, now_ms: u64) -> Vec<SessionId> {
        let due = |viewer: &&Arc<Viewer>| {
            let (seen, shown) = (viewer.seen_ms.load(Ordering::Relaxed), viewer.shown_ms.load(Ordering::Relaxed));
            !viewer.is_mine() && seen >= shown && now_ms.saturating_sub(shown) >= SEEN_EVERY_MS
        };
        let state = self.state();
        let shown = state.all.values().filter(due).map(|viewer| {
            viewer.shown_ms.store(now_ms, Ordering::Relaxed);
            viewer.record.0.id
        });
        shown.collect()
    }

    /// Takes what is to be told next, at most [`SESSIONS_BATCH_MAX`] of each.
    pub(crate) fn take(&self) -> Batch {
        let mut state = self.state();
        let mut batch = Batch::default();
        while batch.opened.len() < SESSIONS_BATCH_MAX
            && let Some(session) = state.to_open.pop_front()
        {
            // One that is over already was never told of.
            batch.opened.extend(state.all.get(&session).map(|viewer| viewer.record.0.clone()));
        }
        let ends = state.to_close.len().min(SESSIONS_BATCH_MAX);
        batch.closed.extend(state.to_close.drain(..ends));
        batch
    }

    /// It could not be told: next time.
    pub(crate) fn put_back(&self, batch: Batch) {
        let mut state = self.state();
        batch.opened.into_iter().rev().for_each(|session| state.to_open.push_front(session.id));
        batch.closed.into_iter().rev().for_each(|ended| state.to_close.push_front(ended));
    }

    /// control-api has taken a batch.
    pub(crate) fn told(&self, opened: &[EdgeSession], elsewhere: &HashSet<SessionId>) {
        let state = self.state();
        for viewer in opened.iter().filter_map(|session| state.all.get(&session.id)) {
            viewer.told.store(true, Ordering::Relaxed);
            if elsewhere.contains(&viewer.record.0.id) {
                viewer.mine.store(false, Ordering::Relaxed);
            }
        }
    }

    /// control-api does not know these: open them again.
    pub(crate) fn unknown(&self, sessions: &[SessionId]) {
        let mut state = self.state();
        for session in sessions {
            if state.all.get(session).is_some_and(|viewer| viewer.is_mine()) {
                state.to_open.push_back(*session);
            }
        }
    }

    /// This edge's own sessions that control-api was told of.
    pub(crate) fn mine(&self) -> Vec<SessionId> {
        let own = |viewer: &&Arc<Viewer>| viewer.is_mine() && viewer.told.load(Ordering::Relaxed);
        self.state().all.values().filter(own).map(|viewer| viewer.record.0.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::Leases;
    use proto::{
        NodeId, ServiceId,
        internal::Credential,
        session::{Protocol, Role},
    };

    fn id(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    fn hold(viewers: &Viewers, leases: &Leases, n: u8, mine: bool) -> Arc<Viewer> {
        let record = Record(EdgeSession {
            id: id(n),
            stream: StreamId::parse("cam").unwrap(),
            protocol: Protocol::Hls,
            node: NodeId::parse("n1").unwrap(),
            service: ServiceId::parse("run").unwrap(),
            epoch: 1,
            client: [192, 0, 2, 1].into(),
            credential: Credential::Open,
            opened_ms: 0,
        });
        viewers.hold(record, mine, leases.add(id(n), Role::Play, Protocol::Hls)).unwrap()
    }

    #[test]
    fn an_end_is_told_after_its_beginning_only() {
        let (viewers, leases) = (Viewers::default(), Leases::default());
        hold(&viewers, &leases, 1, true);
        hold(&viewers, &leases, 2, true);
        viewers.end(&id(2), EndReason::ClientLeft);
        let batch = viewers.take();
        assert_eq!(batch.opened.iter().map(|one| one.id).collect::<Vec<_>>(), [id(1)], "2 was over before it was told");
        assert!(batch.closed.is_empty());
        viewers.put_back(batch);
        let batch = viewers.take();
        viewers.told(&batch.opened, &HashSet::new());
        viewers.end(&id(1), EndReason::ClientLeft);
        assert_eq!(viewers.take().closed, [EndedSession { id: id(1), reason: EndReason::ClientLeft }]);
        assert_eq!(viewers.len(), 0);
    }

    #[test]
    fn silence_is_counted_in_segments() {
        let (viewers, leases) = (Viewers::default(), Leases::default());
        let viewer = hold(&viewers, &leases, 1, true);
        viewer.seen(1_000, Duration::from_secs(5));
        assert!(viewers.silent(15_999).is_empty());
        assert_eq!(viewers.silent(16_000).len(), 1);
        viewer.seen(1_000, Duration::from_secs(1));
        assert!(viewers.silent(10_999).is_empty(), "never under 10 s");
        leases.end(&id(1));
        assert_eq!(viewers.silent(1_000).len(), 1, "ended by news");
    }

    #[test]
    fn bytes_of_segments_without_a_name_go_round_at_an_address() {
        let (viewers, leases) = (Viewers::default(), Leases::default());
        let (a, b) = (hold(&viewers, &leases, 1, true), hold(&viewers, &leases, 2, false));
        let cam = StreamId::parse("cam").unwrap();
        (0..4).for_each(|_| viewers.credit(&cam, [192, 0, 2, 1].into(), 10));
        viewers.credit(&cam, [192, 0, 2, 9].into(), 10);
        assert_eq!((a.kept.traffic().sent_bytes(), b.kept.traffic().sent_bytes()), (20, 20));
    }

    #[test]
    fn another_edges_session_is_shown_to_be_served_now_and_then() {
        let (viewers, leases) = (Viewers::default(), Leases::default());
        let (_, other) = (hold(&viewers, &leases, 1, true), hold(&viewers, &leases, 2, false));
        assert_eq!(viewers.to_show(3_000), [id(2)]);
        other.seen(3_500, Duration::from_secs(2));
        assert!(viewers.to_show(4_000).is_empty());
        assert_eq!(viewers.to_show(6_100), [id(2)]);
        assert!(viewers.to_show(9_900).is_empty(), "it was not served since");
    }

    #[test]
    fn what_control_api_does_not_know_is_told_again_and_what_another_edge_has_is_not() {
        let (viewers, leases) = (Viewers::default(), Leases::default());
        hold(&viewers, &leases, 1, true);
        hold(&viewers, &leases, 2, true);
        let batch = viewers.take();
        viewers.told(&batch.opened, &HashSet::from([id(2)]));
        assert_eq!(viewers.mine(), [id(1)]);
        viewers.unknown(&[id(1), id(2), id(3)]);
        assert_eq!(viewers.take().opened.iter().map(|one| one.id).collect::<Vec<_>>(), [id(1)]);
    }
}
