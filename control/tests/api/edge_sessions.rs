//! Sessions that an edge carries alone, `POST /internal/v1/sessions`: in lists, counts and events, kicked, and over with their edge.

use super::{edge::new_session, helpers::until, media::Scene};
use kit::kv::Cmd;
use proto::{EdgeId, SessionId, fleet::EdgeInfo, internal::SessionsAnswer, keys, traffic::Sample};
use serde_json::{Value, json};

/// An HLS viewer of the scene's stream, as the edge tells it.
fn viewer(scene: &Scene, id: SessionId) -> Value {
    json!({ "id": id, "stream": scene.stream, "protocol": "hls", "node": "n1", "service": "run1", "epoch": 1, "client": "198.51.100.9",
            "credential": { "by": "open" }, "opened_ms": kit::clock::unix_ms() })
}

async fn tell(scene: &Scene, what: Value) -> SessionsAnswer {
    let mut body = json!({ "edge": "edge-1" });
    what.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
    scene.edge.post(scene.control(), "/internal/v1/sessions", &body).await.is(200).read()
}

/// The edge signs as it does every 3 s.
async fn sign(scene: &Scene) {
    let info = EdgeInfo {
        id: EdgeId::parse("edge-1").unwrap(),
        listen: "127.0.0.1:1".into(),
        url: "http://127.0.0.1:1".into(),
        version: "0".into(),
        sessions: 0,
        load: proto::fleet::EdgeLoad::default(),
        state: proto::fleet::EdgeState::Ready,
        seen_at_ms: kit::clock::unix_ms(),
    };
    let json = serde_json::to_vec(&info).unwrap();
    scene.control().state.kv.one(Cmd::hset(keys::EDGES, "edge-1", json)).await.unwrap();
}

#[actix_web::test]
async fn they_are_listed_counted_and_ended_like_all_others() {
    let scene = Scene::start("public").await;
    let (control, owner) = (scene.control(), Some(&scene.owner));
    sign(&scene).await;
    scene.live("c1").await;
    let (one, two) = (new_session(), new_session());
    assert_eq!(
        tell(&scene, json!({ "opened": [viewer(&scene, one), viewer(&scene, two)] })).await,
        SessionsAnswer::default()
    );
    let again = tell(&scene, json!({ "opened": [viewer(&scene, one)], "alive": [two] })).await;
    assert_eq!(again, SessionsAnswer::default(), "told twice is as once");
    let live = control.get(&scene.path(""), None).await.is(200).body;
    assert_eq!(live["live"]["viewers"], 2);

    let sample = Sample { received: 5, sent: 7_000, kbps: 12, at_ms: kit::clock::unix_ms() };
    let key = keys::traffic(&EdgeId::parse("edge-1").unwrap());
    control.state.kv.one(Cmd::hset(&key, &one.to_string(), sample.encode())).await.unwrap();
    let shown = control.get(&format!("/v1/sessions/{one}"), owner).await.is(200).body;
    assert_eq!(
        (&shown["protocol"], &shown["edge"], &shown["ip"]),
        (&json!("hls"), &json!("edge-1"), &json!("198.51.100.9"))
    );
    assert_eq!(
        (&shown["bytes_received"], &shown["bytes_sent"], &shown["kbps"]),
        (&json!(5), &json!(7_000), &json!(12))
    );
    let list = control.get(&scene.path("/sessions?role=play"), owner).await.is(200).body;
    let with_bytes: Vec<_> =
        list["items"].as_array().unwrap().iter().filter(|item| item["bytes_sent"] == 7_000).collect();
    assert_eq!((list["items"].as_array().unwrap().len(), with_bytes.len()), (2, 1));

    tell(&scene, json!({ "closed": [{ "id": two, "reason": "client_left" }] })).await;
    let live = control.get(&scene.path(""), None).await.is(200).body;
    assert_eq!(live["live"]["viewers"], 1);
    scene.stop().await;
}

#[actix_web::test]
async fn a_kick_is_told_to_the_edge_and_asks_nothing_of_the_node() {
    let scene = Scene::start("public").await;
    let (control, owner) = (scene.control(), Some(&scene.owner));
    sign(&scene).await;
    scene.live("c1").await;
    let one = new_session();
    tell(&scene, json!({ "opened": [viewer(&scene, one)] })).await;
    control.delete(&format!("/v1/sessions/{one}"), owner).await.is(204);
    let known: Value = control.state.kv.json(&keys::session(&one)).await.unwrap().unwrap();
    assert_eq!(known["reason"], "kicked", "what edges ask, and hear as news");
    let answer = tell(&scene, json!({ "alive": [one], "opened": [viewer(&scene, one)] })).await;
    assert_eq!(answer.ended.len(), 2, "said to run, and opened again: it is over");
    assert_eq!(answer.ended[0].reason, proto::session::EndReason::Kicked);
    assert!(scene.node.kicked().is_empty(), "no node knows it");
    scene.stop().await;
}

#[actix_web::test]
async fn they_stay_while_their_stream_moves_and_end_with_their_edge() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    sign(&scene).await;
    let one = new_session();
    // Its stream was elsewhere when it came: an edge follows by itself, so a publish on another node ends nothing here.
    let mut elsewhere = viewer(&scene, one);
    elsewhere["node"] = json!("n2");
    tell(&scene, json!({ "opened": [elsewhere] })).await;
    assert_eq!(scene.node.hook(control, &scene.node.unpublish(&scene.stream, "c1")).await, 0);
    scene.live("c2").await;
    assert_eq!(tell(&scene, json!({ "alive": [one] })).await, SessionsAnswer::default());
    assert_eq!(control.state.sessions.edges(), [EdgeId::parse("edge-1").unwrap()]);

    assert_eq!(control.state.sessions.lose_edge(&EdgeId::parse("edge-1").unwrap()), 1);
    until("its end is told", async || {
        let known: Option<Value> = control.state.kv.json(&keys::session(&one)).await.unwrap();
        (known?["reason"] == "node_lost").then_some(())
    })
    .await;
    let answer = tell(&scene, json!({ "alive": [one] })).await;
    assert_eq!(answer.unknown, [one], "an edge that was only silent opens it again");
    let mut other = json!({ "edge": "edge-1", "opened": [viewer(&scene, one)] });
    other["edge"] = json!("edge-2");
    scene.edge.post(control, "/internal/v1/sessions", &other).await.is_problem(400, "bad-request");
    assert_eq!(tell(&scene, json!({ "opened": [viewer(&scene, one)] })).await, SessionsAnswer::default());
    let live = control.get(&scene.path(""), None).await.is(200).body;
    assert_eq!(live["live"]["viewers"], 1);
    scene.stop().await;
}

#[actix_web::test]
async fn too_many_at_once_and_unknown_streams_are_refused() {
    let scene = Scene::start("public").await;
    sign(&scene).await;
    let alive: Vec<String> = (0..257).map(|_| new_session().to_string()).collect();
    let body = json!({ "edge": "edge-1", "alive": alive });
    scene.edge.post(scene.control(), "/internal/v1/sessions", &body).await.is_problem(400, "bad-request");
    let mut gone = viewer(&scene, new_session());
    gone["stream"] = json!("nosuchstream");
    let answer = tell(&scene, json!({ "opened": [gone] })).await;
    assert_eq!(answer.ended.len(), 1, "nobody could see or end it");
    let unknown = new_session();
    assert_eq!(tell(&scene, json!({ "alive": [unknown] })).await.unknown, [unknown]);
    scene.stop().await;
}
