//! Postgres or Redis away, and back.
use crate::helpers::{PASSWORD, Test, until};
use kit::kv::Cmd;
use proto::{api::IssuedToken, keys};
use serde_json::json;

#[actix_web::test]
async fn without_postgres_503_and_then_all_is_well_again() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let id = control.stream(&ann, "public").await.stream.id;
    control.get("/v1/streams", None).await.is(200);
    test.database.close().await;
    let away = control.get(&format!("/v1/streams/{id}"), None).await;
    away.is_problem(503, "postgres-away");
    assert_eq!(away.header("retry-after"), Some("2"));
    control
        .post("/v1/auth/login", None, json!({ "email": ann.email, "password": PASSWORD }))
        .await
        .is_problem(503, "postgres-away");
    control.post("/v1/streams", Some(&ann), json!({ "title": "x" })).await.is_problem(503, "postgres-away");
    control.get("/healthz", None).await.is(200);
    let ready = control.get("/readyz", None).await.is(503).body;
    assert_eq!((&ready["postgres"], &ready["redis"]), (&"away".into(), &"ok".into()));
    // What an orchestrator asks: hooks and cached reads go on without Postgres.
    control.get("/readyz?only=secrets,sessions", None).await.is(200);
    control.get("/readyz?only=secrets,nothing", None).await.is_problem(400, "bad-request");
    // The directory was asked for before, so it is still shown.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    control.get("/v1/streams", None).await.is(200);
    assert!(control.metric("keystone_control_stale_answers_total").await >= 1.0);
    test.database.open().await;
    until("Postgres is back", async || (control.get("/readyz", None).await.status == 200).then_some(())).await;
    control.get(&format!("/v1/streams/{id}"), None).await.is(200);
    test.stop().await;
}

#[actix_web::test]
async fn without_redis_the_api_goes_on_and_limits_still_bite() {
    let mut test = Test::start().await;
    let ann = test.control.user("ann").await;
    let id = test.control.stream(&ann, "public").await.stream.id;
    test.redis.kill();
    let control = &test.control;
    until("Redis is seen away", async || (!control.state.kv.connected()).then_some(())).await;
    let body = json!({ "action": "publish" });
    let issued: IssuedToken = control.post(&format!("/v1/streams/{id}/tokens"), Some(&ann), body).await.is(201).read();
    control.get("/v1/streams", None).await.is(200);
    let keyed = crate::helpers::signed(control.request(reqwest::Method::POST, "/v1/streams"), Some(&ann));
    let keyed = keyed.header("idempotency-key", "k").json(&json!({ "title": "x" }));
    crate::helpers::send(keyed).await.is_problem(503, "redis-away");
    let ready = control.get("/readyz", None).await.is(200).body;
    assert_eq!(ready["redis"], "away");

    let mut refused = 0;
    for _ in 0..24 {
        let body = json!({ "email": "nobody@example.org", "password": "guess guess" });
        refused += u32::from(control.post("/v1/auth/login", None, body).await.status == 429);
    }
    assert!(refused >= 10, "{refused}");
    assert!(control.metric("keystone_control_rate_limit_fallback_total{limit=\"login\"}").await >= 20.0);
    assert!(control.metric("keystone_control_redis_skipped_total{what=\"token\"}").await >= 1.0);

    // What Redis missed it is told when it is back.
    test.redis.revive();
    let kv = &test.control.state.kv;
    until("the token is in Redis", async || {
        let value = kv.one(Cmd::get(&keys::token(&issued.info.id))).await.ok()?;
        (value.text() == Some("1")).then_some(())
    })
    .await;
    test.stop().await;
}
