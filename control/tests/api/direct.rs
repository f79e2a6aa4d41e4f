//! Clients that reach a media node directly: their key or token is judged by the hook.

use super::{
    edge::new_session,
    helpers::Session,
    media::{Node, Scene},
};
use proto::session::Role;
use serde_json::{Value, json};

async fn token(scene: &Scene, who: &Session, body: Value) -> (String, String) {
    let made = scene.control().post(&scene.path("/tokens"), Some(who), body).await.is(201).body;
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

async fn publish(scene: &Scene, client: &str, param: &str) -> i64 {
    let body = scene.node.body("on_publish", "rtmp", client, scene.stream.as_str(), param);
    scene.node.hook(scene.control(), &body).await
}

#[actix_web::test]
async fn a_stream_key_publishes_its_own_stream_only() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let key = &scene.made.stream_key;
    assert_eq!(publish(&scene, "c0", "").await, 401);
    assert_eq!(publish(&scene, "c0", &format!("?token={key}x")).await, 403);
    let other = control.stream(&scene.owner, "public").await;
    assert_eq!(publish(&scene, "c0", &format!("?token={}", other.stream_key)).await, 403);
    assert_eq!(publish(&scene, "c1", &format!("?token={key}?token={key}")).await, 0, "doubled, as from tcUrl");
    let placement = scene.placement().await.unwrap();
    assert_eq!((placement.epoch, placement.protocol.as_str()), (1, "rtmp"));
    node.connect("c1", scene.stream.as_str(), true, 1);
    assert_eq!(publish(&scene, "c2", &format!("?key={key}")).await, 409, "one publisher at a time");
    assert_eq!(publish(&scene, "c1", &format!("?token={key}")).await, 0, "the same hook again");
    assert_eq!(scene.placement().await.unwrap().epoch, 1);
    scene.stop().await;
}

#[actix_web::test]
async fn a_rotated_key_publishes_no_more() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let old = format!("?token={}", scene.made.stream_key);
    assert_eq!(publish(&scene, "c1", &old).await, 0);
    node.connect("c1", scene.stream.as_str(), true, 1);
    let made = control.post(&scene.path(":rotate-key"), Some(&scene.owner), json!({})).await.is(200).body;
    node.has_kicked("c1").await;
    assert_eq!(scene.placement().await, None, "its publisher is ended");
    assert_eq!(publish(&scene, "c2", &old).await, 403);
    assert_eq!(publish(&scene, "c3", &format!("?token={}", made["stream_key"].as_str().unwrap())).await, 0);
    scene.stop().await;
}

#[actix_web::test]
async fn a_token_is_for_its_action_stream_and_address_and_may_be_for_once() {
    let scene = Scene::start("public").await;
    let (control, node, owner) = (scene.control(), &scene.node, &scene.owner);
    let (play, _) = token(&scene, owner, json!({ "action": "play" })).await;
    assert_eq!(publish(&scene, "c1", &format!("?token={play}")).await, 403);
    let (elsewhere, _) = token(&scene, owner, json!({ "action": "publish", "ip": "203.0.113.1" })).await;
    assert_eq!(publish(&scene, "c1", &format!("?token={elsewhere}")).await, 403);
    let (once, _) = token(&scene, owner, json!({ "action": "publish", "single_use": true, "ip": "192.0.2.7" })).await;
    assert_eq!(publish(&scene, "c1", &format!("?token={once}")).await, 0);
    assert_eq!(node.hook(control, &node.body("on_unpublish", "rtmp", "c1", scene.stream.as_str(), "")).await, 0);
    assert_eq!(publish(&scene, "c2", &format!("?token={once}")).await, 403, "used");
    scene.stop().await;
}

#[actix_web::test]
async fn a_single_use_token_is_given_back_when_the_stream_was_busy() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    scene.live("c1").await;
    let (once, _) = token(&scene, &scene.owner, json!({ "action": "publish", "single_use": true })).await;
    assert_eq!(publish(&scene, "c2", &format!("?token={once}")).await, 409);
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    assert_eq!(publish(&scene, "c2", &format!("?token={once}")).await, 0);
    scene.stop().await;
}

#[actix_web::test]
async fn a_revoked_token_ends_what_it_let_in() {
    let scene = Scene::start("private").await;
    let (control, node, owner) = (scene.control(), &scene.node, &scene.owner);
    let (publisher, publisher_id) = token(&scene, owner, json!({ "action": "publish" })).await;
    let (viewer, viewer_id) = token(&scene, owner, json!({ "action": "play" })).await;
    assert_eq!(publish(&scene, "c1", &format!("?token={publisher}")).await, 0);
    assert_eq!(scene.play("rtmp", "v1", &format!("?token={viewer}")).await, 0);
    for client in ["c1", "v1"] {
        node.connect(client, scene.stream.as_str(), client == "c1", 1);
    }
    control.delete(&scene.path(&format!("/tokens/{viewer_id}")), Some(owner)).await.is(204);
    node.has_kicked("v1").await;
    assert!(scene.placement().await.is_some());
    assert_eq!(scene.play("rtmp", "v2", &format!("?token={viewer}")).await, 403);
    control.delete(&scene.path(&format!("/tokens/{publisher_id}")), Some(owner)).await.is(204);
    node.has_kicked("c1").await;
    assert_eq!(scene.placement().await, None);
    scene.stop().await;
}

#[actix_web::test]
async fn viewers_are_let_in_at_the_streams_home_only() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    assert_eq!(scene.play("rtmp", "v1", "").await, 404, "nobody publishes");
    scene.live("c1").await;
    for (kind, client) in [("rtmp", "v1"), ("srt", "v2"), ("flv", "v3"), ("hls", "v4"), ("webrtc", "v5")] {
        assert_eq!(scene.play(kind, client, "").await, 0, "{kind}");
    }
    let two = Node::second(control).await;
    for kind in ["rtmp", "flv", "hls"] {
        let body = two.body("on_play", kind, "v9", scene.stream.as_str(), "");
        assert_eq!(two.hook(control, &body).await, 409, "{kind}");
    }
    let nowhere = scene.node.body("on_play", "rtmp", "v1", "no-such-stream", "");
    assert_eq!(scene.node.hook(control, &nowhere).await, 404);
    scene.stop().await;
}

#[actix_web::test]
async fn a_private_stream_wants_a_play_token() {
    let scene = Scene::start("private").await;
    scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 401);
    assert_eq!(scene.play("rtmp", "v1", &format!("?token={}", scene.made.stream_key)).await, 401);
    let (publisher, _) = token(&scene, &scene.owner, json!({ "action": "publish" })).await;
    assert_eq!(scene.play("rtmp", "v1", &format!("?token={publisher}")).await, 403);
    let (play, _) = token(&scene, &scene.owner, json!({ "action": "play" })).await;
    assert_eq!(scene.play("rtmp", "v1", &format!("?token={play}")).await, 0);
    scene.stop().await;
}

#[actix_web::test]
async fn a_play_ticket_binds_its_first_client() {
    let scene = Scene::start("private").await;
    let (control, node) = (scene.control(), &scene.node);
    scene.live("c1").await;
    let session = new_session();
    let ticket = scene.edge.ticket(control, &scene.stream, session, node, 1, Role::Play);
    let body = |client: &str| node.body("on_play", "webrtc", client, scene.stream.as_str(), &ticket.param());
    assert_eq!(node.hook(control, &body("v1")).await, 0);
    assert_eq!(node.hook(control, &body("v2")).await, 403);
    assert_eq!(node.hook(control, &body("v1")).await, 0);
    let shown = control.get(&format!("/v1/sessions/{session}"), Some(&scene.owner)).await.is(200).body;
    assert_eq!((&shown["client_id"], &shown["edge"], &shown["role"]), (&json!("v1"), &json!("edge-1"), &json!("play")));
    let late = scene.edge.ticket_until(control, &scene.stream, new_session(), node, (1, Role::Play), 1);
    let late = node.body("on_play", "webrtc", "v3", scene.stream.as_str(), &late.param());
    assert_eq!(node.hook(control, &late).await, 403);
    let two = Node::second(control).await;
    let elsewhere = scene.edge.ticket(control, &scene.stream, new_session(), &two, 1, Role::Play);
    let body = two.body("on_play", "webrtc", "v4", scene.stream.as_str(), &elsewhere.param());
    assert_eq!(two.hook(control, &body).await, 409, "the stream is not there");
    scene.stop().await;
}
