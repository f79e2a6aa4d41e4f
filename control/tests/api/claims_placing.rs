//! Which node a reservation gets.

use super::{
    edge::{key_of, new_session},
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
