//! Publishers while Postgres is away, with and without Redis, and what is written down when it is back.

use super::{
    edge::{key_of, new_session},
    helpers::until,
    media::{Node, Scene},
};
use proto::{event::Event, session::Role};
use serde_json::{Value, json};

/// The claim of the scene's stream: state, epoch, client.
async fn claim(scene: &Scene) -> Option<(String, i64, Option<String>)> {
    let client = scene.control().state.pg.get().await.ok()?;
    let sql = format!("SELECT state, epoch, client_id FROM claims WHERE stream_id = '{}'", scene.stream);
    let row = client.query_typed(&sql, &[]).await.ok()?.pop()?;
    Some((row.get(0), row.get(1), row.get(2)))
}

async fn count(scene: &Scene, sql: &str) -> i64 {
    let client = scene.control().state.pg.get().await.unwrap();
    client.query_typed(sql, &[]).await.unwrap()[0].get(0)
}

fn entry(node: &Node, hook: &Value, at_ms: u64) -> Value {
    json!({ "node": node.name, "body": hook.to_string(), "at_ms": at_ms })
}

#[actix_web::test]
async fn without_postgres_a_stream_stays_at_its_home_and_is_written_down_later() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let two = Node::second(control).await;
    let first = scene.live("c1").await;
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    scene.test.database.close().await;
    let body = json!([{ "node": "n2", "service": two.service() }, { "node": "n1", "service": node.service() }]);
    let session = new_session();
    let mut ask = scene.edge.reservation(&scene.stream, session, &two, &scene.key, false);
    ask["nodes"] = body;
    let got = scene.edge.post(control, "/internal/v1/claims", &ask).await.is(200).body;
    assert_eq!((&got["node"], got["epoch"].as_u64()), (&json!("n1"), Some(first.epoch + 1)), "its last home");
    scene.edge.reserve(control, &scene.stream, node, &scene.key).await.is_problem(409, "stream-busy");
    let admitted = scene.edge.ticket(control, &scene.stream, session, node, first.epoch + 1, Role::Publish);
    assert_eq!(node.hook(control, &node.publish(&admitted, "c2")).await, 0);
    node.connect("c2", scene.stream.as_str(), true, 1);
    assert_eq!(node.hook(control, &node.publish(&admitted, "c2")).await, 0, "the same hook again");
    assert_eq!(node.hook(control, &node.publish(&admitted, "c3")).await, 403, "a replayed ticket");
    assert_eq!(scene.placement().await.unwrap().session, session);
    assert_eq!(scene.play("rtmp", "v1", "").await, 0, "viewers go on");
    control.get(&scene.path(""), None).await.is_problem(503, "postgres-away");
    scene.test.database.open().await;
    let written = until("it is written down", async || {
        claim(&scene).await.filter(|(state, _, client)| state == "live" && client.as_deref() == Some("c2"))
    })
    .await;
    assert!(written.1 > i64::try_from(first.epoch).unwrap(), "{written:?}");
    let sql = format!("SELECT count(*) FROM broadcasts WHERE stream_id = '{}' AND ended_at IS NULL", scene.stream);
    assert_eq!(count(&scene, &sql).await, 1);
    assert!(!node.kicked().contains(&"c2".to_owned()));
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c2")).await, 0);
    assert_eq!(scene.placement().await, None);
    scene.stop().await;
}

#[actix_web::test]
async fn without_postgres_a_key_publishes_at_home_only_and_its_end_is_kept_too() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let two = Node::second(control).await;
    let param = format!("?token={}", scene.made.stream_key);
    let publish = |node: &Node, client: &str| node.body("on_publish", "rtmp", client, scene.stream.as_str(), &param);
    assert_eq!(node.hook(control, &publish(node, "c1")).await, 0);
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    scene.test.database.close().await;
    assert_eq!(two.hook(control, &publish(&two, "d1")).await, 409, "not its home");
    assert_eq!(node.hook(control, &publish(node, "c2")).await, 0);
    assert_eq!(node.hook(control, &publish(node, "c3")).await, 409, "one publisher");
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c2")).await, 0);
    assert_eq!(scene.placement().await, None);
    scene.test.database.open().await;
    let sql = format!("SELECT count(*) FROM broadcasts WHERE stream_id = '{}' AND ended_at IS NOT NULL", scene.stream);
    until("both are history", async || {
        (claim(&scene).await?.0 == "free" && count(&scene, &sql).await == 2).then_some(())
    })
    .await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_publisher_whose_account_is_disabled_is_put_out_when_postgres_is_back() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let param = format!("?token={}", scene.made.stream_key);
    let publish = |client: &str| node.body("on_publish", "rtmp", client, scene.stream.as_str(), &param);
    assert_eq!(node.hook(control, &publish("c1")).await, 0);
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    scene.test.database.run("UPDATE users SET disabled_at = now()").await;
    assert_eq!(node.hook(control, &publish("c2")).await, 404, "nobody is let in while it can be asked");
    scene.test.database.close().await;
    assert_eq!(node.hook(control, &publish("c3")).await, 0, "from memory");
    node.connect("c3", scene.stream.as_str(), true, 1);
    scene.test.database.open().await;
    node.has_kicked("c3").await;
    assert_eq!(claim(&scene).await.unwrap().0, "free");
    scene.stop().await;
}

#[actix_web::test]
async fn of_two_that_met_while_both_stores_were_away_the_older_stays() {
    let mut scene = Scene::start("public").await;
    let other = scene.test.another(&[]).await;
    scene.node.beat(&other).await;
    scene.test.database.close().await;
    scene.test.redis.kill();
    let (control, node) = (scene.control(), &scene.node);
    until("Redis is seen away", async || (!control.state.kv.connected()).then_some(())).await;
    let older = scene.edge.admit(control, &scene.stream, node, &scene.key).await;
    assert_eq!(node.hook(control, &node.publish(&older, "old")).await, 0);
    let taken_ms = kit::clock::unix_ms();
    until("a later millisecond", async || (kit::clock::unix_ms() > taken_ms).then_some(())).await;
    let younger = scene.edge.admit(&other, &scene.stream, node, &scene.key).await;
    assert_eq!(node.hook(&other, &node.publish(&younger, "new")).await, 0, "it cannot know");
    for client in ["old", "new"] {
        node.connect(client, scene.stream.as_str(), true, 1);
    }
    scene.test.redis.revive();
    scene.test.database.open().await;
    until("Postgres answers", async || scene.control().state.pg.ping().await.ok()).await;
    let back = std::time::Instant::now();
    scene.node.has_kicked("new").await;
    assert!(back.elapsed() < std::time::Duration::from_secs(5), "{:?}", back.elapsed());
    let held = until("the older has it", async || {
        claim(&scene).await.filter(|(state, _, client)| state == "live" && client.as_deref() == Some("old"))
    })
    .await;
    assert!(held.1 >= 1);
    assert!(!scene.node.kicked().contains(&"old".to_owned()));
    other.stop().await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_journal_handed_in_twice_changes_nothing() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let now_ms = kit::clock::unix_ms() - 20_000;
    let ticket = |epoch, until| {
        scene.edge.ticket_until(control, &scene.stream, new_session(), node, (epoch, Role::Publish), until)
    };
    let first = ticket(4, now_ms / 1000 + 5);
    let late = ticket(9, now_ms / 1000 - 5);
    node.connect("c1", scene.stream.as_str(), true, 1);
    let gone = entry(node, &node.unpublish(&scene.stream, "c1"), now_ms + 2);
    let begun = json!({ "entries": [
        entry(node, &node.publish(&late, "c0"), now_ms),
        entry(node, &node.publish(&first, "c1"), now_ms + 1),
        { "node": "n1", "body": "{", "at_ms": now_ms },
        { "node": "n2", "body": node.publish(&first, "c1").to_string(), "at_ms": now_ms },
    ] });
    for _ in 0..2 {
        scene.edge.post(control, "/internal/v1/journal", &begun).await.is(204);
        assert_eq!(claim(&scene).await, Some(("live".to_owned(), 4, Some("c1".to_owned()))), "judged by its time");
    }
    let placed = scene.placement().await.unwrap();
    assert_eq!((placed.epoch, placed.session), (4, first.session));
    for _ in 0..2 {
        scene.edge.post(control, "/internal/v1/journal", &json!({ "entries": [gone] })).await.is(204);
    }
    scene.edge.post(control, "/internal/v1/journal", &begun).await.is(204);
    let (state, epoch, _) = claim(&scene).await.unwrap();
    assert_eq!((state.as_str(), epoch), ("free", 4), "begun and ended already");
    let sql = format!("SELECT count(*) FROM broadcasts WHERE stream_id = '{}'", scene.stream);
    assert_eq!(count(&scene, &sql).await, 1);

    let many = vec![gone; proto::journal::BATCH_MAX + 1];
    scene.edge.post(control, "/internal/v1/journal", &json!({ "entries": many })).await.is_problem(400, "bad-request");
    control.post("/internal/v1/journal", None, begun.clone()).await.is_problem(401, "unauthenticated");
    scene.test.database.close().await;
    scene.edge.post(control, "/internal/v1/journal", &begun).await.is_problem(503, "postgres-away");
    scene.test.database.open().await;
    scene.stop().await;
}

#[actix_web::test]
async fn without_both_stores_a_token_counts_by_its_signature_and_one_for_once_waits() {
    let mut scene = Scene::start("public").await;
    let control = scene.control();
    let issue = async |body: Value| control.post(&scene.path("/tokens"), Some(&scene.owner), body).await.is(201).body;
    let good = issue(json!({ "action": "publish" })).await;
    let once = issue(json!({ "action": "publish", "single_use": true })).await;
    let revoked = issue(json!({ "action": "publish" })).await;
    let id = revoked["id"].as_str().unwrap();
    control.delete(&scene.path(&format!("/tokens/{id}")), Some(&scene.owner)).await.is(204);
    scene.test.database.close().await;
    scene.test.redis.kill();
    let (control, node) = (scene.control(), &scene.node);
    until("Redis is seen away", async || (!control.state.kv.connected()).then_some(())).await;
    for (token, wanted) in [(&once, 503), (&revoked, 403), (&good, 0)] {
        let param = format!("?token={}", token["token"].as_str().unwrap());
        let hook = node.body("on_publish", "rtmp", "c1", scene.stream.as_str(), &param);
        assert_eq!(node.hook(control, &hook).await, wanted, "{token}");
    }
    scene.test.redis.revive();
    scene.test.database.open().await;
    until("it is written down", async || claim(&scene).await.filter(|(state, ..)| state == "live")).await;
    scene.stop().await;
}

#[actix_web::test]
async fn a_move_ends_what_is_left_at_the_old_node() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    let two = Node::second(control).await;
    scene.live("c1").await;
    for viewer in ["v1", "v2"] {
        assert_eq!(scene.play("rtmp", viewer, "").await, 0);
        node.connect(viewer, scene.stream.as_str(), false, 0);
    }
    let mut news = control.state.news.listen().unwrap();
    assert_eq!(node.hook(control, &node.unpublish(&scene.stream, "c1")).await, 0);
    let param = format!("?token={}", scene.made.stream_key);
    let hook = two.body("on_publish", "rtmp", "d1", scene.stream.as_str(), &param);
    assert_eq!(two.hook(control, &hook).await, 0, "a free placement moves to a direct publisher's node");
    for viewer in ["v1", "v2"] {
        node.has_kicked(viewer).await;
    }
    let mut moved = 0;
    until("both are told", async || {
        while let Ok(item) = news.try_recv() {
            if let control::jobs::news::Item::Heard(heard) = item
                && let Event::SessionClosed { reason: proto::session::EndReason::StreamMoved, .. } = &heard.event
            {
                moved += 1;
            }
        }
        (moved == 2).then_some(())
    })
    .await;
    assert_eq!(scene.play("rtmp", "v3", "").await, 409, "not its home any more");
    assert_eq!(two.hook(control, &two.body("on_play", "rtmp", "w1", scene.stream.as_str(), "")).await, 0);
    let made = control.stream(&scene.owner, "public").await;
    assert!(scene.edge.reserve(control, &made.stream.id, &two, &key_of(&made)).await.status.is_success());
    assert!(two.kicked().is_empty());
    scene.stop().await;
}

#[actix_web::test]
async fn a_placement_that_outlived_its_claim_is_removed() {
    let scene = Scene::start("public").await;
    scene.live("c1").await;
    let mut placement = scene.placement().await.unwrap();
    scene.test.database.run("UPDATE claims SET state = 'free', broadcast_id = NULL").await;
    placement.since_ms -= 60_000;
    placement.epoch += 1;
    scene.control().state.kv.one(control::sessions::live::place(&placement)).await.unwrap();
    until("it is gone", async || scene.placement().await.is_none().then_some(())).await;
    scene.stop().await;
}
