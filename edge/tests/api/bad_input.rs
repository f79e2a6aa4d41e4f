//! Bad input: each kind gets its documented status, harms nobody else, and shows in a metric.

use super::helpers::{
    Opened, SDP, World, header, refused,
    sdp::fixture,
    wire::{read_answer, send_raw},
};
use proto::session::Role;
use reqwest::Method;
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

async fn metrics(world: &World) -> String {
    world.request(Method::GET, &world.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

#[actix_web::test]
async fn an_offer_of_a_mebibyte_is_413() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    for size in [64 * 1024 + 1, 1024 * 1024] {
        refused(world.post("/rtc/v1/whip/cam", &token, vec![b'a'; size]).await, 413, "body-too-large").await;
    }
    let mut request = format!(
        "POST /rtc/v1/whip/cam HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/sdp\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..32 {
        request.extend(b"8000\r\n");
        request.extend(vec![b'a'; 0x8000]);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    assert_eq!(send_raw(world.port(), &request).await.unwrap().status, 413);
    assert!(metrics(&world).await.contains("status=\"413\""));
    Opened::of(world.whip("pub.sdp").await).await;
}

#[actix_web::test]
async fn a_large_body_that_nobody_reads_still_gets_its_answer() {
    let world = World::start().await;
    let large = || vec![b'a'; 1024 * 1024];
    for path in ["/rtc/v1/whip/cam", "/rtc/v1/whip/a.b", "/rtc/v1/nowhere", "/rtc/v1/sessions/unknown"] {
        let post = world.request(Method::POST, &world.url(path)).header("Content-Type", "text/plain");
        let answer = post.body(large()).send().await.unwrap();
        assert!([404, 405, 415].contains(&answer.status().as_u16()), "{path}");
    }
    let patch = world.patch(&world.publish().await.url, "application/trickle-ice-sdpfrag", Some("*"), large()).await;
    refused(patch, 413, "body-too-large").await;
}

#[actix_web::test]
async fn an_announced_gigabyte_is_413_before_it_is_sent() {
    let world = World::start().await;
    let request = "POST /rtc/v1/whip/cam HTTP/1.1\r\nHost: edge\r\nContent-Type: application/sdp\r\nContent-Length: 1073741824\r\n\r\nv=0";
    let started = Instant::now();
    assert_eq!(send_raw(world.port(), request.as_bytes()).await.unwrap().status, 413);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[actix_web::test]
async fn a_body_that_never_ends_is_408_and_harms_nobody() {
    let world = World::start().await;
    let head = "POST /rtc/v1/whip/cam HTTP/1.1\r\nHost: edge\r\nContent-Type: application/sdp\r\nContent-Length: 1000\r\n\r\nv=0\r\n";
    let mut slow = Vec::new();
    for _ in 0..32 {
        let mut socket = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        slow.push(socket);
    }
    let started = Instant::now();
    Opened::of(world.whip("pub.sdp").await).await;
    assert!(started.elapsed() < Duration::from_secs(1), "others are served meanwhile");
    for mut socket in slow {
        let answer =
            tokio::time::timeout(Duration::from_secs(10), read_answer(&mut socket, false)).await.unwrap().unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (408, Some("application/problem+json")));
    }
    assert!(metrics(&world).await.contains("status=\"408\""));
}

#[actix_web::test]
async fn a_dripping_body_is_408_too() {
    let world = World::start().await;
    let mut socket = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    let head = "POST /rtc/v1/whip/cam HTTP/1.1\r\nHost: edge\r\nContent-Type: application/sdp\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = socket.into_split();
    let drip = actix_web::rt::spawn(async move {
        while write.write_all(b"1\r\na\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut status = [0; 12];
    let within = Duration::from_secs(10);
    tokio::time::timeout(within, tokio::io::AsyncReadExt::read_exact(&mut read, &mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
    drip.abort();
}

#[actix_web::test]
async fn chunked_bodies_and_expect_100_continue_are_fine() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let offer = fixture("pub.sdp");
    let mut request = format!(
        "POST /rtc/v1/whip/cam HTTP/1.1\r\nHost: edge.example\r\nAuthorization: Bearer {token}\r\nContent-Type: application/sdp\r\n\
         Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for part in offer.chunks(100) {
        request.extend(format!("{:x}\r\n", part.len()).bytes());
        request.extend(part);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let answer = send_raw(world.port(), &request).await.unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    assert!(answer.header("location").unwrap().starts_with("http://edge.example/rtc/v1/sessions/"));
}

#[actix_web::test]
async fn a_client_without_a_host_header_hears_an_absolute_location_all_the_same() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let offer = fixture("pub.sdp");
    let mut request = format!(
        "POST /rtc/v1/whip/cam HTTP/1.0\r\nAuthorization: Bearer {token}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
        offer.len()
    )
    .into_bytes();
    request.extend(offer);
    let answer = send_raw(world.port(), &request).await.unwrap();
    assert_eq!(answer.status, 201);
    assert!(answer.header("location").unwrap().starts_with(&world.url("/rtc/v1/sessions/")), "{:?}", answer.headers);
}

#[actix_web::test]
async fn a_data_channel_alone_is_refused() {
    let world = World::start().await;
    let offer = String::from_utf8(fixture("play-dc.sdp")).unwrap();
    let head = offer.split("m=").next().unwrap().replace("BUNDLE 0 1 2", "BUNDLE 2");
    let alone = format!("{head}m=application{}", offer.split("m=application").nth(1).unwrap());
    for (path, role) in [("/rtc/v1/whip/cam", Role::Publish), ("/rtc/v1/whep/cam", Role::Play)] {
        refused(world.post(path, &world.token("cam", role), alone.clone()).await, 422, "sdp-unsupported").await;
    }
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn w54_many_posts_patches_and_deletes_are_429_with_retry_after() {
    let world = World::with(1, &[("EDGE_RATE_LIMIT", "5:20")]).await;
    let token = world.token("cam", Role::Publish);
    let session = world.publish().await;
    let garbage = world.url("/rtc/v1/sessions/unknown");
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        let mut limited = None;
        for _ in 0..50 {
            let url = if method == Method::POST { world.url("/rtc/v1/whip/cam") } else { garbage.clone() };
            let request = world.request(method.clone(), &url).bearer_auth(&token).header("Content-Type", SDP);
            let answer = request.body(fixture("pub.sdp")).send().await.unwrap();
            if answer.status() == 429 {
                limited = Some(answer);
                break;
            }
        }
        let answer = limited.unwrap_or_else(|| panic!("{method} is not limited"));
        assert!(header(&answer, "retry-after").parse::<u32>().is_ok_and(|s| s > 0));
        refused(answer, 429, "rate-limited").await;
    }
    let other = world.request(Method::DELETE, &session.url).header("X-Forwarded-For", "203.0.113.77");
    assert_eq!(other.send().await.unwrap().status(), 200, "another client is not held up");
}

#[actix_web::test]
async fn fifty_quick_posts_are_429() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let posts = (0..50).map(|_| world.post("/rtc/v1/whip/cam", &token, fixture("pub.sdp")));
    let answers = futures_util::future::join_all(posts).await;
    let count = |status: u16| answers.iter().filter(|a| a.status() == status).count();
    assert_eq!(count(201), 1, "one publisher at most");
    assert!(count(429) >= 1, "{:?}", answers.iter().map(|a| a.status().as_u16()).collect::<Vec<_>>());
    assert_eq!(count(201) + count(409) + count(429), 50);
    assert!(metrics(&world).await.contains("status=\"429\""));
}

#[actix_web::test]
async fn bytes_that_are_not_http_end_their_own_connection_only() {
    let world = World::start().await;
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..], b"POST\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        if let Some(answer) = send_raw(world.port(), bytes).await {
            assert_eq!(answer.status, 400);
        }
    }
    Opened::of(world.whip("pub.sdp").await).await;
}
