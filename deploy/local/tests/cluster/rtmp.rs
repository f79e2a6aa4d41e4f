//! RTMP end to end with the client that everybody has: ffmpeg publishes through one edge and plays through the other.
use crate::support::{PATIENCE, Up, eventually};
use keystone::config::Media;
use proto::{
    api::{CreateStream, NewStream},
    session::{Protocol, Role},
    stream::Visibility,
};
use std::{
    process::{Output, Stdio},
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// Pictures that a player counts.
const FRAMES: usize = 50;

#[tokio::test]
async fn rtmp_through_the_edges_with_the_built_in_node() {
    let up = Up::start(Media::Builtin).await;
    Box::pin(publishes_and_is_kicked(&up, false)).await;
    up.stop().await;
}

#[tokio::test]
async fn rtmp_through_the_edges_with_real_srs() {
    if let Some(up) = Up::start_srs("rtmp_through_the_edges_with_real_srs").await {
        Box::pin(publishes_and_is_kicked(&up, true)).await;
        up.stop().await;
    }
}

async fn publishes_and_is_kicked(up: &Up, plays: bool) {
    let body = CreateStream { title: "RTMP".to_owned(), visibility: Visibility::Private };
    let NewStream { stream, stream_key, .. } = up.user.create_stream(&body).await.unwrap();
    let id = stream.id;
    let address = |edge: u16, query: &str| {
        format!("rtmp://127.0.0.1:{}/live/{id}?token={query}", up.cluster.plan().ports.edge_rtmp(edge))
    };

    let refused = publish(&address(0, "sk_wrong")).wait_with_output().await.unwrap();
    assert!(words(&refused).contains("the token or stream key is not valid"), "{}", words(&refused));

    let mut publisher = publish(&address(0, &stream_key));
    let live = eventually("the stream is live", async || up.user.stream(&id).await.ok()?.live).await;
    assert_eq!(live.protocol, Protocol::Rtmp);
    let path = format!("/v1/streams/{id}/route?explain=1");
    let route = up.admin.value(reqwest::Method::GET, &path, None).await.unwrap();
    assert_eq!(route["placement"]["node"].as_str(), Some(live.node.as_str()), "placement names where it is: {route}");

    let second = publish(&address(1, &stream_key)).wait_with_output().await.unwrap();
    assert!(words(&second).contains("another publisher holds this stream"), "{}", words(&second));

    if plays {
        let play = up.token(&id, Role::Play).await.token;
        let watched = tokio::time::timeout(PATIENCE, play_frames(&address(1, &play))).await.expect("it plays in time");
        assert!(watched.status.success(), "{}", words(&watched));
        let counted = String::from_utf8_lossy(&watched.stdout).lines().filter(|l| l.starts_with("0,")).count();
        assert_eq!(counted, FRAMES, "{}", words(&watched));
        let nobody = play_frames(&address(1, "nonsense")).await;
        assert!(words(&nobody).contains("the token or stream key is not valid"), "{}", words(&nobody));
    }
    kicked(up, &live.session.to_string(), &mut publisher).await;
    eventually("the stream has ended", async || up.user.stream(&id).await.ok()?.live.is_none().then_some(())).await;
}

/// An administrator ends the publisher's session; its ffmpeg is gone within a second.
async fn kicked(up: &Up, session: &str, publisher: &mut Child) {
    let began = Instant::now();
    up.admin.value(reqwest::Method::DELETE, &format!("/v1/sessions/{session}"), None).await.unwrap();
    tokio::time::timeout(PATIENCE, publisher.wait()).await.expect("its connection is cut").unwrap();
    let took = began.elapsed();
    println!("a kicked RTMP publisher was gone after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// ffmpeg with a moving picture and a tone, in real time, until it is ended.
fn publish(url: &str) -> Child {
    let args = "-hide_banner -loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440 \
                -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p -c:a aac -f flv";
    let mut command = Command::new("ffmpeg");
    command.args(args.split_whitespace()).arg(url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("`make setup` installs ffmpeg")
}

/// ffmpeg as a player: decodes so many pictures and writes a line for each.
async fn play_frames(url: &str) -> Output {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-i", url, "-map", "0:v", "-frames:v", &FRAMES.to_string()]);
    command.args(["-f", "framecrc", "-"]).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.expect("`make setup` installs ffmpeg")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
