//! `Idempotency-Key`.
use crate::helpers::{Answer, Control, Session, Test, send, signed};
use reqwest::Method;
use serde_json::{Value, json};

async fn post(control: &Control, who: &Session, path: &str, key: &str, body: &Value) -> Answer {
    let request = signed(control.request(Method::POST, path), Some(who)).header("idempotency-key", key);
    send(request.json(body)).await
}

#[actix_web::test]
async fn a_request_sent_again_gets_the_same_answer_from_any_control() {
    let test = Test::start().await;
    let other = test.another(&[]).await;
    let (ann, bob) = (test.control.user("ann").await, test.control.user("bob").await);
    let body = json!({ "title": "x" });
    let first = post(&test.control, &ann, "/v1/streams", "k1", &body).await.is(201);
    let again = post(&other, &ann, "/v1/streams", "k1", &body).await.is(201);
    assert_eq!(first.body, again.body);
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(test.control.get("/v1/streams?owner=me", Some(&ann)).await.body["items"].as_array().unwrap().len(), 1);

    let changed = json!({ "title": "y" });
    post(&other, &ann, "/v1/streams", "k1", &changed).await.is_problem(422, "idempotency-mismatch");
    let theirs = post(&other, &bob, "/v1/streams", "k1", &body).await.is(201);
    assert_ne!(theirs.body["stream"]["id"], first.body["stream"]["id"], "a key is its user's own");
    for bad in ["", &"k".repeat(129)] {
        post(&other, &ann, "/v1/streams", bad, &body).await.is_problem(400, "bad-request");
    }
    let stored = test.control.state.kv.one(kit::kv::Cmd::new("KEYS").arg("ks:idem:*")).await.unwrap().texts().unwrap();
    let stored = test.control.state.kv.one(kit::kv::Cmd::get(&stored[0])).await.unwrap();
    assert!(!stored.bytes().unwrap().windows(3).any(|w| w == b"sk_"), "a stream key lies open in Redis");
    other.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn of_requests_at_once_one_is_done() {
    let test = Test::start().await;
    let ann = test.control.user("ann").await;
    let body = json!({ "title": "x" });
    let answers =
        futures_util::future::join_all((0..6).map(|_| post(&test.control, &ann, "/v1/streams", "k", &body))).await;
    for answer in &answers {
        if answer.status != 201 {
            answer.is_problem(409, "idempotency-busy");
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 201));
    assert_eq!(test.control.get("/v1/streams?owner=me", Some(&ann)).await.body["items"].as_array().unwrap().len(), 1);
    test.stop().await;
}

#[actix_web::test]
async fn failures_are_not_kept() {
    let test = Test::start().await;
    let ann = test.control.user("ann").await;
    post(&test.control, &ann, "/v1/streams", "k", &json!({ "title": "" })).await.is_problem(422, "invalid-value");
    post(&test.control, &ann, "/v1/streams", "k", &json!({ "title": "x" })).await.is(201);
    test.stop().await;
}
