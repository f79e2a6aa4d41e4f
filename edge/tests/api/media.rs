//! What the node hears: offers trimmed, queries rebuilt, and nothing that a client chose beside them.

use super::helpers::{Opened, SDP, World, sdp::fixture, srs::Behave};
use proto::session::Role;
use reqwest::Method;

/// Names that change what SRS does; none may ever come from a client.
const FORBIDDEN: &str = "ice-ufrag=evil&ice-pwd=0123456789012345678901&eip=198.51.100.1&candidate=198.51.100.2&action=play&encrypt=false\
    &dtls=false&vhost=evil&domain=evil&callback=cb&method=DELETE&codec=av1&app=evil&stream=evil&kst=evil&evil=1";

#[actix_web::test]
async fn forbidden_parameters_of_clients_never_reach_the_node() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    Opened::of(world.post(&format!("/rtc/v1/whip/cam?{FORBIDDEN}"), &token, fixture("pub.sdp")).await).await;
    let viewer =
        world.request(Method::POST, &world.url(&format!("/rtc/v1/whep/cam?{FORBIDDEN}"))).header("Content-Type", SDP);
    Opened::of(viewer.body(fixture("play.sdp")).send().await.unwrap()).await;
    let posts = world.node().posts();
    assert_eq!(posts.len(), 2);
    for post in posts {
        assert!(!post.query.contains("evil") && !post.query.contains("198.51.100"), "{}", post.query);
        let names: Vec<&str> = post.query.split('&').map(|p| p.split('=').next().unwrap()).collect();
        for name in &names {
            assert!(["app", "stream", "kst", "ice-ufrag", "ice-pwd", "eip"].contains(name), "{}", post.query);
        }
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{}", post.query);
        assert_eq!((post.param("app"), post.param("stream")), (Some("live"), Some("cam")));
        assert_eq!(post.headers["connection"].to_ascii_lowercase(), "close");
        assert!(!post.headers.contains_key("authorization") && !post.headers.contains_key("cookie"));
        let ufrag = post.param("ice-ufrag").unwrap();
        assert!((4..=32).contains(&ufrag.len()), "{ufrag}");
    }
}

#[actix_web::test]
async fn the_node_hears_the_clients_address_and_no_forwarded_one() {
    let world = World::start().await;
    let post =
        world.request(Method::POST, &world.url("/rtc/v1/whip/cam")).bearer_auth(world.token("cam", Role::Publish));
    let post = post.header("Content-Type", SDP).header("X-Forwarded-For", "198.51.100.7, 203.0.113.5");
    Opened::of(post.body(fixture("pub.sdp")).send().await.unwrap()).await;
    // The test's own address is a trusted proxy, so the last entry counts and what stands left of it does not.
    assert_eq!(world.node().posts()[0].headers["x-forwarded-for"], "203.0.113.5");
}

#[actix_web::test]
async fn red_and_ulpfec_are_not_offered_to_the_node() {
    let world = World::start().await;
    let offer = String::from_utf8(fixture("pub.sdp")).unwrap();
    let offer = offer.replace("SAVPF 106\r\n", "SAVPF 106 116 117\r\n").replace(
        "a=rtpmap:106 H264/90000\r\n",
        "a=rtpmap:106 H264/90000\r\na=rtpmap:116 red/90000\r\na=rtpmap:117 ulpfec/90000\r\n",
    );
    Opened::of(world.post("/rtc/v1/whip/cam", &world.token("cam", Role::Publish), offer).await).await;
    let sent = String::from_utf8(world.node().posts()[0].body.clone()).unwrap();
    assert!(!sent.contains("red/90000") && !sent.contains("ulpfec"), "{sent}");
}

#[actix_web::test]
async fn lf_only_offers_are_taken_and_passed_on_with_crlf() {
    let world = World::start().await;
    Opened::of(world.whip("pub-lf.sdp").await).await;
    let sent = String::from_utf8(world.node().posts()[0].body.clone()).unwrap();
    assert!(!sent.replace("\r\n", "").contains('\n'), "{sent}");
}

#[actix_web::test]
async fn a_collision_of_credentials_is_deleted_and_tried_again() {
    let world = World::start().await;
    world.node().behave([Behave::Collision]);
    Opened::of(world.whip("pub.sdp").await).await;
    let seen = world.node().seen();
    assert_eq!(world.node().posts().len(), 2);
    assert!(seen.iter().any(|r| r.method == "DELETE"), "the collided session is gone");
    assert_eq!(world.node().held().len(), 1);
}
