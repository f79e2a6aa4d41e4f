//! The built-in media node carries real media by WHIP and WHEP and tells about it as SRS does.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

mod devnode_support;

use devnode_support::hooks::HookServer;
use devnode_support::{PATIENCE, eventually, need};
use keystone::devnode::{self, DevNode, DevNodeConfig};
use keystone::media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle};
use serde_json::Value;

async fn node(hooks: Option<&HookServer>) -> DevNode {
    let mut config = DevNodeConfig::local("node-a");
    config.hook_url = hooks.map(|hooks| hooks.url.clone());
    devnode::start(config).await.unwrap()
}

fn url(node: &DevNode, role: &str, stream: &str, more: &str) -> String {
    format!("{}/rtc/v1/{role}/?app=live&stream={stream}{more}", node.api_url())
}

async fn publish(node: &DevNode, stream: &str) -> Result<SessionHandle, MediaError> {
    media::publish(PublishOptions { url: url(node, "whip", stream, "&token=P"), ..Default::default() }).await
}

async fn play(node: &DevNode, stream: &str) -> Result<SessionHandle, MediaError> {
    media::play(PlayOptions { url: url(node, "whep", stream, "&token=V"), ..Default::default() }).await
}

async fn api(node: &DevNode, path: &str) -> Value {
    reqwest::get(format!("{}{path}", node.api_url())).await.unwrap().json().await.unwrap()
}

fn refused(outcome: Result<SessionHandle, MediaError>) {
    assert!(matches!(outcome, Err(MediaError::NoAnswer(_))), "{outcome:?}");
}

#[tokio::test]
async fn frames_reach_two_viewers_and_hooks_come_in_order() {
    need("ffmpeg");
    let hooks = HookServer::yes().await;
    let node = node(Some(&hooks)).await;
    let publisher = publish(&node, "one").await.unwrap();
    publisher.until(PATIENCE, |stats| stats.frames_video >= 10).await.unwrap();
    let first = play(&node, "one").await.unwrap();
    let second = play(&node, "one").await.unwrap();
    for viewer in [&first, &second] {
        let seen = viewer.until(PATIENCE, |s| s.frames_video >= 45 && s.frames_audio >= 60 && s.keyframes >= 2).await;
        let seen = seen.unwrap();
        println!("viewer: {seen:?}");
        assert_eq!((seen.frames_bad, seen.gaps), (0, 0));
    }
    let stream = &api(&node, "/api/v1/streams/?count=100").await["streams"][0];
    assert_eq!((&stream["name"], &stream["clients"]), (&"one".into(), &3.into()), "{stream}");
    assert_eq!((&stream["video"]["width"], &stream["video"]["height"]), (&640.into(), &360.into()), "{stream}");
    assert_eq!(stream["audio"]["codec"], "Opus");
    let cid = stream["publish"]["cid"].as_str().unwrap().to_owned();
    assert_eq!(stream["publish"]["active"], true);

    first.stop().await.unwrap();
    hooks.until("on_stop", |body| body["action"] == "on_stop").await;
    publisher.stop().await.unwrap();
    let end = hooks.until("on_unpublish", |body| body["action"] == "on_unpublish").await;
    assert_eq!(end["client_id"], cid.as_str());
    assert_eq!(hooks.actions(), ["on_publish", "on_play", "on_play", "on_stop", "on_unpublish"]);
    let publish = &hooks.bodies()[0];
    assert_eq!(publish["param"], "app=live&stream=one&token=P");
    assert_eq!((&publish["tcUrl"], &publish["stream_url"]), (&"".into(), &"/live/one".into()));
    assert_eq!((&publish["server_id"], &publish["ip"]), (&"node-a".into(), &"127.0.0.1".into()));
    second.stop().await.unwrap();
    node.stop().await;
}

#[tokio::test]
async fn a_viewer_that_came_first_sees_the_publisher_and_the_one_after_it() {
    need("ffmpeg");
    let node = node(None).await;
    let viewer = play(&node, "early").await.unwrap();
    viewer.connected(PATIENCE).await.unwrap();
    let publisher = publish(&node, "early").await.unwrap();
    let first = viewer.until(PATIENCE, |stats| stats.frames_video >= 10).await.unwrap();
    publisher.stop().await.unwrap();
    let publisher = publish(&node, "early").await.unwrap();
    let more = first.frames_video + 30;
    let seen = viewer.until(PATIENCE, |stats| stats.frames_video >= more && stats.keyframes >= 2).await.unwrap();
    assert_eq!(seen.frames_bad, 0);
    publisher.stop().await.unwrap();
    viewer.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_publisher_gets_no_word_and_blocks_the_name_until_it_is_kicked() {
    let hooks =
        HookServer::start(|body| if body["param"].to_string().contains("bad") { r#"{"code":403}"# } else { "0" });
    let hooks = hooks.await;
    let node = node(Some(&hooks)).await;
    let bad = url(&node, "whip", "zombie", "&token=bad");
    refused(media::publish(PublishOptions { url: bad, ..Default::default() }).await);
    let asked = hooks.until("on_publish", |body| body["action"] == "on_publish").await;

    // The name is taken although nobody publishes, and whoever tries is not even announced.
    refused(publish(&node, "zombie").await);
    let stream = &api(&node, "/api/v1/streams").await["streams"][0];
    assert_eq!((&stream["publish"]["active"], &stream["publish"]["cid"]), (&false.into(), &Value::Null), "{stream}");
    assert_eq!(hooks.actions(), ["on_publish"]);

    let id = asked["client_id"].as_str().unwrap();
    let kicked: Value = reqwest::Client::new()
        .delete(format!("{}/api/v1/clients/{id}", node.api_url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(kicked["code"], 0);
    let end = hooks.until("on_unpublish", |body| body["action"] == "on_unpublish").await;
    assert_eq!(end["client_id"], id);
    let publisher = publish(&node, "zombie").await.unwrap();
    publisher.connected(PATIENCE).await.unwrap();
    refused(publish(&node, "zombie").await);
    publisher.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_viewer_leaves_nothing_behind() {
    let hooks = HookServer::start(|_| r#"{"code":"0"}"#).await;
    let node = node(Some(&hooks)).await;
    refused(play(&node, "s").await);
    let told = hooks.until("on_play", |body| body["action"] == "on_play").await;
    assert!(told.get("stream_id").is_none(), "nobody knows the stream yet: {told}");
    assert_eq!(api(&node, "/api/v1/clients/").await["clients"], serde_json::json!([]));
    assert_eq!(hooks.actions(), ["on_play"]);
}

#[tokio::test]
async fn a_kicked_publisher_loses_its_media_at_once() {
    need("ffmpeg");
    let hooks = HookServer::yes().await;
    let node = node(Some(&hooks)).await;
    let publisher = publish(&node, "kick").await.unwrap();
    let viewer = play(&node, "kick").await.unwrap();
    viewer.until(PATIENCE, |stats| stats.frames_video >= 5).await.unwrap();
    let clients = api(&node, "/api/v1/clients?count=50").await;
    let of = |kind: &str| clients["clients"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap().clone();
    let client = of("rtc-publish");
    assert_eq!((&client["publish"], &client["url"]), (&true.into(), &"/live/kick".into()));
    assert_eq!(of("rtc-play")["publish"], false);
    let path = format!("/api/v1/clients/{}", client["id"].as_str().unwrap());
    assert_eq!(api(&node, &path).await["client"]["id"], client["id"]);
    reqwest::Client::new().delete(format!("{}{path}", node.api_url())).send().await.unwrap();
    assert_eq!(api(&node, &path).await["code"], 2049);
    hooks.until("on_unpublish", |body| body["client_id"] == client["id"] && body["action"] == "on_unpublish").await;
    publish(&node, "kick").await.unwrap().stop().await.unwrap();
    publisher.abandon();
}

#[tokio::test]
async fn the_gateway_may_set_ice_credentials_and_a_candidate() {
    let node = node(None).await;
    let offer = include_str!("devnode_support/offer.sdp");
    let post = |more: &str| {
        let request = reqwest::Client::new().post(url(&node, "whep", "s", more)).body(offer);
        async { request.send().await }
    };
    let more = "&ice-ufrag=n1-0123456789abcdef&ice-pwd=0123456789abcdef0123456789&eip=192.0.2.7:8000";
    let answer = post(more).await.unwrap();
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("/rtc/v1/whip/?action=delete&token="), "{location}");
    assert!(location.contains("&app=live&stream=s&session=n1-0123456789abcdef:"), "{location}");
    assert!(answer.headers()["server"].to_str().unwrap().starts_with("keystone-devnode/"));
    let sdp = answer.text().await.unwrap();
    let candidate = node.endpoints().candidate;
    for line in [
        "a=ice-ufrag:n1-0123456789abcdef\r\n",
        "a=ice-pwd:0123456789abcdef0123456789\r\n",
        "a=ice-lite\r\n",
        "a=setup:passive\r\n",
        "a=candidate:0 1 udp 2130706431 192.0.2.7 8000 typ host generation 0\r\n",
        &format!("a=candidate:1 1 udp 2130706431 127.0.0.1 {} typ host generation 0\r\n", candidate.port()),
    ] {
        assert!(sdp.contains(line), "{line} is not in\n{sdp}");
    }
    // The same pair again would be the same session: the node takes a name of its own.
    let again = post(more).await.unwrap();
    assert!(!again.headers()["location"].to_str().unwrap().contains("session=n1-0123456789abcdef:"));

    assert!(post("&ice-ufrag=abc").await.is_err(), "too short a ufrag");
    let delete = |location: String| reqwest::Client::new().delete(format!("{}{location}", node.api_url())).send();
    assert!(delete(location.replace("token=", "token=x")).await.is_err(), "a wrong token is not answered");
    assert_eq!(delete(location.clone()).await.unwrap().status(), 200);
    assert_eq!(delete(location).await.unwrap().status(), 200, "what is gone is deleted");
    assert!(reqwest::Client::new().post(url(&node, "whip", "s", "")).body("junk").send().await.is_err());
}

#[tokio::test]
async fn heartbeats_and_versions_have_the_shape_of_srs() {
    let beats = HookServer::yes().await;
    let mut config = DevNodeConfig::local("node-b");
    config.heartbeat_url = Some(beats.url.clone());
    config.heartbeat_interval = std::time::Duration::from_millis(100);
    let node = devnode::start(config).await.unwrap();
    let beat = beats.until("heartbeat", |body| body.get("summaries").is_some()).await;
    let versions = api(&node, "/api/v1/versions").await;
    for name in ["server", "service", "pid"] {
        assert_eq!(beat[name], versions[name]);
    }
    assert_eq!((&beat["device_id"], &beat["ip"]), (&"node-b".into(), &"127.0.0.1".into()));
    assert_eq!(beat["rtmp"][0], node.endpoints().rtmp.port().to_string());
    assert_eq!(beat["api"][0], node.endpoints().api.to_string());
    assert_eq!(versions["data"]["version"], "5.0.900");
    assert!(versions["data"]["software"].as_str().unwrap().starts_with("keystone-devnode/"));
    let summary = &api(&node, "/api/v1/summaries").await["data"];
    let fixture: &[&str] = &["cpu_percent", "mem_ram_kbyte", "ilde_time", "load_1m", "conn_srs", "srs_recv_bytes"];
    assert!(fixture.iter().all(|name| summary["system"].get(name).is_some()), "{summary}");
    eventually("uptime", || async { api(&node, "/api/v1/summaries").await["data"]["ok"].as_bool() }).await;
}

#[tokio::test]
async fn silent_sessions_and_refused_names_end_by_themselves() {
    need("ffmpeg");
    let hooks = HookServer::start(|body| if body["param"].to_string().contains("bad") { "1" } else { "0" }).await;
    let mut config = DevNodeConfig::local("node-a");
    config.hook_url = Some(hooks.url.clone());
    let node = devnode::start_with_timeout(config, std::time::Duration::from_secs(1)).await.unwrap();
    let offer = include_str!("devnode_support/offer.sdp");
    let post = |role: &str, stream: &str, more: &str, offer: String| {
        reqwest::Client::new().post(url(&node, role, stream, more)).body(offer).send()
    };
    // Answered and never heard of again; refused; and one that loses its power in the middle.
    let sender = offer.replace("a=recvonly", "a=sendonly");
    assert_eq!(post("whip", "never", "", sender.clone()).await.unwrap().status(), 201);
    assert_eq!(post("whep", "never", "", offer.to_owned()).await.unwrap().status(), 201);
    assert!(post("whip", "bad", "&token=bad", sender).await.is_err());
    let publisher = publish(&node, "power").await.unwrap();
    publisher.until(PATIENCE, |stats| stats.frames_video >= 5).await.unwrap();
    publisher.abandon();
    for (action, stream) in
        [("on_unpublish", "never"), ("on_stop", "never"), ("on_unpublish", "bad"), ("on_unpublish", "power")]
    {
        hooks.until(stream, |body| body["action"] == action && body["stream"] == stream).await;
    }
    assert_eq!(api(&node, "/api/v1/streams").await["streams"], serde_json::json!([]));
    let asked = |stream: &str| hooks.bodies().iter().filter(|body| body["stream"] == stream).count();
    assert_eq!((asked("never"), asked("bad"), asked("power")), (4, 2, 2), "no end is told twice");
}

#[tokio::test]
async fn http_oddities_are_those_of_srs() {
    let node = node(None).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    // Without its last slash a path is redirected; an unknown one lists the root; paging is at least ten.
    let moved = http.post(format!("{}/rtc/v1/whip?app=live&stream=s", node.api_url())).send().await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), moved.headers()["location"].as_bytes()),
        (302, &b"/rtc/v1/whip/?app=live&stream=s"[..])
    );
    assert_eq!(api(&node, "/nothing/here").await["code"], 0);
    assert_eq!(api(&node, "/api/v1/clients/nope").await["code"], 2049);
    assert_eq!(api(&node, "/api/v1/streams/vid-nope").await["code"], 2048);
    let preflight = http.request(reqwest::Method::OPTIONS, format!("{}/rtc/v1/whip/", node.api_url()));
    let preflight = preflight.header("origin", "http://a").send().await.unwrap();
    assert_eq!(
        (preflight.status().as_u16(), preflight.headers()["access-control-allow-origin"].as_bytes()),
        (200, &b"*"[..])
    );
    let plain = http.get(format!("{}/api/v1/versions", node.api_url())).send().await.unwrap();
    assert!(!plain.headers().contains_key("access-control-allow-origin"));
    assert!(plain.headers()["connection"].to_str().unwrap().eq_ignore_ascii_case("close"));
    let gone = http.get(format!("{}/live/none.m3u8", node.http_url())).send().await.unwrap();
    assert_eq!(gone.status(), 404);
    let big = http.post(url(&node, "whip", "s", "")).body(vec![b'x'; 200_000]).send().await;
    assert!(big.is_err(), "an offer over the limit gets no word");
}
