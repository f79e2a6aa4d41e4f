//! The clients of a run, and the probes that come anew all the time.

use super::{
    client::{Client, Edges},
    tally::{At, ClientId, Event, Try, What},
};
use crate::media::Still;
use proto::ids::StreamId;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Events on their way to the log; more wait at the client.
const EVENTS_QUEUED: usize = 4_096;
/// Between two starts of clients: 40 a second, as the handshakes of more would take both CPUs.
const START_EVERY: Duration = Duration::from_millis(25);
/// Between two POSTs of a probe.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// How long a sleep is whose lateness is measured.
const STALL_LOOK: Duration = Duration::from_millis(50);
/// Longest wait of a probe for one answer.
const PROBE_WITHIN: Duration = Duration::from_secs(8);

/// A stream to publish.
#[derive(Clone)]
pub(crate) struct Keyed {
    pub(crate) stream: StreamId,
    pub(crate) key: String,
}

/// What every client needs.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) origin: String,
    pub(crate) local_ip: IpAddr,
    pub(crate) still: Still,
    pub(crate) patience: Duration,
    pub(crate) began: Instant,
    pub(crate) edges: Edges,
}

/// All clients. Dropping it ends them without a word.
pub(crate) struct Audience {
    pub(crate) scene: Scene,
    streams: Vec<StreamId>,
    publishers: usize,
    events: Arc<Mutex<Vec<Event>>>,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.tasks.abort_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Audience {
    /// Starts a publisher for each of `streams` and `viewers` viewers, shared out among them.
    pub(crate) async fn start(scene: Scene, streams: &[Keyed], viewers: usize) -> Self {
        let (tx, mut rx) = mpsc::channel(EVENTS_QUEUED);
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = events.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(event) = rx.recv().await {
                locked(&log).push(event);
            }
        });
        let cancel = CancellationToken::new();
        let publishers = streams.iter().map(|keyed| (keyed.stream.clone(), Some(keyed.key.clone())));
        let watched = (0..viewers).filter_map(|at| streams.get(at % streams.len().max(1)));
        let watched = watched.map(|keyed| (keyed.stream.clone(), None));
        let mut all = Vec::new();
        for (id, (stream, key)) in publishers.chain(watched).enumerate() {
            all.push(stream.clone());
            let client = scene.client(id, stream, key);
            tasks.spawn(client.run(scene.began, tx.clone(), cancel.clone()));
            tokio::time::sleep(START_EVERY).await;
        }
        Self { scene, streams: all, publishers: streams.len(), events, cancel, tasks }
    }

    /// Everything that happened so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        locked(&self.events).clone()
    }

    /// Clients, publishers first.
    pub(crate) fn size(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn is_publisher(&self, client: ClientId) -> bool {
        client < self.publishers
    }

    pub(crate) fn stream_of(&self, client: ClientId) -> Option<&StreamId> {
        self.streams.get(client)
    }

    /// The clients of some streams.
    pub(crate) fn of_streams(&self, streams: &BTreeSet<String>) -> BTreeSet<ClientId> {
        let theirs = self.streams.iter().enumerate().filter(|(_, stream)| streams.contains(stream.as_str()));
        theirs.map(|(id, _)| id).collect()
    }

    /// The streams that an edge carries from their publishers.
    pub(crate) fn streams_through(&self, edge: &str) -> BTreeSet<String> {
        let publishers = self.scene.edges.on(edge).into_iter().filter(|client| self.is_publisher(*client));
        publishers.filter_map(|client| Some(self.stream_of(client)?.to_string())).collect()
    }

    /// How many have media now.
    pub(crate) fn flowing(&self) -> usize {
        let mut flows: BTreeMap<ClientId, bool> = BTreeMap::new();
        for event in locked(&self.events).iter() {
            match event.what {
                What::Flowing => drop(flows.insert(event.client, true)),
                What::Lost | What::Empty => drop(flows.insert(event.client, false)),
                What::Opened | What::Refused { .. } => {}
            }
        }
        flows.values().filter(|flows| **flows).count()
    }

    /// Waits until all have media; gives how many had at the end.
    pub(crate) async fn settled(&self, within: Duration) -> usize {
        let deadline = Instant::now() + within;
        loop {
            let flowing = self.flowing();
            if flowing == self.size() || Instant::now() >= deadline {
                return flowing;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Scene {
    pub(crate) fn client(&self, id: ClientId, stream: StreamId, key: Option<String>) -> Client {
        let Self { origin, local_ip, still, patience, edges, .. } = self.clone();
        Client { id, stream, key, origin, local_ip, still, patience, edges }
    }
}

/// Measures how late this process itself is: on a machine with too much to do, clients lose media that was there.
pub(crate) struct Stall {
    longest: Arc<Mutex<Duration>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stall {
    pub(crate) fn start() -> Self {
        let longest = Arc::new(Mutex::new(Duration::ZERO));
        let log = longest.clone();
        let task = tokio::spawn(async move {
            loop {
                let asleep = Instant::now();
                tokio::time::sleep(STALL_LOOK).await;
                let late = asleep.elapsed().saturating_sub(STALL_LOOK);
                let mut longest = locked(&log);
                *longest = (*longest).max(late);
            }
        });
        Self { longest, task }
    }

    pub(crate) fn end(self) -> Duration {
        *locked(&self.longest)
    }
}

/// A client that POSTs, is answered, DELETEs, and comes again, on one stream after the other.
pub(crate) struct Probe {
    tries: Arc<Mutex<Vec<(Try, u16)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probe {
    /// `streams` with their keys are published, those without are watched.
    pub(crate) fn start(scene: &Scene, streams: Vec<(StreamId, Option<String>)>) -> Self {
        let tries = Arc::new(Mutex::new(Vec::new()));
        let (log, scene) = (tries.clone(), scene.clone());
        let task = tokio::spawn(async move {
            for (stream, key) in streams.into_iter().cycle() {
                let one = scene.client(ClientId::MAX, stream, key);
                let sent: At = scene.began.elapsed();
                let result = tokio::time::timeout(PROBE_WITHIN, one.open()).await;
                let done: At = scene.began.elapsed();
                let status = match result {
                    Ok(Ok(session)) => {
                        tokio::spawn(async move { drop(session.stop().await) });
                        201
                    }
                    Ok(Err(error)) => super::client::status(&error),
                    Err(_) => 0,
                };
                locked(&log).push((Try { sent, done, good: status == 201 }, status));
                tokio::time::sleep(PROBE_EVERY).await;
            }
        });
        Self { tries, task }
    }

    /// Ends it and gives its tries.
    pub(crate) fn end(self) -> Vec<(Try, u16)> {
        locked(&self.tries).clone()
    }
}
