//! Server-sent events.

use super::{
    helpers::{Control, Session, signed, until},
    media::Scene,
};
use reqwest::{Method, Response};
use std::time::Duration;

/// An open event stream, read line by line.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(control: &Control, who: &Session, query: &str) -> Self {
        let request = signed(control.request(Method::GET, &format!("/v1/events{query}")), Some(who));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Self { response, text: String::new() };
        events.until("retry:").await;
        events
    }

    /// Reads until a line holds `wanted`; gives back all that came until then.
    async fn until(&mut self, wanted: &str) -> String {
        let read = async {
            while !self.text.contains(wanted) {
                let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .unwrap_or_else(|_| panic!("no {wanted}: {}", self.text));
        std::mem::take(&mut self.text)
    }
}

#[actix_web::test]
async fn owners_hear_of_their_streams_and_nobody_elses() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let other = control.user("other").await;
    let admin = control.admin("admin").await;
    let listening = "keystone_control_event_listeners";
    let mut owners = Events::open(control, &scene.owner, "").await;
    let mut others = Events::open(control, &other, "").await;
    let mut admins = Events::open(control, &admin, &format!("?stream={}", scene.stream)).await;
    assert_eq!(control.metric(listening).await, 3.0);
    // The other one's own stream tells when all before it must have come.
    let marker = control.stream(&other, "private").await.stream.id;

    let admitted = scene.live("c1").await;
    assert_eq!(scene.play("rtmp", "v1", "").await, 0);
    assert_eq!(scene.node.hook(control, &scene.node.unpublish(&scene.stream, "c1")).await, 0);
    for events in [&mut owners, &mut admins] {
        let heard = events.until("event: stream_ended").await;
        for name in ["event: stream_live", "event: session_opened"] {
            assert!(heard.contains(name), "{name}: {heard}");
        }
        assert!(heard.contains(&admitted.session.to_string()));
        assert!(!heard.contains("secrets_changed"));
    }
    control.patch(&format!("/v1/streams/{marker}"), Some(&other), serde_json::json!({ "title": "t" })).await.is(200);
    let heard = others.until(marker.as_str()).await;
    assert!(!heard.contains(scene.stream.as_str()), "{heard}");
    drop((owners, others, admins));
    until("they are gone", async || {
        // A closed connection is noticed when something is written to it.
        let body = serde_json::json!({ "title": "u" });
        control.patch(&format!("/v1/streams/{marker}"), Some(&other), body.clone()).await;
        control.patch(&scene.path(""), Some(&scene.owner), body).await;
        (control.metric(listening).await == 0.0).then_some(())
    })
    .await;
    scene.stop().await;
}

#[actix_web::test]
async fn events_need_somebody_who_is_signed_in() {
    let scene = Scene::start("public").await;
    scene.control().get("/v1/events", None).await.is_problem(401, "unauthenticated");
    scene.stop().await;
}

#[actix_web::test]
async fn a_reader_is_told_when_news_was_lost() {
    let mut scene = Scene::start("public").await;
    let mut events = Events::open(scene.control(), &scene.owner, "").await;
    scene.test.redis.revive();
    events.until("event: gap").await;
    scene.stop().await;
}
