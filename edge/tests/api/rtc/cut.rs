//! Relayed media stops when its session does.

use super::{
    RELAY,
    client::{Client, nothing_comes, receive},
    dropped, node_answers, relayed, rtp,
};
use crate::helpers::{Opened, World, until};
use proto::{
    SessionId, StreamId,
    event::Event,
    ice,
    node::{Member, NodeState},
    session::EndReason,
};
use reqwest::Method;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long an end may take (docs/webrtc-relay.md).
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// A client whose media flows, its session, and its port at the node.
async fn flowing(world: &World, opened: &Opened) -> (Client, SessionId, SocketAddr) {
    let client = Client::of(opened).await;
    client.check(1, true).await;
    let upstream = node_answers(world, &client.password).await;
    client.answered(1).await;
    let (_, session) = ice::read_ufrag(&client.ufrag).unwrap();
    (client, session, upstream)
}

/// Awaits that nothing passes in either direction, and that it took no longer than it may.
async fn cut(world: &World, client: &Client, upstream: SocketAddr, since: Instant) {
    until("the session is not relayed", || async { world.metric("keystone_edge_rtc_sessions").await == Some(0) }).await;
    assert!(since.elapsed() < CUT_WITHIN, "it took {:?}", since.elapsed());
    client.send(&rtp(1, 100)).await;
    world.node().rtc.send_to(&rtp(2, 100), upstream).await.unwrap();
    nothing_comes(&world.node().rtc).await;
    nothing_comes(&client.socket).await;
    let over = dropped(world, "over").await;
    client.check(9, true).await;
    until("and it does not come back", || async { dropped(world, "over").await > over }).await;
    nothing_comes(&world.node().rtc).await;
}

#[actix_web::test]
async fn a_kick_cuts_it() {
    let (world, opened) = relayed().await;
    let (client, id, upstream) = flowing(&world, &opened).await;
    let since = Instant::now();
    let stream = StreamId::parse("cam").unwrap();
    world.truth.tell(&Event::SessionClosed { id, stream, owner: None, reason: EndReason::Kicked });
    cut(&world, &client, upstream, since).await;
}

#[actix_web::test]
async fn delete_cuts_it_at_once() {
    let (world, opened) = relayed().await;
    let (client, _, upstream) = flowing(&world, &opened).await;
    assert_eq!(world.request(Method::DELETE, &opened.url).send().await.unwrap().status(), 200);
    let before = dropped(&world, "stranger").await + dropped(&world, "over").await;
    client.send(&rtp(1, 100)).await;
    until("the very next packet is dropped", || async {
        dropped(&world, "stranger").await + dropped(&world, "over").await > before
    })
    .await;
    cut(&world, &client, upstream, Instant::now()).await;
}

#[actix_web::test]
async fn a_lost_node_cuts_it() {
    let world = World::of_members(1, &RELAY).await;
    let ready =
        || async { world.http.get(world.url("/readyz")).send().await.is_ok_and(|answer| answer.status() == 200) };
    until("the edge is ready", ready).await;
    let opened = world.publish().await;
    let (client, _, upstream) = flowing(&world, &opened).await;
    let since = Instant::now();
    world.truth.members(&world.members_but(0, |member| Member { state: NodeState::Down, ..member }));
    cut(&world, &client, upstream, since).await;
}

#[actix_web::test]
async fn a_kick_cuts_a_session_that_was_taken_over_too() {
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
    let upstream = node_answers(&world, &client.password).await;
    client.answered(1).await;
    let (_, id) = ice::read_ufrag(&client.ufrag).unwrap();
    until("the other edge found out whose it is", || async {
        world.front(other).leases().all().iter().any(|(session, _)| *session == id)
    })
    .await;
    client.send(&rtp(1, 100)).await;
    assert_eq!(receive(&world.node().rtc).await.0, rtp(1, 100));
    let stream = StreamId::parse("cam").unwrap();
    world.truth.tell(&Event::SessionClosed { id, stream, owner: None, reason: EndReason::Kicked });
    until("it is given up", || async { world.front(other).leases().all().is_empty() }).await;
    client.send(&rtp(2, 100)).await;
    world.node().rtc.send_to(&rtp(3, 100), upstream).await.unwrap();
    nothing_comes(&world.node().rtc).await;
    nothing_comes(&client.socket).await;
}
