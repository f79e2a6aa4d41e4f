//! Everything that was captured from a real SRS reads as what it is. `vectors/srs/README.md` says where it comes from.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its vectors has nothing to say")]
use proto::{
    StreamId,
    session::Protocol,
    srs::{
        api::{CODE_CLIENT_NOT_FOUND, Clients, Head, Streams, Versions},
        heartbeat::{Heartbeat, SummaryData},
        hook::{Action, Hook, HookError},
    },
};
use serde_json::Value;
use std::{fs, path::PathBuf};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/srs").join(name)
}

fn files(name: &str) -> Vec<(String, Value)> {
    let mut all: Vec<_> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!all.is_empty());
    all
}

fn hook(name: &str) -> Hook {
    serde_json::from_str(&fs::read_to_string(folder("hooks").join(name)).unwrap()).unwrap()
}

/// An API answer, out of its wrapping if it has one.
fn answer(value: Value) -> Value {
    if value.get("request").is_some() { value["body"].clone() } else { value }
}

#[test]
fn every_hook_body_reads_and_names_its_origin() {
    for (name, value) in files("hooks") {
        let hook: Hook = serde_json::from_value(value).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (node, service, _) = hook.origin().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((node.as_str(), service.as_str()), ("node-a", "9j51a805"), "{name}");
        let words: Vec<_> = name.split('.').collect();
        assert_eq!(hook.action.as_str(), words[1], "{name}");
        let wanted = match (words[0], hook.action) {
            (_, Action::OnClose) => continue,
            ("whip" | "whep" | "rtc-legacy", _) => Protocol::Webrtc,
            ("srt", _) => Protocol::Srt,
            ("hls", _) => Protocol::Hls,
            ("flv", Action::OnPlay) => Protocol::HttpFlv,
            ("flv" | "rtmp", _) => Protocol::Rtmp,
            (other, _) => panic!("{other} is new"),
        };
        assert_eq!(hook.protocol(), wanted, "{name}");
        let stream = hook.stream().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!stream.as_str().contains('.'), "{name}");
    }
}

#[test]
fn tokens_are_found_in_every_shape_of_param() {
    for (file, name, token) in [
        ("rtmp.on_publish.json", "token", "T1"),
        ("rtmp.on_publish.token-in-tcurl.json", "token", "TC2"),
        ("srt.on_publish.json", "token", "ST1"),
        ("srt.on_publish.no-host.json", "token", "ST2"),
        ("whip.on_publish.json", "token", "WT1"),
        ("whep.on_play.json", "token", "WP1"),
        ("rtc-legacy.on_publish.json", "token", "LT"),
        ("hls.on_play.json", "token", "A"),
        ("flv.on_play.json", "ftoken", "F1"),
    ] {
        assert_eq!(hook(file).param().get(name), Some(token), "{file}");
    }
}

#[test]
fn what_a_body_may_leave_out_is_left_out_somewhere() {
    assert_eq!(hook("whip.on_unpublish.no-stream_id.json").stream_id, None);
    assert_eq!(hook("rtmp.on_close.json").stream, "");
    assert_eq!(hook("rtmp.on_close.json").recv_bytes, Some(378_229));
    assert!(hook("rtmp.on_forward.json").stream_url.is_empty());
}

#[test]
fn a_hook_may_call_its_node_server_as_heartbeats_do() {
    let body = r#"{"action":"on_close","client_id":"c1","server":"node-a","service":"run1"}"#;
    let hook: Hook = serde_json::from_str(body).unwrap();
    assert_eq!(hook.origin().unwrap().0.as_str(), "node-a");
}

#[test]
fn whole_runs_read_and_streams_that_alias_are_told_apart() {
    for (name, value) in files("logs") {
        for body in value.as_array().unwrap() {
            let hook: Hook = serde_json::from_value(body.clone()).unwrap_or_else(|e| panic!("{name}: {e}: {body}"));
            hook.origin().unwrap_or_else(|e| panic!("{name}: {e}"));
            if hook.action == Action::OnClose {
                continue;
            }
            match hook.stream() {
                Ok(stream) => {
                    assert!(hook.stream_url.is_empty() || hook.stream_url == format!("/live/{stream}"), "{name}")
                }
                Err(HookError::App) => assert_ne!(hook.app, "live", "{name}"),
                Err(error) => {
                    let odd = hook.stream.len() > StreamId::LEN_MAX || hook.stream.contains(['/', '.', '%']);
                    assert!(odd, "{name}: {error}: {body}");
                }
            }
        }
    }
}

#[test]
fn every_api_answer_has_a_head() {
    for (name, value) in files("api") {
        let body = answer(value);
        if body.get("code").is_some() {
            let head: Head = serde_json::from_value(body).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!([0, 2048, CODE_CLIENT_NOT_FOUND].contains(&head.code), "{name}: {}", head.code);
        }
    }
}

#[test]
fn streams_and_clients_are_read_whole() {
    for (name, value) in files("api") {
        let body = answer(value);
        if body.get("streams").is_some_and(Value::is_array) {
            let streams: Streams = serde_json::from_value(body.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(streams.streams.len(), body["streams"].as_array().unwrap().len());
            assert!(streams.streams.iter().all(|s| s.url.starts_with('/')), "{name}");
        }
        if body.get("clients").is_some_and(Value::is_array) {
            let clients: Clients = serde_json::from_value(body.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(clients.clients.iter().all(|c| !c.id.is_empty() && c.kind.contains('-')), "{name}");
        }
    }
}

#[test]
fn the_figures_in_a_captured_stream_are_the_ones_read() {
    let all = files("api");
    let body = |name: &str| answer(all.iter().find(|(n, _)| n == name).unwrap().1.clone());
    let streams: Streams = serde_json::from_value(body("api_with_webrtc_api_v1_streams_.json")).unwrap();
    let stream = streams.streams.iter().find(|s| s.url == "/live/w1").unwrap();
    assert!(stream.publish.active && stream.publish.cid.is_some() && stream.clients == 2);
    let version: Versions = serde_json::from_value(body("api_api_v1_versions.json")).unwrap();
    assert_eq!(version.data.version, "5.0.216");
    let unknown: Head = serde_json::from_value(body("api_api_v1_clients_nope.json")).unwrap();
    assert_eq!(unknown.code, CODE_CLIENT_NOT_FOUND);
    let summary: SummaryData = serde_json::from_value(body("api_api_v1_summaries.json")["data"].clone()).unwrap();
    assert_eq!(summary.process.version, "5.0.216");
}

#[test]
fn a_heartbeat_tells_node_run_load_and_endpoints() {
    let text = fs::read_to_string(folder("heartbeat-body.json")).unwrap();
    let beat: Heartbeat = serde_json::from_str(&text).unwrap();
    let info = beat.info(5).unwrap();
    assert_eq!((info.id.as_str(), info.service.as_str(), info.version.as_str()), ("node-a", "9j51a805", "5.0.216"));
    assert_eq!((info.memory_kib, info.seen_at_ms), (39_440, 5));
    assert_eq!(info.endpoints["api"], ["127.0.0.1:21985"]);
}
