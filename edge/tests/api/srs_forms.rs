//! SRS's own forms: the query form of WHIP and WHEP, and the JSON API.

use super::helpers::{FRAGMENT, Opened, SDP, World, header, refused, sdp::fixture, srs::Behave};
use proto::{session::Role, stream::Visibility};
use reqwest::{Method, Response};
use serde_json::{Value, json};

async fn post(world: &World, target: &str, offer: &str) -> Response {
    world
        .request(Method::POST, &world.url(target))
        .header("Content-Type", SDP)
        .body(fixture(offer))
        .send()
        .await
        .unwrap()
}

#[actix_web::test]
async fn the_query_form_opens_the_same_sessions() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let publisher =
        Opened::of(post(&world, &format!("/rtc/v1/whip/?app=live&stream=cam&token={token}"), "pub.sdp").await).await;
    assert!(publisher.url.starts_with(&world.url("/rtc/v1/sessions/")));
    assert_eq!(world.patch(&publisher.url, FRAGMENT, Some("*"), fixture("trickle.frag")).await.status(), 204);
    for path in ["/rtc/v1/whep/?app=live&stream=cam", "/rtc/v1/whip-play/?app=live&stream=cam", "/v1/whep?stream=cam"] {
        let viewer = Opened::of(post(&world, path, "play.sdp").await).await;
        assert_eq!(world.request(Method::DELETE, &viewer.url).send().await.unwrap().status(), 200, "{path}");
    }
    let paths: Vec<String> = world.node().posts().into_iter().map(|p| p.path).collect();
    assert_eq!(paths, ["/rtc/v1/whip/", "/rtc/v1/whep/", "/rtc/v1/whep/", "/rtc/v1/whep/"]);
}

#[actix_web::test]
async fn a_query_that_srs_reads_otherwise_is_400() {
    let world = World::start().await;
    world.truth.add_stream("evil", Visibility::Public);
    let token = world.token("cam", Role::Publish);
    for query in [
        format!("app=live&stream=cam;stream=evil&token={token}"),
        format!("stream=cam&a=b=stream=evil&token={token}"),
        format!("app=live&stream=cam&token={token}==,stream,evil"),
        format!("stream=cam&stream=evil&token={token}"),
        format!("app=live&token={token}"),
        format!("app=live&stream=&token={token}"),
        format!("app=live&stream=cam&action=play&token={token}"),
    ] {
        refused(post(&world, &format!("/rtc/v1/whip/?{query}"), "pub.sdp").await, 400, "query-invalid").await;
    }
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn names_that_cannot_exist_are_404_in_the_query_too() {
    let world = World::start().await;
    for query in [
        "app=live&stream=c%61m",
        "app=live&stream=a.b",
        "app=live&stream=a/b",
        "app=other&stream=cam",
        "app=&stream=cam",
    ] {
        refused(post(&world, &format!("/rtc/v1/whep/?{query}"), "play.sdp").await, 404, "stream-unknown").await;
    }
}

#[actix_web::test]
async fn clients_values_of_the_query_form_never_reach_the_node() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let evil = "ice-ufrag=evil&ice-pwd=0123456789012345678901&eip=198.51.100.1&candidate=evil&encrypt=false&dtls=false&vhost=evil\
        &domain=evil&callback=evil&method=DELETE&codec=av1&x=evil";
    Opened::of(post(&world, &format!("/rtc/v1/whip/?app=live&stream=cam&token={token}&{evil}"), "pub.sdp").await).await;
    let query = world.node().posts()[0].query.clone();
    for word in ["evil", "198.51.100.1", "encrypt", "dtls", "vhost", "callback", "method", "codec", &token] {
        assert!(!query.contains(word), "{word}: {query}");
    }
}

async fn json_post(world: &World, path: &str, body: &Value) -> (u16, Value) {
    let answer = world.request(Method::POST, &world.url(path)).body(body.to_string()).send().await.unwrap();
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn body(offer: &str, streamurl: &str) -> Value {
    let sdp = String::from_utf8(fixture(offer)).unwrap();
    json!({"api": "http://x/rtc/v1/publish/", "tid": "1", "streamurl": streamurl, "clientip": "198.51.100.9", "sdp": sdp})
}

#[actix_web::test]
async fn the_json_form_publishes_and_plays() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let url = format!("webrtc://edge.example/live/cam?token={token}&eip=198.51.100.1");
    let (status, answer) = json_post(&world, "/rtc/v1/publish/", &body("pub.sdp", &url)).await;
    assert_eq!((status, &answer["code"]), (200, &json!(0)), "{answer}");
    for member in ["server", "service", "pid", "sdp", "sessionid"] {
        assert!(!answer[member].as_str().unwrap().is_empty(), "{member}");
    }
    assert!(answer["sdp"].as_str().unwrap().starts_with("v=0\r\n"));
    let (_, viewer) = json_post(&world, "/rtc/v1/play", &body("play.sdp", "webrtc://edge.example/live/cam")).await;
    assert_eq!(viewer["code"], 0, "{viewer}");
    let session = world.url(&format!("/rtc/v1/sessions/{}", viewer["sessionid"].as_str().unwrap()));
    assert_eq!(world.request(Method::DELETE, &session).send().await.unwrap().status(), 200);
    for post in world.node().posts() {
        assert_eq!(post.headers["x-forwarded-for"], "127.0.0.1", "clientip is not believed");
        assert!(
            ["/rtc/v1/whip/", "/rtc/v1/whep/"].contains(&post.path.as_str()) && !post.query.contains("198.51"),
            "{}",
            post.query
        );
    }
}

#[actix_web::test]
async fn the_json_form_fails_with_200_and_a_code() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let good = format!("webrtc://h/live/cam?token={token}");
    let smuggled = format!("webrtc://h/live/cam?token={token};stream=evil");
    for (sent, code) in [
        (json!("not an object"), 400),
        (json!({}), 400),
        (json!({"sdp": "x"}), 400),
        (json!({"sdp": 1, "streamurl": good}), 400),
        (json!({"sdp": "x", "streamurl": good, "unknown": {"deep": [1]}}), 400),
        (body("empty", &good), 400),
        (body("pub-badcodec.sdp", &good), 422),
        (body("pub.sdp", "webrtc://h/live/cam"), 401),
        (body("pub.sdp", "webrtc://h/live/cam?token=bad"), 401),
        (body("pub.sdp", &smuggled), 400),
        (body("pub.sdp", "webrtc://h/live/a.b"), 404),
        (body("pub.sdp", "webrtc://h/other/cam"), 404),
        (body("pub.sdp", "cam"), 400),
    ] {
        let (status, answer) = json_post(&world, "/rtc/v1/publish/", &sent).await;
        assert_eq!((status, &answer["code"]), (200, &json!(code)), "{answer}");
        assert!(answer.get("sdp").is_none() && !answer["error"].as_str().unwrap().is_empty(), "{answer}");
    }
    let (_, answer) = json_post(&world, "/rtc/v1/play/", &body("play.sdp", "webrtc://h/live/cam")).await;
    assert_eq!(answer["code"], 409, "{answer}");
    assert!(world.node().posts().is_empty());
    world.node().behave(vec![Behave::Close; 4]);
    let (status, answer) = json_post(&world, "/rtc/v1/publish/", &body("pub.sdp", &good)).await;
    assert!(status == 200 && answer["code"].as_u64().unwrap() >= 500, "{answer}");
}

#[actix_web::test]
async fn srs_forms_take_no_other_method() {
    let world = World::start().await;
    for path in ["/rtc/v1/whip/?app=live&stream=cam", "/rtc/v1/publish/", "/rtc/v1/play/"] {
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = world.request(method, &world.url(path)).send().await.unwrap();
            assert_eq!(header(&answer, "allow"), "POST, OPTIONS");
            refused(answer, 405, "method-not-allowed").await;
        }
    }
}

#[actix_web::test]
async fn an_open_edge_says_the_version_of_the_srs_behind_it_and_no_other_does() {
    let world = World::with(1, &[("EDGE_AUTH", "open")]).await;
    for path in ["/api/v1/versions", "/api/v1/versions/"] {
        let body: Value = world.request(Method::GET, &world.url(path)).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["code"], 0, "{body}");
        assert_eq!(body["data"]["major"], 5, "{body}");
        assert!(body["server"].as_str().unwrap().starts_with("edge-"), "{body}");
    }
    let world = World::start().await;
    let answer = world.request(Method::GET, &world.url("/api/v1/versions")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}
