//! The replica against a real Redis.

use super::*;
use kit::{
    env::Env,
    kv::{Redis, RedisConfig},
    testing::TestRedis,
};
use proto::{
    ControlId, NodeId, ServiceId, SessionId, StreamId,
    fleet::ControlInfo,
    secret::ClusterSecret,
    session::{EndReason, Protocol},
};
use std::sync::Mutex;

#[derive(Default)]
struct Heard {
    events: Mutex<Vec<Event>>,
    healthy: Mutex<Vec<bool>>,
    members: Mutex<Vec<u64>>,
}

impl Listener for Heard {
    fn event(&self, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
    }

    fn healthy(&self, healthy: bool) {
        self.healthy.lock().unwrap().push(healthy);
    }

    fn members(&self, membership: &Membership) {
        self.members.lock().unwrap().push(membership.version);
    }
}

fn placement(stream: &str) -> Placement {
    Placement {
        stream: StreamId::parse(stream).unwrap(),
        node: NodeId::parse("n1").unwrap(),
        service: ServiceId::parse("run1").unwrap(),
        epoch: 1,
        session: SessionId::from_bytes([1; 16]),
        protocol: Protocol::Webrtc,
        since_ms: 0,
    }
}

async fn fill(kv: &Kv) {
    let secrets = PublishedSecrets {
        current: ClusterSecret::from_setting("one").encode(),
        previous: None,
        stream_key: ClusterSecret::from_setting("keys").encode(),
        token_keys: Vec::new(),
    };
    let control = ControlInfo {
        id: ControlId::parse("c1").unwrap(),
        url: "http://127.0.0.1:1".into(),
        version: String::new(),
        seen_at_ms: kit::clock::unix_ms(),
    };
    let mut commands = vec![
        Cmd::set(keys::SECRETS, json(&secrets), None),
        Cmd::hset(keys::CONTROLS, "c1", json(&control)),
        Cmd::zadd(keys::REVOKED, kit::clock::unix() + 60, TokenId::from_bytes([5; 16]).to_string()),
    ];
    for n in 0..1_200 {
        let one = placement(&format!("s{n}"));
        commands.push(Cmd::set(&keys::placement(&one.stream), json(&one), None));
    }
    kv.run(commands).await.unwrap();
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn everything_is_read_at_start_news_keeps_it_fresh_and_a_lost_redis_is_read_again() {
    let mut server = TestRedis::start();
    let mut env = Env::new([("REDIS_ADDR".to_owned(), server.addr())]);
    let kv = Redis::connect(&RedisConfig::read(&mut env)).await.unwrap();
    fill(&kv).await;
    let (replica, heard) = (Replica::new(None), Arc::new(Heard::default()));
    let mut feed = Feed::new(kv.clone(), replica.clone(), heard.clone(), Metrics::new().unwrap());
    feed.first().await;
    assert!(replica.secrets().is_some() && replica.news_healthy());
    assert_eq!(replica.controls().len(), 1);
    assert!(replica.revoked(&TokenId::from_bytes([5; 16])));
    assert_eq!(replica.placements(super::super::Placements::len), 1_200);

    let stop = CancellationToken::new();
    let running = tokio::spawn(feed.run(stop.clone()));
    let tell =
        async |event: Event| kv.one(Cmd::publish(keys::EVENTS, serde_json::to_vec(&event).unwrap())).await.unwrap();
    let (gone, jti) = (SessionId::from_bytes([9; 16]), TokenId::from_bytes([6; 16]));
    let stream = StreamId::parse("s7").unwrap();
    kv.one(Cmd::publish(keys::EVENTS, "{\"event\":\"of_the_future\"}")).await.unwrap();
    kv.one(Cmd::del(&keys::placement(&stream))).await.unwrap();
    tell(Event::TokenRevoked { jti, expires_at: u64::MAX }).await;
    tell(Event::StreamEnded { stream: stream.clone(), epoch: 1, owner: None, reason: EndReason::ClientLeft }).await;
    tell(Event::SessionClosed { id: gone, stream: stream.clone(), owner: None, reason: EndReason::Kicked }).await;
    until("the news is taken", || replica.closed(&gone)).await;
    assert!(replica.revoked(&jti) && replica.placements(|all| all.get(&stream).is_none()));
    assert_eq!(heard.events.lock().unwrap().len(), 3);

    server.kill();
    until("the loss is noticed", || !replica.news_healthy()).await;
    assert!(replica.secrets().is_some() && !replica.controls().is_empty(), "what was known stays");
    assert!(replica.placements(|all| all.get(&placement("s8").stream).is_some()));
    server.revive();
    until("the replica is read again, and is empty like its Redis", || {
        replica.news_healthy() && replica.placements(super::super::Placements::is_empty)
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(*heard.healthy.lock().unwrap(), [true, false, true]);
}
