//! The life of a session URL: DELETE, loss, other edges.

use super::helpers::{FRAGMENT, Opened, World, refused, sdp::fixture, until};
use proto::{StreamId, session::Role};
use reqwest::{Method, Response};

async fn delete(world: &World, url: &str) -> Response {
    world.request(Method::DELETE, url).send().await.unwrap()
}

async fn status(world: &World, url: &str) -> u16 {
    world.request(Method::GET, url).send().await.unwrap().status().as_u16()
}

#[actix_web::test]
async fn w14_delete_ends_the_session_and_frees_the_node() {
    let world = World::start().await;
    let session = world.publish().await;
    let bearer = world.token("cam", Role::Publish);
    let answer = world.request(Method::DELETE, &session.url).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(world.node().held().is_empty(), "the node dropped it");
    assert_eq!(world.whip("pub.sdp").await.status(), 201, "and the name is free");
}

#[actix_web::test]
async fn w15_the_node_has_dropped_the_session_when_delete_is_answered() {
    let world = World::start().await;
    world.publish().await;
    let viewer = world.play().await;
    assert_eq!(world.node().held().len(), 2);
    assert_eq!(delete(&world, &viewer.url).await.status(), 200);
    // SRS drops DTLS and ICE state with the session, so consent is gone from here on.
    assert_eq!(world.node().held().len(), 1);
    let last = world.node().seen().pop().unwrap();
    assert_eq!((last.method.as_str(), last.path.as_str()), ("DELETE", "/rtc/v1/whip/"));
}

#[actix_web::test]
async fn w16_after_delete_everything_is_404() {
    let world = World::start().await;
    let session = world.publish().await;
    assert_eq!(delete(&world, &session.url).await.status(), 200);
    refused(delete(&world, &session.url).await, 404, "session-unknown").await;
    assert_eq!(status(&world, &session.url).await, 404);
    let patch = world.patch(&session.url, FRAGMENT, Some(&session.etag), fixture("trickle.frag")).await;
    refused(patch, 404, "session-unknown").await;
}

#[actix_web::test]
async fn w17_if_match_on_delete_is_ignored() {
    let world = World::start().await;
    let session = world.publish().await;
    let answer = world.request(Method::DELETE, &session.url).header("If-Match", "\"nope\"").send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[actix_web::test]
async fn w18_lost_consent_ends_the_session_and_frees_the_name() {
    let world = World::start().await;
    let session = world.publish().await;
    let client = world.node().held()[0].client_id.clone();
    world.truth.hook_close(&world.node().node, &client);
    until("the session is gone", || async { status(&world, &session.url).await == 404 }).await;
    assert_eq!(world.whip("pub.sdp").await.status(), 201);
}

#[actix_web::test]
async fn w48_bearer_is_taken_on_every_method_and_its_scheme_in_any_case() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let bearer = format!("{scheme} {token}");
        let post = world.request(Method::POST, &world.url("/rtc/v1/whip/cam")).header("authorization", &bearer);
        let answer = post.header("Content-Type", "application/sdp").body(fixture("pub.sdp")).send().await.unwrap();
        let session = Opened::of(answer).await;
        let patch = world
            .request(Method::PATCH, &session.url)
            .header("authorization", &bearer)
            .header("Content-Type", FRAGMENT);
        let answer = patch.header("If-Match", &session.etag).body(fixture("trickle.frag")).send().await.unwrap();
        assert_eq!(answer.status(), 204);
        let answer = world.request(Method::DELETE, &session.url).header("authorization", &bearer).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[actix_web::test]
async fn p09_viewers_sessions_end_like_publishers() {
    let world = World::start().await;
    world.publish().await;
    let session = world.play().await;
    let options = world.request(Method::OPTIONS, &session.url).send().await.unwrap();
    assert_eq!(options.status(), 200);
    assert_eq!(delete(&world, &session.url).await.status(), 200);
    assert_eq!(status(&world, &session.url).await, 404);
    refused(delete(&world, &session.url).await, 404, "session-unknown").await;
    assert_eq!(world.node().held().len(), 1, "the publisher stays");
}

#[actix_web::test]
async fn the_other_edge_serves_the_session_too() {
    let mut world = World::start().await;
    let other = world.add_edge().await;
    let session = world.publish().await;
    let there =
        world.at(other, session.url.split_once("/rtc").map(|(_, rest)| format!("/rtc{rest}")).unwrap().as_str());
    until("the other edge knows it", || async { status(&world, &there).await == 204 }).await;
    let patch = world.patch(&there, FRAGMENT, Some(&session.etag), fixture("trickle.frag")).await;
    assert_eq!(patch.status(), 204, "the tag is the same everywhere");
    assert_eq!(delete(&world, &there).await.status(), 200);
    until("the first edge heard of it", || async { status(&world, &session.url).await == 404 }).await;
    assert!(world.node().held().is_empty());
}

#[actix_web::test]
async fn a_bearer_for_another_stream_does_not_end_a_session() {
    let world = World::start().await;
    world.truth.add_stream("other", proto::stream::Visibility::Public);
    let session = world.publish().await;
    let foreign = world.token("other", Role::Publish);
    let answer = world.request(Method::DELETE, &session.url).bearer_auth(foreign).send().await.unwrap();
    refused(answer, 403, "token-scope").await;
    let answer = world.request(Method::DELETE, &session.url).bearer_auth("nonsense").send().await.unwrap();
    refused(answer, 401, "token-invalid").await;
    assert_eq!(status(&world, &session.url).await, 204);
}

#[actix_web::test]
async fn an_expired_bearer_still_ends_its_own_session() {
    let world = World::start().await;
    let session = world.publish().await;
    let expired = world.token_with("cam", Role::Publish, |claims| claims.exp = claims.iat - 100);
    let answer = world.request(Method::DELETE, &session.url).bearer_auth(expired).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[actix_web::test]
async fn a_made_up_or_replayed_handle_is_404_and_reaches_no_node() {
    let world = World::start().await;
    let session = world.publish().await;
    delete(&world, &session.url).await;
    let (base, handle) = session.url.rsplit_once('/').unwrap();
    let seen = world.node().seen().len();
    let mut flipped = handle.to_owned();
    let last = if flipped.ends_with('A') { 'B' } else { 'A' };
    flipped.replace_range(20..21, &last.to_string());
    for handle in [flipped.as_str(), "x", "..", &"A".repeat(600), &"A".repeat(6000), "%00"] {
        let url = format!("{base}/{handle}");
        if handle != ".." {
            refused(delete(&world, &url).await, 404, "session-unknown").await;
        }
    }
    refused(delete(&world, &session.url).await, 404, "session-unknown").await;
    assert_eq!(world.node().posts().len(), 1);
    let deletes = world.node().seen()[seen..].iter().filter(|r| r.method == "DELETE").count();
    assert_eq!(deletes, 0, "nothing was deleted at the node");
    assert!(!world.truth.claimed(&StreamId::parse("cam").unwrap()));
}
