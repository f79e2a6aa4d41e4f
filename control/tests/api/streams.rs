//! Streams, their keys and their addresses.
use crate::helpers::{Test, send, signed};
use proto::{
    api::{NewStream, Stream},
    keys,
    secret::ClusterSecret,
    stream_key::StreamKey,
};
use reqwest::Method;
use serde_json::{Value, json};

#[actix_web::test]
async fn create_show_change_delete() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, bob) = (control.user("ann").await, control.user("bob").await);
    let made = control.stream(&ann, "private").await;
    let id = made.stream.id.clone();
    let path = format!("/v1/streams/{id}");
    assert_eq!(id.as_str().len(), 12);
    assert!(control.state.kv.json::<proto::fleet::StreamCache>(&keys::stream(&id)).await.unwrap().is_some());

    control.get(&path, Some(&ann)).await.is(200);
    control.get(&path, Some(&bob)).await.is_problem(404, "stream-not-found");
    control.get(&path, None).await.is_problem(404, "stream-not-found");
    control.patch(&path, Some(&bob), json!({ "title": "x" })).await.is_problem(404, "stream-not-found");
    control.delete(&path, None).await.is_problem(401, "unauthenticated");

    let changed = control.patch(&path, Some(&ann), json!({ "visibility": "unlisted" })).await.is(200);
    let changed: Stream = changed.read();
    assert_eq!((changed.title.as_str(), changed.visibility.as_str()), ("A stream", "unlisted"));
    control.get(&path, None).await.is(200);
    control.patch(&path, Some(&bob), json!({ "title": "x" })).await.is_problem(403, "forbidden");
    let cached: proto::fleet::StreamCache = control.state.kv.json(&keys::stream(&id)).await.unwrap().unwrap();
    assert_eq!(cached.visibility.as_str(), "unlisted");

    control.delete(&path, Some(&ann)).await.is(204);
    control.delete(&path, Some(&ann)).await.is_problem(404, "stream-not-found");
    control.get(&path, Some(&ann)).await.is_problem(404, "stream-not-found");
    assert!(control.state.kv.one(kit::kv::Cmd::get(&keys::stream(&id))).await.unwrap().is_nil());
    test.stop().await;
}

#[actix_web::test]
async fn bad_names_and_bodies_are_refused() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    for name in ["a.b", "a%2Eb", "a%2Fb", "%20", "..%2f", "a;b", "ä", &"x".repeat(65)] {
        control.get(&format!("/v1/streams/{name}"), Some(&ann)).await.is_problem(404, "stream-not-found");
    }
    let cases = [
        (json!({}), 400, "title"),
        (json!({ "title": "x", "colour": 1 }), 400, "colour"),
        (json!({ "title": "x", "visibility": "secret" }), 400, "visibility"),
        (json!({ "title": "" }), 422, "title"),
        (json!({ "title": "x".repeat(121) }), 422, "title"),
    ];
    for (body, status, field) in cases {
        let answer = control.post("/v1/streams", Some(&ann), body).await.is(status);
        assert_eq!(answer.body["field"], field, "{answer:?}");
    }
    let post = || signed(control.request(Method::POST, "/v1/streams"), Some(&ann));
    send(post().body("title=x")).await.is_problem(415, "media-type");
    send(post().header("content-type", "application/json").body("{")).await.is_problem(400, "bad-request");
    let huge = json!({ "title": "x".repeat(20_000) });
    send(post().json(&huge)).await.is_problem(413, "body-too-large");
    let wrong = control.request(Method::PUT, "/v1/streams");
    let answer = send(wrong).await;
    answer.is_problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET, POST"));
    test.stop().await;
}

#[actix_web::test]
async fn lists_have_pages() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, root) = (control.user("ann").await, control.admin("root").await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, control.stream(&ann, "private").await.stream.id.to_string());
    }
    let mut found = Vec::new();
    let mut path = "/v1/streams?owner=me&limit=2".to_owned();
    loop {
        let page = control.get(&path, Some(&ann)).await.is(200).body;
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/streams?owner=me&limit=2&cursor={cursor}");
    }
    assert_eq!(found, ids);
    assert_eq!(control.get("/v1/streams", None).await.is(200).body["items"], json!([]), "nobody is live");
    control.get("/v1/streams?owner=me", None).await.is_problem(401, "unauthenticated");
    control.get("/v1/streams?owner=all", Some(&ann)).await.is_problem(403, "forbidden");
    let all = control.get("/v1/streams?owner=all", Some(&root)).await.is(200);
    assert_eq!(all.body["items"].as_array().unwrap().len(), 5);
    for bad in ["limit=0", "limit=201"] {
        control.get(&format!("/v1/streams?{bad}"), None).await.is_problem(422, "invalid-value");
    }
    for bad in ["cursor=junk", "limit=x", "owner=bob", "colour=red"] {
        control.get(&format!("/v1/streams?{bad}"), None).await.is_problem(400, "bad-request");
    }
    test.stop().await;
}

#[actix_web::test]
async fn the_directory_shows_live_public_streams() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let public = control.stream(&ann, "public").await.stream.id;
    for visibility in ["public", "unlisted", "private"] {
        let id = if visibility == "public" { public.clone() } else { control.stream(&ann, visibility).await.stream.id };
        test.database.run(&claim(&id.to_string())).await;
    }
    control.stream(&ann, "public").await;
    let page = control.get("/v1/streams", None).await.is(200).body;
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["items"][0]["id"], public.as_str());
    assert_eq!(page["items"][0]["live"]["node"], "n1");
    test.stop().await;
}

fn claim(stream: &str) -> String {
    format!(
        "INSERT INTO claims (stream_id, epoch, state, session_id, node, service, client_id, protocol, credential_kind,
                             credential, broadcast_id)
         VALUES ('{stream}', 1, 'live', gen_random_uuid(), 'n1', 's1', 'c1', 'webrtc', 'open', '', gen_random_uuid())"
    )
}

async fn check_secret(test: &Test) -> Vec<u8> {
    let published: proto::secret::PublishedSecrets = crate::helpers::until("secrets are published", async || {
        test.control.state.kv.json(keys::SECRETS).await.unwrap()
    })
    .await;
    let decoded = ClusterSecret::decode(&published.stream_key).unwrap();
    data_encoding::BASE64URL_NOPAD.decode(decoded.encode().as_bytes()).unwrap()
}

#[actix_web::test]
async fn keys_rotate_with_overlap() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, bob) = (control.user("ann").await, control.user("bob").await);
    let made: NewStream = control.stream(&ann, "public").await;
    let path = format!("/v1/streams/{}:rotate-key", made.stream.id);
    let secret = check_secret(&test).await;
    let first = StreamKey::parse(&made.stream_key, &secret).unwrap();
    assert_eq!(first.stream(), &made.stream.id);

    control.post(&path, Some(&bob), json!({})).await.is_problem(403, "forbidden");
    control.post(&path, Some(&ann), json!({ "overlap_seconds": 604_801 })).await.is_problem(422, "invalid-value");
    let rotated = control.post(&path, Some(&ann), json!({ "overlap_seconds": 600 })).await.is(200).body;
    let second = StreamKey::parse(rotated["stream_key"].as_str().unwrap(), &secret).unwrap();
    let valid = async |key: &StreamKey| {
        let client = control.state.pg.get().await.unwrap();
        control::store::pg::stream_keys::find(&**client, &key.hash()).await.unwrap()
    };
    assert!(valid(&first).await.unwrap().expires_at.is_some() && valid(&second).await.unwrap().expires_at.is_none());
    let cached: proto::fleet::KeyCache =
        control.state.kv.json(&keys::stream_key(&first.hash())).await.unwrap().unwrap();
    assert_eq!(cached.stream, made.stream.id);

    // No body: no overlap, and what was in its overlap ends too.
    send(signed(control.request(Method::POST, &path), Some(&ann))).await.is(200);
    assert!(valid(&first).await.is_none() && valid(&second).await.is_none());
    assert!(control.state.kv.one(kit::kv::Cmd::get(&keys::stream_key(&first.hash()))).await.unwrap().is_nil());
    test.stop().await;
}

#[actix_web::test]
async fn addresses_come_from_settings_or_from_the_request() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, bob) = (control.user("ann").await, control.user("bob").await);
    let id = control.stream(&ann, "public").await.stream.id;
    let ingest = format!("/v1/streams/{id}/ingest");
    let playback = format!("/v1/streams/{id}/playback");
    let request = signed(control.request(Method::GET, &ingest), Some(&ann));
    let proxied = request.header("x-forwarded-proto", "https").header("x-forwarded-host", "live.example.org");
    let urls = send(proxied).await.is(200).body;
    assert_eq!(urls["whip"], format!("https://live.example.org/rtc/v1/whip/{id}"));
    assert_eq!(urls["rtmp_server"], "rtmp://live.example.org:1935/live");
    assert_eq!(urls["rtmp_stream_key"], format!("{id}?token={{key}}"));
    let srt = format!("srt://live.example.org:10080?streamid=%23!::r=live/{id},m=publish,token={{key}}");
    assert_eq!(urls["srt"], srt);
    control.get(&ingest, Some(&bob)).await.is_problem(403, "forbidden");
    control.get(&ingest, None).await.is_problem(401, "unauthenticated");

    let set = [
        ("EDGE_BASE_URL", "https://edge.example"),
        ("HLS_BASE_URL", "https://cdn.example/x"),
        ("RTMP_BASE_URL", "rtmps://r.example"),
    ];
    let other = test.another(&set).await;
    let urls: Value = other.get(&playback, None).await.is(200).body;
    assert_eq!(urls["whep"], format!("https://edge.example/rtc/v1/whep/{id}"));
    assert_eq!(urls["hls"], format!("https://cdn.example/x/live/{id}.m3u8"));
    assert_eq!(urls["http_flv"], format!("https://cdn.example/x/live/{id}.flv"));
    let urls = other.get(&ingest, Some(&ann)).await.is(200).body;
    assert_eq!(urls["rtmp_server"], "rtmps://r.example/live");
    assert_eq!(urls["srt"].as_str().unwrap().split('?').next(), Some("srt://edge.example:10080"));
    other.stop().await;
    test.stop().await;
}
