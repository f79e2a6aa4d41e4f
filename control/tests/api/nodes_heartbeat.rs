//! Heartbeats that are not what they should be: a clear error, a metric, nothing moved.

use super::{
    helpers::{Answer, Control, Test, send, until},
    media::Node,
};
use kit::{clock, kv::Cmd};
use proto::{NodeId, keys};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/hooks/heartbeat/n1/node-one-secret";

async fn post(control: &Control, path: &str, body: &Value) -> Answer {
    send(control.request(Method::POST, path).json(body)).await
}

/// The body of a good heartbeat with one value changed.
fn with(node: &Node, pointer: &str, value: Value) -> Value {
    let mut body = node.beat_body(1);
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

async fn counted(control: &Control, what: &str) -> f64 {
    control.metric(&format!("keystone_control_heartbeats_total{{what=\"{what}\"}}")).await
}

/// Nothing of `n1` is known, here or in Redis.
async fn nothing_moved(control: &Control) {
    let one = NodeId::parse("n1").unwrap();
    assert!(control.state.nodes.info(&one).is_none());
    let known = control.state.kv.one(Cmd::hgetall(keys::NODES)).await.unwrap().map().unwrap();
    assert!(known.is_empty(), "{known:?}");
}

#[actix_web::test]
async fn strangers_and_thieves_of_an_id_move_nothing() {
    let test = Test::start().await;
    let control = &test.control;
    let (one, two) = (Node::quiet("n1", "node-one-secret"), Node::quiet("n2", "node-two-secret"));
    let body = one.beat_body(1);
    for path in
        ["/v1/hooks/heartbeat/n1/node-two-secret", "/v1/hooks/heartbeat/n1/x", "/v1/hooks/heartbeat/n9/node-one-secret"]
    {
        post(control, path, &body).await.is_problem(403, "node-unknown");
    }
    assert_eq!(control.metric("keystone_control_strangers_total{what=\"secret\"}").await, 3.0);
    // n2, by its own secret, says that it is n1.
    post(control, "/v1/hooks/heartbeat/n2/node-two-secret", &body).await.is_problem(403, "node-unknown");
    assert_eq!(counted(control, "name").await, 1.0);
    let register = async |secret: Option<&str>, body: &Value| {
        let request = control.request(Method::POST, "/api/v1/srs/register").json(body);
        send(match secret {
            Some(secret) => request.bearer_auth(secret),
            None => request,
        })
        .await
    };
    for secret in [None, Some("wrong-secret"), Some("node-two-secret")] {
        register(secret, &body).await.is_problem(403, "node-unknown");
    }
    nothing_moved(control).await;
    // The way of SRS 8, with its own secret.
    let answer = register(Some("node-two-secret"), &two.beat_body(1)).await.is(200);
    assert_eq!(answer.body["code"], 0);
    assert!(control.state.nodes.info(&two.id()).is_some());
    nothing_moved_but_n2(control).await;
    test.stop().await;
}

async fn nothing_moved_but_n2(control: &Control) {
    let known = control.state.kv.one(Cmd::hgetall(keys::NODES)).await.unwrap().map().unwrap();
    assert_eq!(known.len(), 1);
    assert!(control.state.nodes.info(&NodeId::parse("n1").unwrap()).is_none());
}

#[actix_web::test]
async fn numbers_and_addresses_that_cannot_be_are_refused_with_the_reason() {
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let node = Node::quiet("n1", "node-one-secret");
    let process = "/summaries/data/self";
    let numbers = [
        with(&node, &format!("{process}/cpu_percent"), json!(-1)),
        with(&node, &format!("{process}/cpu_percent"), json!(1e300)),
        with(&node, &format!("{process}/mem_kbyte"), json!(u64::MAX)),
        with(&node, &format!("{process}/srs_uptime"), json!(u64::MAX)),
        with(&node, "/api", json!(["0"])),
        with(&node, "/api", json!(["127.0.0.1:70000"])),
        with(&node, "/api", json!(vec!["1985"; 17])),
        with(&node, "/ip", json!("not an address")),
    ];
    for body in &numbers {
        let answer = post(control, PATH, body).await;
        answer.is_problem(422, "heartbeat-refused");
    }
    assert_eq!(counted(control, "numbers").await, 8.0);
    let away = [with(&node, "/api", json!(["203.0.113.7:1985"])), with(&node, "/api", json!(["169.254.169.254:80"]))];
    for body in &away {
        let answer = post(control, PATH, body).await;
        answer.is_problem(422, "heartbeat-refused");
        assert!(answer.body["detail"].as_str().unwrap().contains("NODES_CIDR"), "{answer:?}");
    }
    assert_eq!(counted(control, "address").await, 2.0);
    let shown = control.get("/v1/nodes/n1", Some(&admin)).await.is(200).body;
    assert_eq!(
        (&shown["checks"][0]["check"], &shown["checks"][0]["ok"]),
        (&json!("heartbeat"), &json!(false)),
        "{shown}"
    );
    let malformed = [
        with(&node, &format!("{process}/mem_kbyte"), json!(-5)),
        with(&node, "/service", json!(7)),
        json!({ "server": "n1" }),
        json!([]),
    ];
    for body in &malformed {
        post(control, PATH, body).await.is_problem(400, "bad-request");
    }
    let text = send(
        control
            .request(Method::POST, PATH)
            .body(r#"{"server":"n1","service":"s","summaries":{"data":{"self":{"cpu_percent":1e999}}}}"#),
    )
    .await;
    text.is_problem(400, "bad-request");
    assert_eq!(counted(control, "malformed").await, 5.0);
    post(control, PATH, &with(&node, "/service", json!("a.b"))).await.is_problem(422, "heartbeat-refused");
    let long = send(control.request(Method::POST, PATH).body(vec![b' '; 64 * 1024 + 1])).await;
    long.is_problem(413, "body-too-large");
    assert_eq!(counted(control, "body").await, 1.0);
    nothing_moved(control).await;
    node.beat(control).await;
    let shown = until("it joins", async || {
        let shown = control.get("/v1/nodes/n1", Some(&admin)).await.is(200).body;
        (shown["state"] == "up").then_some(shown)
    })
    .await;
    assert!(shown["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true), "{shown}");
    test.stop().await;
}

#[actix_web::test]
async fn an_enrolled_address_is_kept_whatever_a_heartbeat_says() {
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let node = Node::quiet("n1", "node-one-secret");
    let own = node.beat_body(1)["api"][0].as_str().unwrap().to_owned();
    control.patch("/v1/nodes/n1", Some(&admin), json!({ "at": { "api": own } })).await.is(200);
    let thief = with(&node, "/api", json!(["127.0.0.2:1985"]));
    let answer = post(control, PATH, &thief).await;
    answer.is_problem(422, "heartbeat-refused");
    assert!(answer.body["detail"].as_str().unwrap().contains("PATCH /v1/nodes"), "{answer:?}");
    nothing_moved(control).await;
    // A port that is bound to every address may be mapped; where the node is stays as enrolled.
    post(control, PATH, &with(&node, "/api", json!(["1985"]))).await.is(200);
    assert_eq!(control.state.nodes.api(&node.id()), Some(format!("http://{own}")));
    until("it is dialled where it is enrolled", async || {
        control.state.nodes.checks(&node.id()).filter(|checked| checked.ok).map(|_| ())
    })
    .await;
    test.stop().await;
}

#[actix_web::test]
async fn a_flood_of_heartbeats_is_answered_and_only_a_few_are_taken_in() {
    let test = Test::start().await;
    let control = &test.control;
    let node = Node::quiet("n1", "node-one-secret");
    node.beat(control).await;
    let body = node.beat_body(1).to_string();
    let began = clock::unix_ms();
    let flood = (0..10).map(|_| async {
        let (mut taken, mut refused) = (0_u32, 0_u32);
        for _ in 0..250 {
            let request = control.request(Method::POST, PATH).header("content-type", "application/json");
            let answer = send(request.body(body.clone())).await;
            match answer.status.as_u16() {
                200 => taken += 1,
                429 => {
                    assert!(answer.header("retry-after").is_some());
                    refused += 1;
                }
                other => panic!("{other}"),
            }
        }
        (taken, refused)
    });
    let all = futures_util::future::join_all(flood).await;
    let taken: u32 = all.iter().map(|(taken, _)| taken).sum();
    let refused: u32 = all.iter().map(|(_, refused)| refused).sum();
    let seconds = u32::try_from((clock::unix_ms() - began).div_ceil(1_000)).unwrap();
    // 20 at once and 20 a second.
    assert!(taken + refused == 2_500 && taken <= 20 + 20 * (seconds + 1), "{taken} taken in {seconds} s");
    assert_eq!(counted(control, "too_many").await, f64::from(refused));
    // Strangers cost no store anything either: their number changes nothing.
    for _ in 0..200 {
        post(control, "/v1/hooks/heartbeat/n1/wrong", &json!({})).await.is_problem(403, "node-unknown");
    }
    // Another node is not kept out by it.
    Node::second(control).await;
    test.stop().await;
}
