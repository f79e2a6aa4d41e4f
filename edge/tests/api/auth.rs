//! Credentials: RFC 9725 section 4.7, RFC 6750, and every way in which a token can be bad.

use super::helpers::{Opened, SDP, World, header, refused, sdp::fixture, until};
use proto::{event::Event, keys, session::Role, stream::Visibility};
use reqwest::{Method, Response};

async fn post(world: &World, path: &str, authorization: Option<&str>) -> Response {
    let mut post = world.request(Method::POST, &world.url(path)).header("Content-Type", SDP);
    if let Some(value) = authorization {
        post = post.header("Authorization", value);
    }
    let offer = if path.contains("whep") { "play.sdp" } else { "pub.sdp" };
    post.body(fixture(offer)).send().await.unwrap()
}

#[actix_web::test]
async fn w46_no_or_bad_credentials_are_401_with_a_challenge() {
    let world = World::start().await;
    let none = post(&world, "/rtc/v1/whip/cam", None).await;
    let challenge = header(&none, "www-authenticate");
    assert!(challenge.starts_with("Bearer") && !challenge.contains("error="), "{challenge}");
    refused(none, 401, "token-missing").await;
    for bad in ["Bearer bad", "Bearer a.b.c", "Bearer sk_cam_x_y"] {
        let answer = post(&world, "/rtc/v1/whip/cam", Some(bad)).await;
        assert!(header(&answer, "www-authenticate").contains("error=\"invalid_token\""), "{bad}");
        refused(answer, 401, "token-invalid").await;
    }
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn w47_a_good_token_for_something_else_is_403() {
    let world = World::start().await;
    world.truth.add_stream("other", Visibility::Private);
    for token in [world.token("other", Role::Publish), world.token("cam", Role::Play)] {
        let answer = post(&world, "/rtc/v1/whip/cam", Some(&format!("Bearer {token}"))).await;
        assert!(header(&answer, "www-authenticate").contains("insufficient_scope"));
        refused(answer, 403, "token-scope").await;
    }
    let foreign = world.token("cam", Role::Play);
    refused(post(&world, "/rtc/v1/whep/other", Some(&format!("Bearer {foreign}"))).await, 403, "token-scope").await;
    let bound = world.token_with("cam", Role::Publish, |claims| claims.ip = Some("203.0.113.5".parse().unwrap()));
    refused(post(&world, "/rtc/v1/whip/cam", Some(&format!("Bearer {bound}"))).await, 403, "token-scope").await;
}

#[actix_web::test]
async fn w49_a_token_in_the_url_is_as_good() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    Opened::of(post(&world, &format!("/rtc/v1/whip/cam?token={token}"), None).await).await;
    let asked = &world.node().posts()[0];
    assert_eq!(asked.param("token"), None, "the client's token stays at the edge");
    assert!(!asked.query.contains(&token));
}

#[actix_web::test]
async fn a_stream_key_publishes_and_does_not_play() {
    let world = World::start().await;
    world.truth.add_stream("private", Visibility::Private);
    let key = world.stream_key("private");
    Opened::of(post(&world, "/rtc/v1/whip/private", Some(&format!("Bearer {key}"))).await).await;
    let answer = post(&world, "/rtc/v1/whip/cam", Some(&format!("Bearer {key}"))).await;
    refused(answer, 403, "token-scope").await;
    let answer = post(&world, "/rtc/v1/whep/private", Some(&format!("Bearer {key}"))).await;
    refused(answer, 403, "token-scope").await;
}

#[actix_web::test]
async fn basic_credentials_are_refused_and_told_so() {
    let world = World::start().await;
    for value in ["Basic dTpw", "Bearer", "Bearer ", "token"] {
        let answer = post(&world, "/rtc/v1/whip/cam", Some(value)).await;
        assert!(header(&answer, "www-authenticate").starts_with("Bearer"));
        let body = refused(answer, 401, "token-missing").await;
        assert!(body["detail"].as_str().unwrap().contains("Bearer"));
    }
    let session = world.publish().await.url;
    let answer = world.request(Method::DELETE, &session).header("Authorization", "Basic dTpw").send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[actix_web::test]
async fn expired_revoked_and_used_tokens_are_401() {
    let world = World::start().await;
    let expired = world.token_with("cam", Role::Publish, |claims| claims.exp = claims.iat - 100);
    refused(post(&world, "/rtc/v1/whip/cam", Some(&format!("Bearer {expired}"))).await, 401, "token-invalid").await;
    let once = world.token_with("cam", Role::Publish, |claims| claims.single_use = true);
    let bearer = format!("Bearer {once}");
    let session = Opened::of(post(&world, "/rtc/v1/whip/cam", Some(&bearer)).await).await;
    world.request(Method::DELETE, &session.url).send().await.unwrap();
    let body = refused(post(&world, "/rtc/v1/whip/cam", Some(&bearer)).await, 401, "token-invalid").await;
    assert!(body["detail"].as_str().unwrap().contains("used"), "{body}");
}

#[actix_web::test]
async fn a_revoked_token_is_refused_by_the_next_post_on_both_edges() {
    let mut world = World::start().await;
    let other = world.add_edge().await;
    let mut jti = None;
    let token = world.token_with("cam", Role::Publish, |claims| jti = Some(claims.jti));
    let jti = jti.unwrap();
    let session = Opened::of(world.post("/rtc/v1/whip/cam", &token, fixture("pub.sdp")).await).await;
    world.request(Method::DELETE, &session.url).send().await.unwrap();
    let expires_at = kit::clock::unix() + 600;
    world.truth.redis(&["DEL", &keys::token(&jti)]);
    world.truth.redis(&["ZADD", keys::REVOKED, &expires_at.to_string(), &jti.to_string()]);
    world.truth.tell(&Event::TokenRevoked { jti, expires_at });
    for edge in [0, other] {
        let post = world.request(Method::POST, &world.at(edge, "/rtc/v1/whip/cam")).bearer_auth(&token);
        let answer = post.header("Content-Type", SDP).body(fixture("pub.sdp")).send().await.unwrap();
        refused(answer, 401, "token-invalid").await;
    }
}

#[actix_web::test]
async fn a_private_stream_is_played_with_its_token_only() {
    let world = World::start().await;
    world.truth.add_stream("private", Visibility::Private);
    let token = world.token("private", Role::Publish);
    Opened::of(post(&world, "/rtc/v1/whip/private", Some(&format!("Bearer {token}"))).await).await;
    refused(post(&world, "/rtc/v1/whep/private", None).await, 401, "token-missing").await;
    let answer = post(&world, "/rtc/v1/whep/private", Some(&format!("Bearer {token}"))).await;
    refused(answer, 403, "token-scope").await;
    let play = world.token("private", Role::Play);
    Opened::of(post(&world, "/rtc/v1/whep/private", Some(&format!("Bearer {play}"))).await).await;
}

#[actix_web::test]
async fn an_unlisted_stream_is_played_by_anybody() {
    let world = World::start().await;
    world.truth.add_stream("hidden", Visibility::Unlisted);
    let token = world.token("hidden", Role::Publish);
    Opened::of(post(&world, "/rtc/v1/whip/hidden", Some(&format!("Bearer {token}"))).await).await;
    Opened::of(post(&world, "/rtc/v1/whep/hidden", None).await).await;
}

#[actix_web::test]
async fn a_single_use_token_is_given_back_when_the_node_did_not_accept() {
    let world = World::start().await;
    let once = world.token_with("cam", Role::Publish, |claims| claims.single_use = true);
    world.node().behave([super::helpers::srs::Behave::Text(500, "no"); 1]);
    let bearer = format!("Bearer {once}");
    let status = post(&world, "/rtc/v1/whip/cam", Some(&bearer)).await.status().as_u16();
    assert!(status >= 500, "{status}");
    until("the name is free again", || async { !world.truth.claimed(&proto::StreamId::parse("cam").unwrap()) }).await;
    Opened::of(post(&world, "/rtc/v1/whip/cam", Some(&bearer)).await).await;
}

#[actix_web::test]
async fn single_use_tokens_wait_for_redis() {
    let mut world = World::start().await;
    let once = world.token_with("cam", Role::Publish, |claims| claims.single_use = true);
    world.redis.kill();
    let answer = post(&world, "/rtc/v1/whip/cam", Some(&format!("Bearer {once}"))).await;
    assert!(!header(&answer, "retry-after").is_empty());
    refused(answer, 503, "dependency-away").await;
}

#[actix_web::test]
async fn an_open_edge_asks_for_no_token() {
    let world = World::with(1, &[("EDGE_AUTH", "open")]).await;
    Opened::of(post(&world, "/rtc/v1/whip/cam", None).await).await;
    Opened::of(post(&world, "/rtc/v1/whep/cam", None).await).await;
}

#[actix_web::test]
async fn refused_credentials_show_in_a_metric() {
    let world = World::start().await;
    post(&world, "/rtc/v1/whip/cam", None).await;
    post(&world, "/rtc/v1/whip/cam", Some("Bearer bad")).await;
    let foreign = world.token("cam", Role::Play);
    post(&world, "/rtc/v1/whip/cam", Some(&format!("Bearer {foreign}"))).await;
    let metrics = world.request(Method::GET, &world.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for code in ["token-missing", "token-invalid", "token-scope"] {
        let line = metrics.lines().find(|line| line.contains(code)).unwrap_or_else(|| panic!("{code}: {metrics}"));
        assert!(line.ends_with(" 1"), "{line}");
    }
    assert!(!metrics.contains(&foreign));
}
