//! HTTP-FLV through the edge.

use super::helpers::{World, header, refused, until, wire::Endless};
use proto::{
    StreamId,
    event::Event,
    session::{EndReason, Role},
    stream::Visibility,
};
use reqwest::{Method, Response};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Type: video/x-flv\r\n\r\nFLV\x01";

/// A node that sends pieces of 1,000 bytes every few milliseconds.
fn endless(piece: usize, every: Duration) -> Endless {
    Endless {
        head: HEAD.to_vec(),
        piece: vec![7; piece],
        every,
        on: Arc::new(AtomicBool::new(true)),
        taken: Arc::new(AtomicU64::new(0)),
    }
}

async fn live() -> (World, Endless) {
    let world = World::start().await;
    let flv = endless(1_000, Duration::from_millis(5));
    world.node().flv(flv.clone());
    world.truth.live_on(world.node(), "cam", 1);
    until("the edge has heard", || async {
        world.request(Method::HEAD, &world.url("/live/cam.flv")).send().await.unwrap().status() == 200
    })
    .await;
    (world, flv)
}

async fn read(response: &mut Response, at_least: usize) -> usize {
    let mut got = 0;
    while got < at_least {
        got += response.chunk().await.unwrap().expect("it goes on").len();
    }
    got
}

#[actix_web::test]
async fn media_comes_as_it_is_and_ends_with_the_stream() {
    let (world, flv) = live().await;
    let mut answer = world.get(0, "/live/cam.flv").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, "video/x-flv".into()));
    assert_eq!(header(&answer, "cache-control"), "no-store");
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b"FLV\x01"));
    read(&mut answer, 5_000).await;
    let request = world.node().seen().into_iter().find(|request| request.path == "/live/cam.flv").unwrap();
    assert!(
        request.query.starts_with("kst=") && !request.query.contains('&'),
        "a ticket and nothing else: {}",
        request.query
    );
    flv.on.store(false, Ordering::Relaxed);
    while answer.chunk().await.unwrap().is_some() {}
    assert_eq!(world.get(0, "/hls/cam.flv").await.status(), 200, "also under /hls");
}

#[actix_web::test]
async fn a_private_stream_takes_a_token_that_the_node_never_sees() {
    let (world, _flv) = live().await;
    world.truth.add_stream("cam", Visibility::Private);
    refused(world.get(0, "/live/cam.flv").await, 401, "token-missing").await;
    let token = world.token("cam", Role::Play);
    let mut answer = world.get(0, &format!("/live/cam.flv?token={token}")).await;
    assert_eq!(answer.status(), 200);
    read(&mut answer, 1_000).await;
    assert!(world.node().seen().iter().all(|request| !request.query.contains(&token)));
    let head = world.request(Method::HEAD, &world.url("/live/cam.flv")).bearer_auth(&token).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-type")), (200, "video/x-flv".into()));
}

#[actix_web::test]
async fn what_is_not_live_is_not_found_and_what_says_nothing_is_late() {
    let world = World::start().await;
    refused(world.get(0, "/live/cam.flv").await, 404, "stream-not-live").await;
    world.truth.live_on(world.node(), "cam", 1);
    // SRS keeps a viewer of a stream without media waiting without a byte.
    until("the edge has heard", || async { world.get(0, "/live/cam.flv").await.status() == 504 }).await;
    let answer = world.get(0, "/live/cam.flv").await;
    assert!(!header(&answer, "retry-after").is_empty());
    refused(answer, 504, "media-late").await;
}

#[actix_web::test]
async fn a_kick_cuts_it_within_a_second() {
    let (world, _flv) = live().await;
    let mut answer = world.get(0, "/live/cam.flv").await;
    read(&mut answer, 1_000).await;
    let sessions: Vec<_> = world.front(0).lease_ids();
    assert_eq!(sessions.len(), 1);
    let stream = StreamId::parse("cam").unwrap();
    world.truth.tell(&Event::SessionClosed { id: sessions[0], stream, owner: None, reason: EndReason::Kicked });
    let rest = async { while answer.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(1), rest).await.expect("it is cut");
    until("nothing is left", || async { world.front(0).lease_ids().is_empty() }).await;
}

#[actix_web::test]
async fn a_viewer_that_hangs_up_lets_go_of_the_node() {
    let (world, flv) = live().await;
    let mut answer = world.get(0, "/live/cam.flv").await;
    read(&mut answer, 1_000).await;
    drop(answer);
    until("the session is over", || async { world.front(0).lease_ids().is_empty() }).await;
    let taken = || flv.taken.load(Ordering::Relaxed);
    until("the node sends nothing more", || async {
        let before = taken();
        tokio::time::sleep(Duration::from_millis(50)).await;
        taken() == before
    })
    .await;
}

#[actix_web::test]
async fn a_viewer_that_does_not_read_holds_little_and_is_cut() {
    let (world, _) = live().await;
    // As fast as it is taken.
    let flv = endless(64 * 1024, Duration::ZERO);
    world.node().flv(flv.clone());
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    socket.write_all(b"GET /live/cam.flv HTTP/1.1\r\nHost: edge\r\n\r\n").await.unwrap();
    let mut first = [0; 64];
    socket.read_exact(&mut first).await.unwrap();
    let taken = || flv.taken.load(Ordering::Relaxed);
    let begun = std::time::Instant::now();
    until("the session is cut", || async { world.front(0).lease_ids().is_empty() }).await;
    assert!(begun.elapsed() > Duration::from_secs(4), "not before it had its time");
    // Buffers of the kernel on both sides and 1 MiB here.
    assert!(taken() < 24 * 1024 * 1024, "{} bytes were taken from the node", taken());
}
