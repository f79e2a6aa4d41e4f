//! SRT end to end with real SRS and ffmpeg: publishes through one edge, plays through the other, and is refused and cut as it should be.
use crate::support::{PATIENCE, Up, eventually};
use keystone::plan::Options;
use proto::{
    StreamId,
    api::{CreateStream, NewStream},
    session::{Protocol, Role},
    stream::Visibility,
    wire::srt::{HANDSHAKE_BYTES, Handshake, Kind, conclude},
};
use std::{
    net::SocketAddr,
    process::{Output, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    net::UdpSocket,
    process::{Child, Command},
};

/// Pictures that a player counts.
const FRAMES: usize = 50;
/// Of the nodes of the encrypted cluster.
const PASSPHRASE: &str = "a-passphrase-of-the-test";

#[tokio::test]
async fn srt_through_the_edges_with_real_srs() {
    if let Some(up) = Up::start_srs("srt_through_the_edges_with_real_srs").await {
        Box::pin(plain(&up)).await;
        up.stop().await;
    }
}

#[tokio::test]
async fn encrypted_srt_through_the_edges_with_real_srs() {
    let secret = |options| Options { srt_passphrase: Some(PASSPHRASE.to_owned()), ..options };
    if let Some(up) = Up::start_srs_with("encrypted_srt_through_the_edges_with_real_srs", secret).await {
        Box::pin(encrypted(&up)).await;
        up.stop().await;
    }
}

fn edge(up: &Up, i: u16) -> SocketAddr {
    ([127, 0, 0, 1], up.cluster.plan().ports.edge_srt(i)).into()
}

fn url(at: SocketAddr, query: &str, stream_id: &str) -> String {
    // `#` would begin a fragment.
    format!("srt://{at}?{query}streamid={}", stream_id.replace('#', "%23"))
}

async fn fresh(up: &Up, visibility: Visibility) -> (StreamId, String) {
    let body = CreateStream { title: "SRT".to_owned(), visibility };
    let NewStream { stream, stream_key, .. } = up.user.create_stream(&body).await.unwrap();
    (stream.id, stream_key)
}

async fn plain(up: &Up) {
    let (id, key) = fresh(up, Visibility::Private).await;
    let publishing = |key: &str| format!("#!::r=live/{id},m=publish,token={key}");

    let wrong = publish(&url(edge(up, 0), "", &publishing("sk_wrong"))).wait_with_output().await.unwrap();
    assert!(words(&wrong).contains("rejection reason"), "the client prints that there is one: {}", words(&wrong));
    assert_eq!(reason(edge(up, 0), &publishing("sk_wrong")).await, 1401);

    let mut publisher = publish(&url(edge(up, 0), "", &publishing(&key)));
    let live = eventually("the stream is live", async || up.user.stream(&id).await.ok()?.live).await;
    assert_eq!(live.protocol, Protocol::Srt);
    let path = format!("/v1/streams/{id}/route?explain=1");
    let route = up.admin.value(reqwest::Method::GET, &path, None).await.unwrap();
    assert_eq!(route["placement"]["node"].as_str(), Some(live.node.as_str()), "placement names where it is: {route}");
    assert_eq!(reason(edge(up, 1), &publishing(&key)).await, 1409, "somebody publishes");
    let playing = |token: &str| format!("#!::r=live/{id},m=request,token={token}");
    assert_eq!(reason(edge(up, 1), &playing("nonsense")).await, 1401);
    let token = up.token(&id, Role::Play).await.token;
    plays(&url(edge(up, 1), "", &playing(&token))).await;

    not_by_srt(up).await;
    let session = live.session.to_string();
    let began = Instant::now();
    up.admin.value(reqwest::Method::DELETE, &format!("/v1/sessions/{session}"), None).await.unwrap();
    tokio::time::timeout(PATIENCE, publisher.wait()).await.expect("it is cut").unwrap();
    let took = began.elapsed();
    println!("a kicked SRT publisher was gone after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    eventually("the stream has ended", async || up.user.stream(&id).await.ok()?.live.is_none().then_some(())).await;
}

/// SRS plays over SRT only what came by SRT.
async fn not_by_srt(up: &Up) {
    let (id, key) = fresh(up, Visibility::Public).await;
    let at = format!("rtmp://127.0.0.1:{}/live/{id}?token={key}", up.cluster.plan().ports.edge_rtmp(0));
    let mut publisher = publish_as("flv", &at);
    eventually("it is live", async || up.user.stream(&id).await.ok()?.live).await;
    assert_eq!(reason(edge(up, 1), &format!("#!::r=live/{id},m=request")).await, 1415);
    publisher.kill().await.unwrap();
}

async fn encrypted(up: &Up) {
    let (id, key) = fresh(up, Visibility::Public).await;
    let publishing = format!("#!::r=live/{id},m=publish,token={key}");
    assert_eq!(reason(edge(up, 0), &publishing).await, 11, "every node wants a passphrase");
    let query = format!("passphrase={PASSPHRASE}&pbkeylen=16&");
    let wrong =
        publish(&url(edge(up, 0), "passphrase=quite-another-one&", &publishing)).wait_with_output().await.unwrap();
    assert!(!wrong.status.success(), "the node refuses it");
    let mut publisher = publish(&url(edge(up, 0), &query, &publishing));
    let live = eventually("the stream is live", async || up.user.stream(&id).await.ok()?.live).await;
    assert_eq!(live.protocol, Protocol::Srt);
    plays(&url(edge(up, 1), &query, &format!("#!::r=live/{id},m=request"))).await;
    publisher.kill().await.unwrap();
}

/// ffmpeg with a moving picture and a tone, in real time, until it is ended.
fn publish(url: &str) -> Child {
    publish_as("mpegts", url)
}

fn publish_as(format: &str, url: &str) -> Child {
    let args = "-hide_banner -loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440 \
                -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p -c:a aac -f";
    let mut command = Command::new("ffmpeg");
    command.args(args.split_whitespace()).args([format, url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("`make setup` installs ffmpeg")
}

/// ffmpeg as a player: decodes so many pictures and writes a line for each.
async fn plays(url: &str) {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-i", url, "-map", "0:v", "-frames:v", &FRAMES.to_string()]);
    command.args(["-f", "framecrc", "-"]).stdin(Stdio::null()).kill_on_drop(true);
    let played = tokio::time::timeout(PATIENCE, command.output()).await.expect("it plays in time");
    let played = played.expect("`make setup` installs ffmpeg");
    let counted = String::from_utf8_lossy(&played.stdout).lines().filter(|line| line.starts_with("0,")).count();
    assert_eq!(counted, FRAMES, "{}", words(&played));
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The reason of a refusal, which ffmpeg has no words for: a bare caller that only shakes hands.
async fn reason(at: SocketAddr, stream_id: &str) -> u32 {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.connect(at).await.unwrap();
    let socket: u32 = u32::from_be_bytes(kit::random::bytes()) | 1;
    let bare = |kind: u32| {
        let mut out = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0];
        let words = [if kind == 1 { 4 } else { 5_u32 }, 2, 42, 1500, 8192, kind, socket, 0, 0x0100_007f, 0, 0, 0];
        words.iter().for_each(|word| out.extend(word.to_be_bytes()));
        assert_eq!(out.len(), HANDSHAKE_BYTES);
        out
    };
    let cookie = heard(&udp, &bare(1)).await.1;
    let conclusion = bare(u32::MAX);
    let conclusion = conclude(&Handshake::read(&conclusion).unwrap(), cookie, stream_id).unwrap();
    match heard(&udp, &conclusion).await.0 {
        Kind::Rejection(reason) => reason,
        kind @ (Kind::Induction | Kind::Conclusion | Kind::Rendezvous) => panic!("{kind:?}, not a refusal"),
    }
}

/// Sends until something comes back.
async fn heard(udp: &UdpSocket, packet: &[u8]) -> (Kind, u32) {
    let mut buffer = [0; 2048];
    let asked = async {
        loop {
            udp.send(packet).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_millis(250), udp.recv(&mut buffer)).await;
            if let Ok(Ok(got)) = answer {
                return got;
            }
        }
    };
    let got = tokio::time::timeout(PATIENCE, asked).await.expect("the edge answers");
    let read = Handshake::read(&buffer[..got]).unwrap();
    (read.kind, read.cookie)
}
