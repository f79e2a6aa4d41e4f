//! Real SRS: the media clients speak what it speaks, and the built-in node tells what it tells.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

mod devnode_support;

use devnode_support::hooks::HookServer;
use devnode_support::{PATIENCE, need, srs};
use keystone::devnode::{self, DevNodeConfig};
use keystone::media::{self, MediaError, PlayOptions, PublishOptions, State};

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

/// Says no to tokens that begin with `bad`.
async fn judge() -> HookServer {
    HookServer::start(|body| if body["param"].to_string().contains("token=bad") { r#"{"code":403}"# } else { "0" })
        .await
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
    viewer.stop().await.unwrap();
    hooks.until("on_stop", |body| body["action"] == "on_stop").await;
    publisher.stop().await.unwrap();
    hooks.until("the end", |body| body["action"] == "on_unpublish" && body["client_id"] != refused).await;
    let told = hooks.bodies().into_iter().map(|body| {
        let mut fields: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        let shown = ["action", "app", "stream", "stream_url", "tcUrl", "param", "vhost", "ip"]
            .map(|name| body[name].to_string());
        format!("{} {}", shown.join(" "), fields.join(","))
    });
    told.collect()
}

#[tokio::test]
async fn the_built_in_node_tells_the_same_story_as_real_srs() {
    need("ffmpeg");
    let hooks = judge().await;
    let Some(srs) = srs::start(Some(&hooks.url)).await else { return };
    let real = story(&srs.api, &hooks).await;
    let hooks = judge().await;
    let config = DevNodeConfig { hook_url: Some(hooks.url.clone()), ..DevNodeConfig::local("t") };
    let node = devnode::start(config).await.unwrap();
    let built_in = story(&node.api_url(), &hooks).await;
    assert_eq!(real, built_in);
}
