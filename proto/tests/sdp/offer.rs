//! Which offers are taken and which refused.

use super::{edited, play, publish, vector};
use proto::wire::sdp::{BODY_BYTES_MAX, LINE_BYTES_MAX, LINES_MAX, SECTIONS_MAX, SdpError, Setup};

fn refused(result: Result<proto::wire::sdp::Offer, SdpError>) -> (SdpError, u16) {
    let error = result.map(|_| ()).expect_err("must be refused");
    (error, error.status_hint())
}

#[test]
fn w5_ordinary_offers_are_taken() {
    for name in ["rules/pub.sdp", "srs/whip.offer.sdp", "chromium/pub.sdp"] {
        let offer = publish(&vector(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(offer.has_audio() && offer.has_video() && !offer.has_data_channel(), "{name}");
        assert_eq!(offer.mids().collect::<Vec<_>>(), [Some("0"), Some("1")], "{name}");
    }
    for name in ["rules/play.sdp", "srs/whep.offer.sdp", "chromium/play.sdp", "chromium/play-max-bundle.sdp"] {
        play(&vector(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn w8_what_is_no_description_is_malformed() {
    assert_eq!(refused(publish(&vector("rules/empty.txt"))), (SdpError::Empty, 400));
    assert_eq!(refused(publish(&vector("rules/garbage.txt"))), (SdpError::Start, 400));
    assert_eq!(refused(publish(b"\r\n\r\n")), (SdpError::Empty, 400));
    assert_eq!(refused(publish(b"v=0\xff\r\n")), (SdpError::NotText, 400));
    assert_eq!(refused(publish(b"v=0\r\n\r\ns=-\r\n")), (SdpError::Line { line: 2 }, 400));
    assert_eq!(refused(publish(b"v=0\r\ns=a\0b\r\n")), (SdpError::Line { line: 2 }, 400));
    assert_eq!(refused(publish(b"v=0\r\no=- 1 2 IN IP4\r\n")), (SdpError::Line { line: 2 }, 400));
    assert_eq!(refused(publish(b"v=0\r\nt=now 0\r\n")), (SdpError::Line { line: 2 }, 400));
    assert_eq!(refused(publish(b"v=0\r\nm=audio nine UDP/TLS/RTP/SAVPF 0\r\n")), (SdpError::Line { line: 2 }, 400));
    assert_eq!(refused(publish(b"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 128\r\n")), (SdpError::Line { line: 2 }, 400));
}

#[test]
fn p6_the_same_holds_for_players() {
    assert_eq!(refused(play(&vector("rules/empty.txt"))), (SdpError::Empty, 400));
    assert_eq!(refused(play(&vector("rules/garbage.txt"))), (SdpError::Start, 400));
}

#[test]
fn lengths_have_limits() {
    let long = vec![b'a'; BODY_BYTES_MAX + 1];
    assert_eq!(refused(publish(&long)), (SdpError::TooLong { got: BODY_BYTES_MAX + 1, limit: BODY_BYTES_MAX }, 400));
    let lines = format!("v=0\r\n{}", "a=x\r\n".repeat(LINES_MAX));
    assert_eq!(refused(publish(lines.as_bytes())), (SdpError::TooManyLines { limit: LINES_MAX }, 400));
    let line = format!("v=0\r\na={}\r\n", "x".repeat(LINE_BYTES_MAX));
    let error = SdpError::LineTooLong { line: 2, got: LINE_BYTES_MAX + 2, limit: LINE_BYTES_MAX };
    assert_eq!(refused(publish(line.as_bytes())), (error, 400));
    let sections = format!("v=0\r\n{}", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(SECTIONS_MAX + 1));
    assert_eq!(refused(publish(sections.as_bytes())), (SdpError::TooManySections { limit: SECTIONS_MAX }, 400));
}

#[test]
fn lines_may_end_in_lf_and_the_text_in_empty_lines() {
    let lf = publish(&vector("rules/pub-lf.sdp")).unwrap();
    let crlf = publish(&vector("rules/pub.sdp")).unwrap();
    assert_eq!(lf.for_upstream(), crlf.for_upstream());
    let mut padded = vector("rules/pub.sdp");
    padded.extend_from_slice(b"\r\n\r\n");
    assert_eq!(publish(&padded).unwrap().for_upstream(), crlf.for_upstream());
}

#[test]
fn w10_directions_a_publisher_may_not_offer_are_refused() {
    let refusal = |name| refused(publish(&vector(name)));
    let error = |direction| SdpError::Direction { section: 0, direction, wanted: "sendonly" };
    assert_eq!(refusal("rules/pub-recvonly.sdp"), (error("recvonly"), 422));
    assert_eq!(refusal("rules/pub-inactive.sdp"), (error("inactive"), 422));
    assert!(publish(&vector("rules/pub-sendrecv.sdp")).is_ok());
    // One section of two is enough to be wrong, and a session-level direction counts.
    let half = edited("rules/pub.sdp", &[("a=sendonly\r\na=msid:s0 track1", "a=recvonly\r\na=msid:s0 track1")]);
    assert!(matches!(refused(publish(&half)), (SdpError::Direction { section: 1, .. }, 422)));
    let session = edited("rules/pub.sdp", &[("a=sendonly\r\n", ""), ("a=extmap-allow-mixed", "a=inactive")]);
    assert!(matches!(refused(publish(&session)), (SdpError::Direction { direction: "inactive", .. }, 422)));
    let both = edited("rules/pub.sdp", &[("a=sendonly\r\n", "a=sendonly\r\na=recvonly\r\n")]);
    assert!(matches!(refused(publish(&both)), (SdpError::Attribute { .. }, 400)));
}

#[test]
fn p7_directions_a_player_may_not_offer_are_refused() {
    let error = SdpError::Direction { section: 0, direction: "sendonly", wanted: "recvonly" };
    assert_eq!(refused(play(&vector("rules/play-sendonly.sdp"))), (error, 422));
    assert!(matches!(refused(play(&vector("rules/pub-inactive.sdp"))), (SdpError::Direction { .. }, 422)));
    assert!(play(&vector("rules/pub-sendrecv.sdp")).is_ok());
}

#[test]
fn w36_bundle_and_rtcp_mux_are_required() {
    assert_eq!(refused(publish(&vector("rules/pub-nobundle.sdp"))), (SdpError::NoBundle, 422));
    assert_eq!(refused(publish(&vector("rules/pub-nomux.sdp"))), (SdpError::NoRtcpMux { section: 0 }, 422));
    let outside = edited("rules/pub.sdp", &[("a=group:BUNDLE 0 1", "a=group:BUNDLE 0")]);
    assert_eq!(refused(publish(&outside)), (SdpError::NotBundled { section: 1 }, 422));
    let other = edited("rules/pub.sdp", &[("a=group:BUNDLE 0 1", "a=group:LS 0 1")]);
    assert_eq!(refused(publish(&other)), (SdpError::NoBundle, 422));
    let same = edited("rules/pub.sdp", &[("a=mid:1", "a=mid:0")]);
    assert_eq!(refused(publish(&same)), (SdpError::SameMid { section: 1 }, 422));
    let none = edited("rules/pub.sdp", &[("a=mid:1\r\n", "")]);
    assert_eq!(refused(publish(&none)), (SdpError::NoMid { section: 1 }, 422));
    let only = edited("rules/pub.sdp", &[("a=rtcp-mux\r\n", "")]);
    assert!(publish(&only).is_ok(), "rtcp-mux-only says it too");
}

#[test]
fn p12_bundle_and_rtcp_mux_are_required_of_players() {
    let nobundle = edited("rules/play.sdp", &[("a=group:BUNDLE 0 1\r\n", "")]);
    assert_eq!(refused(play(&nobundle)), (SdpError::NoBundle, 422));
    let nomux = edited("rules/play.sdp", &[("a=rtcp-mux\r\na=rtcp-mux-only\r\n", "")]);
    assert_eq!(refused(play(&nomux)), (SdpError::NoRtcpMux { section: 0 }, 422));
}

#[test]
fn w36_bundle_only_sections_share_the_first_ones_transport() {
    // As in the example of RFC 9725: port 0, `bundle-only`, no transport attributes.
    let text = String::from_utf8(vector("rules/pub.sdp")).unwrap();
    let (audio, video) = text.split_at(text.find("m=video").unwrap());
    let mut video = video.replace("m=video 9", "m=video 0").replace("a=mid:1", "a=mid:1\r\na=bundle-only");
    for name in ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup", "a=rtcp-mux"] {
        video = video.split_inclusive("\r\n").filter(|line| !line.starts_with(name)).collect();
    }
    let bundled = format!("{audio}{video}");
    let offer = publish(bundled.as_bytes()).unwrap();
    let upstream = offer.for_upstream();
    for name in ["a=ice-ufrag:EsAw", "a=setup:actpass", "a=fingerprint:", "a=rtcp-mux\r"] {
        assert_eq!(upstream.matches(name).count(), 2, "{name}");
    }
    let apart = bundled.replace("a=bundle-only\r\n", "a=x\r\n").replace("m=video 0", "m=video 9");
    assert_eq!(refused(publish(apart.as_bytes())), (SdpError::NoRtcpMux { section: 1 }, 422));
}

#[test]
fn ice_and_dtls_are_required() {
    assert_eq!(refused(publish(&vector("rules/pub-noice.sdp"))), (SdpError::NoIce { section: 0 }, 422));
    assert_eq!(refused(publish(&vector("rules/pub-nofp.sdp"))), (SdpError::NoFingerprint { section: 0 }, 422));
    let wrong = |edit| refused(publish(&edited("rules/pub.sdp", &[edit])));
    let attribute = |name| (SdpError::Attribute { section: Some(0), name }, 400);
    assert_eq!(wrong(("a=ice-ufrag:EsAw", "a=ice-ufrag:abc")), attribute("ice-ufrag"));
    assert_eq!(wrong(("a=ice-ufrag:EsAw", "a=ice-ufrag:a&b=stream")), attribute("ice-ufrag"));
    assert_eq!(wrong(("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-pwd:short")), attribute("ice-pwd"));
    assert_eq!(wrong(("a=fingerprint:sha-256 DA", "a=fingerprint:sha-256 XY")), attribute("fingerprint"));
    let plain = edited("rules/pub.sdp", &[("UDP/TLS/RTP/SAVPF", "RTP/AVP")]);
    assert_eq!(refused(publish(&plain)), (SdpError::Protocol { section: 0 }, 422));
}

#[test]
fn ice_and_dtls_may_stand_in_the_session_part() {
    let moved = ["a=ice-ufrag:EsAw\r\n", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n", "a=setup:actpass\r\n"];
    let mut text = String::from_utf8(vector("rules/pub.sdp")).unwrap();
    for line in moved {
        text = text.replace(line, "");
    }
    let text = text.replace("a=extmap-allow-mixed\r\n", &moved.concat());
    let offer = publish(text.as_bytes()).unwrap();
    assert_eq!((offer.ufrag(), offer.setup()), ("EsAw", Setup::ActPass));
    // SRS looks for the DTLS role in sections only.
    assert_eq!(offer.for_upstream().matches("a=setup:actpass").count(), 3);
}

#[test]
fn w38_more_than_one_track_of_a_kind_or_stream_is_refused() {
    let error = SdpError::TwoTracks { section: 2, media: "video" };
    assert_eq!(refused(publish(&vector("rules/pub-2video.sdp"))), (error, 422));
    assert_eq!(refused(publish(&vector("rules/pub-2streams.sdp"))), (SdpError::TwoStreams { got: 2 }, 422));
    let ssrc_level = edited("rules/pub-2streams.sdp", &[("a=msid:s0 track0\r\n", ""), ("a=msid:s1 track1\r\n", "")]);
    assert_eq!(refused(publish(&ssrc_level)), (SdpError::TwoStreams { got: 2 }, 422));
    let plan_b = edited("rules/pub.sdp", &[("a=ssrc:1001 cname:cn", "a=ssrc:1001 cname:cn\r\na=ssrc:9 msid:s0 other")]);
    assert_eq!(refused(publish(&plan_b)), (SdpError::TwoTracks { section: 1, media: "video" }, 422));
    // A retransmission source belongs to the same track, and a track may belong to no stream.
    let rtx = edited("rules/pub.sdp", &[("a=ssrc:1001 cname:cn", "a=ssrc:1001 cname:cn\r\na=ssrc:9 msid:s0 track1")]);
    assert!(publish(&rtx).is_ok());
    assert!(publish(&edited("rules/pub-2streams.sdp", &[("msid:s1 ", "msid:- ")])).is_ok());
}

#[test]
fn w39_a_section_that_cannot_work_fails_the_whole_offer() {
    let codec = |result| match refused(result) {
        (SdpError::Codec { section, .. }, 422) => section,
        other => panic!("{other:?}"),
    };
    assert_eq!(codec(publish(&vector("rules/pub-badcodec.sdp"))), 1);
    assert_eq!(codec(play(&edited("rules/play.sdp", &[("H264", "VP8")]))), 1);
    assert_eq!(codec(play(&edited("rules/play.sdp", &[("opus", "PCMU")]))), 0);
    // SRS passes over an H264 whose parameters it cannot read, and takes one without any.
    assert_eq!(codec(publish(&edited("rules/pub.sdp", &[(";packetization-mode=1", "")]))), 1);
    let bare = edited(
        "rules/pub.sdp",
        &[("a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n", "")],
    );
    assert!(publish(&bare).is_ok());
    // Without sources SRS accepts and then drops every packet.
    assert_eq!(refused(publish(&vector("chromium/pub-simulcast.sdp"))), (SdpError::NoSource { section: 1 }, 422));
}

#[test]
fn media_is_required() {
    assert_eq!(refused(publish(&vector("rules/pub-nomedia.sdp"))), (SdpError::NoMedia, 422));
    let dc = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n";
    let only = format!("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n{dc}");
    assert_eq!(refused(play(only.as_bytes())), (SdpError::NoMedia, 422));
    let text = edited("rules/play.sdp", &[("m=video 9 UDP/TLS/RTP/SAVPF 106", "m=text 9 UDP/TLS/RTP/SAVPF 106")]);
    assert_eq!(refused(play(&text)), (SdpError::MediaKind { section: 1 }, 422));
}

#[test]
fn w40_all_dtls_roles_are_taken() {
    for (name, setup) in [
        ("rules/pub-active.sdp", Setup::Active),
        ("rules/pub-passive.sdp", Setup::Passive),
        ("rules/pub.sdp", Setup::ActPass),
    ] {
        assert_eq!(publish(&vector(name)).unwrap().setup(), setup, "{name}");
    }
    assert_eq!(publish(&edited("rules/pub.sdp", &[("a=setup:actpass\r\n", "")])).unwrap().setup(), Setup::Active);
    let held = edited("rules/pub.sdp", &[("a=setup:actpass", "a=setup:holdconn")]);
    assert_eq!(refused(publish(&held)), (SdpError::Setup { section: 0 }, 422));
    let mixed = edited("rules/pub.sdp", &[("a=setup:actpass\r\na=mid:1", "a=setup:passive\r\na=mid:1")]);
    assert_eq!(refused(publish(&mixed)), (SdpError::Setup { section: 1 }, 422));
}

#[test]
fn lines_that_srs_dies_of_are_refused() {
    let wrong = |line: &str| {
        let with = format!("a=ssrc:1000 cname:cn\r\n{line}");
        refused(publish(&edited("rules/pub.sdp", &[("a=ssrc:1000 cname:cn", &with)]))).1
    };
    // SRS 5.0.216 ends with std::out_of_range on the first four and reads past an array on the fifth.
    for line in ["a=rtcp-fb:111", "a=rtcp-fb:111 ", "a=ssrc:1000", "a=ssrc-group:FID", "a=ssrc-group:FID 1000"] {
        assert_eq!(wrong(line), 400, "{line}");
    }
    for line in [
        "a=ssrc:x cname:y",
        "a=rtpmap:x opus/48000",
        "a=extmap:x",
        "a=extmap:1 urn:a\r\na=extmap:1 urn:b",
        "y=1",
        "a=msid:",
    ] {
        assert_eq!(wrong(line), 400, "{line}");
    }
    assert_eq!(refused(publish(b"v=0\r\ny=0100008888\r\n")).1, 400);
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let offer = publish(&vector("rules/pub.sdp")).unwrap();
    assert_eq!(offer.password(), "P2uYro0UCOQ4zxjKXaWCBui1");
    assert!(!format!("{offer:?}").contains("P2uY"));
}
