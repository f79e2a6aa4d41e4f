//! Real SRS: the media clients speak what it speaks, and the built-in node tells what it tells.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

mod devnode_support;

use devnode_support::hooks::HookServer;
use devnode_support::{PATIENCE, encoder, need, srs};
use keystone::devnode::{self, DevNode, DevNodeConfig};
use keystone::media::{self, MediaError, PlayOptions, PublishOptions, State};
use serde_json::Value;

#[tokio::test]
async fn real_srs_carries_frames_from_the_publisher_to_two_viewers() {
    need("ffmpeg");
    let Some(srs) = srs::start(None).await else { return };
    let url = |role: &str| format!("{}/rtc/v1/{role}/?app=live&stream=one", srs.api);
    let publisher = media::publish(PublishOptions { url: url("whip"), ..Default::default() }).await.unwrap();
    publisher.until(PATIENCE, |stats| stats.frames_video >= 15 && stats.frames_audio >= 15).await.unwrap();
    assert!(publisher.session_url().contains("/rtc/v1/whip/?action=delete&token="), "{}", publisher.session_url());

    let busy = media::publish(PublishOptions { url: url("whip"), ..Default::default() }).await;
    assert!(matches!(busy, Err(MediaError::NoAnswer(_))), "{busy:?}");

    let viewers = [
        media::play(PlayOptions { url: url("whep"), ..Default::default() }).await.unwrap(),
        media::play(PlayOptions { url: url("whep"), ..Default::default() }).await.unwrap(),
    ];
    for viewer in viewers {
        let seen = viewer.until(PATIENCE, |s| s.frames_video >= 45 && s.frames_audio >= 60 && s.keyframes >= 2).await;
        let seen = seen.unwrap();
        println!("viewer: {seen:?}");
        assert_eq!(seen.frames_bad, 0);
        assert_eq!(viewer.stop().await.unwrap().state, State::Stopped);
    }
    let sent = publisher.stop().await.unwrap();
    println!("publisher: {sent:?}");
    assert_eq!(sent.state, State::Stopped);
}

async fn node(hooks: &HookServer) -> DevNode {
    let config = DevNodeConfig { hook_url: Some(hooks.url.clone()), ..DevNodeConfig::local("t") };
    devnode::start(config).await.unwrap()
}

/// Says no to publishing and playing with tokens that begin with `bad`.
async fn judge() -> HookServer {
    let no = |body: &Value| body["action"] != "on_connect" && body["param"].to_string().contains("token=bad");
    HookServer::start(move |body| if no(body) { r#"{"code":403}"# } else { "0" }).await
}

/// A refused publisher, its kick, a publisher, a busy name, a refused viewer, a viewer, and both ends; gives what the
/// hooks saw: action, stream and the names of all fields, in order.
async fn story(api: &str, hooks: &HookServer) -> Vec<String> {
    let url = |role: &str, token: &str| format!("{api}/rtc/v1/{role}/?app=live&stream=story&token={token}");
    let publish = |token| media::publish(PublishOptions { url: url("whip", token), ..Default::default() });
    let play = |token| media::play(PlayOptions { url: url("whep", token), ..Default::default() });
    assert!(matches!(publish("bad").await, Err(MediaError::NoAnswer(_))));
    assert!(matches!(publish("good").await, Err(MediaError::NoAnswer(_))), "the refused one holds the name");
    let refused = hooks.until("on_publish", |body| body["action"] == "on_publish").await["client_id"].clone();
    let kick = format!("{api}/api/v1/clients/{}", refused.as_str().unwrap());
    assert!(reqwest::Client::new().delete(kick).send().await.unwrap().status().is_success());
    hooks.until("end of the refused", |body| body["action"] == "on_unpublish" && body["client_id"] == refused).await;
    let publisher = publish("good").await.unwrap();
    publisher.until(PATIENCE, |stats| stats.frames_video >= 10).await.unwrap();
    assert!(matches!(publish("good").await, Err(MediaError::NoAnswer(_))), "busy");
    assert!(matches!(play("bad").await, Err(MediaError::NoAnswer(_))));
    let viewer = play("good").await.unwrap();
    viewer.until(PATIENCE, |stats| stats.frames_video >= 10).await.unwrap();
    let mut answers = Vec::new();
    for path in ["versions", "summaries", "streams", "clients"] {
        let body: Value = reqwest::get(format!("{api}/api/v1/{path}")).await.unwrap().json().await.unwrap();
        shape(path, &body, &mut answers);
    }
    viewer.stop().await.unwrap();
    hooks.until("on_stop", |body| body["action"] == "on_stop").await;
    publisher.stop().await.unwrap();
    hooks.until("the end", |body| body["action"] == "on_unpublish" && body["client_id"] != refused).await;
    answers.extend(told(hooks));
    answers
}

/// What the hooks saw: action, names, and which fields there were.
fn told(hooks: &HookServer) -> Vec<String> {
    let line = |body: Value| {
        let mut fields: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        let names = ["action", "app", "stream", "stream_url", "param", "vhost", "ip"];
        format!("{} {}", names.map(|name| body[name].to_string()).join(" "), fields.join(","))
    };
    // Segments of HLS, which the SRS of these tests does not make, come when a keyframe does.
    hooks.bodies().into_iter().filter(|body| body["action"] != "on_hls").map(line).collect()
}

/// Names and types of everything in an answer; what depends on transcoding, or only the stand-in says, is left out.
fn shape(path: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in
                fields.iter().filter(|(name, _)| !["video", "audio", "software"].contains(&name.as_str()))
            {
                shape(&format!("{path}.{name}"), value, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| shape(&format!("{path}[]"), item, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let kind = ["null", "bool", "number", "string"];
            let at = [value.is_null(), value.is_boolean(), value.is_number()].iter().position(|is| *is).unwrap_or(3);
            out.push(format!("{path}: {}", kind[at]));
        }
    }
}

/// Over RTMP: a refused publisher, one that is taken, another for the same name, a refused viewer, a viewer, and the end.
async fn rtmp_story(rtmp: &str, hooks: &HookServer) -> Vec<String> {
    let close = |client: Value| async move {
        hooks.until("on_close", |body| body["action"] == "on_close" && body["client_id"] == client["client_id"]).await;
    };
    let asked = |action: &'static str, key: &'static str| async move {
        let param = format!("?token={key}");
        hooks.until(key, |body| body["action"] == action && body["param"] == param.as_str()).await
    };
    let watch = |key: &'static str| async move {
        let args = ["-v", "quiet", "-read_intervals", "%+1", "-show_packets", "-i"];
        let url = format!("{rtmp}/cam?token={key}");
        let player = tokio::process::Command::new("ffprobe").args(args).arg(url).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, player).await.unwrap().unwrap();
        String::from_utf8_lossy(&output.stdout).matches("[PACKET]").count()
    };
    let _refused = encoder(rtmp, "cam?token=bad");
    close(asked("on_publish", "bad").await).await;
    let mut first = encoder(rtmp, "cam?token=first");
    let publish = asked("on_publish", "first").await;
    let _second = encoder(rtmp, "cam?token=second");
    close(asked("on_publish", "second").await).await;
    assert_eq!(watch("bad").await, 0);
    close(asked("on_play", "bad").await).await;
    assert!(watch("viewer").await > 30);
    close(asked("on_play", "viewer").await).await;
    first.start_kill().unwrap();
    close(publish).await;
    told(hooks)
}

#[tokio::test]
async fn the_built_in_node_tells_the_same_story_as_real_srs() {
    need("ffmpeg");
    let hooks = judge().await;
    let Some(srs) = srs::start(Some(&hooks.url)).await else { return };
    let real = story(&srs.api, &hooks).await;
    let (_node, built_in) = {
        let hooks = judge().await;
        let node = node(&hooks).await;
        let told = story(&node.api_url(), &hooks).await;
        (node, told)
    };
    assert_eq!(real.join("\n"), built_in.join("\n"));
}

#[tokio::test]
async fn the_built_in_node_tells_of_rtmp_as_real_srs_does() {
    need("ffmpeg");
    let hooks = judge().await;
    let Some(srs) = srs::start(Some(&hooks.url)).await else { return };
    let real = rtmp_story(&srs.rtmp, &hooks).await;
    let hooks = judge().await;
    let node = node(&hooks).await;
    let built_in = rtmp_story(&format!("rtmp://{}/live", node.endpoints().rtmp), &hooks).await;
    assert_eq!(real.join("\n"), built_in.join("\n"));
}
