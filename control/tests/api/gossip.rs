//! Two control-apis on one Redis: one session table.
use crate::{
    helpers::{Control, until},
    media::Scene,
};
use kit::kv::Cmd;
use proto::{SessionId, keys};
use serde_json::Value;

/// Ids of the open viewers as one control-api lists them.
async fn viewers(control: &Control, scene: &Scene) -> Vec<String> {
    let page = control.get("/v1/sessions?role=play", Some(&scene.owner)).await.is(200).body;
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn has_viewers(control: &Control, scene: &Scene, count: usize) -> Vec<String> {
    until("the table has so many viewers", async || {
        let found = viewers(control, scene).await;
        (found.len() == count).then_some(found)
    })
    .await
}

async fn equal(one: &Control, other: &Control) {
    until("the tables are equal", async || {
        let (a, b) = (&one.state.gossip, &other.state.gossip);
        (a.digest() == b.digest() && a.size().open == b.size().open).then_some(())
    })
    .await;
}

async fn ready(control: &Control) {
    until("it is ready", async || (control.get("/readyz", None).await.status == 200).then_some(())).await;
}

#[actix_web::test]
async fn a_session_opened_at_one_is_seen_counted_and_closed_at_the_other() {
    let scene = Scene::start("public").await;
    let (a, b) = (scene.control(), scene.test.another(&[]).await);
    ready(a).await;
    ready(&b).await;
    scene.live("c1").await;
    for client in ["v1", "v2"] {
        assert_eq!(scene.play("rtmp", client, "").await, 0);
    }
    has_viewers(&b, &scene, 2).await;
    let shown = b.get(&scene.path(""), None).await.is(200).body;
    assert_eq!(shown["live"]["viewers"], 2);
    let stop = scene.node.body("on_stop", "rtmp", "v1", scene.stream.as_str(), "");
    assert_eq!(scene.node.hook(&b, &stop).await, 0);
    let left = has_viewers(a, &scene, 1).await;

    // Kicked by its id at the node that did not open it.
    scene.node.connect("v2", scene.stream.as_str(), false, 0);
    b.delete(&format!("/v1/sessions/{}", left[0]), Some(&scene.owner)).await.is(204);
    scene.node.has_kicked("v2").await;
    has_viewers(a, &scene, 0).await;
    let shown = a.get(&format!("/v1/sessions/{}", left[0]), Some(&scene.owner)).await.is(200).body;
    assert_eq!(shown["reason"], "kicked");
    let told: Option<Value> = a.state.kv.json(&keys::session(&SessionId::parse(&left[0]).unwrap())).await.unwrap();
    assert_eq!(told.unwrap()["reason"], "kicked", "edges read this");
    equal(a, &b).await;
    b.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_control_node_that_begins_takes_the_table_over_and_one_that_ends_is_adopted() {
    let scene = Scene::start("public").await;
    let a = scene.control();
    ready(a).await;
    scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    let b = scene.test.another(&[]).await;
    ready(&b).await;
    assert_eq!(viewers(&b, &scene).await.len(), 1, "ready only with the table");
    let body = scene.node.body("on_play", "rtmp", "v2", scene.stream.as_str(), "");
    assert_eq!(scene.node.hook(&b, &body).await, 0);
    b.stop().await;
    has_viewers(a, &scene, 2).await;
    until("its session was adopted", async || {
        (a.metric("keystone_control_gossip_adopted_total").await >= 1.0).then_some(())
    })
    .await;
    scene.stop().await;
}

#[actix_web::test]
async fn without_redis_each_goes_on_and_afterwards_the_tables_are_equal() {
    let mut scene = Scene::start("public").await;
    let b = scene.test.another(&[]).await;
    ready(scene.control()).await;
    ready(&b).await;
    scene.live("c1").await;
    for client in ["v1", "v2"] {
        assert_eq!(scene.play("rtmp", client, "").await, 0);
    }
    has_viewers(&b, &scene, 2).await;
    scene.test.redis.kill();
    let a = scene.control();
    for control in [a, &b] {
        until("Redis is seen away", async || (!control.state.kv.connected()).then_some(())).await;
    }
    assert_eq!(scene.play("rtmp", "v3", "").await, 0);
    let stop = scene.node.body("on_stop", "rtmp", "v1", scene.stream.as_str(), "");
    assert_eq!(scene.node.hook(&b, &stop).await, 0);
    assert_eq!(
        (viewers(a, &scene).await.len(), viewers(&b, &scene).await.len()),
        (3, 1),
        "each knows what it was told"
    );
    scene.test.redis.revive();
    let a = scene.control();
    equal(a, &b).await;
    assert_eq!(has_viewers(a, &scene, 2).await, has_viewers(&b, &scene, 2).await);
    b.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn strangers_on_the_channel_change_nothing_and_are_counted() {
    let scene = Scene::start("public").await;
    let a = scene.control();
    ready(a).await;
    scene.live("c1").await;
    let before = (a.state.gossip.digest(), a.state.gossip.size().open);
    let long = vec![1_u8; 70_000];
    for payload in [&b"garbage"[..], &b""[..], &[1_u8; 200][..], &long] {
        a.state.kv.one(Cmd::publish(keys::GOSSIP, payload)).await.unwrap();
        a.state.kv.one(Cmd::publish(&keys::control_channel(&a.state.id), payload)).await.unwrap();
    }
    for (reason, count) in [("stranger", 2.0), ("damaged", 4.0), ("too_long", 2.0)] {
        let line = format!("keystone_control_gossip_refused_total{{reason=\"{reason}\"}}");
        until(reason, async || (a.metric(&line).await >= count).then_some(())).await;
    }
    assert_eq!((a.state.gossip.digest(), a.state.gossip.size().open), before);
    scene.stop().await;
}
