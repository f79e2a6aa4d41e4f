//! POST on a WHEP endpoint: draft-ietf-wish-whep-04.

use super::helpers::{
    Opened, SDP, World, header, refused,
    sdp::{fixture, sections, values},
    srs::Behave,
};
use proto::{session::Role, stream::Visibility};
use reqwest::Method;

#[actix_web::test]
async fn p03_an_accepted_offer_is_201_and_every_section_sendonly() {
    let world = World::start().await;
    world.publish().await;
    let answer = world.whep("play.sdp").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (201, SDP.to_owned()));
    assert!(header(&answer, "location").starts_with(&world.url("/rtc/v1/sessions/")));
    assert!(header(&answer, "etag").starts_with('"'));
    let body = answer.text().await.unwrap();
    let sections = sections(&body);
    assert_eq!(sections.len(), 2);
    assert!(sections.iter().all(|s| s.contains("\r\na=sendonly\r\n")), "{body}");
    assert_eq!(
        world.node().posts()[1].path,
        "/rtc/v1/whep/",
        "with the slash: SRS takes anything else for a publisher"
    );
}

#[actix_web::test]
async fn p04_no_counter_offer_is_ever_made() {
    let world = World::start().await;
    world.publish().await;
    for name in ["pub-badcodec.sdp", "play-sendonly.sdp", "pub-nobundle.sdp"] {
        refused(world.whep(name).await, 422, "sdp-unsupported").await;
    }
    for name in ["garbage.txt", "empty"] {
        refused(world.whep(name).await, 400, "sdp-malformed").await;
    }
    let badcodec = String::from_utf8(fixture("pub-badcodec.sdp")).unwrap().replace("a=sendonly", "a=recvonly");
    refused(world.post("/rtc/v1/whep/cam", &world.token("cam", Role::Play), badcodec).await, 422, "sdp-unsupported")
        .await;
}

#[actix_web::test]
async fn p06_wrong_type_is_415_and_malformed_sdp_400() {
    let world = World::start().await;
    world.publish().await;
    let json = world.request(Method::POST, &world.url("/rtc/v1/whep/cam")).header("Content-Type", "application/json");
    let answer = json.body(fixture("play.sdp")).send().await.unwrap();
    assert_eq!(header(&answer, "accept-post"), SDP);
    refused(answer, 415, "content-type").await;
    for name in ["garbage.txt", "empty"] {
        refused(world.whep(name).await, 400, "sdp-malformed").await;
    }
    assert_eq!(world.node().posts().len(), 1, "only the publisher reached the node");
}

#[actix_web::test]
async fn p07_sendonly_and_inactive_offers_are_refused_and_sendrecv_is_taken() {
    let world = World::start().await;
    world.publish().await;
    for name in ["play-sendonly.sdp", "pub-inactive.sdp"] {
        refused(world.whep(name).await, 422, "sdp-unsupported").await;
    }
    let answer = Opened::of(world.whep("pub-sendrecv.sdp").await).await.answer;
    assert_eq!(values(&answer, "a=sendonly").len(), 2, "{answer}");
}

#[actix_web::test]
async fn p08_a_stream_nobody_publishes_is_409_with_retry_after() {
    let world = World::start().await;
    let answer = world.whep("play.sdp").await;
    assert_eq!(header(&answer, "retry-after"), "2");
    refused(answer, 409, "stream-not-live").await;
    let unknown = world.request(Method::POST, &world.url("/rtc/v1/whep/nobody")).header("Content-Type", SDP);
    let answer = unknown.body(fixture("play.sdp")).send().await.unwrap();
    refused(answer, 404, "stream-unknown").await;
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn p12_bundle_and_rtcp_mux_only() {
    let world = World::start().await;
    world.publish().await;
    for name in ["pub-nobundle.sdp", "pub-nomux.sdp"] {
        let offer = String::from_utf8(fixture(name)).unwrap().replace("a=sendonly", "a=recvonly");
        refused(world.post("/rtc/v1/whep/cam", &world.token("cam", Role::Play), offer).await, 422, "sdp-unsupported")
            .await;
    }
    let answer = world.play().await.answer;
    assert_eq!(values(&answer, "a=rtcp-mux-only").len(), values(&answer, "m=").len());
}

#[actix_web::test]
async fn p13_all_sections_belong_to_one_media_stream() {
    let world = World::start().await;
    world.publish().await;
    let answer = world.play().await.answer;
    let ids: Vec<&str> = values(&answer, "a=msid:").iter().map(|v| v.split(' ').next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{answer}");
    assert_eq!(ids[0], ids[1]);
}

#[actix_web::test]
async fn p15_no_links_unless_configured_and_bearers_as_with_whip() {
    let world = World::start().await;
    world.publish().await;
    let answer = world.post("/rtc/v1/whep/cam", &world.token("cam", Role::Play), fixture("play.sdp")).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "link")), (201, String::new()));
    world.truth.add_stream("private", Visibility::Private);
    let answer = world.post("/rtc/v1/whep/private", "bad", fixture("play.sdp")).await;
    assert!(header(&answer, "www-authenticate").contains("invalid_token"));
    refused(answer, 401, "token-invalid").await;
    // A public stream needs no credential, so a stale one does no harm.
    Opened::of(world.post("/rtc/v1/whep/cam", "bad", fixture("play.sdp")).await).await;
}

#[actix_web::test]
async fn p16_no_extension_is_needed() {
    let world = World::start().await;
    world.publish().await;
    assert!(!header(&world.whep("play.sdp").await, "link").contains("urn:ietf:params:whep:ext"));
}

#[actix_web::test]
async fn p17_server_sent_events_are_not_offered() {
    let world = World::start().await;
    world.publish().await;
    let session = world.play().await;
    let post = world.request(Method::POST, &session.url).header("Content-Type", "application/json");
    refused(post.body("[\"active\"]").send().await.unwrap(), 405, "method-not-allowed").await;
}

#[actix_web::test]
async fn p18_layers_are_not_offered() {
    let world = World::start().await;
    world.publish().await;
    assert!(!header(&world.whep("play.sdp").await, "link").contains("layer"));
}

fn without_audio(sdp: String) -> String {
    without(&sdp, "m=audio")
}

fn without_video(sdp: String) -> String {
    without(&sdp, "m=video")
}

fn without(sdp: &str, kind: &str) -> String {
    let head = sdp.split("m=").next().unwrap().to_owned();
    let kept: Vec<String> = sections(sdp).into_iter().filter(|s| !s.starts_with(kind)).collect();
    let mid = values(&kept[0], "a=mid:")[0].to_owned();
    head.replace("a=group:BUNDLE 0 1", &format!("a=group:BUNDLE {mid}")) + &kept.concat()
}

#[actix_web::test]
async fn p19_the_answer_keeps_the_offers_sections_in_order() {
    let world = World::start().await;
    world.publish().await;
    for (edit, missing) in [(without_audio as fn(String) -> String, 0), (without_video, 1)] {
        world.node().behave([Behave::Edited(edit)]);
        let answer = world.play().await.answer;
        let sections = sections(&answer);
        assert_eq!(sections.len(), 2, "{answer}");
        assert_eq!(values(&answer, "a=mid:"), ["0", "1"]);
        assert!(sections[0].starts_with("m=audio 9 ") && sections[1].starts_with("m=video 9 "), "{answer}");
        assert!(sections[missing].contains("a=inactive"), "{answer}");
        assert!(sections[missing].contains("a=ice-ufrag:") && sections[missing].contains("a=fingerprint:"));
        assert!(answer.contains("a=group:BUNDLE 0 1"), "{answer}");
    }
}

#[actix_web::test]
async fn p19_a_data_channel_is_kept_from_the_node_and_rejected_in_the_answer() {
    let world = World::start().await;
    world.publish().await;
    let answer = Opened::of(world.whep("play-dc.sdp").await).await.answer;
    let sections = sections(&answer);
    assert_eq!(sections.len(), 3, "{answer}");
    assert!(sections[2].starts_with("m=application 0 "), "{answer}");
    assert!(answer.contains("a=group:BUNDLE 0 1\r\n"), "{answer}");
    let sent = String::from_utf8(world.node().posts()[1].body.clone()).unwrap();
    assert!(!sent.contains("m=application") && sent.contains("a=group:BUNDLE 0 1\r\n"), "{sent}");
}
