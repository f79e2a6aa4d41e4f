//! What RTMP, HTTP-FLV and HLS viewers of the built-in media node get, counted by ffprobe, and the hooks of their coming and going.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

mod devnode_support;

use std::process::Output;

use devnode_support::hooks::HookServer;
use devnode_support::{PATIENCE, encoder, eventually, need};
use keystone::devnode::{self, DevNode, DevNodeConfig};
use keystone::media::{self, PublishOptions};
use serde_json::Value;
use tokio::process::Command;

async fn node(hooks: &HookServer) -> DevNode {
    devnode::start(DevNodeConfig { hook_url: Some(hooks.url.clone()), ..DevNodeConfig::local("node-a") }).await.unwrap()
}

/// Frames by codec that ffprobe decodes of two seconds of `url`.
async fn probe(url: &str) -> Vec<(String, u32)> {
    let args = "-v error -count_frames -show_entries stream=codec_name,nb_read_frames -of json -read_intervals %+2";
    let Output { stdout, stderr, .. } =
        Command::new("ffprobe").args(args.split_whitespace()).arg(url).kill_on_drop(true).output().await.unwrap();
    assert!(stderr.is_empty(), "{url}: {}", String::from_utf8_lossy(&stderr));
    let found: Value = serde_json::from_slice(&stdout).unwrap();
    let frames = |stream: &Value| stream["nb_read_frames"].as_str().unwrap_or("0").parse::<u32>().unwrap();
    let streams = found["streams"].as_array().unwrap();
    streams.iter().map(|stream| (stream["codec_name"].as_str().unwrap().to_owned(), frames(stream))).collect()
}

fn enough(found: &[(String, u32)], codec: &str, least: u32) {
    println!("{found:?}");
    assert!(found.iter().any(|(name, frames)| name == codec && *frames >= least), "{codec} < {least}: {found:?}");
}

#[tokio::test]
async fn what_came_by_rtmp_is_seen_and_heard_by_rtmp_and_by_http_flv() {
    need("ffprobe");
    let hooks = HookServer::yes().await;
    let node = node(&hooks).await;
    let rtmp = format!("rtmp://{}/live", node.endpoints().rtmp);
    let mut encoder = encoder(&rtmp, "cam?token=P");
    hooks.until("on_publish", |body| body["action"] == "on_publish").await;
    for url in [format!("{rtmp}/cam?token=V&kst=x"), format!("{}/live/cam.flv?token=V&kst=x", node.http_url())] {
        let found = probe(&url).await;
        enough(&found, "h264", 45);
        enough(&found, "aac", 60);
    }
    // Each viewer came and went as at SRS: RTMP connects and closes, HTTP does not.
    let stops = || hooks.bodies().iter().filter(|body| body["action"] == "on_stop").count();
    eventually("both viewers left", || async { (stops() == 2).then_some(()) }).await;
    let plays: Vec<_> = hooks.bodies().into_iter().filter(|body| body["action"] == "on_play").collect();
    let told = |play: &Value| {
        let all = hooks.bodies().into_iter().filter(|body| body["client_id"] == play["client_id"]);
        all.map(|body| body["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    eventually("rtmp close", || async { told(&plays[0]).ends_with("on_close").then_some(()) }).await;
    assert_eq!(told(&plays[0]), "on_connect on_play on_stop on_close");
    assert_eq!(told(&plays[1]), "on_play on_stop");
    for (play, tc_url) in plays.iter().zip([rtmp.as_str(), "rtmp://__defaultVhost__/live"]) {
        assert_eq!((&play["param"], &play["tcUrl"]), (&"?token=V&kst=x".into(), &tc_url.into()), "{play}");
        assert_eq!((&play["stream"], &play["stream_url"]), (&"cam".into(), &"/live/cam".into()), "{play}");
    }
    encoder.start_kill().unwrap();
}

#[tokio::test]
async fn an_flv_viewer_waits_without_a_byte_for_a_publisher_and_ends_with_it() {
    need("ffmpeg");
    let hooks = HookServer::yes().await;
    let node = node(&hooks).await;
    let url = format!("{}/live/late.flv", node.http_url());
    // One that does not wait leaves nothing behind.
    let short = std::time::Duration::from_millis(300);
    assert!(reqwest::Client::new().get(&url).timeout(short).send().await.unwrap_err().is_timeout());
    let gone = hooks.until("on_stop", |body| body["action"] == "on_stop").await["client_id"].clone();
    let viewer = tokio::spawn(async move {
        let mut response = reqwest::get(&url).await.unwrap();
        assert_eq!(response.headers()["content-type"], "video/x-flv");
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        bytes
    });
    hooks.until("on_play", |body| body["action"] == "on_play" && body["client_id"] != gone).await;
    assert!(!viewer.is_finished());
    let mut encoder = encoder(&format!("rtmp://{}/live", node.endpoints().rtmp), "late");
    let clients = format!("{}/api/v1/clients", node.api_url());
    eventually("bytes were sent", || async {
        let body: Value = reqwest::get(&clients).await.ok()?.json().await.ok()?;
        let viewer = body["clients"].as_array()?.iter().find(|client| client["type"] == "flv-play")?;
        (viewer["send_bytes"].as_u64()? > 20_000).then_some(())
    })
    .await;
    encoder.start_kill().unwrap();
    let bytes = tokio::time::timeout(PATIENCE, viewer).await.unwrap().unwrap();
    assert!(bytes.starts_with(b"FLV\x01\x05") && bytes.len() > 20_000, "{} bytes", bytes.len());
    hooks.until("on_stop", |body| body["action"] == "on_stop" && body["client_id"] != gone).await;
}

#[tokio::test]
async fn a_refused_or_kicked_viewer_is_cut_off() {
    need("ffprobe");
    let hooks = HookServer::start(|body| match body["param"].as_str() {
        Some(param) if param.contains("token=bad") => r#"{"code":403}"#,
        _ => "0",
    });
    let hooks = hooks.await;
    let node = node(&hooks).await;
    let rtmp = format!("rtmp://{}/live", node.endpoints().rtmp);
    let mut encoder = encoder(&rtmp, "cam");
    let clients = format!("{}/api/v1/clients", node.api_url());
    let of = |kind: &'static str| {
        let clients = &clients;
        async move {
            let body: Value = reqwest::get(clients).await.ok()?.json().await.ok()?;
            let found = body["clients"].as_array()?.iter().find(|client| client["type"] == kind)?.clone();
            (found["send_bytes"].as_u64()? > 0 || kind == "fmle-publish")
                .then(|| found["id"].as_str().unwrap().to_owned())
        }
    };
    eventually("the encoder is on", || of("fmle-publish")).await;
    assert!(reqwest::get(format!("{}/live/cam.flv?token=bad", node.http_url())).await.is_err(), "not one byte");
    let refused =
        Command::new("ffprobe").args(["-v", "quiet", &format!("{rtmp}/cam?token=bad")]).status().await.unwrap();
    assert!(!refused.success());
    for (kind, url) in [("rtmp-play", format!("{rtmp}/cam")), ("flv-play", format!("{}/live/cam.flv", node.http_url()))]
    {
        let mut viewer = Command::new("ffmpeg")
            .args(["-v", "quiet", "-nostdin", "-i", &url, "-f", "null", "-"])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let id = eventually(kind, || of(kind)).await;
        reqwest::Client::new().delete(format!("{clients}/{id}")).send().await.unwrap();
        tokio::time::timeout(PATIENCE, viewer.wait()).await.unwrap().unwrap();
        hooks.until("on_stop", |body| body["action"] == "on_stop" && body["client_id"] == id.as_str()).await;
    }
    encoder.start_kill().unwrap();
}

#[tokio::test]
async fn a_whip_stream_has_hls_with_its_own_picture_and_sound() {
    need("ffprobe");
    let hooks = HookServer::yes().await;
    let node = node(&hooks).await;
    let url = format!("{}/rtc/v1/whip/?app=live&stream=web", node.api_url());
    let publisher = media::publish(PublishOptions { url, ..Default::default() }).await.unwrap();
    let playlist = format!("{}/live/web.m3u8", node.http_url());
    eventually("two segments", || async {
        let text = reqwest::get(&playlist).await.ok()?.text().await.ok()?;
        (text.matches("#EXTINF").count() >= 2).then_some(())
    })
    .await;
    let found = probe(&playlist).await;
    enough(&found, "h264", 30);
    enough(&found, "opus", 60);
    let segment = hooks.until("on_hls", |body| body["action"] == "on_hls").await;
    assert_eq!((&segment["m3u8_url"], &segment["stream_url"]), (&"live/web.m3u8".into(), &"/live/web".into()));
    publisher.stop().await.unwrap();
}
