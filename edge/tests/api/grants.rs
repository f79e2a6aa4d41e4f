//! What protocols other than WebRTC hold between a client's word and its node's: grants, and the leases they become.

use super::helpers::{World, until};
use edge::{ApiError, front::GrantRequest, srs::SrsError};
use proto::{
    StreamId, TokenId,
    event::Event,
    session::{EndReason, Protocol, Role},
    stream::Visibility,
};
use std::time::Duration;

fn wanted(role: Role, stream: &StreamId, credential: Option<String>) -> GrantRequest {
    let client = "127.0.0.1".parse().unwrap();
    GrantRequest { role, protocol: Protocol::Rtmp, stream: stream.clone(), credential, client, takeover: false }
}

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

fn publish(world: &World) -> GrantRequest {
    wanted(Role::Publish, &cam(), Some(world.token("cam", Role::Publish)))
}

async fn ends(lease: &edge::front::Lease) -> bool {
    tokio::time::timeout(Duration::from_secs(2), lease.ended()).await.is_ok()
}

#[actix_web::test]
async fn a_publisher_s_grant_holds_the_stream_until_it_is_dropped() {
    let world = World::start().await;
    let front = world.front(0);
    let grant = front.grant(publish(&world)).await.unwrap();
    assert!(world.truth.claimed(&cam()));
    assert!(matches!(front.grant(publish(&world)).await, Err(ApiError::StreamBusy { .. })));
    assert_eq!(grant.node().at.rtmp.as_deref(), Some("127.0.0.1:1935"));
    drop(grant);
    until("its reservation is released", || async { !world.truth.claimed(&cam()) }).await;
    assert!(front.grant(publish(&world)).await.is_ok());
}

#[actix_web::test]
async fn credentials_decide_as_they_do_for_webrtc() {
    let world = World::start().await;
    let front = world.front(0);
    let refused = |credential| front.grant(wanted(Role::Publish, &cam(), credential));
    assert!(matches!(refused(None).await, Err(ApiError::TokenMissing)));
    assert!(matches!(refused(Some("sk_cam_x".into())).await, Err(ApiError::TokenInvalid(_))));
    assert!(front.grant(wanted(Role::Publish, &cam(), Some(world.stream_key("cam")))).await.is_ok());
    assert!(matches!(front.grant(wanted(Role::Play, &cam(), None)).await, Err(ApiError::StreamNotLive)));
}

#[actix_web::test]
async fn a_node_that_refuses_is_followed_by_the_next() {
    let world = World::with(2, &[]).await;
    let grant = world.front(0).grant(publish(&world)).await.unwrap();
    let first = grant.node().id.clone();
    let grant = grant.failed(SrsError::NotListening).await.unwrap();
    assert_ne!(grant.node().id, first);
    assert!(matches!(grant.failed(SrsError::NotListening).await, Err(ApiError::NodeUnavailable)));
    assert!(!world.truth.claimed(&cam()), "nothing is held then");
}

#[actix_web::test]
async fn a_lease_ends_by_the_news_and_the_session_with_the_lease() {
    let world = World::start().await;
    let front = world.front(0);
    let lease = front.grant(publish(&world)).await.unwrap().opened().await;
    let viewer = front.grant(wanted(Role::Play, &cam(), None)).await.unwrap().opened().await;
    until("both are counted", || async { world.metric("keystone_edge_sessions").await == Some(2) }).await;
    let (id, stream) = (viewer.session(), cam());
    world.truth.tell(&Event::SessionClosed { id, stream, owner: None, reason: EndReason::Kicked });
    assert!(ends(&viewer).await, "a kick ends it");
    assert!(!lease.token().is_cancelled());
    drop(viewer);
    drop(lease);
    until("none is left", || async { world.metric("keystone_edge_sessions").await == Some(0) }).await;
    assert!(matches!(front.grant(wanted(Role::Play, &cam(), None)).await, Err(ApiError::StreamNotLive)));
}

#[actix_web::test]
async fn a_lease_ends_with_the_token_that_let_it_in_and_with_its_node() {
    let world = World::start().await;
    let front = world.front(0);
    let private = world.truth.add_stream("private", Visibility::Private);
    let key = Some(world.stream_key("private"));
    let lease = front.grant(wanted(Role::Publish, &private, key)).await.unwrap().opened().await;
    let jti = TokenId::from_bytes([5; 16]);
    let token = world.token_with("private", Role::Play, |claims| claims.jti = jti);
    let viewer = front.grant(wanted(Role::Play, &private, Some(token))).await.unwrap().opened().await;
    world.truth.tell(&Event::TokenRevoked { jti, expires_at: kit::clock::unix() + 60 });
    assert!(ends(&viewer).await);
    assert!(!lease.token().is_cancelled());
    let (epoch, reason) = (1, EndReason::NodeLost);
    world.truth.tell(&Event::StreamEnded { stream: private, epoch, owner: None, reason });
    assert!(ends(&lease).await);
}
