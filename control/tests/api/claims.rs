//! Reserving, taking over, giving up; and the statements against the rules they carry out.

use super::{
    claims_placing::{LATER, member},
    edge::{key_of, new_session},
    helpers::until,
    media::{Node, Scene},
};
use futures_util::future::join_all;
use proto::{
    StreamId,
    internal::Credential,
    node::{Membership, NodeState},
};
use serde_json::json;

#[actix_web::test]
async fn of_fifty_at_once_on_two_control_nodes_exactly_one_gets_the_stream() {
    let scene = Scene::start("public").await;
    let other = scene.test.another(&[]).await;
    scene.node.beat(&other).await;
    let controls = [scene.control(), &other];
    let asks = (0..50).map(|n| scene.edge.reserve(controls[n % 2], &scene.stream, &scene.node, &scene.key));
    let answers = join_all(asks).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(won[0].body["epoch"], 1);
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        lost.is_problem(409, "stream-busy");
        assert!(lost.header("retry-after").is_some());
    }
    other.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_reservation_that_is_given_up_or_runs_out_is_free() {
    let scene = Scene::start("public").await;
    let (control, edge) = (scene.control(), &scene.edge);
    let first = edge.admit(control, &scene.stream, &scene.node, &scene.key).await;
    let give_up = |epoch: u64| json!({ "stream": scene.stream, "session": first.session, "epoch": epoch });
    edge.post(control, "/internal/v1/claims:release", &give_up(first.epoch + 1)).await.is(204);
    edge.reserve(control, &scene.stream, &scene.node, &scene.key).await.is_problem(409, "stream-busy");
    edge.post(control, "/internal/v1/claims:release", &give_up(first.epoch)).await.is(204);
    edge.post(control, "/internal/v1/claims:release", &give_up(first.epoch)).await.is(204);
    assert_eq!(scene.node.hook(control, &scene.node.publish(&first, "c1")).await, 409, "it was given up");
    let second = edge.admit(control, &scene.stream, &scene.node, &scene.key).await;
    assert_eq!(second.epoch, 2);
    scene.test.database.run("UPDATE claims SET reserved_until = now() - interval '1 second'").await;
    let third = edge.admit(control, &scene.stream, &scene.node, &scene.key).await;
    assert_eq!(third.epoch, 3);
    scene.stop().await;
}

#[actix_web::test]
async fn the_job_frees_what_ran_out() {
    let scene = Scene::start("public").await;
    scene.edge.admit(scene.control(), &scene.stream, &scene.node, &scene.key).await;
    scene.test.database.run("UPDATE claims SET reserved_until = now()").await;
    let expired = "keystone_control_claims_total{outcome=\"expired\"}";
    until("it is freed", async || (scene.control().metric(expired).await >= 1.0).then_some(())).await;
    scene.stop().await;
}

#[actix_web::test]
async fn an_edge_that_asks_twice_gets_the_same_answer() {
    let scene = Scene::start("public").await;
    let body = scene.edge.reservation(&scene.stream, new_session(), &scene.node, &scene.key, false);
    for _ in 0..2 {
        let answer = scene.edge.post(scene.control(), "/internal/v1/claims", &body).await.is(200);
        assert_eq!(answer.body["epoch"], 1);
    }
    scene.stop().await;
}

#[actix_web::test]
async fn takeover_by_wish_puts_the_old_publisher_out_first() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let old = scene.live("c1").await;
    scene.edge.reserve(control, &scene.stream, node, &scene.key).await.is_problem(409, "stream-busy");
    let new = scene.edge.admit_with(control, &scene.stream, node, &scene.key, true).await;
    assert_eq!(node.kicked(), ["c1"], "before the new one hears that it may come");
    assert_eq!(new.epoch, 2);
    let ended = control.get(&format!("/v1/sessions/{}", old.session), Some(&scene.owner)).await.is(200).body;
    assert_eq!(ended["reason"], "taken_over");
    assert_eq!(scene.placement().await, None);
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0, "SRS tells the kicked one's end");
    assert_eq!(node.hook(control, &node.publish(&new, "c2")).await, 0);
    assert_eq!(node.hook(control, &node.publish(&old, "c1")).await, 409);
    let broadcasts = control.get(&scene.path("/broadcasts"), Some(&scene.owner)).await.is(200).body;
    assert_eq!(broadcasts["items"][1]["reason"], "taken_over");
    scene.stop().await;
}

#[actix_web::test]
async fn in_open_mode_nobody_is_wished_away() {
    let scene = Scene::start("public").await;
    let open = Credential::Open;
    let admitted = scene.edge.admit(scene.control(), &scene.stream, &scene.node, &open).await;
    assert_eq!(scene.node.hook(scene.control(), &scene.node.publish(&admitted, "c1")).await, 0);
    scene.node.connect("c1", scene.stream.as_str(), true, 1);
    let body = scene.edge.reservation(&scene.stream, new_session(), &scene.node, &open, true);
    scene.edge.post(scene.control(), "/internal/v1/claims", &body).await.is_problem(409, "stream-busy");
    scene.stop().await;
}

#[actix_web::test]
async fn the_same_key_replaces_a_publisher_that_is_gone_or_silent_and_nobody_elses() {
    let scene = Scene::start("public").await;
    let (control, node, edge) = (scene.control(), &scene.node, &scene.edge);
    scene.live("c1").await;
    edge.reserve(control, &scene.stream, node, &scene.key).await.is_problem(409, "stream-busy");
    // What a look 7 s ago would have left.
    let then = kit::clock::unix_ms() - 7_000;
    let watch = kit::kv::Cmd::hset(&proto::keys::node_watch(&node.id()), "run1/c1", format!("1 {then}"));
    control.state.kv.one(watch.clone()).await.unwrap();
    let token = Credential::Token { jti: proto::TokenId::from_bytes([1; 16]) };
    edge.reserve(control, &scene.stream, node, &token).await.is_problem(409, "stream-busy");
    node.connect("c1", scene.stream.as_str(), true, 2);
    edge.reserve(control, &scene.stream, node, &scene.key).await.is_problem(409, "stream-busy");
    node.connect("c1", scene.stream.as_str(), true, 1);
    control.state.kv.one(watch).await.unwrap();
    let second = edge.admit(control, &scene.stream, node, &scene.key).await;
    assert_eq!(second.epoch, 2);
    node.has_kicked("c1").await;
    assert_eq!(node.hook(control, &node.publish(&second, "c2")).await, 0);
    // c2 is not shown by the node's API: gone.
    assert_eq!(edge.admit(control, &scene.stream, node, &scene.key).await.epoch, 3);
    scene.stop().await;
}

#[actix_web::test]
async fn a_node_that_died_holds_nobody_up() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    scene.live("c1").await;
    let two = Node::second(control).await;
    scene.node.die().await;
    assert_eq!(scene.edge.admit(control, &scene.stream, &two, &scene.key).await.epoch, 2);
    scene.stop().await;
}

#[actix_web::test]
async fn what_cannot_be_reserved_says_why() {
    let scene = Scene::start("public").await;
    let (control, edge) = (scene.control(), &scene.edge);
    let stranger = Node::quiet("n9", "x");
    let held = control.state.health.hold().await;
    control.state.fleet.learn(Membership { version: LATER, members: vec![member(&scene.node, NodeState::Down)] });
    let answer = edge.reserve(control, &scene.stream, &stranger, &scene.key).await;
    answer.is_problem(503, "no-node");
    assert!(answer.body["detail"].as_str().unwrap().contains("n1 is down, n9 is not enrolled"), "{answer:?}");
    control.state.fleet.learn(Membership { version: LATER + 1, members: vec![member(&scene.node, NodeState::Up)] });
    let nowhere = StreamId::parse("nowhere").unwrap();
    edge.reserve(control, &nowhere, &scene.node, &scene.key).await.is_problem(404, "stream-not-found");
    let body = json!({ "stream": scene.stream });
    edge.post(control, "/internal/v1/claims", &body).await.is_problem(400, "bad-request");
    control.post("/internal/v1/claims", None, body.clone()).await.is_problem(401, "unauthenticated");
    control.post("/internal/v1/claims", Some(&scene.owner), body).await.is_problem(401, "unauthenticated");
    drop(held);
    scene.stop().await;
}

#[actix_web::test]
async fn a_deleted_stream_is_claimed_by_nobody_and_its_publisher_is_ended() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    node.connect("v1", scene.stream.as_str(), false, 0);
    control.delete(&scene.path(""), Some(&scene.owner)).await.is(204);
    node.has_kicked("c1").await;
    node.has_kicked("v1").await;
    assert_eq!(scene.placement().await, None);
    scene.edge.reserve(control, &scene.stream, node, &scene.key).await.is_problem(404, "stream-not-found");
    let path = format!("/internal/v1/route/{}", scene.stream);
    scene.edge.get(control, &path).await.is_problem(404, "stream-not-found");
    scene.stop().await;
}

#[actix_web::test]
async fn edges_ask_for_keys_streams_routes_and_sessions() {
    let scene = Scene::start("unlisted").await;
    let (control, edge) = (scene.control(), &scene.edge);
    let Credential::StreamKey { hash } = key_of(&scene.made) else { unreachable!() };
    let found = edge.post(control, "/internal/v1/keys:verify", &json!({ "hash": hash })).await.is(200);
    assert_eq!(found.body["stream"], json!(scene.stream));
    for bad in ["0".repeat(64), "x".to_owned(), hash.to_uppercase()] {
        edge.post(control, "/internal/v1/keys:verify", &json!({ "hash": bad })).await.is_problem(404, "key-not-found");
    }
    let stream = edge.get(control, &format!("/internal/v1/streams/{}", scene.stream)).await.is(200).body;
    assert_eq!((&stream["visibility"], &stream["owner"]), (&json!("unlisted"), &json!(scene.made.stream.owner)));
    edge.get(control, "/internal/v1/streams/a.b").await.is_problem(404, "stream-not-found");
    let admitted = scene.live("c1").await;
    let session = edge.get(control, &format!("/internal/v1/sessions/{}", admitted.session)).await.is(200).body;
    assert_eq!(session["client_id"], "c1");
    edge.get(control, &format!("/internal/v1/sessions/{}", new_session())).await.is_problem(404, "session-not-found");
    scene.stop().await;
}

#[actix_web::test]
async fn a_publisher_of_an_open_edge_makes_the_stream_it_names_where_somebody_owns_such() {
    let scene = Scene::start("public").await;
    let nobody_made: StreamId = StreamId::parse("livestream").unwrap();
    let refused = scene.edge.reserve(scene.control(), &nobody_made, &scene.node, &Credential::Open).await;
    refused.is_problem(404, "stream-not-found");
    let owned = scene.test.another(&[("OPEN_STREAMS_OWNER", "Channel@Example.org")]).await;
    let owner = owned.user("channel").await;
    scene.node.beat(&owned).await;
    let keyed = scene.edge.reserve(&owned, &nobody_made, &scene.node, &scene.key).await;
    keyed.is_problem(404, "stream-not-found");
    let open = scene.edge.reserve(&owned, &nobody_made, &scene.node, &Credential::Open).await;
    assert_eq!(open.status, 200, "{open:?}");
    let made = owned.get("/v1/streams/livestream", Some(&owner)).await;
    assert_eq!(made.is(200).body["visibility"], "public");
    owned.stop().await;
    scene.stop().await;
}
