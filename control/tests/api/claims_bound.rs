//! The bound of a node holds while everybody reserves at once.

use super::{
    edge::new_session,
    helpers::{Database, Test},
};
use control::{
    claiming::{self, Claimed, Reserved},
    domain::placing::Room,
    store::pg::claims::{self, Publisher, Which},
};
use futures_util::{StreamExt as _, stream};
use kit::pg::Pg;
use proto::{
    EdgeId, NodeId, ServiceId, StreamId,
    internal::{Credential, ProposedNode, ReserveRequest},
    node::{Member, Membership, NodeAddresses, NodeLimits, NodeState},
    session::{EndReason, Protocol},
};
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};

const STREAMS: usize = 200;
/// Weights of `n0`, `n1`, ...
const WEIGHTS: [u32; 4] = [1, 1, 2, 4];

fn node(number: usize) -> NodeId {
    NodeId::parse(&format!("n{number}")).unwrap()
}

fn room(number: usize, limit: Option<u32>) -> Room {
    let among = (0..WEIGHTS.len()).map(node).collect();
    Room { among, weight: WEIGHTS[number], weights: WEIGHTS.iter().sum(), limit }
}

/// Reserves on the first node that has room, from `first` on round the nodes; the node.
async fn reserve(pg: &Pg, stream: &StreamId, first: usize, limit: Option<u32>) -> Option<usize> {
    let service = ServiceId::parse("run1").unwrap();
    for step in 0..WEIGHTS.len() * 4 {
        let number = (first + step) % WEIGHTS.len();
        let publisher = Publisher {
            stream,
            session: new_session(),
            node: &node(number),
            service: &service,
            protocol: Protocol::Webrtc,
            credential: &Credential::Open,
            ip: None,
            edge: None,
        };
        if claims::reserve(pg, &publisher, None, Some(&room(number, limit))).await.unwrap().is_some() {
            return Some(number);
        }
    }
    None
}

/// Every claim in the order they were made, against the bound of that moment: the counts can be told from the order alone while nothing ends.
fn check(counts: &BTreeMap<NodeId, u32>) {
    let all: u32 = counts.values().sum();
    for (number, weight) in WEIGHTS.iter().enumerate() {
        let own = counts.get(&node(number)).copied().unwrap_or_default();
        let bound = (125 * all * weight).div_ceil(100 * WEIGHTS.iter().sum::<u32>());
        assert!(own <= bound, "n{number} has {own} of {all}, bound {bound}");
    }
}

async fn set_up() -> (Test, Vec<StreamId>) {
    let test = Test::start_with(&[("DATABASE_POOL_SIZE", "16")]).await;
    let owner = test.control.user("owner").await;
    let sql = format!(
        "INSERT INTO streams (id, owner_id, title, visibility)
         SELECT 's' || n, (SELECT id FROM users WHERE email = '{}'), 't', 'public' FROM generate_series(1, {STREAMS}) n",
        owner.email
    );
    test.database.run(&sql).await;
    let streams = (1..=STREAMS).map(|n| StreamId::parse(&format!("s{n}")).unwrap()).collect();
    (test, streams)
}

fn pool(database: &Database) -> Pg {
    Pg::new(&SecretString::from(database.url.clone()), 8).unwrap()
}

fn membership(version: u64) -> Membership {
    let member = |(number, weight): (usize, &u32)| Member {
        id: node(number),
        service: ServiceId::parse("run1").ok(),
        state: NodeState::Up,
        draining: false,
        weight: u8::try_from(*weight).unwrap(),
        zone: None,
        at: NodeAddresses::default(),
        public: Vec::new(),
        limits: NodeLimits::default(),
    };
    Membership { version, members: WEIGHTS.iter().enumerate().map(member).collect() }
}

/// What an edge would ask that wants the first node and proposes the others after it.
fn ask(stream: &StreamId) -> ReserveRequest {
    let nodes = (0..WEIGHTS.len())
        .map(|number| ProposedNode { node: node(number), service: ServiceId::parse("run1").unwrap() });
    ReserveRequest {
        stream: stream.clone(),
        session: new_session(),
        edge: EdgeId::parse("edge-1").unwrap(),
        nodes: nodes.collect(),
        protocol: Protocol::Webrtc,
        credential: Credential::Open,
        client: None,
        takeover: false,
        srt: None,
    }
}

#[actix_web::test]
async fn two_hundred_at_once_from_four_tasks_on_two_control_nodes_break_no_bound() {
    let (test, streams) = set_up().await;
    let other = test.another(&[("DATABASE_POOL_SIZE", "16")]).await;
    let controls = [&test.control, &other].map(|control| Arc::clone(&control.state));
    let far = kit::clock::unix_ms() + 3_600_000;
    let mut held = Vec::new();
    for state in &controls {
        held.push(state.health.hold().await);
        // Later than any the control node makes itself meanwhile.
        assert!(state.fleet.learn(membership(far)));
    }
    let streams = Arc::new(streams);
    let tasks = (0..4).map(|task| {
        let (state, streams) = (Arc::clone(&controls[task % 2]), Arc::clone(&streams));
        tokio::spawn(async move {
            let asks = (task..STREAMS).step_by(4).map(|n| {
                let (state, stream) = (&state, &streams[n]);
                async move { claiming::reserve(state, &ask(stream)).await.unwrap() }
            });
            // As many at once as there are connections: who waits for one for seconds is told so, which is not what is looked at here.
            stream::iter(asks).buffered(8).collect::<Vec<_>>().await
        })
    });
    let done = std::cell::Cell::new(false);
    let watch = pool(&test.database);
    let watcher = async {
        while !done.get() {
            check(&claims::streams_by_node(&watch).await.unwrap());
        }
    };
    let all = async {
        let placed = futures_util::future::join_all(tasks).await;
        done.set(true);
        placed
    };
    let (placed, ()) = tokio::join!(all, watcher);
    for reserved in placed.into_iter().flat_map(Result::unwrap) {
        assert!(matches!(reserved, Reserved::Claimed(Claimed::Granted { .. })), "{reserved:?}");
    }
    let counts = claims::streams_by_node(&watch).await.unwrap();
    check(&counts);
    assert_eq!(counts.values().sum::<u32>() as usize, STREAMS);
    other.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn loads_are_right_after_claims_came_moved_and_went_at_once() {
    let (test, streams) = set_up().await;
    let pg = pool(&test.database);
    let turns = (0..6).map(|task| {
        let (pg, streams) = (pg.clone(), streams.clone());
        tokio::spawn(async move {
            for round in 0..20_usize {
                let stream = &streams[(task * 7 + round * 3) % 24];
                reserve(&pg, stream, task, None).await;
                match round % 3 {
                    0 => claims::end(&pg, Which::Stream(stream), EndReason::Kicked).await.unwrap().len(),
                    1 => claims::end(&pg, Which::Node(&node(task % 4), None), EndReason::NodeLost).await.unwrap().len(),
                    _ => claims::expire(&pg).await.unwrap(),
                };
            }
        })
    });
    for turn in futures_util::future::join_all(turns).await {
        turn.unwrap();
    }
    let client = pg.get().await.unwrap();
    let wrong = "SELECT l.node FROM node_loads l WHERE l.streams <> (SELECT count(*) FROM claims c WHERE c.node = l.node AND c.state <> 'free')";
    assert!(client.query_typed(wrong, &[]).await.unwrap().is_empty());
    drop(client);
    test.stop().await;
}

#[actix_web::test]
async fn a_limit_holds_whatever_the_bound_allows() {
    let (test, streams) = set_up().await;
    let pg = pool(&test.database);
    for stream in streams.iter().take(WEIGHTS.len() * 2) {
        assert!(reserve(&pg, stream, 0, Some(2)).await.is_some());
    }
    assert_eq!(reserve(&pg, &streams[9], 0, Some(2)).await, None);
    assert!(claims::streams_by_node(&pg).await.unwrap().values().all(|streams| *streams == 2));
    test.stop().await;
}
