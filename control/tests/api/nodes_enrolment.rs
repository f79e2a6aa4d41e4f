//! Who is enrolled: `NODES_BOOTSTRAP`, the table, and what every control node knows of it.

use super::{
    helpers::{Control, Test, send, settings, signed, until},
    media::{Node, Scene},
};
use control::{app::App, jobs::enrolments};
use proto::NodeId;
use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;

const ONE_OTHER: (&str, &str) = ("NODES_BOOTSTRAP", "n1:another-secret");

fn n(id: &str) -> NodeId {
    NodeId::parse(id).unwrap()
}

/// Status of a heartbeat of `n1` with a secret.
async fn beat(control: &Control, secret: &str) -> u16 {
    let body = Node::quiet("n1", "").beat_body(0);
    let path = format!("/v1/hooks/heartbeat/n1/{secret}");
    send(control.request(Method::POST, &path).json(&body)).await.status.as_u16()
}

#[actix_web::test]
async fn the_bootstrap_list_is_enrolled_once_and_another_secret_rotates() {
    let test = Test::start().await;
    let control = &test.control;
    let one = control.state.nodes.enrolment(&n("n1")).unwrap();
    assert!((one.weight, &one.at, &one.cordoned_at) == (1, &None, &None) && one.secrets.previous.is_none());
    let rows = "UPDATE nodes SET weight = 7, zone = 'z', cordoned_at = now() WHERE id = 'n1'";
    test.database.run(rows).await;
    let again = test.another(&[]).await;
    let kept = again.state.nodes.enrolment(&n("n1")).unwrap();
    assert_eq!((kept.weight, kept.zone.as_deref(), &kept.secrets), (7, Some("z"), &one.secrets));
    assert!(kept.cordoned_at.is_some());
    again.stop().await;
    assert_eq!(beat(control, "another-secret").await, 403);
    let other = test.another(&[ONE_OTHER]).await;
    let rotated = other.state.nodes.enrolment(&n("n1")).unwrap();
    assert_eq!((rotated.weight, rotated.cordoned_at.is_some()), (7, true));
    let (hash, until_) = rotated.secrets.previous.clone().unwrap();
    assert_eq!(hash, one.secrets.current);
    assert!(until_ > OffsetDateTime::now_utc() + time::Duration::hours(23));
    assert!(other.state.nodes.enrolment(&n("n2")).is_some(), "a node that is not in the list stays");
    // The first control-api was told.
    until("the new secret is known here", async || (beat(control, "another-secret").await == 200).then_some(())).await;
    for at in [control, &other] {
        assert_eq!((beat(at, "node-one-secret").await, beat(at, "another-secret").await), (200, 200));
        assert_eq!(beat(at, &hash).await, 403, "the hash is not the secret");
    }
    test.database.run("UPDATE nodes SET secret_previous_until = now() WHERE id = 'n1'").await;
    enrolments::load(&control.state).await.unwrap();
    assert_eq!((beat(control, "node-one-secret").await, beat(control, "another-secret").await), (403, 200));
    other.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn without_postgres_the_bootstrap_list_itself_counts_and_what_was_read_goes_on() {
    let test = Test::start().await;
    // Nothing listens there.
    let nowhere = "postgres://nobody@127.0.0.1:9/none";
    let blind = Control::start(nowhere, &test.redis.url(), &[ONE_OTHER]).await;
    assert_eq!((beat(&blind, "another-secret").await, beat(&blind, "node-one-secret").await), (200, 403));
    assert!(blind.state.nodes.enrolment(&n("n2")).is_none());
    assert!(enrolments::load(&blind.state).await.is_err());
    assert!(blind.state.nodes.enrolment(&n("n1")).is_some(), "a failed reading takes nothing away");
    blind.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn a_node_that_is_no_longer_enrolled_is_a_stranger_soon() {
    let test = Test::start().await;
    let control = &test.control;
    assert_eq!(beat(control, "node-one-secret").await, 200);
    assert!(control.state.nodes.info(&n("n1")).is_some());
    test.database.run("DELETE FROM nodes WHERE id = 'n1'").await;
    enrolments::tell(&control.state).await;
    until("it is forgotten", async || (beat(control, "node-one-secret").await == 403).then_some(())).await;
    assert!(control.state.nodes.info(&n("n1")).is_none(), "what it said is forgotten too");
    assert_eq!(control.state.nodes.all().len(), 1);
    // Another start with the same list enrols it again, as the operator says.
    let app = App::build(settings(&test.database.url, &test.redis.url(), &[])).await.unwrap();
    assert!(app.state().nodes.enrolment(&n("n1")).is_some());
    test.stop().await;
}

#[actix_web::test]
async fn an_admin_enrols_changes_rotates_and_removes_a_node() {
    let test = Test::start().await;
    let (control, other) = (&test.control, test.another(&[]).await);
    let admin = control.admin("admin").await;
    let body = json!({ "id": "m1", "at": { "api": "10.0.0.5:1985", "rtmp": "10.0.0.5:1935" }, "public": ["192.0.2.5"],
        "weight": 3, "zone": "a", "limits": { "streams": 50 }, "hooks_to": "10.0.0.9:8082" });
    let ask = || {
        let request = signed(control.request(Method::POST, "/v1/nodes"), Some(&admin)).header("idempotency-key", "k1");
        send(request.json(&body))
    };
    let made = ask().await.is(201);
    assert_eq!(made.header("location"), Some("/api/v1/nodes/m1"));
    let node = &made.body["node"];
    assert_eq!((&node["state"], &node["weight"], &node["at"]), (&json!("joining"), &json!(3), &body["at"]));
    assert_eq!((&node["limits"], &node["zone"], &node["public"]), (&body["limits"], &json!("a"), &body["public"]));
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 32);
    let conf = made.body["srs_conf"].as_str().unwrap();
    assert!(conf.contains(&format!("http://10.0.0.9:8082/v1/hooks/heartbeat/m1/{secret};")), "{conf}");
    let again = ask().await.is(201);
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &made.body));
    control.post("/v1/nodes", Some(&admin), body.clone()).await.is_problem(409, "node-exists");
    assert!(!control.get("/v1/nodes/m1", Some(&admin)).await.is(200).body.to_string().contains(&secret));
    let known = |control: &Control, secret: &str| {
        control.state.nodes.enrolment(&n("m1")).is_some_and(|n| n.secrets.accept(secret, OffsetDateTime::now_utc()))
    };
    until("the other control-api knows it", async || known(&other, &secret).then_some(())).await;

    let changed = control.patch("/v1/nodes/m1", Some(&admin), json!({ "weight": 9, "zone": "" })).await.is(200).body;
    assert_eq!((&changed["weight"], changed.get("zone"), &changed["at"]), (&json!(9), None, &body["at"]));

    let rotated = control.post("/v1/nodes/m1:rotate-secret", Some(&admin), json!({})).await.is(200).body;
    let new = rotated["secret"].as_str().unwrap();
    assert!(new != secret && known(control, new) && known(control, &secret));
    until("the other knows the new one", async || (known(&other, new) && known(&other, &secret)).then_some(())).await;
    let shown = control.get("/v1/nodes/m1", Some(&admin)).await.is(200).body;
    assert_eq!(shown["previous_secret_valid_until"], rotated["previous_valid_until"]);
    let at_once = json!({ "overlap_seconds": 0 });
    let last = control.post("/v1/nodes/m1:rotate-secret", Some(&admin), at_once).await.is(200).body;
    assert!(!known(control, new) && known(control, last["secret"].as_str().unwrap()));

    control.delete("/v1/nodes/m1", Some(&admin)).await.is(204);
    control.get("/v1/nodes/m1", Some(&admin)).await.is_problem(404, "node-not-found");
    control.delete("/v1/nodes/m1", Some(&admin)).await.is_problem(404, "node-not-found");
    until("the other forgets it", async || other.state.nodes.enrolment(&n("m1")).is_none().then_some(())).await;
    let log = control.get("/v1/audit?target=node/m1", Some(&admin)).await.is(200).body;
    let actions: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(
        actions,
        ["node.remove", "node.rotate_secret", "node.rotate_secret", "node.update", "node.enrol"],
        "{log}"
    );
    for secret in [&secret, new, last["secret"].as_str().unwrap()] {
        assert!(!log.to_string().contains(secret), "the audit log holds a secret");
    }
    other.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn what_cannot_be_enrolled_says_which_value_is_at_fault() {
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let post = async |body: serde_json::Value| control.post("/v1/nodes", Some(&admin), body).await;
    for (field, body) in [
        ("at.api", json!({ "id": "m1", "at": { "api": "here" } })),
        ("at.rtc", json!({ "id": "m1", "at": { "api": "h:1", "rtc": "h:0" } })),
        ("weight", json!({ "id": "m1", "weight": 0 })),
        ("limits.streams", json!({ "id": "m1", "limits": { "streams": 0 } })),
        ("public", json!({ "id": "m1", "public": ["http://x"] })),
        ("hooks_to", json!({ "id": "m1", "hooks_to": "control-api:8081" })),
    ] {
        let answer = post(body).await;
        answer.is_problem(422, "invalid-value");
        assert_eq!(answer.body["field"], field);
    }
    post(json!({ "id": "a.b" })).await.is_problem(400, "bad-request");
    post(json!({ "id": "m1", "adress": {} })).await.is_problem(400, "bad-request");
    control.patch("/v1/nodes/n1", Some(&admin), json!({ "weight": 101 })).await.is_problem(422, "invalid-value");
    control.patch("/v1/nodes/m9", Some(&admin), json!({})).await.is_problem(404, "node-not-found");
    let long = json!({ "overlap_seconds": 604_801 });
    control.post("/v1/nodes/n1:rotate-secret", Some(&admin), long).await.is_problem(422, "invalid-value");
    control.post("/v1/nodes/m9:rotate-secret", Some(&admin), json!({})).await.is_problem(404, "node-not-found");
    let count = control.get("/v1/nodes", Some(&admin)).await.is(200).body["items"].as_array().unwrap().len();
    assert_eq!(count, 2, "nothing was enrolled");
    test.database
        .run("INSERT INTO nodes (id, secret_hash) SELECT 'x' || i, repeat('0', 64) FROM generate_series(1, 998) i")
        .await;
    post(json!({ "id": "m1" })).await.is_problem(409, "too-many-nodes");
    test.stop().await;
}

#[actix_web::test]
async fn a_node_that_carries_something_is_removed_by_force_only() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let admin = control.admin("admin").await;
    scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    let busy = control.delete("/v1/nodes/n1", Some(&admin)).await;
    busy.is_problem(409, "node-busy");
    assert!(busy.body["detail"].as_str().unwrap().contains("1 streams and 2 sessions"), "{busy:?}");
    assert!(scene.placement().await.is_some());
    control.delete("/v1/nodes/n1?force=1", Some(&admin)).await.is(204);
    until("the stream is over", async || scene.placement().await.is_none().then_some(())).await;
    let open = control.get("/v1/sessions", Some(&scene.owner)).await.is(200).body;
    assert_eq!(open["items"], json!([]));
    scene.node.hook_raw(control, "{}".to_owned()).await.is_problem(403, "node-unknown");
    scene.stop().await;
}
