//! What the client is given.

use super::{edited, lines, options, parts, play, publish, repair, vector, without};
use proto::wire::sdp::{ANSWER_BYTES_MAX, Answer, AnswerError, AnswerOptions, Candidates, Host, Offer, Over};

/// SRS's answer to `rules/` offers: its payload types are 111 and 106.
fn answer_for_rules(role: &str) -> Vec<u8> {
    edited(&format!("srs/{role}.answer.sdp"), &[("96", "111"), ("101", "106")])
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("a vector that is served")
}

fn whip() -> (Offer, String) {
    let offer = publish(&vector("srs/whip.offer.sdp")).expect("a vector that is served");
    let answer = repair(&offer, &vector("srs/whip.answer.sdp")).expect("a vector that is served");
    (offer, answer)
}

fn whep() -> (Offer, String) {
    let offer = play(&vector("srs/whep.offer.sdp")).expect("a vector that is served");
    let answer = repair(&offer, &vector("srs/whep.answer.sdp")).expect("a vector that is served");
    (offer, answer)
}

#[test]
fn w9_p3_every_section_has_the_direction_of_the_role() {
    assert_eq!(lines(&whip().1, "a=recvonly").len(), 2);
    assert_eq!(lines(&whep().1, "a=sendonly").len(), 2);
    for answer in [whip().1, whep().1] {
        assert!(
            answer.starts_with("v=0\r\n") && answer.ends_with("\r\n") && !answer.replace("\r\n", "").contains('\n')
        );
    }
    let wrong = edited("srs/whip.answer.sdp", &[("a=recvonly", "a=sendonly")]);
    assert_eq!(repair(&whip().0, &wrong), Err(AnswerError::Direction { section: 0 }));
    let wide = edited("srs/whip.answer.sdp", &[("a=recvonly", "a=sendrecv")]);
    assert_eq!(repair(&whip().0, &wide).as_deref(), Ok(whip().1.as_str()));
}

#[test]
fn w11_sections_mids_bundle_and_payload_types_follow_the_offer() {
    let (offer, answer) = whip();
    let mids: Vec<String> = offer.mids().map(|mid| format!("a=mid:{}", mid.unwrap())).collect();
    assert_eq!(lines(&answer, "a=mid:"), mids);
    assert_eq!(lines(&answer, "a=group:"), ["a=group:BUNDLE 0 1"]);
    assert_eq!(lines(&answer, "m="), ["m=audio 9 UDP/TLS/RTP/SAVPF 96", "m=video 9 UDP/TLS/RTP/SAVPF 101"]);
    assert_eq!(lines(&answer, "a=setup:"), ["a=setup:passive"; 2]);
    // SRS may put audio first though the offer has video first.
    let offered = text(vector("srs/whip.offer.sdp"));
    let [head, audio, video] = parts(&offered).try_into().unwrap();
    let turned = publish(format!("{head}{video}{audio}").as_bytes()).unwrap();
    let answer = repair(&turned, &vector("srs/whip.answer.sdp")).unwrap();
    assert_eq!(lines(&answer, "a=mid:"), ["a=mid:1", "a=mid:0"]);
    assert_eq!(lines(&answer, "a=group:"), ["a=group:BUNDLE 1 0"]);
    // A payload type that was not offered is left out, with its lines.
    let more = edited(
        "srs/whip.answer.sdp",
        &[("SAVPF 101", "SAVPF 101 55"), ("a=rtpmap:101", "a=rtpmap:55 red/90000\r\na=rtpmap:101")],
    );
    assert_eq!(repair(&whip().0, &more).as_deref(), Ok(whip().1.as_str()));
    let other = edited("srs/whip.answer.sdp", &[("SAVPF 101", "SAVPF 55")]);
    assert_eq!(repair(&whip().0, &other), Err(AnswerError::Codec { section: 1 }));
}

#[test]
fn w12_candidates_are_complete_and_an_ipv4_udp_host_is_first() {
    let (_, answer) = whip();
    for section in parts(&answer).iter().skip(1) {
        let candidates = lines(section, "a=candidate:");
        assert_eq!(candidates.len(), 2);
        assert_eq!(candidates[0], "a=candidate:0 1 udp 2130706431 127.0.0.1 28000 typ host generation 0");
        assert!(section.ends_with("a=end-of-candidates\r\n"));
    }
    let tcp_first = edited(
        "srs/whip.answer.sdp",
        &[
            ("a=candidate:0 1 udp 2130706431 127.0.0.1 28000 typ host generation 0\r\n", ""),
            (
                "tcptype passive\r\n",
                "tcptype passive\r\na=candidate:2 1 udp 1 ::1 9 typ host\r\na=candidate:3 1 udp 1 10.0.0.1 9 typ host\r\na=candidate:junk\r\n",
            ),
        ],
    );
    let answer = repair(&whip().0, &tcp_first).unwrap();
    let first: Vec<&str> = lines(&answer, "a=candidate:").into_iter().take(3).map(|line| &line[12..13]).collect();
    assert_eq!(first, ["3", "2", "1"]);
    let none = text(vector("srs/whip.answer.sdp")).replace("a=candidate", "a=x");
    assert_eq!(repair(&whip().0, none.as_bytes()), Err(AnswerError::Candidates));
}

#[test]
fn candidates_are_replaced_by_the_edges_own() {
    let offer = play(&vector("srs/whep.offer.sdp")).unwrap();
    let node = Answer::read(&vector("srs/whep-eip.answer.sdp")).unwrap();
    let with = |addresses: &[&str]| {
        let hosts = addresses.iter().map(|text| match text.strip_prefix("tcp ") {
            Some(at) => Host { at: at.parse().unwrap(), over: Over::Tcp },
            None => Host { at: text.parse().unwrap(), over: Over::Udp },
        });
        node.repair(&offer, &AnswerOptions { candidates: Candidates::Replace(hosts.collect()), ..options() })
    };
    let answer = with(&["tcp 203.0.113.7:8000", "[2001:db8::1]:8000", "203.0.113.7:8000"]).unwrap();
    assert!(!answer.contains("127.0.0.1") && !answer.contains("9999"));
    let own = [
        "a=candidate:0 1 udp 2130706431 203.0.113.7 8000 typ host",
        "a=candidate:1 1 udp 2130706175 2001:db8::1 8000 typ host",
        "a=candidate:2 1 tcp 1520434687 203.0.113.7 8000 typ host tcptype passive",
    ];
    assert_eq!(lines(&answer, "a=candidate:"), [own, own].concat());
    for wrong in [&[][..], &["0.0.0.0:8000"], &["203.0.113.7:0"], &["203.0.113.7:1"; 17]] {
        assert_eq!(with(wrong), Err(AnswerError::Candidates));
    }
}

#[test]
fn w13_the_answer_says_ice_lite() {
    for answer in [whip().1, whep().1] {
        assert_eq!(lines(&answer, "a=ice-lite").len(), 1);
        assert_eq!(lines(&answer, "a=ice-options:"), ["a=ice-options:trickle ice2"]);
    }
}

#[test]
fn w37_p12_every_section_says_rtcp_mux_only() {
    for answer in [whip().1, whep().1] {
        for section in parts(&answer).iter().skip(1) {
            assert_eq!(lines(section, "a=rtcp-mux"), ["a=rtcp-mux", "a=rtcp-mux-only"]);
        }
    }
}

#[test]
fn p13_all_sections_are_one_media_stream() {
    let offer = play(&vector("rules/play-dc.sdp")).unwrap();
    let one = without(&text(answer_for_rules("whep")), "audio");
    for answer in [whep().1, repair(&offer, one.as_bytes()).unwrap()] {
        assert_eq!(lines(&answer, "a=msid:"), ["a=msid:cam1 audio0", "a=msid:cam1 video1"]);
        assert!(lines(&answer, "a=ssrc:").iter().filter(|l| l.contains("msid:")).all(|l| l.contains(" msid:cam1 ")));
        assert!(!answer.contains("label:") && !answer.contains("live/w1"));
    }
    assert_eq!(lines(&whip().1, "a=msid:"), [""; 0], "who receives names no stream");
}

#[test]
fn p19_a_missing_medium_becomes_inactive_on_the_same_transport() {
    let offer = play(&vector("rules/play.sdp")).unwrap();
    let whole = text(answer_for_rules("whep"));
    for (missing, place) in [("audio", 1), ("video", 2)] {
        let answer = repair(&offer, without(&whole, missing).as_bytes()).unwrap();
        let sections = parts(&answer);
        assert_eq!(sections.len(), 3);
        assert_eq!(lines(&answer, "a=group:"), ["a=group:BUNDLE 0 1"]);
        let (made, other) = (&sections[place], &sections[3 - place]);
        assert!(made.starts_with(&format!("m={missing} 9 UDP/TLS/RTP/SAVPF 1")), "{made}");
        assert!(made.contains("a=inactive\r\n") && other.contains("a=sendonly\r\n"));
        for same in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:", "a=candidate:", "a=rtcp-mux"] {
            assert!(!lines(made, same).is_empty());
            assert_eq!(lines(made, same), lines(other, same));
        }
    }
    assert_eq!(repair(&offer, without(&without(&whole, "audio"), "video").as_bytes()), Err(AnswerError::NoMedia));
}

#[test]
fn p19_a_data_channel_is_rejected_in_its_place() {
    let offer = play(&vector("rules/play-dc.sdp")).unwrap();
    let answer = repair(&offer, &answer_for_rules("whep")).unwrap();
    assert_eq!(lines(&answer, "m=").last(), Some(&"m=application 0 UDP/DTLS/SCTP webrtc-datachannel"));
    assert_eq!(lines(&answer, "a=group:"), ["a=group:BUNDLE 0 1"]);
    let data = parts(&answer).pop().unwrap();
    assert!(data.contains("a=mid:2\r\n") && !data.contains("rtcp-mux"));
    // First in the offer, first in the answer.
    let offered = parts(&text(vector("rules/play-dc.sdp")));
    let turned = play([0, 3, 1, 2].map(|at| offered[at].clone()).concat().as_bytes()).unwrap();
    let answer = repair(&turned, &answer_for_rules("whep")).unwrap();
    assert_eq!(lines(&answer, "a=mid:"), ["a=mid:2", "a=mid:0", "a=mid:1"]);
}

#[test]
fn w39_half_a_publisher_is_refused() {
    let (offer, _) = whip();
    let half = without(&text(vector("srs/whip.answer.sdp")), "video");
    assert_eq!(repair(&offer, half.as_bytes()), Err(AnswerError::Dropped { section: 1 }));
}

#[test]
fn w40_the_dtls_role_fits_the_offer() {
    let with = |offer: &str, setup: &str| {
        let to = format!("a=setup:{setup}");
        let answer = edited("srs/whip.answer.sdp", &[("96", "111"), ("101", "106"), ("a=setup:passive", &to)]);
        repair(&publish(&vector(offer)).unwrap(), &answer).map(|answer| lines(&answer, "a=setup:").len())
    };
    for (offer, setup) in
        [("rules/pub-active.sdp", "passive"), ("rules/pub-passive.sdp", "active"), ("rules/pub.sdp", "active")]
    {
        assert_eq!(with(offer, setup), Ok(2), "{offer} {setup}");
    }
    for (offer, setup) in
        [("rules/pub-active.sdp", "active"), ("rules/pub-passive.sdp", "passive"), ("rules/pub.sdp", "actpass")]
    {
        assert_eq!(with(offer, setup), Err(AnswerError::Setup), "{offer} {setup}");
    }
}

#[test]
fn w50_simulcast_is_answered_not_at_all() {
    let half = edited("srs/whip.answer.sdp", &[("a=mid:1", "a=mid:1\r\na=rid:h recv\r\na=simulcast:recv h")]);
    assert_eq!(repair(&whip().0, &half).as_deref(), Ok(whip().1.as_str()));
}

#[test]
fn credentials_are_read_and_compared() {
    let node = Answer::read(&vector("srs/whep.answer.sdp")).unwrap();
    assert_eq!((node.ufrag(), node.password()), ("ko7v2kie", "5659143729482b3dxv2n534y12073438"));
    assert_eq!(node.check_ufrag("ko7v2kie"), Ok(()));
    assert_eq!(node.check_ufrag("else"), Err(AnswerError::UfragChanged));
    assert!(!format!("{node:?}").contains("565914"));
    // A hyphen is no ICE character.
    assert_eq!(Answer::read(&vector("srs/whep-ice-params.answer.sdp")).map(|_| ()), Err(AnswerError::Ice));
    let two = text(vector("srs/whep.answer.sdp")).replacen("ko7v2kie", "another1", 1);
    assert_eq!(Answer::read(two.as_bytes()).map(|_| ()), Err(AnswerError::Ice));
    let bare = edited("srs/whep.answer.sdp", &[("a=fingerprint", "a=x")]);
    assert_eq!(Answer::read(&bare).map(|_| ()), Err(AnswerError::NoFingerprint));
}

#[test]
fn lines_of_a_section_that_stray_into_the_session_part_are_left_out() {
    let stray =
        edited("srs/whip.answer.sdp", &[("a=ice-lite", "a=ice-lite\r\na=mid:0\r\na=sendonly\r\na=setup:actpass")]);
    assert_eq!(repair(&whip().0, &stray).as_deref(), Ok(whip().1.as_str()));
}

#[test]
fn sections_nobody_offered_are_refused() {
    let (offer, _) = whip();
    let wrong = |edit| repair(&offer, &edited("srs/whip.answer.sdp", &[edit]));
    assert_eq!(wrong(("a=mid:1", "a=mid:7")), Err(AnswerError::Section { section: 1 }));
    assert_eq!(wrong(("a=mid:1", "a=mid:0")), Err(AnswerError::Section { section: 1 }));
    assert_eq!(wrong(("m=video", "m=audio")), Err(AnswerError::Section { section: 1 }));
}

#[test]
fn answers_stay_short_enough_for_ffmpeg() {
    let (offer, answer) = whip();
    assert!(answer.len() < 2048);
    // Candidates of every section would pass the limit; those of the first serve the bundle.
    let padding = format!("a=x:{}", "y".repeat(3_800));
    let to = format!("a=mid:1\r\n{padding}\r\na=z:{}", "y".repeat(2_000));
    let long = edited("srs/whip.answer.sdp", &[("a=mid:1", &to)]);
    let host = |n: u8| Host { at: format!("203.0.113.{n}:8000").parse().unwrap(), over: Over::Udp };
    let many: Vec<_> = (1..=16).map(host).collect();
    let options = AnswerOptions { candidates: Candidates::Replace(many), ..options() };
    let answer = Answer::read(&long).unwrap().repair(&offer, &options);
    assert!(matches!(answer, Err(AnswerError::TooLong { .. }) | Ok(_)));
    let answer = answer.unwrap();
    assert!(answer.len() <= ANSWER_BYTES_MAX);
    assert_eq!(lines(&answer, "a=candidate:").len(), 16);
    let longer = edited("srs/whip.answer.sdp", &[("a=mid:1", &format!("{to}\r\n{padding}"))]);
    assert!(matches!(Answer::read(&longer).unwrap().repair(&offer, &options), Err(AnswerError::TooLong { .. })));
}

#[test]
fn what_srs_tells_of_itself_is_left_out() {
    for answer in [whip().1, whep().1] {
        assert!(!answer.contains("SRS") && !answer.contains("10754598"));
    }
}

#[test]
fn an_answer_before_the_publisher_is_mended_too() {
    let offer = play(&vector("srs/whep-before-publisher.offer.sdp")).unwrap();
    let answer = repair(&offer, &vector("srs/whep-before-publisher.answer.sdp")).unwrap();
    assert_eq!(lines(&answer, "a=msid:").len(), 2);
}
