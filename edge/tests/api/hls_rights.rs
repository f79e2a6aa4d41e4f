//! Who may have playlists and segments: tokens, viewer values, and their ends.

use super::{
    helpers::{World, header, refused, until},
    hls::List,
};
use data_encoding::BASE64URL_NOPAD;
use proto::{
    SessionId, StreamId,
    event::Event,
    session::{EndReason, Role},
    stream::Visibility,
};
use reqwest::Method;

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

/// The session that a path's viewer value names.
fn session_of(own: &str) -> SessionId {
    let value = own.split("v=").nth(1).unwrap();
    let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).unwrap();
    SessionId::from_bytes(bytes[10..26].try_into().unwrap())
}

async fn private(settings: &[(&str, &str)]) -> World {
    let world = World::with_segments(1, settings).await;
    world.truth.add_stream("cam", Visibility::Private);
    world
}

#[actix_web::test]
async fn a_private_stream_takes_a_token_once_and_then_the_viewers_value_everywhere() {
    let world = private(&[]).await;
    refused(world.get(0, "/live/cam.m3u8").await, 401, "token-missing").await;
    let token = world.token("cam", Role::Play);
    let own = world.viewer(0, &format!("?token={token}")).await;
    let list = List::of(world.get(0, &own).await).await;
    assert_eq!(list.uris.len(), 3);
    for uri in &list.uris {
        let (bare, _) = uri.split_once("?v=").expect("every segment carries the value");
        refused(world.get(0, &format!("/live/{bare}")).await, 401, "token-missing").await;
        let segment = world.get(0, &format!("/live/{uri}")).await;
        assert_eq!(header(&segment, "cache-control"), "private, max-age=3600, immutable");
        assert_eq!(segment.status(), 200);
    }
    let bearer = world.request(Method::GET, &world.url("/live/cam.m3u8")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(bearer.status(), 200, "a Bearer does as well");
    let wrong = world.token("other", Role::Play);
    refused(world.get(0, &format!("/live/cam.m3u8?token={wrong}")).await, 403, "token-scope").await;
}

#[actix_web::test]
async fn a_value_is_good_for_its_stream_and_as_it_was_made() {
    let world = private(&[]).await;
    let own = world.viewer(0, &format!("?token={}", world.token("cam", Role::Play))).await;
    let (_, value) = own.split_once("?v=").unwrap();
    world.truth.add_stream("cam2", Visibility::Private);
    world.node().segments("cam2", 0, 1);
    world.truth.live_on(world.node(), "cam2", 1);
    refused(world.get(0, &format!("/live/cam2.m3u8?v={value}")).await, 401, "token-invalid").await;
    refused(world.get(0, &format!("/live/cam2.1.0.ts?v={value}")).await, 401, "token-invalid").await;
    let mut damaged = value.to_owned();
    let last = damaged.pop().unwrap();
    damaged.push(if last == 'A' { 'B' } else { 'A' });
    for bad in [damaged.as_str(), "x", &value[1..], &"A".repeat(4_000)] {
        refused(world.get(0, &format!("/live/cam.m3u8?v={bad}")).await, 401, "token-invalid").await;
    }
}

#[actix_web::test]
async fn any_edge_honours_a_value_and_tells_of_the_session_once() {
    let mut world = private(&[]).await;
    let other = world.add_edge().await;
    let own = world.viewer(0, &format!("?token={}", world.token("cam", Role::Play))).await;
    let list = List::of(world.get(other, &own).await).await;
    assert_eq!(world.get(other, &format!("/live/{}", list.uris[0])).await.status(), 200);
    until("it is told", || async { world.truth.told().iter().any(|told| !told.opened.is_empty()) }).await;
    // The other edge says in Redis that it serves the session, and not that it opened it.
    let seen = proto::keys::hls_seen(&session_of(&own));
    until("the other edge is seen to serve it", || async { world.truth.redis(&["GET", &seen]).contains('1') }).await;
    let opened: Vec<_> = world.truth.told().into_iter().flat_map(|told| told.opened).collect();
    assert_eq!(opened.iter().map(|one| one.id).collect::<Vec<_>>(), [session_of(&own)]);
}

#[actix_web::test]
async fn a_kick_ends_a_viewer_at_every_edge() {
    let mut world = World::with_segments(1, &[]).await;
    let other = world.add_edge().await;
    let own = world.viewer(0, "").await;
    List::of(world.get(0, &own).await).await;
    world.truth.end_session(session_of(&own), &cam(), EndReason::Kicked);
    for edge in [0, other] {
        until("it is refused", || async { world.get(edge, &own).await.status() == 404 }).await;
        refused(world.get(edge, &own).await, 404, "session-unknown").await;
    }
    assert_eq!(world.get(0, &world.viewer(0, "").await).await.status(), 200, "a kick is no ban");
}

#[actix_web::test]
async fn a_kick_whose_news_was_lost_is_found_out_by_asking() {
    let mut world = World::with_segments(1, &[]).await;
    let own = world.viewer(0, "").await;
    until("it is told", || async { !world.truth.told().is_empty() }).await;
    world.truth.end_session(session_of(&own), &cam(), EndReason::Kicked);
    // An edge that begins afterwards has heard no news of it.
    let late = world.add_edge().await;
    refused(world.get(late, &own).await, 404, "session-unknown").await;
}

#[actix_web::test]
async fn a_revoked_token_ends_what_it_let_in() {
    let world = private(&[]).await;
    let mut jti = None;
    let token = world.token_with("cam", Role::Play, |claims| jti = Some(claims.jti));
    let own = world.viewer(0, &format!("?token={token}")).await;
    let list = List::of(world.get(0, &own).await).await;
    let jti = jti.unwrap();
    world.truth.redis(&["DEL", &proto::keys::token(&jti)]);
    world.truth.tell(&Event::TokenRevoked { jti, expires_at: kit::clock::unix() + 600 });
    until("it is refused", || async { world.get(0, &own).await.status() == 401 }).await;
    refused(world.get(0, &format!("/live/{}", list.uris[0])).await, 401, "token-invalid").await;
}

#[actix_web::test]
async fn a_single_use_token_is_spent_by_a_session_and_not_by_a_look() {
    let world = private(&[]).await;
    let token = world.token_with("cam", Role::Play, |claims| claims.single_use = true);
    let first = format!("/live/cam.m3u8?token={token}");
    let head = world.request(Method::HEAD, &world.url(&first)).send().await.unwrap();
    assert_eq!(head.status(), 200);
    let own = world.viewer(0, &format!("?token={token}")).await;
    refused(world.get(0, &first).await, 401, "token-invalid").await;
    assert_eq!(world.get(0, &own).await.status(), 200, "its session goes on");
    let spare = world.token_with("cam", Role::Play, |claims| claims.single_use = true);
    world.truth.ended("cam", 1);
    until("nobody publishes", || async { world.get(0, &own).await.status() == 404 }).await;
    refused(world.get(0, &format!("/live/cam.m3u8?token={spare}")).await, 404, "stream-not-live").await;
    world.truth.live_on(world.node(), "cam", 2);
    until("it was given back", || async {
        world.get(0, &format!("/live/cam.m3u8?token={spare}")).await.status() == 200
    })
    .await;
}

#[actix_web::test]
async fn a_token_for_one_address_makes_a_value_for_one_address() {
    let world = private(&[]).await;
    let token = world.token_with("cam", Role::Play, |claims| claims.ip = Some("203.0.113.5".parse().unwrap()));
    let from = |path: String, ip: &'static str| {
        world.request(Method::GET, &world.url(&path)).header("x-forwarded-for", ip).send()
    };
    let master = List::of(from(format!("/live/cam.m3u8?token={token}"), "203.0.113.5").await.unwrap()).await;
    let own = format!("/live/{}", master.uris[0]);
    assert_eq!(from(own.clone(), "203.0.113.5").await.unwrap().status(), 200);
    refused(from(own, "203.0.113.6").await.unwrap(), 403, "token-scope").await;
}

#[actix_web::test]
async fn the_sessions_of_a_lost_edge_are_taken_up_by_another() {
    let mut world = World::with_segments(1, &[]).await;
    let other = world.add_edge().await;
    let own = world.viewer(0, "").await;
    until("it is told", || async { world.truth.told().iter().any(|told| !told.opened.is_empty()) }).await;
    let first = world.truth.told().into_iter().find(|told| !told.opened.is_empty()).unwrap().edge;
    world.truth.end_session(session_of(&own), &cam(), EndReason::NodeLost);
    until("the other edge opens it anew", || async {
        assert_eq!(world.get(other, &own).await.status(), 200, "its viewer sees nothing of it");
        let opened = |told: &proto::internal::SessionsRequest| {
            told.edge != first && told.opened.iter().any(|one| one.id == session_of(&own))
        };
        world.truth.told().iter().any(opened)
    })
    .await;
}

#[actix_web::test]
async fn a_stream_that_becomes_private_is_so_for_segments_within_seconds() {
    let world = World::with_segments(1, &[]).await;
    let own = world.viewer(0, "").await;
    let list = List::of(world.get(0, &own).await).await;
    let segment = format!("/live/{}", list.uris[0]);
    assert_eq!(world.get(0, &segment).await.status(), 200);
    world.truth.add_stream("cam", Visibility::Private);
    world.truth.tell(&Event::StreamChanged { stream: cam(), owner: None, deleted: false });
    until("segments take a value", || async { world.get(0, &segment).await.status() == 401 }).await;
    until("and playlists a token", || async { world.get(0, &own).await.status() == 401 }).await;
}
