//! The WebRTC relay over real sockets; the media node is played by the test.

mod client;
mod cut;
mod tcp;

use super::helpers::{Opened, World, sdp::values, until};
use client::{Client, nothing_comes, receive};
use proto::{
    SessionId, ice,
    secret::ClusterSecret,
    wire::stun::{IntegrityKey, Message, binding_success},
};
use std::net::SocketAddr;

const RELAY: [(&str, &str); 2] = [("WEBRTC_RELAY", "on"), ("EDGE_RTC_LISTEN", "127.0.0.1:0")];

/// One node, one edge that relays, and a publisher on `cam` that has its answer.
async fn relayed() -> (World, Opened) {
    let world = World::with(1, &RELAY).await;
    let opened = world.publish().await;
    (world, opened)
}

/// An RTP packet, or something that looks like one.
fn rtp(number: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![number; len];
    bytes[..2].copy_from_slice(&[0x80, 0x60]);
    bytes
}

/// Plays the node's part in a check: reads it, answers it as SRS does, and says where it came from.
async fn node_answers(world: &World, password: &str) -> SocketAddr {
    let (bytes, from) = receive(&world.node().rtc).await;
    let message = Message::parse(&bytes).unwrap();
    assert!(message.is_check(), "the node hears the client's own check");
    assert_eq!(message.verify(&IntegrityKey::new(password)), Ok(()), "untouched");
    let mut answer = Vec::new();
    binding_success(&message.transaction(), from, &IntegrityKey::new(password), &mut answer);
    world.node().rtc.send_to(&answer, from).await.unwrap();
    from
}

/// Counts of one reason for which datagrams were dropped.
async fn dropped(world: &World, reason: &str) -> u64 {
    let name = format!("keystone_edge_rtc_dropped_total{{reason=\"{reason}\"}}");
    world.metric(&name).await.unwrap_or_default()
}

#[actix_web::test]
async fn answers_carry_the_edge_and_never_the_node() {
    let (world, opened) = relayed().await;
    let candidates = values(&opened.answer, "a=candidate:");
    assert!(!candidates.is_empty());
    for line in &candidates {
        assert!(line.contains(" 127.0.0.1 ") && !line.contains("28000"), "{line}");
    }
    let ends: Vec<bool> = candidates.iter().map(|line| line.ends_with("tcptype passive")).collect();
    assert!(ends.contains(&true) && ends.contains(&false), "UDP and TCP: {candidates:?}");
    let direct = World::with(1, &[]).await.publish().await;
    assert!(direct.answer.contains(" 28000 "), "without the relay, the node's own");
    drop(world);
}

#[actix_web::test]
async fn without_ice_tcp_no_tcp_candidate_is_told() {
    let world =
        World::with(1, &[RELAY[0], RELAY[1], ("WEBRTC_TCP", "off"), ("WEBRTC_PUBLIC_ADDR", "203.0.113.7")]).await;
    let answer = world.publish().await.answer;
    assert!(!answer.contains("tcptype") && answer.contains(" 203.0.113.7 "), "{answer}");
}

#[actix_web::test]
async fn a_signed_check_opens_the_way_for_media_both_ways() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    client.check(1, true).await;
    let upstream = node_answers(&world, &client.password).await;
    client.answered(1).await;
    for size in [13, 200, 1_200, 1_472] {
        client.send(&rtp(7, size)).await;
        assert_eq!(receive(&world.node().rtc).await, (rtp(7, size), upstream));
        world.node().rtc.send_to(&rtp(9, size), upstream).await.unwrap();
        assert_eq!(client.receive().await, rtp(9, size));
    }
    // Bursts of one size and of many keep their order, whatever was joined on the way.
    let burst: Vec<Vec<u8>> = (0..100_u8).map(|n| rtp(n, if n % 7 == 0 { 300 } else { 1_100 })).collect();
    for packet in &burst {
        client.send(packet).await;
        world.node().rtc.send_to(packet, upstream).await.unwrap();
    }
    for packet in &burst {
        assert_eq!(receive(&world.node().rtc).await.0, *packet);
        assert_eq!(client.receive().await, *packet);
    }
    until("bytes are counted", || async {
        world.metric("keystone_edge_rtc_packets_total{direction=\"up\"}").await == Some(105)
    })
    .await;
}

#[actix_web::test]
async fn nobody_else_gets_through() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    client.send(&rtp(1, 100)).await;
    until("media without a check is dropped", || async { dropped(&world, "stranger").await == 1 }).await;
    let wrong = Client { password: "0123456789012345678901".into(), ..Client::of(&opened).await };
    wrong.check(1, true).await;
    until("a wrong signature is dropped", || async { dropped(&world, "integrity").await == 1 }).await;
    wrong.send(&rtp(1, 100)).await;
    until("and opens nothing", || async { dropped(&world, "stranger").await == 2 }).await;
    client.send(&client.unsigned(2)).await;
    until("no signature is dropped", || async { dropped(&world, "integrity").await == 2 }).await;
    let foreign = Client { ufrag: "srsufrag".into(), ..Client::of(&opened).await };
    foreign.check(3, true).await;
    until("a ufrag that no edge makes is dropped", || async { dropped(&world, "ufrag").await == 1 }).await;
    // The right form, a node that exists, and a password that only a cluster with another secret would give.
    let name = ice::ufrag(&world.node().node, &SessionId::from_bytes([9; 16]));
    let password = ice::password(&ClusterSecret::from_setting("another cluster's"), &name);
    let spoofed = Client { ufrag: name, password, ..Client::of(&opened).await };
    spoofed.check(4, true).await;
    until("a ufrag of another cluster is dropped", || async { dropped(&world, "integrity").await == 3 }).await;
    nothing_comes(&world.node().rtc).await;
    client.check(5, true).await;
    node_answers(&world, &client.password).await;
    client.answered(5).await;
}

#[actix_web::test]
async fn each_session_has_a_port_of_its_own_at_the_node() {
    let (world, publisher) = relayed().await;
    let viewer = world.play().await;
    let (publisher, viewer) = (Client::of(&publisher).await, Client::of(&viewer).await);
    publisher.check(1, true).await;
    let first = node_answers(&world, &publisher.password).await;
    viewer.check(2, true).await;
    let second = node_answers(&world, &viewer.password).await;
    assert_ne!(first, second);
    publisher.answered(1).await;
    viewer.answered(2).await;
    world.node().rtc.send_to(&rtp(1, 50), second).await.unwrap();
    assert_eq!(viewer.receive().await, rtp(1, 50));
    nothing_comes(&publisher.socket).await;
}

#[actix_web::test]
async fn a_client_that_roams_keeps_its_port_and_media_follows() {
    let (world, opened) = relayed().await;
    let wifi = Client::of(&opened).await;
    wifi.check(1, true).await;
    let upstream = node_answers(&world, &wifi.password).await;
    wifi.answered(1).await;
    let mobile = Client::of(&opened).await;
    // A check alone moves nothing, and is answered where it came from.
    mobile.check(2, false).await;
    assert_eq!(node_answers(&world, &wifi.password).await, upstream);
    mobile.answered(2).await;
    world.node().rtc.send_to(&rtp(1, 50), upstream).await.unwrap();
    assert_eq!(wifi.receive().await, rtp(1, 50));
    mobile.check(3, true).await;
    assert_eq!(node_answers(&world, &wifi.password).await, upstream, "the same port at the node");
    mobile.answered(3).await;
    world.node().rtc.send_to(&rtp(2, 50), upstream).await.unwrap();
    assert_eq!(mobile.receive().await, rtp(2, 50));
    mobile.send(&rtp(3, 50)).await;
    assert_eq!(receive(&world.node().rtc).await, (rtp(3, 50), upstream));
    until("it is counted", || async { world.metric("keystone_edge_rtc_moved_total").await == Some(1) }).await;
}

#[actix_web::test]
async fn another_edge_takes_a_session_over() {
    let mut world = World::with(1, &RELAY).await;
    let other = world.add_edge().await;
    until("the other edge knows the node", || async {
        world.http.get(world.at(other, "/readyz")).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let opened = world.publish().await;
    let to = world.front(other).relay().unwrap().addresses()[0];
    let client = Client { to, ..Client::of(&opened).await };
    client.check(1, true).await;
    node_answers(&world, &client.password).await;
    client.answered(1).await;
    let taken = |world: &World| world.at(other, "/metrics");
    let text = world.http.get(taken(&world)).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("keystone_edge_rtc_taken_over_total 1"), "{text}");
    client.send(&rtp(5, 500)).await;
    assert_eq!(receive(&world.node().rtc).await.0, rtp(5, 500));
}

#[actix_web::test]
async fn an_ipv6_client_is_told_its_own_address() {
    let world = World::with(1, &[RELAY[0], ("EDGE_RTC_LISTEN", "[::1]:0")]).await;
    let opened = world.publish().await;
    let client = Client::of(&opened).await;
    assert!(client.to.is_ipv6());
    client.check(1, true).await;
    // SRS itself knows IPv4 addresses only, and tells the relay's.
    node_answers(&world, &client.password).await;
    client.answered(1).await;
}

#[actix_web::test]
async fn a_ports_number_is_not_used_again_while_srs_may_remember_it() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    client.check(1, true).await;
    let upstream = node_answers(&world, &client.password).await;
    let done = world.request(reqwest::Method::DELETE, &opened.url).send().await.unwrap();
    assert_eq!(done.status(), 200);
    until("the port waits", || async { world.metric("keystone_edge_rtc_quarantined").await == Some(1) }).await;
    assert_eq!(world.metric("keystone_edge_rtc_sessions").await, Some(0));
    let bound = std::net::UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], upstream.port())));
    assert_eq!(bound.map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::AddrInUse));
    let again = Client::of(&Opened::of(world.whip("pub.sdp").await).await).await;
    again.check(2, true).await;
    assert_ne!(node_answers(&world, &again.password).await, upstream);
}
