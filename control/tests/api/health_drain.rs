//! Cordon, drain, undrain.

use super::{
    helpers::until,
    media::{Node, Scene},
};
use kit::clock;
use proto::node::NodeState;
use serde_json::json;

/// Waits until the membership says whether `node` takes new streams.
async fn takes_none(scene: &Scene, node: &Node, draining: bool) {
    let known = async || scene.control().state.fleet.member(&node.id()).filter(|member| member.draining == draining);
    until("the membership says so", known).await;
}

#[actix_web::test]
async fn a_cordoned_node_keeps_what_it_has_and_takes_no_more() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admin = control.admin("admin").await;
    let two = Node::second(control).await;
    scene.live("c1").await;
    let shown = control.post("/v1/nodes/n1:cordon", Some(&admin), json!({})).await.is(200).body;
    assert_eq!((&shown["cordoned"], &shown["draining"], &shown["state"]), (&json!(true), &json!(false), &json!("up")));
    takes_none(&scene, node, true).await;
    let made = control.stream(&scene.owner, "public").await;
    let key = super::edge::key_of(&made);
    let placed = scene.edge.reserve(control, &made.stream.id, node, &key).await.is(200).body;
    assert_eq!(placed["node"], "n2");
    assert!(scene.placement().await.is_some() && node.kicked().is_empty());
    control.post("/v1/nodes/n2:cordon", Some(&admin), json!({})).await.is_problem(409, "last-node");
    control.post("/v1/nodes/n2:drain", Some(&admin), json!({})).await.is_problem(409, "last-node");
    for verb in ["cordon", "drain"] {
        let route = format!("/v1/nodes/{{node}}:{verb}");
        let refused =
            format!("keystone_control_http_requests_total{{method=\"POST\",route=\"{route}\",status=\"409\"}}");
        assert_eq!(control.metric(&refused).await, 1.0, "{verb}");
    }
    assert!(!control.state.fleet.member(&two.id()).unwrap().draining, "nothing moved");
    control.post("/v1/nodes/n2:cordon?force=1", Some(&admin), json!({})).await.is(200);
    takes_none(&scene, &two, true).await;
    control.post("/v1/nodes/n1:undrain", Some(&admin), json!({})).await.is(200);
    takes_none(&scene, node, false).await;
    control.post("/v1/nodes/n9:drain", Some(&admin), json!({})).await.is_problem(404, "node-not-found");
    let far = json!({ "deadline_seconds": 604_801 });
    control.post("/v1/nodes/n2:drain", Some(&admin), far).await.is_problem(422, "invalid-value");
    let audit = control.get("/v1/audit", Some(&admin)).await.is(200).body.to_string();
    assert!(audit.contains("node.cordon") && audit.contains("node.undrain"), "{audit}");
    scene.stop().await;
}

#[actix_web::test]
async fn at_the_deadline_of_a_drain_the_rest_moves() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let admin = control.admin("admin").await;
    let two = Node::second(control).await;
    let admitted = scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    node.connect("v1", scene.stream.as_str(), false, 1);
    let drained = control.post("/v1/nodes/n1:drain", Some(&admin), json!({ "deadline_s": 600 })).await.is(200).body;
    let drain = &drained["drain"];
    assert_eq!(drain["remaining"], json!({ "publish": { "webrtc": 1 }, "play": { "rtmp": 1 } }));
    let left_ms = drain["deadline_ms"].as_u64().unwrap().saturating_sub(clock::unix_ms());
    assert!((500_000..=600_000).contains(&left_ms), "{drain}");
    assert!(scene.placement().await.is_some(), "not yet");
    control.post("/v1/nodes/n1:drain", Some(&admin), json!({ "deadline_seconds": 0 })).await.is(200);
    node.has_kicked("c1").await;
    node.has_kicked("v1").await;
    until("the stream is free", async || scene.placement().await.is_none().then_some(())).await;
    let path = format!("/v1/sessions/{}", admitted.session);
    let ended = until("the session is over", async || {
        let session = control.get(&path, Some(&scene.owner)).await.is(200).body;
        session["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(ended, "stream_moved");
    // The publisher comes back, and is placed elsewhere and let be.
    let again = scene.edge.reserve(control, &scene.stream, node, &scene.key).await.is(200).body;
    assert_eq!(again["node"], "n2");
    until("nothing is left", async || {
        let shown = control.get("/v1/nodes/n1", Some(&admin)).await.is(200).body;
        (shown["drain"]["remaining"] == json!({ "publish": {}, "play": {} })).then_some(())
    })
    .await;
    control.post("/v1/nodes/n1:undrain", Some(&admin), json!({})).await.is(200);
    takes_none(&scene, node, false).await;
    assert!(two.kicked().is_empty());
    node.is(control, NodeState::Up).await;
    scene.stop().await;
}
