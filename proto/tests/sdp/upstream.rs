//! What SRS is given.

use super::{edited, lines, parts, play, publish, vector};

#[test]
fn p19_data_channels_are_kept_from_srs() {
    for name in ["rules/play-dc.sdp", "chromium/play-dc.sdp"] {
        let offer = play(&vector(name)).unwrap();
        assert!(offer.has_data_channel());
        assert_eq!(offer.mids().len(), 3);
        let upstream = offer.for_upstream();
        assert_eq!(lines(&upstream, "m=").len(), 2, "{name}");
        assert_eq!(lines(&upstream, "a=group:"), ["a=group:BUNDLE 0 1"], "{name}");
    }
    assert_eq!(
        play(&vector("rules/play-dc.sdp")).unwrap().for_upstream(),
        play(&vector("rules/play.sdp")).unwrap().for_upstream()
    );
    let dc = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
    let with = [vector("rules/pub.sdp"), dc.as_bytes().to_vec()].concat();
    assert_eq!(publish(&with).unwrap().for_upstream(), publish(&vector("rules/pub.sdp")).unwrap().for_upstream());
}

#[test]
fn an_offer_srs_reads_well_is_passed_on_unchanged() {
    for name in ["rules/pub.sdp", "rules/pub-sendrecv.sdp", "rules/pub-active.sdp", "srs/whip.offer.sdp"] {
        assert_eq!(publish(&vector(name)).unwrap().for_upstream().as_bytes(), vector(name), "{name}");
    }
}

#[test]
fn repair_codecs_and_their_retransmission_are_removed() {
    let upstream = publish(&vector("chromium/pub.sdp")).unwrap().for_upstream();
    for name in ["red/", "ulpfec/", "flexfec", "FEC"] {
        assert!(!upstream.contains(name), "{name}");
    }
    for section in parts(&upstream).iter().skip(1) {
        let formats: Vec<&str> = section.lines().next().unwrap().split(' ').skip(3).collect();
        for line in section.lines() {
            for start in ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"] {
                let pt = line.strip_prefix(start).and_then(|rest| rest.split(' ').next());
                assert!(pt.is_none_or(|pt| formats.contains(&pt)), "{line}");
            }
            let apt = line.split_once("apt=").map(|(_, pt)| pt);
            assert!(apt.is_none_or(|pt| formats.contains(&pt)), "{line}");
        }
        assert!(section.contains("opus/48000") || section.contains("H264/90000"));
    }
    // Retransmission of the codecs that stay, stays.
    assert!(upstream.contains("rtx/90000"));
}

#[test]
fn fields_srs_misreads_are_written_as_it_reads_them() {
    let up = |edits: &[(&str, &str)]| publish(&edited("rules/pub.sdp", edits)).unwrap().for_upstream();
    let plain = up(&[("v=0", "v=0")]);
    // It stops reading an fmtp at the first space, and knows codec names in two spellings.
    assert_eq!(up(&[("1;packetization", "1; packetization")]), plain);
    assert_eq!(up(&[("opus/48000", "Opus/48000")]), plain);
    // It fails on the wildcard.
    let wildcard = up(&[("a=rtcp-fb:106 nack\r\n", "a=rtcp-fb:* nack\r\n"), ("SAVPF 106", "SAVPF 106 107")]);
    assert!(wildcard.contains("a=rtcp-fb:106 nack\r\n") && !wildcard.contains('*'));
    // It ends the process on the first, and takes the second for the policy of the bundle.
    assert_eq!(up(&[("a=ssrc:1000 cname:cn", "a=ssrc:1000 x\r\na=ssrc:1000 cname:cn")]), plain);
    assert_eq!(up(&[("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1\r\na=group:FID 0 1")]), plain);
    // FFmpeg names a section in BUNDLE that it does not offer.
    assert_eq!(up(&[("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 7")]), plain);
    assert!(up(&[("a=group:BUNDLE", "a=group:LS 0 1\r\na=group:BUNDLE")]).contains("a=group:LS 0 1\r\n"));
    // It makes a track only of a source with a track name.
    let nameless = up(&[
        ("a=msid:s0 track0\r\n", ""),
        ("a=msid:s0 track1\r\n", ""),
        ("a=ssrc:1000 msid:s0 track0\r\n", ""),
        ("a=ssrc:1001 msid:s0 track1\r\n", ""),
    ]);
    assert_eq!(lines(&nameless, "a=msid:"), ["a=msid:- track0", "a=msid:- track1"]);
    // It wants the plain flag.
    assert_eq!(up(&[("a=rtcp-mux\r\n", "")]).matches("a=rtcp-mux\r\n").count(), 2);
}

#[test]
fn credentials_of_a_section_win_over_those_of_the_session() {
    let session = "a=ice-ufrag:other\r\na=ice-pwd:0123456789012345678901\r\na=extmap-allow-mixed";
    let offer = publish(&edited("rules/pub.sdp", &[("a=extmap-allow-mixed", session)])).unwrap();
    assert_eq!(offer.ufrag(), "EsAw");
    assert_eq!(offer.for_upstream().as_bytes(), vector("rules/pub.sdp"));
}

#[test]
fn sections_that_are_off_are_kept_from_srs() {
    let off = edited("rules/play.sdp", &[("m=video 9", "m=video 0")]);
    let offer = play(&off).unwrap();
    assert!(offer.has_audio() && !offer.has_video());
    let upstream = offer.for_upstream();
    assert_eq!(lines(&upstream, "m=").len(), 1);
    assert_eq!(lines(&upstream, "a=group:"), ["a=group:BUNDLE 0"]);
}
