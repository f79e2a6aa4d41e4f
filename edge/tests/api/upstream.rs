//! Media nodes that fail, in all the ways that SRS has.

use super::helpers::{Opened, World, header, refused, sdp::fixture, srs::Behave, until};
use proto::{StreamId, session::Role, stream::Visibility};
use reqwest::Method;
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

/// Publishes with the node behaving so, every time it is asked, and checks that nothing is left behind.
async fn publish_against(world: &World, behave: Behave) -> reqwest::Response {
    world.node().behave(vec![behave; 4]);
    let answer = world.whip("pub.sdp").await;
    until("the claim is released", || async { !world.truth.claimed(&cam()) }).await;
    answer
}

#[actix_web::test]
async fn a_node_that_hangs_up_without_a_word_is_a_5xx_with_retry_after() {
    let world = World::start().await;
    let answer = publish_against(&world, Behave::Close).await;
    let status = answer.status().as_u16();
    assert_eq!(status, 502);
    assert!(!header(&answer, "retry-after").is_empty());
}

#[actix_web::test]
async fn late_srs_codes_are_understood() {
    for (status, text, wanted) in [
        (400, "5012: RtcSdpDecode", 422),
        (400, "5018: RtcSdpNegotiate", 422),
        (409, "1028: StreamBusy", 409),
        (401, "4041: SystemAuth", 403),
        (500, "1000: Whatever", 502),
    ] {
        let world = World::start().await;
        let answer = publish_against(&world, Behave::Text(status, text)).await;
        let got = answer.status().as_u16();
        assert_eq!(got, wanted, "{status} {text}");
        let body = answer.text().await.unwrap();
        assert!(!body.contains(text), "the node's words stay inside: {body}");
    }
}

#[actix_web::test]
async fn garbage_huge_and_headless_answers_are_5xx() {
    for behave in [Behave::Garbage, Behave::Huge, Behave::NoLocation] {
        let world = World::start().await;
        let status = publish_against(&world, behave.clone()).await.status().as_u16();
        assert_eq!(status, 502, "{behave:?}");
    }
}

#[actix_web::test]
async fn a_node_that_hangs_costs_less_than_five_seconds() {
    let world = World::start().await;
    let started = Instant::now();
    let status = publish_against(&world, Behave::Hang).await.status().as_u16();
    assert_eq!(status, 503);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[actix_web::test]
async fn a_refused_hook_is_no_session_and_leaves_the_name_free() {
    let world = World::start().await;
    world.truth.refuse_hooks();
    let status = world.whip("pub.sdp").await.status().as_u16();
    assert_eq!(status, 502, "SRS hangs up without a word");
    until("the claim is released", || async { !world.truth.claimed(&cam()) }).await;
    assert!(world.node().held().is_empty());
}

#[actix_web::test]
async fn w42_nothing_is_redirected_by_301_or_302() {
    let world = World::start().await;
    for path in
        ["/rtc/v1/whip", "/rtc/v1/whip/", "/rtc/v1/whip/cam", "/rtc/v1/whip/cam/", "/v1/whep", "/rtc/v1/publish", "/"]
    {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::DELETE] {
            let status = world.request(method.clone(), &world.url(path)).send().await.unwrap().status().as_u16();
            assert!(!(300..400).contains(&status), "{method} {path}: {status}");
        }
    }
}

#[actix_web::test]
async fn w43_when_no_node_can_take_it_503_says_when_to_come_back() {
    let dead = kit::testing::free_port();
    let upstream = format!("http://127.0.0.1:{dead}?id=dead");
    let world = World::with_upstream(&upstream).await;
    let answer = world.whip("pub.sdp").await;
    assert!(header(&answer, "retry-after").parse::<u32>().is_ok(), "{:?}", answer.headers());
    assert_eq!(answer.status(), 503);
}

#[actix_web::test]
async fn p14_viewers_are_not_redirected_and_told_when_to_come_back() {
    let world = World::start().await;
    world.publish().await;
    world.node().behave(vec![Behave::Close; 4]);
    let answer = world.whep("play.sdp").await;
    let status = answer.status().as_u16();
    assert_eq!(status, 502);
    assert!(!header(&answer, "retry-after").is_empty());
}

#[actix_web::test]
async fn control_api_away_is_503_for_publishers() {
    let world = World::start().await;
    world.truth.away(true);
    let answer = world.whip("pub.sdp").await;
    assert!(!header(&answer, "retry-after").is_empty());
    refused(answer, 503, "dependency-away").await;
    world.truth.away(false);
    Opened::of(world.whip("pub.sdp").await).await;
}

#[actix_web::test]
async fn another_node_takes_it_when_the_first_is_gone() {
    let dead = format!("http://127.0.0.1:{}?id=dead", kit::testing::free_port());
    let world = World::with_also(&dead).await;
    let streams = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for stream in streams {
        world.truth.add_stream(stream, Visibility::Public);
        let token = world.token(stream, Role::Publish);
        Opened::of(world.post(&format!("/rtc/v1/whip/{stream}"), &token, fixture("pub.sdp")).await).await;
    }
    assert_eq!(world.node().held().len(), streams.len(), "whatever the ring says, the living node has them");
}

#[actix_web::test]
async fn without_redis_plain_tokens_pass_by_signature_and_sessions_can_be_ended() {
    let mut world = World::start().await;
    let (first, second) = (world.token("cam", Role::Publish), world.token("other", Role::Publish));
    world.truth.add_stream("other", Visibility::Public);
    let session = Opened::of(world.post("/rtc/v1/whip/cam", &first, fixture("pub.sdp")).await).await;
    world.redis.kill();
    let other = Opened::of(world.post("/rtc/v1/whip/other", &second, fixture("pub.sdp")).await).await;
    assert_eq!(world.node().held().len(), 2);
    for url in [session.url, other.url] {
        assert_eq!(world.request(Method::DELETE, &url).send().await.unwrap().status(), 200);
    }
    assert!(world.node().held().is_empty());
    let metrics = world.request(Method::GET, &world.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let counted = metrics.lines().any(|l| l.contains("degraded") && !l.starts_with('#') && !l.ends_with(" 0"));
    assert!(counted, "{metrics}");
}

#[actix_web::test]
async fn takeover_asks_control_api_to_end_the_own_publisher() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    let first = Opened::of(world.post("/rtc/v1/whip/cam", &token, fixture("pub.sdp")).await).await;
    refused(world.post("/rtc/v1/whip/cam", &token, fixture("pub.sdp")).await, 409, "stream-busy").await;
    let second = Opened::of(world.post("/rtc/v1/whip/cam?takeover=1", &token, fixture("pub.sdp")).await).await;
    assert_ne!(first.etag, second.etag);
}

/// Posts, waits until the node was asked, and hangs up before it answers.
async fn hang_up_while_the_node_thinks(reset: bool) {
    let world = World::start().await;
    world.node().behave([Behave::Slow(Duration::from_millis(300))]);
    let offer = fixture("pub.sdp");
    let token = world.token("cam", Role::Publish);
    let head = format!(
        "POST /rtc/v1/whip/cam HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {token}\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n",
        offer.len()
    );
    let mut socket = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&offer).await.unwrap();
    until("the node was asked", || async { !world.node().posts().is_empty() }).await;
    if reset {
        socket.set_zero_linger().unwrap();
    }
    drop(socket);
    until("the node's session is ended", || async { world.node().seen().iter().any(|r| r.method == "DELETE") }).await;
    until("the claim is free", || async { !world.truth.claimed(&cam()) }).await;
    assert!(world.node().held().is_empty());
    Opened::of(world.whip("pub.sdp").await).await;
}

#[actix_web::test]
async fn a_client_that_resets_while_the_node_thinks_leaves_no_session_behind() {
    hang_up_while_the_node_thinks(true).await;
}

#[actix_web::test]
async fn a_client_that_closes_while_the_node_thinks_leaves_no_session_behind() {
    hang_up_while_the_node_thinks(false).await;
}
