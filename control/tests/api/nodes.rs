//! Nodes, edges and controls as admins see them; what the jobs find out and make good.

use super::{
    helpers::until,
    media::{Node, Scene},
};
use control::jobs::{reconcile, samples};
use kit::{clock, kv::Cmd};
use proto::keys;
use serde_json::json;

#[actix_web::test]
async fn an_admin_sees_nodes_edges_and_controls() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let admin = control.admin("admin").await;
    scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    let nodes = control.get("/v1/nodes", Some(&admin)).await.is(200).body;
    let (one, two) = (&nodes["items"][0], &nodes["items"][1]);
    assert_eq!(
        (&one["id"], &one["state"], &one["streams"], &one["sessions"]),
        (&json!("n1"), &json!("up"), &json!(1), &json!(2))
    );
    assert_eq!((&two["id"], &two["state"]), (&json!("n2"), &json!("joining")));
    assert_eq!((&one["info"]["version"], &one["info"]["memory_kib"]), (&json!("5.0.216"), &json!(40_000)));
    assert!(!one["warnings"].as_array().unwrap().is_empty(), "5.0.216 has known faults");
    assert_eq!(control.get("/v1/nodes/n1", Some(&admin)).await.is(200).body["state"], "up");
    control.get("/v1/nodes/n9", Some(&admin)).await.is_problem(404, "node-not-found");
    let me = until("this process is listed", async || {
        let controls = control.get("/v1/controls", Some(&admin)).await.is(200).body;
        controls["items"][0].as_object().cloned()
    })
    .await;
    assert_eq!(me["url"], json!(control.url));
    let edge =
        json!({ "id": "e1", "listen": "0.0.0.0:8082", "version": "1", "sessions": 3, "seen_at_ms": clock::unix_ms() });
    let old = json!({ "id": "e2", "listen": "x", "version": "1", "sessions": 3, "seen_at_ms": 1 });
    for (id, edge) in [("e1", &edge), ("e2", &old)] {
        control.state.kv.one(Cmd::hset(keys::EDGES, id, edge.to_string())).await.unwrap();
    }
    let edges = control.get("/v1/edges", Some(&admin)).await.is(200).body;
    let shown = edges["items"].as_array().unwrap();
    assert_eq!(shown.len(), 1, "one that was not heard for long is not shown: {shown:?}");
    for (name, value) in edge.as_object().unwrap() {
        assert_eq!(&shown[0][name], value, "{name}");
    }
    for path in ["/v1/nodes", "/v1/nodes/n1", "/v1/edges", "/v1/controls"] {
        control.get(path, Some(&scene.owner)).await.is_problem(403, "forbidden");
    }
    scene.stop().await;
}

#[actix_web::test]
async fn a_publisher_and_a_viewer_that_srs_lost_are_found_gone() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admitted = scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    node.disconnect("c1");
    let lease = keys::lease("reconcile:n1");
    control.state.kv.one(Cmd::del(&lease)).await.unwrap();
    reconcile::run_once(&control.state).await.unwrap();
    assert!(scene.placement().await.is_some(), "too young to be judged");
    // As if it had come 6 s ago; the viewer is waited for.
    scene.test.database.run("UPDATE claims SET since = now() - interval '6 seconds'").await;
    until("both are found gone", async || {
        control.state.kv.one(Cmd::del(&lease)).await.unwrap();
        reconcile::run_once(&control.state).await.unwrap();
        let open = control.get("/v1/sessions", Some(&scene.owner)).await.is(200).body;
        open["items"].as_array()?.is_empty().then_some(())
    })
    .await;
    assert_eq!(scene.placement().await, None);
    let session = control.get(&format!("/v1/sessions/{}", admitted.session), Some(&scene.owner)).await.is(200).body;
    assert_eq!(session["reason"], "reconciled");
    scene.stop().await;
}

#[actix_web::test]
async fn a_node_known_to_one_control_is_known_to_all() {
    let scene = Scene::start("public").await;
    let other = scene.test.another(&[]).await;
    until("the other hears of it", async || other.state.nodes.info(&scene.node.id())).await;
    let two = Node::quiet("n2", "node-two-secret");
    two.beat(&other).await;
    until("and the other way round", async || scene.control().state.nodes.info(&two.id())).await;
    other.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_flushed_redis_is_filled_again() {
    let scene = Scene::start("private").await;
    let (control, owner) = (scene.control(), Some(&scene.owner));
    let issue = async |body| control.post(&scene.path("/tokens"), owner, body).await.is(201).body;
    let play = issue(json!({ "action": "play" })).await;
    let gone = issue(json!({ "action": "play" })).await;
    let once = issue(json!({ "action": "play", "single_use": true })).await;
    control.delete(&scene.path(&format!("/tokens/{}", gone["id"].as_str().unwrap())), owner).await.is(204);
    let admitted = scene.live("c1").await;
    let by = |token: &serde_json::Value| format!("?token={}", token["token"].as_str().unwrap());
    assert_eq!(scene.play("rtmp", "v1", &by(&once)).await, 0);
    scene.node.connect("v1", scene.stream.as_str(), false, 1);
    // A token that came after Redis was last seen whole counts as one that Redis never had.
    let used_ms = clock::unix_ms();
    until("Redis is seen whole", async || {
        (control.state.redis_whole_ms.load(std::sync::atomic::Ordering::Relaxed) > used_ms).then_some(())
    })
    .await;

    control.state.kv.one(Cmd::new("FLUSHALL")).await.unwrap();
    until("it is whole again", async || {
        let filled = control.state.kv.one(Cmd::get(keys::FILLED)).await.unwrap();
        filled.text().map(|_| ())
    })
    .await;
    assert_eq!(scene.placement().await.unwrap().session, admitted.session);
    let open = control.get("/v1/sessions?role=publish", owner).await.is(200).body;
    assert_eq!(open["items"][0]["id"], json!(admitted.session));
    let open = control.get("/v1/sessions?role=play", owner).await.is(200).body;
    assert_eq!(open["items"][0]["client_id"], "v1", "the node still serves it: {open}");
    assert_eq!(scene.play("rtmp", "v2", &by(&play)).await, 0);
    assert_eq!(scene.play("rtmp", "v3", &by(&gone)).await, 403, "revoked");
    assert_eq!(scene.play("rtmp", "v4", &by(&once)).await, 403, "used before the flush");
    let score = Cmd::on("ZSCORE", keys::REVOKED).arg(gone["id"].as_str().unwrap());
    assert!(!control.state.kv.one(score).await.unwrap().is_nil(), "edges learn of revocations from here");
    scene.stop().await;
}

#[actix_web::test]
async fn viewers_and_bitrates_become_history_also_those_that_waited_in_redis() {
    let scene = Scene::start("public").await;
    let (control, owner) = (scene.control(), Some(&scene.owner));
    scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    let waited = json!({ "stream": scene.stream, "at_ms": clock::unix_ms() - 60_000, "viewers": 7, "kbps_in": 1, "kbps_out": 2 });
    let queue = Cmd::on("XADD", keys::HISTORY_QUEUE).arg("*").arg("p").arg(waited.to_string());
    control.state.kv.one(queue).await.unwrap();
    control.state.kv.one(Cmd::del(&keys::lease("samples"))).await.unwrap();
    samples::run_once(&control.state).await.unwrap();
    let history = control.get(&scene.path("/history"), owner).await.is(200).body;
    let items = history["items"].as_array().unwrap();
    assert_eq!(items[0]["viewers"], 7, "{history}");
    let last = items.last().unwrap();
    assert_eq!((&last["viewers"], &last["kbps_in"], &last["kbps_out"]), (&json!(1), &json!(900), &json!(1800)));
    let broadcasts = control.get(&scene.path("/broadcasts"), owner).await.is(200).body;
    assert_eq!(broadcasts["items"][0]["peak_viewers"], 1, "a point from before it began is not its peak");
    let later = control.get(&scene.path("/history?from=2999-01-01T00:00:00Z"), owner).await.is(200).body;
    assert!(later["items"].as_array().unwrap().is_empty());
    control.get(&scene.path("/history?from=yesterday"), owner).await.is_problem(400, "bad-request");
    scene.stop().await;
}
