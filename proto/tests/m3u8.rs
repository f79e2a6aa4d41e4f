//! Playlists of nodes, read and written again: what SRS and the built-in node write, what nobody should, and what holds for any text.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use proto::{
    StreamId,
    wire::m3u8::{
        Error, NodeName, PLAYLIST_BYTES_MAX, Playlist, SegmentKind, SegmentName, View, master, media_sequence,
    },
};

/// As SRS 5.0.216 wrote it, a publisher having come back to the same node.
const SRS: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:21\n#EXT-X-TARGETDURATION:3\n\
    #EXTINF:2.000, no desc\ncam-21.ts\n#EXTINF:0.667, no desc\ncam-22.ts\n\
    #EXT-X-DISCONTINUITY\n#EXTINF:2.023, no desc\ncam-23.ts\n#EXTINF:2.000, no desc\ncam-24.ts\n";
/// As the built-in node writes it.
const FMP4: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:3\n\
    #EXT-X-MAP:URI=\"cam-init0.mp4\"\n#EXTINF:2.000,\ncam-0.m4s\n#EXT-X-DISCONTINUITY\n\
    #EXT-X-MAP:URI=\"cam-init1.mp4\"\n#EXTINF:2.100,\ncam-1.m4s\n";

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

fn view(stream: &StreamId, age_ms: u64) -> View<'_> {
    View { stream, epoch: 2, age_ms, stale_upto: None, viewer: None }
}

fn parse(text: &str) -> Result<Playlist<'_>, Error> {
    Playlist::parse(text.as_bytes(), &cam())
}

fn shown(text: &str, view: &View<'_>) -> Option<String> {
    let list = parse(text).unwrap();
    list.render(view, list.begins_at(view)?)
}

#[test]
fn what_srs_writes_gets_the_clusters_names_and_numbers() {
    let stream = cam();
    let text = shown(SRS, &view(&stream, 5_000)).unwrap();
    let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:134217751\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:512\n#EXT-X-DISCONTINUITY\n#EXTINF:2.023, no desc\ncam.2.23.ts\n\
        #EXTINF:2.000, no desc\ncam.2.24.ts\n";
    assert_eq!(text, expected);
    let later = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:24\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.000, no desc\ncam-24.ts\n";
    let text = shown(later, &view(&stream, 60_000)).unwrap();
    assert!(
        text.contains("DISCONTINUITY-SEQUENCE:513\n#EXTINF"),
        "one discontinuity stands before 24 either way: {text}"
    );
    assert_eq!(media_sequence(2, 24), Some(134_217_752));
}

#[test]
fn the_publish_before_is_left_out_by_its_age_or_by_what_was_seen_of_it() {
    let stream = cam();
    let list = parse(SRS).unwrap();
    let begins = |age_ms, stale_upto| list.begins_at(&View { stale_upto, ..view(&stream, age_ms) });
    // 6.7 s are listed; the publish has lasted for 5 s, of which 4 s are listed.
    assert_eq!(begins(5_000, None), Some(2));
    assert_eq!(begins(8_000, None), Some(2), "it may still reach back before it");
    assert_eq!(begins(3_600_000, None), Some(0), "a list of an old publish is all of it");
    assert_eq!(begins(5_000, Some(22)), Some(2));
    assert_eq!(begins(5_000, Some(21)), Some(2), "less was seen than there was");
    assert_eq!(begins(5_000, Some(24)), None, "nothing of it is there yet");
    assert_eq!(begins(1_000, Some(23)), None, "24 is the rest of the publish before: no mark stands before it");
    assert_eq!(begins(3_600_000, Some(23)), Some(3), "a list that does not reach back is all of this publish");
    assert_eq!(
        begins(0, None),
        Some(2),
        "media that comes faster than it plays: the last publish is what follows the last mark"
    );
    let first = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\ncam-0.ts\n#EXTINF:2,\ncam-1.ts\n";
    assert_eq!(parse(first).unwrap().begins_at(&view(&stream, 5_000)), Some(0));
    assert_eq!(
        parse("#EXTM3U\n#EXT-X-TARGETDURATION:2\n").unwrap().begins_at(&view(&stream, 0)),
        None,
        "no segment yet"
    );
}

#[test]
fn maps_follow_their_segments() {
    let stream = cam();
    let text = shown(FMP4, &View { viewer: Some("V"), ..view(&stream, 3_600_000) }).unwrap();
    assert!(text.contains("#EXT-X-MAP:URI=\"cam.2.init0.mp4?v=V\"\n#EXTINF:2.000,\ncam.2.0.m4s?v=V\n"), "{text}");
    let text = shown(FMP4, &view(&stream, 2_500)).unwrap();
    assert!(
        text.ends_with("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"cam.2.init1.mp4\"\n#EXTINF:2.100,\ncam.2.1.m4s\n"),
        "{text}"
    );
    assert_eq!(NodeName::parse("init0.mp4").unwrap().kind(), SegmentKind::Init);
}

#[test]
fn unknown_tags_stay_where_they_were() {
    let stream = cam();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-INDEPENDENT-SEGMENTS\n# a remark\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-26T00:00:00Z\n#EXTINF:2.0,\ncam-0.ts\n#EXT-X-NEW-THING\n#EXTINF:2.0,\ncam-1.ts\n#EXT-X-ENDLIST\n";
    let text = shown(text, &view(&stream, 3_600_000)).unwrap();
    let (head, rest) = text.split_once("#EXT-X-INDEPENDENT-SEGMENTS\n").unwrap();
    assert!(head.ends_with("DISCONTINUITY-SEQUENCE:513\n"));
    let expected = "#EXT-X-PROGRAM-DATE-TIME:2026-11-26T00:00:00Z\n#EXTINF:2.0,\ncam.2.0.ts\n#EXT-X-NEW-THING\n#EXTINF:2.0,\ncam.2.1.ts\n#EXT-X-ENDLIST\n";
    assert_eq!(rest, expected);
}

#[test]
fn what_cannot_be_passed_on_is_refused() {
    let with = |line: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{line}\n#EXTINF:2.0,\ncam-0.ts\n");
    for (line, error) in [
        ("#EXT-X-STREAM-INF:BANDWIDTH=1,AVERAGE-BANDWIDTH=1", Error::Multivariant),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"cam-0.key\"", Error::Unsupported { tag: "EXT-X-KEY" }),
        ("#EXT-X-BYTERANGE:1@0", Error::Unsupported { tag: "EXT-X-BYTERANGE" }),
        ("#EXT-X-MAP:URI=\"cam-init.mp4\",BYTERANGE=\"1@0\"", Error::Unsupported { tag: "EXT-X-BYTERANGE" }),
        ("#EXT-X-PART:URI=\"cam-0.0.ts\"", Error::Unsupported { tag: "EXT-X-PART" }),
        ("#EXT-X-WHATEVER:URI=\"http://elsewhere/\"", Error::Unsupported { tag: "a tag with a URI" }),
        ("#EXT-X-MAP:URI=\"../x.mp4\"", Error::Name),
        ("#EXT-X-MEDIA-SEQUENCE:-1", Error::Value { tag: "EXT-X-MEDIA-SEQUENCE" }),
        ("#EXT-X-MEDIA-SEQUENCE:99999999999999999999", Error::Value { tag: "EXT-X-MEDIA-SEQUENCE" }),
        ("#EXT-X-TARGETDURATION:86400", Error::Value { tag: "EXT-X-TARGETDURATION" }),
    ] {
        assert_eq!(parse(&with(line)), Err(error), "{line}");
    }
    for uri in [
        "cam-0.ts?hls_ctx=1",
        "/live/cam-0.ts",
        "../cam-0.ts",
        "cam-../0.ts",
        "cam-0.exe",
        "other-0.ts",
        "cam-.ts",
        "cam-0%2e.ts",
        "http://h/cam-0.ts",
    ] {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{uri}\n");
        assert_eq!(parse(&text), Err(Error::Name), "{uri}");
    }
    for inf in ["x", "-1", "1e9", "nan", "601", "2.0000000000001", ""] {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:{inf},\ncam-0.ts\n");
        assert_eq!(parse(&text), Err(Error::Value { tag: "EXTINF" }), "{inf}");
    }
    assert_eq!(parse("#EXTM3U\n#EXT-X-TARGETDURATION:2\ncam-0.ts\n"), Err(Error::Value { tag: "EXTINF" }));
    assert_eq!(parse("#EXTM3U\n"), Err(Error::Value { tag: "EXT-X-TARGETDURATION" }));
    assert_eq!(parse("<html>"), Err(Error::NotPlaylist));
    assert_eq!(Playlist::parse(&[0xff, 0xfe], &cam()), Err(Error::NotPlaylist));
    let long = " ".repeat(PLAYLIST_BYTES_MAX + 1);
    assert_eq!(parse(&long), Err(Error::TooLong { got: PLAYLIST_BYTES_MAX + 1 }));
    let many = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{}", "#EXTINF:2,\ncam-0.ts\n".repeat(513));
    assert_eq!(parse(&many), Err(Error::TooMany { what: "segments" }));
    let tags = with(&"#EXT-X-NEW\n".repeat(17));
    assert_eq!(parse(&tags), Err(Error::TooMany { what: "tags" }));
}

#[test]
fn a_segment_has_one_name() {
    let name = SegmentName::parse("cam-1_x.12.17.ts").unwrap();
    assert_eq!((name.stream.as_str(), name.epoch, name.rest.number()), ("cam-1_x", 12, Some(17)));
    assert_eq!(name.rest.at_node(&name.stream), "cam-1_x-17.ts");
    assert_eq!(name.to_string(), "cam-1_x.12.17.ts");
    for bad in [
        "",
        ".",
        "..",
        "cam",
        "cam.ts",
        "cam-17.ts",
        "cam.1.ts",
        "cam.01.17.ts",
        "cam.+1.17.ts",
        "cam.1.17.mp3",
        "cam.1.1.7.ts",
        "cam.1..ts",
        "cam.1.%2e%2e.ts",
        "cam.1.a/b.ts",
        ".1.17.ts",
        "cam.18446744073709551616.1.ts",
        "cam.1.17.ts ",
    ] {
        assert_eq!(SegmentName::parse(bad), None, "{bad}");
    }
}

#[test]
fn numbers_only_grow_and_stay_within_what_browsers_count() {
    assert!(media_sequence(3, 0).unwrap() > media_sequence(2, (1 << 26) - 1).unwrap());
    assert_eq!(media_sequence(1, 1 << 26), None);
    assert!(media_sequence((1 << 27) - 1, (1 << 26) - 1).unwrap() < 1 << 53);
    assert_eq!(media_sequence(u64::MAX, 0), None);
}

#[test]
fn the_first_playlist_names_the_viewers_own() {
    let text = master(&cam(), "VALUE", 1_000);
    assert_eq!(text, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=1000\ncam.m3u8?v=VALUE\n");
    assert_eq!(parse(&text), Err(Error::Multivariant));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text: String, age in 0_u64..100_000, stale in proptest::option::of(0_u64..100)) {
        let stream = cam();
        if let Ok(list) = parse(&text) {
            let view = View { stale_upto: stale, ..view(&stream, age) };
            if let Some(from) = list.begins_at(&view) {
                drop(list.render(&view, from));
            }
        }
    }

    /// Lines of playlists in any order: what is taken renders to what is taken again, with the same segments.
    #[test]
    fn what_is_written_reads_back(
        lines in proptest::collection::vec(prop_oneof![
            Just("#EXT-X-DISCONTINUITY".to_owned()), Just("#EXT-X-VERSION:6".to_owned()), Just("#EXT-X-ENDLIST".to_owned()),
            Just("#EXT-X-UNKNOWN:a,b=\"c\"".to_owned()), Just("# remark".to_owned()), Just(String::new()),
            (0_u64..70_000_000).prop_map(|n| format!("#EXT-X-MEDIA-SEQUENCE:{n}")),
            (0_u64..3).prop_map(|n| format!("#EXT-X-MAP:URI=\"cam-init{n}.mp4\"")),
            (0_u64..700, 0_u64..1000, 0_u64..50).prop_map(|(s, ms, n)| format!("#EXTINF:{s}.{ms:03},\ncam-{n}.ts")),
        ], 0..30),
        age in 0_u64..1_000_000,
        stale in proptest::option::of(0_u64..100),
    ) {
        let stream = cam();
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{}\n", lines.join("\n"));
        let Ok(list) = parse(&text) else { return Ok(()) };
        let view = View { stale_upto: stale, ..view(&stream, age) };
        let Some(from) = list.begins_at(&view) else { return Ok(()) };
        prop_assert!(from < list.segments.len());
        let Some(out) = list.render(&view, from) else { return Ok(()) };
        let named: Vec<String> = out.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        let expected: Vec<String> = list.segments[from..].iter().map(|one| format!("cam.2.{}", one.name.as_str())).collect();
        prop_assert_eq!(&named, &expected);
        // Read as a node's, the list is the same but for names and numbers.
        let back = out.replace("cam.2.", "cam-");
        let sequence = list.sequence + from as u64;
        let back = back.replace(&format!("#EXT-X-MEDIA-SEQUENCE:{}", (2 << 26) + sequence), &format!("#EXT-X-MEDIA-SEQUENCE:{sequence}"));
        let again = parse(&back).unwrap();
        prop_assert_eq!(again.sequence, sequence);
        prop_assert_eq!(again.segments.len(), expected.len());
        for (one, other) in again.segments.iter().zip(&list.segments[from..]) {
            prop_assert_eq!((&one.name, one.duration_ms, one.discontinuity, &one.map), (&other.name, other.duration_ms, other.discontinuity, &other.map));
        }
    }

    #[test]
    fn names_read_back_as_they_are_written(text in "[a-z0-9.-]{0,20}") {
        if let Some(name) = SegmentName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }
}
