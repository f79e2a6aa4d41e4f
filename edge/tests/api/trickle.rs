//! PATCH of a session: RFC 9725 section 4.3, RFC 9110 section 13, RFC 6585 section 3.

use super::helpers::{FRAGMENT, Opened, World, header, refused, sdp::fixture};
use reqwest::{Method, Response};

async fn trickle(world: &World, session: &Opened, if_match: Option<&str>, frag: &str) -> Response {
    world.patch(&session.url, FRAGMENT, if_match, fixture(frag)).await
}

#[actix_web::test]
async fn w23_another_content_type_is_415_with_accept_patch() {
    let world = World::start().await;
    let session = world.publish().await;
    for kind in ["application/sdp", "application/json", "text/plain"] {
        let answer = world.patch(&session.url, kind, Some(&session.etag), fixture("trickle.frag")).await;
        assert_eq!(header(&answer, "accept-patch"), FRAGMENT, "{kind}");
        refused(answer, 415, "content-type").await;
    }
}

#[actix_web::test]
async fn w24_a_malformed_fragment_is_400() {
    let world = World::start().await;
    let session = world.publish().await;
    for body in [&b"garbage"[..], b"", b"\xff\xfe", b"{\"candidate\":\"x\"}"] {
        let answer = world.patch(&session.url, FRAGMENT, Some(&session.etag), body.to_vec()).await;
        refused(answer, 400, "fragment-malformed").await;
    }
}

#[actix_web::test]
async fn w25_a_restart_is_422() {
    let world = World::start().await;
    let session = world.publish().await;
    for tag in ["*", session.etag.as_str()] {
        refused(trickle(&world, &session, Some(tag), "restart.frag").await, 422, "ice-restart-unsupported").await;
    }
}

#[actix_web::test]
async fn w26_tags_are_strong_quoted_and_unique() {
    let world = World::start().await;
    let publisher = world.publish().await;
    let (first, second) = (world.play().await, world.play().await);
    let tags = [publisher.etag, first.etag, second.etag];
    for tag in &tags {
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    }
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
}

#[actix_web::test]
async fn w27_trickle_without_if_match_is_428() {
    let world = World::start().await;
    let session = world.publish().await;
    refused(trickle(&world, &session, None, "trickle.frag").await, 428, "if-match-missing").await;
}

#[actix_web::test]
async fn w28_if_match_is_compared_strongly_and_takes_lists() {
    let world = World::start().await;
    let session = world.publish().await;
    let weak = format!("W/{}", session.etag);
    for tag in ["\"stale\"", weak.as_str(), "\"a\", \"b\""] {
        refused(trickle(&world, &session, Some(tag), "trickle.frag").await, 412, "if-match-mismatch").await;
    }
    let list = format!("\"a\", {}", session.etag);
    assert_eq!(trickle(&world, &session, Some(&list), "trickle.frag").await.status(), 204);
}

#[actix_web::test]
async fn w29_preconditions_are_looked_at_last() {
    let world = World::start().await;
    let session = world.publish().await;
    let stale = Some("\"stale\"");
    let wrong_type = world.patch(&session.url, "text/plain", stale, fixture("trickle.frag")).await;
    refused(wrong_type, 415, "content-type").await;
    refused(world.patch(&session.url, FRAGMENT, stale, "garbage").await, 400, "fragment-malformed").await;
    refused(world.patch(&session.url, FRAGMENT, None, fixture("restart.frag")).await, 422, "ice-restart-unsupported")
        .await;
    let unknown = world.url("/rtc/v1/sessions/unknown");
    refused(world.patch(&unknown, FRAGMENT, stale, fixture("trickle.frag")).await, 404, "session-unknown").await;
    let patch = world.request(Method::PATCH, &session.url).bearer_auth("bad").header("Content-Type", FRAGMENT);
    let answer = patch.header("If-Match", "\"stale\"").body(fixture("trickle.frag")).send().await.unwrap();
    refused(answer, 401, "token-invalid").await;
}

#[actix_web::test]
async fn w30_accepted_trickle_is_204_without_body_or_tag() {
    let world = World::start().await;
    let session = world.publish().await;
    let answer = trickle(&world, &session, Some(&session.etag), "trickle.frag").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "etag")), (204, String::new()));
    assert!(answer.bytes().await.unwrap().is_empty());
    let patched = world.node().seen().iter().any(|r| r.method == "PATCH");
    assert!(!patched, "SRS would hang up on it");
}

#[actix_web::test]
async fn w31_odd_candidates_are_dropped_silently() {
    let world = World::start().await;
    let session = world.publish().await;
    assert_eq!(trickle(&world, &session, Some(&session.etag), "trickle-odd.frag").await.status(), 204);
}

#[actix_web::test]
async fn w32_credentials_stand_at_either_level_and_the_media_line_is_not_matched() {
    let world = World::start().await;
    let session = world.publish().await;
    assert_eq!(trickle(&world, &session, Some(&session.etag), "trickle.frag").await.status(), 204);
    assert_eq!(trickle(&world, &session, Some(&session.etag), "trickle-mline.frag").await.status(), 204);
    let odd = String::from_utf8(fixture("trickle.frag"))
        .unwrap()
        .replace("m=audio 9 UDP/TLS/RTP/SAVPF 0", "m=audio 9 RTP/AVP 0");
    assert_eq!(world.patch(&session.url, FRAGMENT, Some(&session.etag), odd).await.status(), 204);
}

#[actix_web::test]
async fn w33_a_star_in_either_form_is_plain_trickle() {
    let world = World::start().await;
    let session = world.publish().await;
    for star in ["*", "\"*\""] {
        assert_eq!(trickle(&world, &session, Some(star), "trickle.frag").await.status(), 204, "{star}");
    }
}

#[actix_web::test]
async fn w34_a_refused_restart_changes_nothing() {
    let world = World::start().await;
    let session = world.publish().await;
    let answer = trickle(&world, &session, Some("*"), "restart.frag").await;
    assert_eq!(header(&answer, "etag"), "", "no new tag without a restart");
    refused(answer, 422, "ice-restart-unsupported").await;
    assert_eq!(
        trickle(&world, &session, Some(&session.etag), "trickle.frag").await.status(),
        204,
        "the tag is still good"
    );
}

#[actix_web::test]
async fn w35_after_a_refused_restart_the_session_is_alive() {
    let world = World::start().await;
    let session = world.publish().await;
    trickle(&world, &session, Some("*"), "restart.frag").await;
    assert_eq!(world.request(Method::GET, &session.url).send().await.unwrap().status(), 204);
    assert_eq!(world.node().held().len(), 1);
}

#[actix_web::test]
async fn p05_an_answer_by_patch_is_415_since_no_counter_offer_is_made() {
    let world = World::start().await;
    world.publish().await;
    let session = world.play().await;
    let answer = world.patch(&session.url, "application/sdp", Some(&session.etag), fixture("play.sdp")).await;
    refused(answer, 415, "content-type").await;
}

#[actix_web::test]
async fn p10_viewers_patches_follow_the_same_rules() {
    let world = World::start().await;
    world.publish().await;
    let session = world.play().await;
    let weak = format!("W/{}", session.etag);
    refused(trickle(&world, &session, None, "trickle.frag").await, 428, "if-match-missing").await;
    refused(trickle(&world, &session, Some(&weak), "trickle.frag").await, 412, "if-match-mismatch").await;
    refused(world.patch(&session.url, FRAGMENT, None, "garbage").await, 400, "fragment-malformed").await;
    let sdp = world.patch(&session.url, "application/sdp", Some("*"), fixture("play.sdp")).await;
    refused(sdp, 415, "content-type").await;
    for tag in [session.etag.as_str(), "*", "\"*\""] {
        assert_eq!(trickle(&world, &session, Some(tag), "trickle.frag").await.status(), 204, "{tag}");
    }
}

#[actix_web::test]
async fn p11_a_viewers_restart_is_422_and_the_session_stays() {
    let world = World::start().await;
    world.publish().await;
    let session = world.play().await;
    refused(trickle(&world, &session, Some("*"), "restart.frag").await, 422, "ice-restart-unsupported").await;
    assert_eq!(world.request(Method::GET, &session.url).send().await.unwrap().status(), 204);
}
