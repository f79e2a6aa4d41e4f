//! The session table over HTTP: who sees what, pages, kicks.

use super::{edge::new_session, media::Scene};
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn owners_see_their_streams_sessions_and_strangers_none() {
    let scene = Scene::start("public").await;
    let (control, owner) = (scene.control(), Some(&scene.owner));
    let admitted = scene.live("c1").await;
    for client in ["v1", "v2", "v3"] {
        assert_eq!(scene.play("flv", client, "").await, 0);
    }
    let all = control.get("/v1/sessions", owner).await.is(200).body;
    assert_eq!(ids(&all).len(), 4);
    let publisher = control.get("/v1/sessions?role=publish", owner).await.is(200).body;
    assert_eq!(ids(&publisher), [admitted.session.to_string()]);
    let viewers = control.get(&scene.path("/sessions?role=play&limit=2"), owner).await.is(200).body;
    assert_eq!(ids(&viewers).len(), 2);
    let rest = format!("/sessions?role=play&limit=2&cursor={}", viewers["next_cursor"].as_str().unwrap());
    let rest = control.get(&scene.path(&rest), owner).await.is(200).body;
    assert_eq!((ids(&rest).len(), rest.get("next_cursor")), (1, None));
    assert!(!ids(&viewers).contains(&ids(&rest)[0]));
    assert_eq!(viewers["items"][0]["ip"], "192.0.2.7", "addresses are the owner's to see");

    let stranger = control.user("stranger").await;
    let none = control.get("/v1/sessions", Some(&stranger)).await.is(200).body;
    assert!(ids(&none).is_empty());
    let named = control.get(&format!("/v1/sessions?stream={}", scene.stream), Some(&stranger)).await.is(200).body;
    assert!(ids(&named).is_empty());
    control.get(&scene.path("/sessions"), Some(&stranger)).await.is_problem(403, "forbidden");
    let one = format!("/v1/sessions/{}", admitted.session);
    control.get(&one, Some(&stranger)).await.is_problem(404, "session-not-found");
    control.delete(&one, Some(&stranger)).await.is_problem(404, "session-not-found");
    control.get("/v1/sessions", None).await.is_problem(401, "unauthenticated");
    let admin = control.admin("admin").await;
    let everything = control.get("/v1/sessions", Some(&admin)).await.is(200).body;
    assert_eq!(ids(&everything).len(), 4);
    let live = control.get(&scene.path(""), None).await.is(200).body;
    assert_eq!(live["live"]["viewers"], 3);
    scene.stop().await;
}

#[actix_web::test]
async fn bad_queries_are_told() {
    let scene = Scene::start("public").await;
    let (control, owner) = (scene.control(), Some(&scene.owner));
    control.get("/v1/sessions?limit=0", owner).await.is_problem(422, "invalid-value");
    for query in ["cursor=x", "colour=red", "role=dance"] {
        control.get(&format!("/v1/sessions?{query}"), owner).await.is_problem(400, "bad-request");
    }
    for id in ["x".to_owned(), new_session().to_string()] {
        control.get(&format!("/v1/sessions/{id}"), owner).await.is_problem(404, "session-not-found");
    }
    scene.stop().await;
}

#[actix_web::test]
async fn a_kick_ends_a_viewer_and_a_publisher() {
    let scene = Scene::start("public").await;
    let (control, node, owner) = (scene.control(), &scene.node, Some(&scene.owner));
    let admitted = scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    node.connect("v1", scene.stream.as_str(), false, 0);
    let viewers = control.get("/v1/sessions?role=play", owner).await.is(200).body;
    let viewer = format!("/v1/sessions/{}", ids(&viewers)[0]);
    control.delete(&viewer, owner).await.is(204);
    node.has_kicked("v1").await;
    control.delete(&viewer, owner).await.is(204);
    let shown = control.get(&viewer, owner).await.is(200).body;
    assert_eq!(shown["reason"], "kicked");
    assert_eq!(node.hook(control, &node.body("on_stop", "rtmp", "v1", scene.stream.as_str(), "")).await, 0);

    control.delete(&format!("/v1/sessions/{}", admitted.session), owner).await.is(204);
    node.has_kicked("c1").await;
    assert_eq!(scene.placement().await, None);
    let broadcasts = control.get(&scene.path("/broadcasts"), owner).await.is(200).body;
    assert_eq!(broadcasts["items"][0]["reason"], "kicked");
    assert_eq!(node.hook(control, &node.publish(&admitted, "c1")).await, 409, "its ticket is spent");
    scene.stop().await;
}

#[actix_web::test]
async fn a_viewer_that_leaves_is_counted_out() {
    let scene = Scene::start("public").await;
    let (control, node) = (scene.control(), &scene.node);
    scene.live("c1").await;
    for client in ["v1", "v2"] {
        assert_eq!(scene.play("rtmp", client, "").await, 0);
    }
    // RTMP tells the end twice.
    for action in ["on_stop", "on_close"] {
        assert_eq!(node.hook(control, &node.body(action, "rtmp", "v1", scene.stream.as_str(), "")).await, 0);
    }
    let live = control.get(&scene.path(""), None).await.is(200).body;
    assert_eq!(live["live"]["viewers"], json!(1));
    scene.stop().await;
}
