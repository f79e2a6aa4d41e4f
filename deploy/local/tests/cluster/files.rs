//! HLS, HTTP-FLV and thumbnails through Caddy with FFmpeg: published by RTMP straight to a node, played by tokens and without, counted as sessions, kicked.
use crate::support::{PATIENCE, Up, eventually};
use keystone::config::Media;
use proto::{
    api::{CreateStream, NewStream},
    session::Role,
    stream::Visibility,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Pictures that a player counts at least in 3 s: 75, less what lies before the first sound.
const FRAMES_WANTED: u64 = 70;

#[tokio::test]
async fn files_of_the_built_in_node_play_in_ffmpeg() {
    let name = "files_of_the_built_in_node_play_in_ffmpeg";
    if !has_ffmpeg(name).await {
        return;
    }
    let up = Up::start(Media::Builtin).await;
    Box::pin(hls_plays_and_is_a_session(&up)).await;
    up.stop().await;
}

#[tokio::test]
async fn files_of_real_srs_play_in_ffmpeg() {
    let name = "files_of_real_srs_play_in_ffmpeg";
    if !has_ffmpeg(name).await {
        return;
    }
    let Some(up) = Up::start_srs(name).await else { return };
    Box::pin(hls_plays_and_is_a_session(&up)).await;
    Box::pin(flv_and_pictures(&up)).await;
    up.stop().await;
}

async fn has_ffmpeg(test: &str) -> bool {
    let found = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().await.is_ok_and(|s| s.success());
    if !found {
        kit::testing::skipped(test, "ffmpeg is not installed: `make setup`");
    }
    found
}

async fn new_stream(up: &Up, visibility: Visibility) -> NewStream {
    up.user.create_stream(&CreateStream { title: "Files".to_owned(), visibility }).await.unwrap()
}

/// A moving picture with sound, by RTMP to the first node.
fn publish(up: &Up, made: &NewStream) -> Child {
    let port = up.cluster.plan().ports.node_rtmp(0);
    let url = format!("rtmp://127.0.0.1:{port}/live/{}?token={}", made.stream.id, made.stream_key);
    let picture = "testsrc2=size=320x180:rate=25";
    Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-loglevel",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            picture,
            "-re",
            "-f",
            "lavfi",
            "-i",
            "sine",
        ])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-tune", "zerolatency", "-g", "25"])
        .args(["-c:a", "aac", "-f", "flv", &url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// What FFmpeg reads of a URL: frames of the video, packets of the sound.
async fn played(url: &str) -> (u64, u64) {
    let asked = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-count_frames", "-read_intervals", "%+3"])
        .args(["-show_entries", "stream=codec_type,nb_read_frames,nb_read_packets", "-of", "json", url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = tokio::time::timeout(2 * PATIENCE, asked).await.expect("ffprobe ends").unwrap();
    let told: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    let count = |kind: &str, what: &str| {
        let streams = told["streams"].as_array().cloned().unwrap_or_default();
        let found = streams.into_iter().find(|stream| stream["codec_type"] == kind);
        found.and_then(|stream| stream[what].as_str()?.parse().ok()).unwrap_or(0)
    };
    let counts = (count("video", "nb_read_frames"), count("audio", "nb_read_packets"));
    println!("{url}: {counts:?} {}", String::from_utf8_lossy(&said.stderr).trim());
    counts
}

async fn hls_plays_and_is_a_session(up: &Up) {
    let made = new_stream(up, Visibility::Private).await;
    let (id, origin) = (&made.stream.id, up.cluster.origin());
    let mut publisher = publish(up, &made);
    let bare = format!("{origin}/live/{id}.m3u8");
    eventually("it is live", async || up.admin.stream(id).await.unwrap().live).await;
    assert_eq!(reqwest::get(&bare).await.unwrap().status(), 401, "a private stream takes a token");
    let token = up.token(id, Role::Play).await.token;
    let (frames, packets) = played(&format!("{bare}?token={token}")).await;
    assert!(frames >= FRAMES_WANTED && packets > 0, "{frames} frames, {packets} packets of sound");

    let sessions = async || {
        let path = format!("/v1/streams/{id}/sessions?role=play");
        up.user.value(Method::GET, &path, None).await.unwrap()["items"].as_array().unwrap().clone()
    };
    let seen = eventually("its bytes are shown", async || {
        sessions().await.into_iter().find(|session| session["bytes_sent"].as_u64().unwrap_or(0) > 10_000)
    })
    .await;
    assert_eq!(seen["protocol"], "hls");
    let first = reqwest::get(format!("{bare}?token={token}")).await.unwrap().text().await.unwrap();
    let own = format!("{origin}/live/{}", first.lines().last().unwrap());
    assert_eq!(reqwest::get(&own).await.unwrap().status(), 200);
    let mine = eventually("the second viewer is there", async || {
        sessions().await.into_iter().find(|session| session["id"] != seen["id"])
    })
    .await;
    let path = format!("/v1/sessions/{}", mine["id"].as_str().unwrap());
    up.user.value(Method::DELETE, &path, None).await.unwrap();
    // Both edges take their turn.
    eventually("every edge refuses it", async || {
        let mut refused = 0;
        for _ in 0..4 {
            refused += u32::from(reqwest::get(&own).await.unwrap().status() == 404);
        }
        (refused == 4).then_some(())
    })
    .await;
    publisher.kill().await.unwrap();
    eventually("nobody publishes, whatever the node still has", async || {
        let answer = reqwest::get(format!("{bare}?token={token}")).await.unwrap();
        let problem: Value = (answer.status() == 404).then_some(answer)?.json().await.unwrap();
        (problem["code"] == "stream-not-live").then_some(())
    })
    .await;
}

async fn flv_and_pictures(up: &Up) {
    let made = new_stream(up, Visibility::Public).await;
    let (id, origin) = (&made.stream.id, up.cluster.origin());
    let mut publisher = publish(up, &made);
    eventually("it is live", async || up.admin.stream(id).await.unwrap().live).await;
    let (frames, packets) = played(&format!("{origin}/live/{id}.flv")).await;
    assert!(frames >= FRAMES_WANTED && packets > 0, "{frames} frames, {packets} packets of sound");
    let (frames, _) = played(&format!("{origin}/hls/{id}.m3u8")).await;
    assert!(frames >= FRAMES_WANTED, "{frames} frames without a token");
    let picture = reqwest::get(format!("{origin}/live/{id}.jpg")).await.unwrap();
    assert_eq!((picture.status().as_u16(), &picture.headers()["content-type"]), (200, &"image/jpeg".parse().unwrap()));
    assert!(picture.bytes().await.unwrap().starts_with(&[0xff, 0xd8, 0xff]));
    let shown = up.user.value(Method::GET, &format!("/v1/streams/{id}/sessions?role=publish"), None).await.unwrap();
    assert_eq!(shown["items"][0]["protocol"], json!("rtmp"));
    publisher.kill().await.unwrap();
}
