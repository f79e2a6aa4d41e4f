//! Publish and play tokens.
use crate::helpers::{Control, Session, Test, until};
use kit::{kv::Cmd, token::MediaKeys};
use proto::{api::IssuedToken, event::Event, keys, secret::PublishedSecrets, session::Role};
use serde_json::{Value, json};

async fn issue(control: &Control, who: &Session, stream: &proto::StreamId, body: Value) -> IssuedToken {
    control.post(&format!("/v1/streams/{stream}/tokens"), Some(who), body).await.is(201).read()
}

#[actix_web::test]
async fn an_edge_finds_all_it_needs_in_redis() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let id = control.stream(&ann, "private").await.stream.id;
    let body = json!({ "action": "publish", "ttl_seconds": 60, "single_use": true, "ip": "::ffff:192.0.2.7" });
    let issued = issue(control, &ann, &id, body).await;

    let kv = &control.state.kv;
    let secrets: PublishedSecrets =
        until("secrets are published", async || kv.json(keys::SECRETS).await.unwrap()).await;
    let claims = MediaKeys::new(&secrets.token_keys).verify(&issued.token, kit::clock::unix()).unwrap();
    assert_eq!((claims.jti, claims.stream, claims.action), (issued.info.id, id, Role::Publish));
    assert_eq!((claims.single_use, claims.ip), (true, Some("192.0.2.7".parse().unwrap())));
    assert_eq!(claims.exp - claims.iat, 60);
    let key = keys::token(&issued.info.id);
    assert_eq!(kv.one(Cmd::get(&key)).await.unwrap().text(), Some("1"));
    let left = kv.one(Cmd::on("PTTL", &key)).await.unwrap().int().unwrap();
    assert!((50_000..=60_000).contains(&left), "{left}");
    test.stop().await;
}

#[actix_web::test]
async fn list_and_revoke() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, bob) = (control.user("ann").await, control.user("bob").await);
    let id = control.stream(&ann, "public").await.stream.id;
    let other = control.stream(&ann, "public").await.stream.id;
    let play = json!({ "action": "play" });
    let (a, b) = (issue(control, &ann, &id, play.clone()).await, issue(control, &ann, &id, play).await);
    let list = format!("/v1/streams/{id}/tokens");
    let ids = |answer: &Value| -> Vec<String> {
        answer["items"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap().to_owned()).collect()
    };
    let page = control.get(&format!("{list}?limit=1"), Some(&ann)).await.is(200).body;
    let next =
        control.get(&format!("{list}?limit=1&cursor={}", page["next_cursor"].as_str().unwrap()), Some(&ann)).await;
    let mut both = [ids(&page), ids(&next.is(200).body)].concat();
    both.sort();
    let mut wanted = vec![a.info.id.to_string(), b.info.id.to_string()];
    wanted.sort();
    assert_eq!(both, wanted);
    assert!(page["items"][0].get("token").is_none(), "a list shows no token");
    control.get(&list, Some(&bob)).await.is_problem(403, "forbidden");

    control.state.kv.subscribe(vec![keys::EVENTS.to_owned()]).await.unwrap();
    let mut news = control.state.kv.news();
    let revoke = format!("{list}/{}", a.info.id);
    control.delete(&revoke, Some(&bob)).await.is_problem(403, "forbidden");
    let elsewhere = format!("/v1/streams/{other}/tokens/{}", a.info.id);
    control.delete(&elsewhere, Some(&ann)).await.is_problem(404, "token-not-found");
    control.delete(&format!("{list}/nonsense"), Some(&ann)).await.is_problem(404, "token-not-found");
    control.delete(&revoke, Some(&ann)).await.is(204);
    control.delete(&revoke, Some(&ann)).await.is(204);
    let kv = &control.state.kv;
    assert!(kv.one(Cmd::get(&keys::token(&a.info.id))).await.unwrap().is_nil());
    let score = kv.one(Cmd::on("ZSCORE", keys::REVOKED).arg(a.info.id.to_string())).await.unwrap().int().unwrap();
    assert_eq!(score, a.info.expires_at.unix_timestamp());
    let told = async || {
        let kit::kv::News::Message { payload, .. } = news.recv().await.unwrap() else { return None };
        let event: Event = serde_json::from_slice(&payload).unwrap();
        if let Event::TokenRevoked { jti, .. } = event { Some(jti) } else { None }
    };
    assert_eq!(until("the event", told).await, a.info.id);
    let revoked = control.get(&list, Some(&ann)).await.is(200).body;
    let gone = revoked["items"].as_array().unwrap().iter().filter(|token| token.get("revoked_at").is_some());
    assert_eq!(gone.count(), 1);
    test.stop().await;
}

#[actix_web::test]
async fn a_deleted_stream_takes_its_tokens_with_it() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let id = control.stream(&ann, "public").await.stream.id;
    let issued = issue(control, &ann, &id, json!({ "action": "publish" })).await;
    control.delete(&format!("/v1/streams/{id}"), Some(&ann)).await.is(204);
    let kv = &control.state.kv;
    assert!(kv.one(Cmd::get(&keys::token(&issued.info.id))).await.unwrap().is_nil());
    let revoked = kv.one(Cmd::on("ZSCORE", keys::REVOKED).arg(issued.info.id.to_string())).await.unwrap();
    assert!(!revoked.is_nil());
    test.stop().await;
}

#[actix_web::test]
async fn bad_requests_for_tokens() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let id = control.stream(&ann, "public").await.stream.id;
    let cases = [
        (json!({}), 400, "action"),
        (json!({ "action": "delete" }), 400, "action"),
        (json!({ "action": "play", "ip": "nowhere" }), 400, "ip"),
        (json!({ "action": "play", "ttl_seconds": 0 }), 422, "ttl_seconds"),
        (json!({ "action": "play", "ttl_seconds": 2_592_001 }), 422, "ttl_seconds"),
        (json!({ "action": "play", "ttl_seconds": -1 }), 400, "ttl_seconds"),
        (json!({ "action": "play", "jti": "x" }), 400, "jti"),
    ];
    for (body, status, field) in cases {
        let answer = control.post(&format!("/v1/streams/{id}/tokens"), Some(&ann), body).await.is(status);
        assert_eq!(answer.body["field"], field, "{answer:?}");
    }
    let body = json!({ "action": "play" });
    control.post("/v1/streams/nosuchstream/tokens", Some(&ann), body).await.is_problem(404, "stream-not-found");
    test.stop().await;
}

#[actix_web::test]
async fn a_revocation_is_carried_out_to_its_end_though_the_client_hangs_up() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let id = control.stream(&ann, "public").await.stream.id;
    let issued = issue(control, &ann, &id, json!({ "action": "play" })).await;
    let blocker = kit::pg::direct(&test.database.url.clone().into()).await.unwrap();
    blocker.batch_execute("BEGIN; LOCK TABLE tokens IN EXCLUSIVE MODE").await.unwrap();
    let path = format!("/v1/streams/{id}/tokens/{}", issued.info.id);
    let request = crate::helpers::signed(control.request(reqwest::Method::DELETE, &path), Some(&ann));
    let cut = request.timeout(std::time::Duration::from_millis(300)).send().await;
    assert!(cut.is_err(), "{cut:?}");
    blocker.batch_execute("COMMIT").await.unwrap();
    let key = keys::token(&issued.info.id);
    until("Redis is told", async || control.state.kv.one(Cmd::get(&key)).await.unwrap().is_nil().then_some(())).await;
    test.stop().await;
}
