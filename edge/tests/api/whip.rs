//! POST on a WHIP endpoint: RFC 9725 sections 4.2 and 4.4.

use super::helpers::{
    Opened, SDP, World, header, refused,
    sdp::{fixture, sections, value, values},
};
use proto::session::Role;
use reqwest::Method;

#[actix_web::test]
async fn w05_a_valid_offer_is_201_with_answer_and_location() {
    let world = World::start().await;
    let answer = world.whip("pub.sdp").await;
    assert_eq!(answer.status(), 201);
    assert_eq!(header(&answer, "content-type"), SDP);
    let prefix = world.url("/rtc/v1/sessions/");
    let location = header(&answer, "location");
    assert!(location.starts_with(&prefix) && !location.contains('?'), "{location}");
    assert!(!header(&answer, "x-keystone-edge").is_empty() && !header(&answer, "x-request-id").is_empty());
    let body = answer.text().await.unwrap();
    assert!(body.starts_with("v=0\r\n") && body.replace("\r\n", "").find('\n').is_none(), "CRLF lines: {body:?}");
    assert!(!body.contains("tok0"), "SRS's own token stays inside");
}

#[actix_web::test]
async fn w05_the_stripped_prefix_answers_alike() {
    let world = World::start().await;
    let answer = world.post("/v1/whip/cam", &world.token("cam", Role::Publish), fixture("pub.sdp")).await;
    let opened = Opened::of(answer).await;
    assert!(opened.url.contains("/rtc/v1/sessions/"));
    let stripped = opened.url.replace("/rtc/v1/", "/v1/");
    assert_eq!(world.request(Method::GET, &stripped).send().await.unwrap().status(), 204);
    assert_eq!(world.request(Method::DELETE, &stripped).send().await.unwrap().status(), 200);
}

#[actix_web::test]
async fn w06_another_content_type_is_415_with_accept_post() {
    let world = World::start().await;
    let url = world.url("/rtc/v1/whip/cam");
    for kind in [Some("application/json"), Some("text/plain"), Some("application/sdpx"), Some(""), None] {
        let mut post = world.request(Method::POST, &url).bearer_auth(world.token("cam", Role::Publish));
        if let Some(kind) = kind {
            post = post.header("Content-Type", kind);
        }
        let answer = post.body(fixture("pub.sdp")).send().await.unwrap();
        assert_eq!(header(&answer, "accept-post"), SDP, "{kind:?}");
        refused(answer, 415, "content-type").await;
    }
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn w07_media_types_ignore_case_and_parameters() {
    let world = World::start().await;
    let post =
        world.request(Method::POST, &world.url("/rtc/v1/whip/cam")).bearer_auth(world.token("cam", Role::Publish));
    let answer =
        post.header("content-type", "Application/SDP; charset=utf-8").body(fixture("pub.sdp")).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

#[actix_web::test]
async fn w08_malformed_sdp_is_400() {
    let world = World::start().await;
    let token = world.token("cam", Role::Publish);
    for name in ["garbage.txt", "empty"] {
        refused(world.post("/rtc/v1/whip/cam", &token, fixture(name)).await, 400, "sdp-malformed").await;
    }
    for name in ["pub-noice.sdp", "pub-nofp.sdp", "pub-nomedia.sdp"] {
        refused(world.post("/rtc/v1/whip/cam", &token, fixture(name)).await, 422, "sdp-unsupported").await;
    }
    assert!(world.node().posts().is_empty(), "the node sees none of it");
}

#[actix_web::test]
async fn w09_every_answered_section_is_recvonly() {
    let world = World::start().await;
    let answer = world.publish().await.answer;
    let sections = sections(&answer);
    assert_eq!(sections.len(), 2);
    assert!(sections.iter().all(|s| s.contains("\r\na=recvonly\r\n")), "{answer}");
}

#[actix_web::test]
async fn w10_inactive_and_recvonly_offers_are_refused_and_sendrecv_is_taken() {
    let world = World::start().await;
    for name in ["pub-recvonly.sdp", "pub-inactive.sdp"] {
        refused(world.whip(name).await, 422, "sdp-unsupported").await;
    }
    let answer = Opened::of(world.whip("pub-sendrecv.sdp").await).await.answer;
    assert_eq!(values(&answer, "a=recvonly").len(), 2);
}

#[actix_web::test]
async fn w11_the_answer_fits_the_offer() {
    let world = World::start().await;
    let offer = String::from_utf8(fixture("pub.sdp")).unwrap();
    let answer = world.publish().await.answer;
    let kinds =
        |sdp: &str| values(sdp, "m=").iter().map(|m| m.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(kinds(&answer), kinds(&offer));
    assert_eq!(values(&answer, "a=mid:"), values(&offer, "a=mid:"));
    let offered: Vec<&str> = value(&offer, "a=group:BUNDLE ").unwrap().split(' ').collect();
    assert!(value(&answer, "a=group:BUNDLE ").unwrap().split(' ').all(|mid| offered.contains(&mid)));
    assert!(!answer.contains("actpass"));
    for (theirs, ours) in values(&offer, "m=").iter().zip(values(&answer, "m=")) {
        let types: Vec<&str> = theirs.split(' ').skip(3).collect();
        assert!(ours.split(' ').skip(3).all(|pt| types.contains(&pt)), "{ours}");
    }
}

#[actix_web::test]
async fn w12_all_candidates_are_in_the_answer() {
    let world = World::start().await;
    let answer = world.publish().await.answer;
    let candidates = values(&answer, "a=candidate:");
    assert!(!candidates.is_empty() && candidates[0].contains(" udp "), "{answer}");
    assert!(answer.contains("a=end-of-candidates"), "{answer}");
}

#[actix_web::test]
async fn w13_an_ice_lite_node_says_so() {
    let world = World::start().await;
    let answer = world.publish().await.answer;
    assert_eq!(answer.split("m=").next().unwrap().matches("a=ice-lite").count(), 1);
}

#[actix_web::test]
async fn w36_bundle_and_rtcp_mux_are_required() {
    let world = World::start().await;
    for name in ["pub-nobundle.sdp", "pub-nomux.sdp"] {
        refused(world.whip(name).await, 422, "sdp-unsupported").await;
    }
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn w37_every_section_is_rtcp_mux_only() {
    let world = World::start().await;
    let answer = world.publish().await.answer;
    assert_eq!(values(&answer, "a=rtcp-mux-only").len(), values(&answer, "m=").len());
}

#[actix_web::test]
async fn w38_two_tracks_of_a_kind_or_two_media_streams_are_refused() {
    let world = World::start().await;
    for name in ["pub-2video.sdp", "pub-2streams.sdp"] {
        refused(world.whip(name).await, 422, "sdp-unsupported").await;
    }
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn w39_no_partial_success() {
    let world = World::start().await;
    refused(world.whip("pub-badcodec.sdp").await, 422, "sdp-unsupported").await;
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn w40_active_and_passive_offers_are_answered_by_the_other_role() {
    let world = World::with(1, &[]).await;
    let active = Opened::of(world.whip("pub-active.sdp").await).await;
    assert!(values(&active.answer, "a=setup:").iter().all(|s| *s == "passive"), "{}", active.answer);
    world.request(Method::DELETE, &active.url).send().await.unwrap();
    let passive = Opened::of(world.whip("pub-passive.sdp").await).await;
    assert!(values(&passive.answer, "a=setup:").iter().all(|s| *s == "active"), "{}", passive.answer);
}

#[actix_web::test]
async fn w41_the_answer_carries_a_host_candidate_that_a_lite_node_is_reached_at() {
    let world = World::start().await;
    let answer = world.publish().await.answer;
    assert!(value(&answer, "a=candidate:").unwrap().ends_with("127.0.0.1 28000 typ host generation 0"), "{answer}");
}

#[actix_web::test]
async fn w50_simulcast_is_ignored_in_the_answer() {
    let world = World::start().await;
    let simulcast = "a=mid:1\r\na=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\n";
    let offer = String::from_utf8(fixture("pub.sdp")).unwrap().replace("a=mid:1\r\n", simulcast);
    let answer = world.post("/rtc/v1/whip/cam", &world.token("cam", Role::Publish), offer).await;
    assert!(!Opened::of(answer).await.answer.contains("simulcast"));
}

#[actix_web::test]
async fn w51_no_extension_is_announced_and_none_is_needed() {
    let world = World::start().await;
    assert_eq!(header(&world.whip("pub.sdp").await, "link"), "");
}

#[actix_web::test]
async fn w52_behind_a_tls_proxy_the_session_is_at_https() {
    let world = World::start().await;
    let post = |world: &World| {
        world
            .request(Method::POST, &world.url("/rtc/v1/whip/cam"))
            .bearer_auth(world.token("cam", Role::Publish))
            .header("Content-Type", SDP)
    };
    let proxied = post(&world).header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "live.example");
    let answer = proxied.body(fixture("pub.sdp")).send().await.unwrap();
    assert!(
        header(&answer, "location").starts_with("https://live.example/rtc/v1/sessions/"),
        "{}",
        header(&answer, "location")
    );
    let fixed =
        World::with(1, &[("EDGE_BASE_URL", "https://media.example:8443"), ("TRUSTED_PROXIES", "192.0.2.1")]).await;
    let answer = post(&fixed).header("X-Forwarded-Host", "evil.example").body(fixture("pub.sdp")).send().await.unwrap();
    assert!(header(&answer, "location").starts_with("https://media.example:8443/rtc/v1/sessions/"));
}

#[actix_web::test]
async fn a_stranger_does_not_choose_the_host_of_the_session_url() {
    let world = World::with(1, &[("TRUSTED_PROXIES", "192.0.2.1")]).await;
    let post =
        world.request(Method::POST, &world.url("/rtc/v1/whip/cam")).bearer_auth(world.token("cam", Role::Publish));
    let post = post
        .header("Content-Type", SDP)
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "https");
    let answer = post.header("X-Forwarded-For", "203.0.113.9").body(fixture("pub.sdp")).send().await.unwrap();
    assert!(header(&answer, "location").starts_with(&world.url("/rtc/v1/sessions/")));
    assert_eq!(world.node().posts()[0].headers["x-forwarded-for"], "127.0.0.1");
}

#[actix_web::test]
async fn w53_session_urls_have_nothing_in_common() {
    let world = World::start().await;
    world.publish().await;
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..100 {
        let post = world.request(Method::POST, &world.url("/rtc/v1/whep/cam")).header("Content-Type", SDP);
        let post = post.header("X-Forwarded-For", format!("203.0.113.{number}"));
        let url = Opened::of(post.body(fixture("play.sdp")).send().await.unwrap()).await.url;
        let handle = url.rsplit('/').next().unwrap().to_owned();
        assert!(handle.len() >= 100 && handle.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        // After the byte of the key's generation come 96 random bits, then cipher text: no two share any window there.
        assert!(seen.insert(handle[4..16].to_owned()), "two handles begin alike");
    }
}

#[actix_web::test]
async fn w55_a_second_publisher_is_409_and_never_hangs() {
    let world = World::start().await;
    world.publish().await;
    let answer = world.whip("pub.sdp").await;
    assert!(!header(&answer, "retry-after").is_empty());
    refused(answer, 409, "stream-busy").await;
    assert_eq!(world.node().held().len(), 1, "the first publisher stays");
}

#[actix_web::test]
async fn the_captured_offer_gets_srs_captured_answer_mended() {
    let world = World::start().await;
    world.node().behave([super::helpers::srs::Behave::Captured]);
    let answer = Opened::of(world.whip("srs5-whip-offer.sdp").await).await.answer;
    assert_eq!(values(&answer, "a=mid:"), ["0", "1"]);
    assert_eq!(values(&answer, "a=rtcp-mux-only").len(), 2);
}
