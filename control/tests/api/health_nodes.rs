//! The health of media nodes: who finds out that one is gone, how fast, and what ends with it.
#![expect(clippy::print_stdout, reason = "the times that were measured")]

use super::{
    helpers::{Control, until},
    media::{Node, Scene},
};
use kit::{clock, kv::Cmd};
use proto::{
    keys,
    node::{Membership, NodeState},
};
use serde_json::json;
use std::time::{Duration, Instant};

/// The bound of the design is 3 s; machines that run all tests at once get more.
const SOON: Duration = Duration::from_secs(8);

/// Waits until each of them knows that the others are there.
async fn know_each_other(controls: &[&Control]) {
    let now_ms = clock::unix_ms;
    for control in controls {
        let node = proto::NodeId::parse("n1").unwrap();
        until("all are known", async || {
            (control.state.health.controls.order(&node, now_ms()).len() == controls.len()).then_some(())
        })
        .await;
    }
}

#[actix_web::test]
async fn a_killed_node_is_down_and_its_claims_are_free_soon() {
    let scene = Scene::start("public").await;
    let other = scene.test.another(&[]).await;
    let control = scene.control();
    let two = Node::second(control).await;
    know_each_other(&[control, &other]).await;
    scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    scene.node.beat(control).await;
    let began = Instant::now();
    scene.node.die().await;
    scene.node.is(&other, NodeState::Down).await;
    let down = began.elapsed();
    until("its stream is free", async || scene.placement().await.is_none().then_some(())).await;
    let reserved = until("a publisher is placed elsewhere", async || {
        let answer = scene.edge.reserve(control, &scene.stream, &two, &scene.key).await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    let placed = began.elapsed();
    println!("down after {down:?}, placed elsewhere after {placed:?}");
    assert_eq!(reserved["node"], "n2");
    assert!(placed < SOON, "{placed:?}");
    let open = control.get("/v1/sessions?role=play", Some(&scene.owner)).await.is(200).body;
    assert!(open["items"].as_array().unwrap().is_empty(), "{open}");
    let line = "keystone_control_node_verdicts_total{cause=\"two_refused\",to=\"down\"}";
    assert_eq!(control.metric(line).await + other.metric(line).await, 1.0, "one of them judged");
    other.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn an_edge_is_a_witness_whichever_control_it_tells() {
    let scene = Scene::start("public").await;
    let other = scene.test.another(&[]).await;
    let control = scene.control();
    know_each_other(&[control, &other]).await;
    // The node that is not this control's to judge, so that the word has to travel.
    let two = Node::second(control).await;
    let node = if control.state.health.controls.is_ours(&two.id(), clock::unix_ms()) { &scene.node } else { &two };
    let path = format!("/internal/v1/nodes/{}:report", node.name);
    let answered = json!({ "service": node.service(), "met": "answered" });
    scene.edge.post(control, &path, &answered).await.is(204);
    scene.edge.post(control, "/internal/v1/nodes/n9:report", &answered).await.is_problem(404, "node-not-found");
    scene.edge.post(control, &path, &json!({ "met": "gone" })).await.is_problem(400, "bad-request");
    // What an edge says of a node that answers others makes it no suspect, however often it says so.
    let lost = json!({ "service": node.service(), "met": "refused" });
    for _ in 0..20 {
        scene.edge.post(control, &path, &lost).await.is(204);
    }
    node.is(control, NodeState::Up).await;
    let began = Instant::now();
    node.die().await;
    scene.edge.post(control, &path, &lost).await.is(204);
    node.is(control, NodeState::Down).await;
    println!("down after {:?}", began.elapsed());
    assert!(began.elapsed() < SOON);
    other.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_node_that_misses_probes_only_is_a_suspect_and_keeps_its_streams() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    scene.live("c1").await;
    node.deaf(true);
    node.is(control, NodeState::Suspect).await;
    // An edge misses it too; hooks still come.
    let lost = json!({ "service": node.service(), "met": "silent" });
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        scene.edge.post(control, "/internal/v1/nodes/n1:report", &lost).await.is(204);
        node.beat(control).await;
        assert_eq!(control.state.health.state(&node.id()), Some(NodeState::Suspect));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(scene.placement().await.is_some());
    node.deaf(false);
    node.is(control, NodeState::Up).await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_restarted_node_lost_everything_at_once_and_joins_again() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    scene.live("c1").await;
    let mut events = control.state.news.listen().unwrap();
    node.restart("run2");
    // No heartbeat: the probe finds it.
    until("its stream is free", async || scene.placement().await.is_none().then_some(())).await;
    // It joins by a dial-back of its own, which its first heartbeat brings about.
    node.beat(control).await.is(200);
    node.has_joined(control).await;
    let mut told = Vec::new();
    until("node_up is told", async || {
        while let Ok(control::jobs::news::Item::Heard(heard)) = events.try_recv() {
            told.push(serde_json::to_value(&heard.event).unwrap()["event"].clone());
        }
        told.contains(&json!("node_up")).then_some(())
    })
    .await;
    assert_eq!(told.first(), Some(&json!("node_down")), "{told:?}");
    scene.stop().await;
}

#[actix_web::test]
async fn a_node_that_comes_back_steals_nothing() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let two = Node::second(control).await;
    scene.live("c1").await;
    node.connect("v1", scene.stream.as_str(), false, 1);
    // A cut: the process lives on with its clients.
    node.deaf(true);
    let lost = json!({ "service": node.service(), "met": "silent" });
    until("it is given up", async || {
        scene.edge.post(control, "/internal/v1/nodes/n1:report", &lost).await.is(204);
        (control.state.health.state(&node.id()) == Some(NodeState::Down)).then_some(())
    })
    .await;
    until("its stream is free", async || scene.placement().await.is_none().then_some(())).await;
    let admitted = scene.edge.admit(control, &scene.stream, &two, &scene.key).await;
    assert_eq!(two.hook(control, &two.publish(&admitted, "c2")).await, 0);
    two.connect("c2", scene.stream.as_str(), true, 1);
    node.stubborn(true);
    node.deaf(false);
    node.has_kicked("c1").await;
    node.has_kicked("v1").await;
    let state = control.state.fleet.member(&node.id()).unwrap().state;
    assert_eq!(state, NodeState::Joining, "they are not gone yet");
    node.stubborn(false);
    node.is(control, NodeState::Up).await;
    assert_eq!(scene.placement().await.unwrap().node, two.id());
    assert!(two.kicked().is_empty());
    scene.stop().await;
}

#[actix_web::test]
async fn the_membership_survives_a_flush_and_grows() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let other = scene.test.another(&[]).await;
    know_each_other(&[control, &other]).await;
    let read = async || control.state.kv.json::<Membership>(keys::MEMBERS).await.unwrap();
    // Its prober may be the second control-api now, which dials the node back itself before it says so.
    let (before, one) = until("it is up in Redis", async || {
        let before = read().await?;
        let one = before.members.iter().find(|member| member.id == scene.node.id())?.clone();
        (one.state == NodeState::Up).then_some((before, one))
    })
    .await;
    assert_eq!(one.service.as_ref(), Some(&scene.node.service()));
    assert!(!one.at.api.is_empty() && before.members.len() == 2, "{before:?}");
    control.state.kv.one(Cmd::del(keys::MEMBERS)).await.unwrap();
    let after = until("it is written again", async || read().await.filter(|m| m.members.len() == 2)).await;
    assert!(after.version > before.version);
    assert_eq!(after.members, before.members);
    for control in [control, &other] {
        until("all know it", async || {
            let known = control.state.fleet.membership();
            (known.version >= after.version && known.members == after.members).then_some(())
        })
        .await;
    }
    other.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_control_that_starts_takes_the_states_over() {
    let scene = Scene::start("public").await;
    let admin = scene.control().admin("admin").await;
    let before = scene.control().state.fleet.membership();
    let other = scene.test.another(&[]).await;
    know_each_other(&[scene.control(), &other]).await;
    scene.node.beat(&other).await;
    for _ in 0..10 {
        let states: Vec<_> = other.state.fleet.membership().members.iter().map(|member| member.state).collect();
        assert!(!states.contains(&NodeState::Down) && !states.contains(&NodeState::Suspect), "{states:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(other.state.fleet.membership().members, before.members, "nobody had reason to change anything");
    assert_eq!(other.get("/v1/nodes/n1", Some(&admin)).await.is(200).body["state"], "up");
    other.stop().await;
    scene.stop().await;
}
