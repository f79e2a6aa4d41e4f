//! Actor, door and registry together, with a Redis made of a map.

use super::*;
use crate::{control::Control, metrics::Metrics, nodes::Nodes, replica::Replica, srs::SrsClient};
use futures_util::{FutureExt as _, future::BoxFuture};
use kit::kv::{Cmd, Kv, KvError, KvStore, News, Reply};
use proto::{
    EdgeId, NodeId, ServiceId, SessionId, StreamId,
    event::Event,
    fleet::Placement,
    keys,
    session::{EndReason, Protocol, Role},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::broadcast;

/// Answers `GET` out of a map, after as long as it takes to open its gate.
#[derive(Debug)]
struct MapStore {
    values: Mutex<HashMap<String, String>>,
    gets: Arc<AtomicUsize>,
    gate: Arc<tokio::sync::Semaphore>,
}

impl KvStore for MapStore {
    fn run(&self, commands: Vec<Cmd>) -> BoxFuture<'_, Result<Vec<Reply>, KvError>> {
        async move {
            drop(self.gate.acquire().await.unwrap());
            self.gets.fetch_add(1, Ordering::SeqCst);
            let values = self.values.lock().unwrap();
            let get = |cmd: Cmd| values.get(std::str::from_utf8(&cmd.args[0]).unwrap()).cloned();
            Ok(commands.into_iter().map(|cmd| get(cmd).map_or(Reply::Nil, |text| Reply::Text(text.into()))).collect())
        }
        .boxed()
    }

    fn subscribe(&self, _: Vec<String>) -> BoxFuture<'_, Result<(), KvError>> {
        async { Ok(()) }.boxed()
    }

    fn news(&self) -> broadcast::Receiver<News> {
        broadcast::channel(1).1
    }

    fn connected(&self) -> bool {
        true
    }
}

struct World {
    streams: Arc<Registry>,
    replica: Replica,
    gets: Arc<AtomicUsize>,
    gate: Arc<tokio::sync::Semaphore>,
    metrics: Metrics,
}

fn placement(epoch: u64) -> Placement {
    Placement {
        stream: cam(),
        node: NodeId::parse("n1").unwrap(),
        service: ServiceId::parse("run1").unwrap(),
        epoch,
        session: session(99),
        protocol: Protocol::Webrtc,
        since_ms: 0,
    }
}

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn viewer(n: u8) -> core::NewSession {
    core::NewSession { id: session(n), role: Role::Play, at: Arc::new(placement(1)), pass: None }
}

fn world(live: bool) -> World {
    let gets = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(tokio::sync::Semaphore::new(1));
    let mut values = HashMap::new();
    if live {
        values.insert(keys::placement(&cam()), serde_json::to_string(&placement(1)).unwrap());
    }
    let kv = Kv::new(MapStore { values: Mutex::new(values), gets: gets.clone(), gate: gate.clone() });
    let metrics = Metrics::new().unwrap();
    let replica = Replica::new(None);
    let control = Control::new(&[], replica.clone(), EdgeId::parse("e").unwrap(), metrics.clone()).unwrap();
    let (nodes, _) = Nodes::new(&[], None);
    let srs = SrsClient::new(metrics.clone()).unwrap();
    let lookup = Lookup { kv, replica: replica.clone(), control, nodes, srs };
    let streams = Arc::new(Registry::new(2, lookup, metrics.clone()));
    streams.healthy(true);
    World { streams, replica, gets, gate, metrics }
}

/// Waits for a condition that another thread brings about.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[actix_web::test]
async fn a_hundred_viewers_at_once_cost_one_look_up() {
    let world = world(true);
    let stream = world.streams.get_or_start(&cam()).unwrap();
    let held = world.gate.clone().acquire_owned().await.unwrap();
    let ask = |_| {
        let stream = stream.clone();
        async move { stream.place().await }
    };
    let asks = actix_web::rt::spawn(futures_util::future::join_all((0..100).map(ask)));
    until("the look-up is under way", || world.gate.available_permits() == 0).await;
    drop(held);
    for answer in asks.await.unwrap() {
        assert_eq!(answer, Ok(Some(Seen::Live(Arc::new(placement(1))))));
    }
    assert_eq!(world.gets.load(Ordering::SeqCst), 1);
    assert_eq!(stream.peek(), Some(Seen::Live(Arc::new(placement(1)))), "and the next ones cost no message");
}

#[actix_web::test]
async fn news_reaches_readers_and_ends_a_stream() {
    let world = world(false);
    let stream = world.streams.get_or_start(&cam()).unwrap();
    world.streams.event(&Event::StreamLive { placement: placement(3), owner: None });
    until("readers see it", || stream.peek() == Some(Seen::Live(Arc::new(placement(3))))).await;
    let ended = Event::StreamEnded { stream: cam(), epoch: 3, owner: None, reason: EndReason::ClientLeft };
    world.streams.event(&ended);
    until("readers see its end", || stream.peek() == Some(Seen::Absent)).await;
}

#[actix_web::test]
async fn a_turn_is_given_back_when_dropped_also_by_a_caller_that_goes_away() {
    let world = world(false);
    let stream = world.streams.get_or_start(&cam()).unwrap();
    let turn = stream.publish_turn(session(1)).await.unwrap().unwrap();
    assert!(stream.publish_turn(session(2)).await.unwrap().is_none(), "one at a time");
    drop(turn);
    // Asks, and goes away before it hears the answer.
    assert!(stream.publish_turn(session(3)).now_or_never().is_none());
    assert!(stream.publish_turn(session(4)).await.unwrap().is_some());
}

#[actix_web::test]
async fn sessions_are_held_until_their_end_is_told() {
    let world = world(false);
    let stream = world.streams.get_or_start(&cam()).unwrap();
    stream.opened(viewer(1)).await;
    assert_eq!(stream.confirmed(session(1)).await, Ok(true));
    assert_eq!((world.metrics.sessions(), stream.confirmed(session(2)).await), (1, Ok(false)));
    let closed = Event::SessionClosed { id: session(1), stream: cam(), owner: None, reason: EndReason::Kicked };
    world.streams.event(&closed);
    assert_eq!(stream.confirmed(session(1)).await, Ok(false));
    assert_eq!(world.metrics.sessions(), 0);
}

#[actix_web::test]
async fn sessions_of_a_lost_node_have_ended_for_everybody_here() {
    let world = world(false);
    let stream = world.streams.get_or_start(&cam()).unwrap();
    stream.opened(viewer(1)).await;
    assert_eq!(stream.confirmed(session(1)).await, Ok(true));
    world.streams.node_changed(&placement(1).node, None);
    until("its URL is 404", || world.replica.closed(&session(1))).await;
    assert_eq!((stream.confirmed(session(1)).await, world.metrics.sessions()), (Ok(false), 0));
}

#[actix_web::test]
async fn a_full_door_refuses_and_voids_what_readers_see() {
    let (stream, shared, door) = StreamHandle::new(cam());
    shared.show(Some(Arc::new(placement(1))), Duration::from_secs(60));
    assert!(stream.peek().is_some());
    for _ in 0..handle::DOOR {
        stream.clone().tell(core::Input::Timeout);
    }
    assert!(stream.peek().is_some(), "the bound is that of the door, over all clones");
    stream.tell(core::Input::Ended { epoch: 1, viewers_too: false });
    assert_eq!(stream.peek(), None, "lost news must not leave readers with the old");
    assert_eq!(stream.place().await, Err(StreamError::Busy));
    drop(door);
    assert!(stream.ended());
    assert_eq!(stream.place().await, Err(StreamError::Gone));
}

#[actix_web::test]
async fn an_ended_actor_is_replaced() {
    let world = world(true);
    let first = world.streams.get_or_start(&cam()).unwrap();
    assert!(first.place().await.is_ok());
    world.streams.stop();
    until("the actor is gone with its arbiter", || first.ended()).await;
    assert!(world.streams.get(&cam()).is_none());
}
