//! Which node a reservation gets.

use super::{
    edge::{key_of, new_session},
    helpers::until,
    media::{Node, Scene},
};
use proto::node::{Member, Membership, NodeAddresses, NodeLimits, NodeState};
use serde_json::{Value, json};

/// Versions that no control node makes by itself.
pub(crate) const LATER: u64 = 1 << 60;

/// A node as the membership names it.
pub(crate) fn member(node: &Node, state: NodeState) -> Member {
    Member {
        id: node.id(),
        service: Some(node.service()),
        state,
        draining: false,
        weight: 1,
        zone: None,
        at: NodeAddresses::default(),
        public: Vec::new(),
        limits: NodeLimits::default(),
    }
}

/// Reserves for a new stream, proposing these nodes; the node it got, or the problem's detail.
async fn reserved(scene: &Scene, proposed: &[&Node]) -> Result<String, String> {
    let made = scene.control().stream(&scene.owner, "public").await;
    let mut body = scene.edge.reservation(&made.stream.id, new_session(), proposed[0], &key_of(&made), false);
    body["nodes"] = proposed.iter().map(|node| json!({ "node": node.name, "service": node.service() })).collect();
    let answer = scene.edge.post(scene.control(), "/internal/v1/claims", &body).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if answer.status == 200 { Ok(text(&answer.body["node"])) } else { Err(text(&answer.body["detail"])) }
}

#[actix_web::test]
async fn the_edges_order_is_taken_where_it_is_fit_and_the_own_one_where_not() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let two = Node::second(control).await;
    let held = control.state.health.hold().await;
    let learn = |n, members| control.state.fleet.learn(Membership { version: LATER + n, members });
    let (one, up) = (&scene.node, NodeState::Up);
    learn(1, vec![member(one, up), member(&two, up)]);
    assert_eq!(reserved(&scene, &[&two, one]).await.as_deref(), Ok("n2"));
    learn(2, vec![member(one, up), Member { draining: true, ..member(&two, up) }]);
    assert_eq!(reserved(&scene, &[&two, one]).await.as_deref(), Ok("n1"), "n2 drains");
    assert_eq!(reserved(&scene, &[&two]).await.as_deref(), Ok("n1"), "not proposed, and the only one");
    let full = NodeLimits { streams: Some(2), ..NodeLimits::default() };
    learn(3, vec![Member { limits: full, ..member(one, up) }, member(&two, NodeState::Down)]);
    let why = reserved(&scene, &[one, &two]).await.unwrap_err();
    assert!(why.contains("n1 is full: 2 of 2 streams") && why.contains("n2 is down"), "{why}");
    learn(4, vec![member(one, NodeState::Joining), member(&two, NodeState::Suspect)]);
    assert_eq!(reserved(&scene, &[one, &two]).await.as_deref(), Ok("n2"), "suspect, and none is up");
    let other = proto::ServiceId::parse("run9").unwrap();
    learn(5, vec![Member { service: Some(other), ..member(one, up) }, member(&two, NodeState::Down)]);
    assert_eq!(reserved(&scene, &[one]).await.as_deref(), Ok("n1"), "under the run that the cluster knows");
    drop(held);
    scene.stop().await;
}

#[actix_web::test]
async fn an_srt_caller_gets_a_node_whose_port_takes_its_kind() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let two = Node::second(control).await;
    let held = control.state.health.hold().await;
    let one = &scene.node;
    let port = |node: &Node, srt_encrypted| {
        let at = NodeAddresses { srt: Some("127.0.0.1:10080".into()), srt_encrypted, ..NodeAddresses::default() };
        Member { at, ..member(node, NodeState::Up) }
    };
    let learn = |n, members| control.state.fleet.learn(Membership { version: LATER + n, members });
    learn(1, vec![port(one, true), port(&two, false)]);
    let reserve = async |kind: &str| {
        let made = control.stream(&scene.owner, "public").await;
        let mut body = scene.edge.reservation(&made.stream.id, new_session(), one, &key_of(&made), false);
        body["nodes"] = [one, &two].map(|node| json!({ "node": node.name, "service": node.service() })).into();
        body["srt"] = kind.into();
        scene.edge.post(control, "/internal/v1/claims", &body).await
    };
    assert_eq!(reserve("encrypted").await.body["node"], "n1");
    assert_eq!(reserve("plain").await.body["node"], "n2");
    learn(2, vec![port(one, false), port(&two, false)]);
    let answer = reserve("encrypted").await;
    assert!(
        answer.body["detail"].as_str().unwrap().contains("n1 has no SRT port for this publisher"),
        "{}",
        answer.body
    );
    drop(held);
    scene.stop().await;
}

#[actix_web::test]
async fn a_node_over_its_bound_is_passed_over() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let two = Node::second(control).await;
    let mut got = Vec::new();
    for _ in 0..8 {
        got.push(reserved(&scene, &[&scene.node, &two]).await.unwrap());
    }
    // ⌈1.25 × 8 ÷ 2⌉ = 5.
    let first = got.iter().filter(|node| *node == "n1").count();
    assert_eq!((first, got.len() - first), (5, 3), "{got:?}");
    scene.stop().await;
}

#[actix_web::test]
async fn a_node_that_is_full_by_its_own_heartbeats_is_passed_over() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let (one, two, up) = (&scene.node, Node::second(control).await, NodeState::Up);
    let held = control.state.health.hold().await;
    let learn = |n, members| control.state.fleet.learn(Membership { version: LATER + n, members });
    let limits = NodeLimits { clients: Some(50), bandwidth_kbps: Some(8_000), ..NodeLimits::default() };
    learn(1, vec![Member { limits, ..member(one, up) }, member(&two, up)]);
    let path = format!("/v1/hooks/heartbeat/{}/{}", one.name, one.secret);
    let beat = async |clients: u64, bytes: u64| {
        let mut body = one.beat_body(5);
        let system = json!({ "conn_srs": clients, "srs_recv_bytes": bytes / 4, "srs_send_bytes": bytes - bytes / 4 });
        body["summaries"]["data"]["system"] = system;
        control.post(&path, None, body).await.is(200);
    };
    let nodes = [one, &two];
    beat(49, 0).await;
    assert_eq!(reserved(&scene, &nodes).await.as_deref(), Ok("n1"));
    beat(50, 0).await;
    assert_eq!(reserved(&scene, &nodes).await.as_deref(), Ok("n2"), "50 clients are all it may have");
    beat(49, 0).await;
    assert_eq!(reserved(&scene, &nodes).await.as_deref(), Ok("n1"));
    // Far more in a heartbeat than 8 Mbit/s make in the time between two of them.
    let mut bytes = 0;
    until("the heartbeats say that it sends too much", async || {
        bytes += 1 << 33;
        beat(1, bytes).await;
        control.state.nodes.info(&one.id()).filter(|info| info.bandwidth_kbps > 8_000)
    })
    .await;
    assert_eq!(reserved(&scene, &nodes).await.as_deref(), Ok("n2"));
    learn(2, vec![Member { limits, ..member(one, up) }, member(&two, NodeState::Down)]);
    let why = reserved(&scene, &nodes).await.unwrap_err();
    assert!(why.contains("n1 is full: ") && why.contains("of 8000 kbit/s") && why.contains("n2 is down"), "{why}");
    drop(held);
    scene.stop().await;
}
