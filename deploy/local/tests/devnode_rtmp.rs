//! RTMP into the built-in media node: HLS that ffprobe can decode, H.264 over WHEP, hooks in SRS's order.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

mod devnode_support;

use devnode_support::hooks::HookServer;
use devnode_support::{PATIENCE, encoder, eventually, need};
use keystone::devnode::{self, DevNode, DevNodeConfig};
use keystone::media::{self, PlayOptions};
use tokio::process::Command;

async fn node(hooks: &HookServer) -> DevNode {
    let mut config = DevNodeConfig::local("node-a");
    config.hook_url = Some(hooks.url.clone());
    devnode::start(config).await.unwrap()
}

fn rtmp(node: &DevNode) -> String {
    format!("rtmp://{}/live", node.endpoints().rtmp)
}

#[tokio::test]
async fn rtmp_plays_by_hls_and_its_picture_by_whep() {
    need("ffprobe");
    let hooks = HookServer::yes().await;
    let node = node(&hooks).await;
    let mut encoder = encoder(&rtmp(&node), "cam?token=T&x=1");
    let publish = hooks.until("on_publish", |body| body["action"] == "on_publish").await;
    assert_eq!((&publish["param"], &publish["stream"]), (&"?token=T&x=1".into(), &"cam".into()));

    let viewer = format!("{}/rtc/v1/whep/?app=live&stream=cam", node.api_url());
    let viewer = media::play(PlayOptions { url: viewer, ..Default::default() }).await.unwrap();
    let seen = viewer.until(PATIENCE, |stats| stats.frames_video >= 45 && stats.keyframes >= 2).await.unwrap();
    println!("whep viewer of rtmp: {seen:?}");
    assert_eq!((seen.frames_bad, seen.frames_audio), (0, 0), "AAC is not heard over WHEP");

    let playlist = format!("{}/live/cam.m3u8", node.http_url());
    let text = eventually("two segments", || async {
        let text = reqwest::get(&playlist).await.ok()?.text().await.ok()?;
        (text.matches("#EXTINF").count() >= 2).then_some(text)
    });
    println!("{}", text.await);
    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-show_entries",
            "stream=codec_name,nb_read_frames,width",
            "-of",
            "json",
        ])
        .args(["-read_intervals", "%+2", &playlist])
        .output()
        .await
        .unwrap();
    let found: serde_json::Value = serde_json::from_slice(&probe.stdout).unwrap();
    println!("{found}");
    let streams = found["streams"].as_array().unwrap();
    let of = |codec: &str| streams.iter().find(|stream| stream["codec_name"] == codec).unwrap();
    let frames = |codec: &str| of(codec)["nb_read_frames"].as_str().unwrap().parse::<u32>().unwrap();
    assert!(frames("h264") >= 30 && frames("aac") >= 40, "{found}");
    assert!(probe.stderr.is_empty(), "{}", String::from_utf8_lossy(&probe.stderr));

    let stream: serde_json::Value =
        reqwest::get(format!("{}/api/v1/streams", node.api_url())).await.unwrap().json().await.unwrap();
    let stream = &stream["streams"][0];
    assert_eq!((&stream["video"]["width"], &stream["audio"]["codec"]), (&320.into(), &"AAC".into()), "{stream}");
    assert!(stream["recv_bytes"].as_u64().unwrap() > 10_000, "{stream}");

    encoder.start_kill().unwrap();
    let close = hooks.until("on_close", |body| body["action"] == "on_close").await;
    assert!(close["recv_bytes"].as_u64().unwrap() > 10_000);
    let publisher = publish["client_id"].clone();
    let own: Vec<_> = hooks.bodies().into_iter().filter(|body| body["client_id"] == publisher).collect();
    let actions: Vec<_> = own.iter().map(|body| body["action"].as_str().unwrap()).filter(|a| *a != "on_hls").collect();
    assert_eq!(actions, ["on_connect", "on_publish", "on_unpublish", "on_close"]);
    let segment = hooks.until("on_hls", |body| body["action"] == "on_hls").await;
    assert_eq!((&segment["m3u8_url"], &segment["seq_no"]), (&"live/cam.m3u8".into(), &0.into()), "{segment}");
    viewer.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_or_busy_rtmp_publisher_is_cut_off_with_close_alone() {
    let hooks = HookServer::start(|body| match body["action"].as_str() {
        Some("on_publish") if body["stream"] == "no" => r#"{"code":1}"#,
        _ => "0",
    });
    let hooks = hooks.await;
    let node = node(&hooks).await;
    let mut refused = encoder(&rtmp(&node), "no");
    assert!(!refused.wait().await.unwrap().success());
    hooks.until("on_close", |body| body["action"] == "on_close").await;
    assert_eq!(hooks.actions(), ["on_connect", "on_publish", "on_close"]);

    let mut first = encoder(&rtmp(&node), "yes");
    eventually("the first is on", || async {
        let url = format!("{}/api/v1/streams", node.api_url());
        let body: serde_json::Value = reqwest::get(url).await.ok()?.json().await.ok()?;
        (body["streams"][0]["publish"]["active"] == true).then_some(())
    })
    .await;
    let mut second = encoder(&rtmp(&node), "yes");
    assert!(!second.wait().await.unwrap().success());
    let busy = hooks.bodies()[5].clone();
    hooks.until("on_close", |body| body["action"] == "on_close" && body["client_id"] == busy["client_id"]).await;
    assert!(!hooks.actions().contains(&"on_unpublish".to_owned()), "{:?}", hooks.actions());

    // A kick ends the connection and frees the name.
    let id = hooks.bodies()[3]["client_id"].as_str().unwrap().to_owned();
    reqwest::Client::new().delete(format!("{}/api/v1/clients/{id}", node.api_url())).send().await.unwrap();
    hooks.until("on_unpublish", |body| body["action"] == "on_unpublish" && body["client_id"] == id.as_str()).await;
    assert!(!first.wait().await.unwrap().success());
}
