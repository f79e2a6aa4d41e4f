//! What SRS asks and tells, from the first hook of a publisher to its last.

use super::{
    edge::{Edge, new_session},
    helpers::until,
    media::{Node, Scene},
};
use proto::session::Role;
use serde_json::json;

#[actix_web::test]
async fn a_publisher_is_reserved_confirmed_seen_and_gone() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admitted = scene.edge.admit(control, &scene.stream, node, &scene.key).await;
    assert!(scene.route().await.is_null(), "a reservation is no placement");

    assert_eq!(node.hook(control, &node.publish(&admitted, "c1")).await, 0);
    let placement = scene.placement().await.unwrap();
    assert_eq!((placement.session, placement.epoch, placement.node.as_str()), (admitted.session, 1, "n1"));
    assert_eq!(scene.route().await["session"], json!(admitted.session));
    let session = control.get(&format!("/v1/sessions/{}", admitted.session), Some(&scene.owner)).await.is(200).body;
    assert_eq!(
        (&session["role"], &session["client_id"], &session["ip"]),
        (&json!("publish"), &json!("c1"), &json!("198.51.100.4"))
    );
    let shown = control.get(&scene.path(""), None).await.is(200).body;
    assert_eq!(shown["live"]["session"], json!(admitted.session));
    let broadcasts = control.get(&scene.path("/broadcasts"), Some(&scene.owner)).await.is(200).body;
    assert!(broadcasts["items"][0]["ended_at"].is_null());

    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    assert_eq!(scene.placement().await, None);
    let session = control.get(&format!("/v1/sessions/{}", admitted.session), Some(&scene.owner)).await.is(200).body;
    assert_eq!(session["reason"], "client_left");
    let broadcasts = control.get(&scene.path("/broadcasts"), Some(&scene.owner)).await.is(200).body;
    assert_eq!(broadcasts["items"][0]["reason"], "client_left");
    scene.stop().await;
}

#[actix_web::test]
async fn a_stranger_never_gets_an_answer_that_srs_takes_for_yes() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let body = node.body("on_connect", "rtmp", "c1", scene.stream.as_str(), "");
    for path in
        ["/v1/hooks/srs/n1/wrong-secret", "/v1/hooks/srs/n2/node-one-secret", "/v1/hooks/heartbeat/n9/node-one-secret"]
    {
        control.post(path, None, body.clone()).await.is_problem(403, "node-unknown");
    }
    assert!(control.metric("keystone_control_strangers_total{what=\"secret\"}").await >= 3.0);
    let mut other = body.clone();
    other["server_id"] = json!("n2");
    node.hook_raw(control, other.to_string()).await.is_problem(403, "node-unknown");
    assert!(control.metric("keystone_control_strangers_total{what=\"name\"}").await >= 1.0);
    scene.stop().await;
}

#[actix_web::test]
async fn a_body_that_is_no_hook_is_refused_in_srss_words() {
    let scene = Scene::start("public").await;
    for body in ["", "null", "[]", "{", r#"{"action":"on_dance","client_id":"c"}"#, r#"{"action":"on_publish"}"#] {
        let answer = scene.node.hook_raw(scene.control(), body.to_owned()).await.is(200);
        assert_eq!(answer.body["code"], 400, "{body}");
    }
    let long = "x".repeat(70_000);
    scene.node.hook_raw(scene.control(), long).await.is_problem(413, "body-too-large");
    scene.stop().await;
}

#[actix_web::test]
async fn a_forward_hook_gets_the_list_it_wants() {
    let scene = Scene::start("public").await;
    let body = scene.node.body("on_forward", "rtmp", "c1", scene.stream.as_str(), "");
    let answer = scene.node.hook_raw(scene.control(), body.to_string()).await.is(200);
    assert_eq!(answer.body, json!({ "code": 0, "data": { "urls": [] } }));
    scene.stop().await;
}

#[actix_web::test]
async fn a_replayed_ticket_with_another_client_is_refused_and_kicked() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admitted = scene.live("c1").await;
    node.connect("c2", scene.stream.as_str(), true, 1);
    assert_eq!(node.hook(control, &node.publish(&admitted, "c2")).await, 403);
    node.has_kicked("c2").await;
    assert_eq!(scene.placement().await.unwrap().session, admitted.session, "the first client goes on");
    assert_eq!(node.kicked(), ["c2"]);
    assert_eq!(node.hook(control, &node.publish(&admitted, "c1")).await, 0, "SRS may post a hook again");
    scene.stop().await;
}

#[actix_web::test]
async fn a_refused_whip_owes_a_kick_before_srs_hears_of_it() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let owed = async || {
        let client = control.state.pg.get().await.unwrap();
        let row = client.query_typed_one("SELECT count(*) FROM owed_kicks", &[]).await.unwrap();
        row.get::<_, i64>(0)
    };
    node.connect("zombie", scene.stream.as_str(), true, 1);
    let body = node.body("on_publish", "webrtc", "zombie", scene.stream.as_str(), "app=live&stream=x&token=nonsense");
    assert_eq!(node.hook(control, &body).await, 403);
    assert!(owed().await == 1 || !node.kicked().is_empty(), "the kick is written down when the refusal is answered");
    node.has_kicked("zombie").await;
    until("the debt is struck out", async || (owed().await == 0).then_some(())).await;
    // RTMP ends by itself when it is refused.
    let body = node.body("on_publish", "rtmp", "c9", scene.stream.as_str(), "?token=nonsense");
    assert_eq!(node.hook(control, &body).await, 403);
    assert_eq!(owed().await, 0);
    scene.stop().await;
}

#[actix_web::test]
async fn another_control_node_carries_out_what_this_one_owes() {
    let scene = Scene::start("public").await;
    let client = scene.control().state.pg.get().await.unwrap();
    scene.node.connect("left-over", scene.stream.as_str(), true, 1);
    let other = scene.test.another(&[]).await;
    client
        .batch_execute(
            "INSERT INTO owed_kicks (node, service, client_id, reason) VALUES ('n1', 'run1', 'left-over', 'refused')",
        )
        .await
        .unwrap();
    drop(client);
    scene.node.has_kicked("left-over").await;
    assert_eq!(scene.node.kicked().len(), 1, "and only one of them does");
    other.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn the_end_of_anybody_but_the_owner_is_nothing() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admitted = scene.live("c1").await;
    for body in [
        node.unpublish(&scene.stream, "zombie"),
        node.body("on_unpublish", "srt", "busy", scene.stream.as_str(), "token=x"),
        node.body("on_close", "rtmp", "busy", "", ""),
        node.body("on_stop", "webrtc", "nobody", scene.stream.as_str(), ""),
    ] {
        assert_eq!(node.hook(control, &body).await, 0);
        assert_eq!(scene.placement().await.unwrap().session, admitted.session, "{body}");
    }
    assert_eq!(node.hook(control, &node.body("on_close", "rtmp", "c1", "", "")).await, 0);
    assert_eq!(scene.placement().await, None, "on_close names no stream and frees what its client held");
    scene.stop().await;
}

#[actix_web::test]
async fn a_republish_on_the_same_connection_is_a_new_epoch_of_the_same_session() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admitted = scene.live("c1").await;
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    assert_eq!(node.hook(control, &node.publish(&admitted, "c1")).await, 0);
    let placement = scene.placement().await.unwrap();
    assert_eq!((placement.session, placement.epoch), (admitted.session, 2));
    let session = control.get(&format!("/v1/sessions/{}", admitted.session), Some(&scene.owner)).await.is(200).body;
    assert!(session["closed_at"].is_null(), "{session}");
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    assert_eq!(node.hook(control, &node.publish(&admitted, "c7")).await, 403, "not on another one");
    scene.stop().await;
}

#[actix_web::test]
async fn a_ticket_is_good_for_its_role_time_place_and_ufrag() {
    let scene = Scene::start("public").await;
    let (control, node, edge) = (scene.control(), &scene.node, &scene.edge);
    let admitted = edge.admit(control, &scene.stream, node, &scene.key).await;
    let play = edge.ticket(control, &scene.stream, admitted.session, node, 1, Role::Play);
    assert_eq!(node.hook(control, &node.publish(&play, "c1")).await, 403);
    let mut evil = node.publish(&admitted, "c1");
    evil["param"] = json!(admitted.param().replace("ice-ufrag=abcdef", "ice-ufrag=attack"));
    assert_eq!(node.hook(control, &evil).await, 403);
    let two = Node::second(control).await;
    assert_eq!(two.hook(control, &two.publish(&admitted, "c1")).await, 403);
    let late =
        edge.ticket_until(control, &scene.stream, admitted.session, node, (1, Role::Publish), kit::clock::unix());
    assert_eq!(node.hook(control, &node.publish(&late, "c1")).await, 403);
    assert_eq!(
        control.metric("keystone_control_hooks_total{action=\"on_publish\",verdict=\"ticket_expired\"}").await,
        1.0
    );
    assert_eq!(node.hook(control, &node.publish(&admitted, "c1")).await, 0, "none of that spoiled the reservation");
    let again = edge.ticket_until(control, &scene.stream, admitted.session, node, (1, Role::Publish), 1);
    assert_eq!(node.hook(control, &node.publish(&again, "c1")).await, 0, "a bound session is not asked for its time");
    scene.stop().await;
}

#[actix_web::test]
async fn what_only_a_gateway_sets_needs_its_ticket() {
    let scene = Scene::start("public").await;
    let (control, node, stream) = (scene.control(), &scene.node, scene.stream.as_str());
    let key = &scene.made.stream_key;
    let param = format!("app=live&stream={stream}&token={key}&ice-ufrag=mine1234&ice-pwd=0123456789abcdef0123456789");
    assert_eq!(node.hook(control, &node.body("on_publish", "webrtc", "c1", stream, &param)).await, 403);
    assert_eq!(node.hook(control, &node.body("on_publish", "rtmp", "c1", stream, "?x=1;eip=9.9.9.9")).await, 403);
    let srt = node.body("on_publish", "srt", "c2", stream, &format!("vhost=127.0.0.1&token={key}"));
    assert_eq!(node.hook(control, &srt).await, 0, "SRS itself adds vhost for an SRT stream id with h=");
    scene.stop().await;
}

#[actix_web::test]
async fn a_name_that_srs_aliases_is_refused_from_the_first_hook_on() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let key = &scene.made.stream_key;
    for name in ["cam.evil", "a/b", "%20", ""] {
        for action in ["on_connect", "on_publish", "on_play"] {
            let mut body = node.body(action, "rtmp", "c1", name, &format!("?token={key}"));
            body["stream_url"] = json!(format!("/live/{}", scene.stream));
            assert_eq!(node.hook(control, &body).await, 400, "{action} {name:?}");
        }
    }
    let mut other_app = node.body("on_publish", "rtmp", "c1", scene.stream.as_str(), &format!("?token={key}"));
    other_app["app"] = json!("other");
    assert_eq!(node.hook(control, &other_app).await, 400);
    scene.stop().await;
}

#[actix_web::test]
async fn every_captured_hook_gets_a_strict_answer() {
    let scene = Scene::start("public").await;
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hook-bodies");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut body: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        body["server_id"] = json!("n1");
        body["service_id"] = json!("run1");
        let code = scene.node.hook(scene.control(), &body).await;
        let asks = ["on_publish", "on_play"].iter().any(|action| body["action"] == *action);
        assert_eq!(code != 0, asks, "{}: {code}; these streams are not ours", path.display());
    }
    // The WHIP and JSON publishes among them owe kicks.
    scene.node.has_kicked("6c8qn6fz").await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_restarted_node_has_lost_everything_it_carried() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admitted = scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    node.restart("run2");
    node.beat(control).await;
    until("the stream has ended", async || scene.placement().await.is_none().then_some(())).await;
    let path = format!("/v1/sessions/{}", admitted.session);
    let session = async || control.get(&path, Some(&scene.owner)).await.body;
    until("the session is closed", async || (session().await["reason"] == "node_lost").then_some(())).await;
    until("the viewer's too", async || {
        let open = control.get("/v1/sessions", Some(&scene.owner)).await.is(200).body;
        (open["items"].as_array()?.is_empty()).then_some(())
    })
    .await;
    let mut late = node.unpublish(&scene.stream, "c1");
    late["service_id"] = json!("run1");
    assert_eq!(node.hook(control, &late).await, 0);
    node.has_joined(control).await;
    scene.live("c1").await;
    assert_eq!(scene.placement().await.unwrap().epoch, 2);
    scene.stop().await;
}

#[actix_web::test]
async fn with_redis_away_a_publisher_is_still_confirmed_and_viewers_let_in() {
    let mut scene = Scene::start("public").await;
    let admitted = scene.edge.admit(scene.control(), &scene.stream, &scene.node, &scene.key).await;
    scene.test.redis.kill();
    let (control, node) = (scene.control(), &scene.node);
    assert_eq!(node.hook(control, &node.publish(&admitted, "c1")).await, 0);
    assert_eq!(scene.route().await["epoch"], 1);
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    let viewer = Edge::new().ticket(control, &scene.stream, new_session(), node, 1, Role::Play);
    let body = node.body("on_play", "webrtc", "v2", scene.stream.as_str(), &viewer.param());
    assert_eq!(node.hook(control, &body).await, 0);
    scene.stop().await;
}
