//! HLS through the edge: what players get, what it costs the node, and what happens when a stream moves or ends.

use super::helpers::{World, header, refused, until};
use futures_util::{StreamExt as _, stream};
use proto::{StreamId, session::Protocol};
use reqwest::{Method, Response};
use std::time::Duration;

/// A playlist taken apart.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) text: String,
    pub(crate) uris: Vec<String>,
}

impl List {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        let uris = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        Self { text, uris }
    }

    pub(crate) fn number(&self, tag: &str) -> u64 {
        let line = self.text.lines().find_map(|line| line.strip_prefix(tag)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{tag} is missing: {}", self.text)).parse().unwrap()
    }
}

impl World {
    /// A live stream `cam` on the first node, with segments 3 to 5.
    pub(crate) async fn with_segments(nodes: usize, settings: &[(&str, &str)]) -> Self {
        let world = Self::with(nodes, settings).await;
        world.node().segments("cam", 3, 3);
        world.truth.live_on(world.node(), "cam", 1);
        world
    }

    pub(crate) async fn get(&self, edge: usize, path: &str) -> Response {
        self.http.get(self.at(edge, path)).send().await.unwrap()
    }

    /// The first playlist's only entry: a path with a viewer's value.
    pub(crate) async fn viewer(&self, edge: usize, query: &str) -> String {
        let master = List::of(self.get(edge, &format!("/live/cam.m3u8{query}")).await).await;
        assert_eq!(master.uris.len(), 1, "{}", master.text);
        format!("/live/{}", master.uris[0])
    }
}

#[actix_web::test]
async fn a_player_finds_its_way_from_the_first_playlist_to_a_segment() {
    let world = World::with_segments(1, &[]).await;
    for folder in ["live", "hls"] {
        let first = world.get(0, &format!("/{folder}/cam.m3u8")).await;
        assert_eq!(header(&first, "content-type"), "application/vnd.apple.mpegurl");
        assert_eq!(header(&first, "cache-control"), "no-store");
        assert_eq!(header(&first, "access-control-allow-origin"), "*");
        let first = List::of(first).await;
        let own = world.get(0, &format!("/{folder}/{}", first.uris[0])).await;
        assert_eq!(header(&own, "cache-control"), "private, max-age=1");
        let own = List::of(own).await;
        assert_eq!(own.uris, ["cam.1.3.ts", "cam.1.4.ts", "cam.1.5.ts"]);
        assert_eq!(own.number("#EXT-X-MEDIA-SEQUENCE"), (1 << 26) + 3);
        let segment = world.get(0, &format!("/{folder}/{}", own.uris[1])).await;
        assert_eq!(header(&segment, "content-type"), "video/mp2t");
        assert_eq!(header(&segment, "cache-control"), "public, max-age=3600, immutable");
        assert_eq!(segment.text().await.unwrap(), "n0 cam-4.ts");
    }
}

#[actix_web::test]
async fn heads_ranges_and_tags_are_as_http_has_them() {
    let world = World::with_segments(1, &[]).await;
    let path = "/live/cam.1.3.ts";
    let whole = world.get(0, path).await;
    let tag = header(&whole, "etag");
    assert_eq!(whole.text().await.unwrap(), "n0 cam-3.ts");
    let ask = |method: Method, name: &'static str, value: String| {
        world.request(method, &world.url(path)).header(name, value).send()
    };
    let head = ask(Method::HEAD, "accept", "*/*".into()).await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length"), header(&head, "etag")),
        (200, "11".into(), tag.clone())
    );
    assert_eq!(head.text().await.unwrap(), "");
    let same = ask(Method::GET, "if-none-match", tag.clone()).await.unwrap();
    assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, tag.clone()));
    let part = ask(Method::GET, "range", "bytes=3-5".into()).await.unwrap();
    assert_eq!((part.status().as_u16(), header(&part, "content-range")), (206, "bytes 3-5/11".into()));
    assert_eq!(part.text().await.unwrap(), "cam");
    let beyond = ask(Method::GET, "range", "bytes=11-".into()).await.unwrap();
    assert_eq!((beyond.status().as_u16(), header(&beyond, "content-range")), (416, "bytes */11".into()));
    let post = world.request(Method::POST, &world.url(path)).send().await.unwrap();
    assert_eq!(header(&post, "allow"), "GET, HEAD, OPTIONS");
    refused(post, 405, "method-not-allowed").await;
    assert_eq!(world.node().fetched("cam-3.ts"), 1, "whatever was asked of it");

    let own = world.viewer(0, "").await;
    let list = world.get(0, &own).await;
    let same = world
        .request(Method::GET, &world.url(&own))
        .header("if-none-match", header(&list, "etag"))
        .send()
        .await
        .unwrap();
    assert_eq!(same.status(), 304);
    let head = world.request(Method::HEAD, &world.url(&own)).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), list.text().await.unwrap().len().to_string());
}

#[actix_web::test]
async fn a_thousand_viewers_cost_the_node_one_fetch_a_segment() {
    const VIEWERS: usize = 1_000;
    let world = World::with_segments(1, &[("EDGE_RATE_LIMIT", "off")]).await;
    List::of(world.get(0, &world.viewer(0, "").await).await).await;
    // Long enough that all of them are there before the first has its answer.
    world.node().slow_files(Duration::from_millis(300));
    let watch = async || {
        let own = world.viewer(0, "").await;
        let list = List::of(world.get(0, &own).await).await;
        for uri in &list.uris {
            let answer = world.get(0, &format!("/live/{uri}")).await;
            assert_eq!(answer.status(), 200);
            assert!(answer.text().await.unwrap().starts_with("n0 cam-"));
        }
    };
    let watched = stream::iter(0..VIEWERS).map(|_| watch()).buffer_unordered(VIEWERS).count().await;
    assert_eq!(watched, VIEWERS);
    for number in 3..6 {
        assert_eq!(world.node().fetched(&format!("cam-{number}.ts")), 1, "segment {number}");
    }
    let playlists = world.node().fetched("cam.m3u8");
    assert!(playlists < 100, "{playlists} fetches of the playlist, by the second and not by the viewer");
    until("all are told", || async {
        world.truth.told().iter().map(|told| told.opened.len()).sum::<usize>() == VIEWERS + 1
    })
    .await;
}

#[actix_web::test]
async fn only_what_a_playlist_named_is_asked_of_the_node() {
    let world = World::with_segments(1, &[]).await;
    world.node().put("secret-0.ts", "another stream's");
    world.node().put("cam-99.ts", "not named");
    List::of(world.get(0, &world.viewer(0, "").await).await).await;
    let before = world.node().seen().len();
    for path in [
        "cam-3.ts",
        "cam.1.99.ts",
        "cam.1.secret-0.ts",
        "cam.01.3.ts",
        "cam.2.3.ts",
        "cam.0.3.ts",
        "cam.1.3.m4s",
        "cam.1.3.ts.ts",
        "cam.1.%2e%2e.ts",
        "cam.1.%2e%2e%2fsecret-0.ts",
        "..%2fcam.1.3.ts",
        "%63am.1.3.ts",
        "cam.1.3;x.ts",
        "cam.1.-3.ts",
    ] {
        let answer = world.get(0, &format!("/live/{path}")).await;
        assert_eq!(answer.status(), 404, "{path}");
    }
    let asked: Vec<String> = world.node().seen()[before..].iter().map(|request| request.path.clone()).collect();
    assert!(asked.iter().all(|path| path == "/live/cam.m3u8"), "{asked:?}");
    assert!(
        world.node().seen().iter().all(|request| request.query.is_empty()),
        "nothing of a client's query gets there"
    );
}

#[actix_web::test]
async fn a_move_is_a_discontinuity_that_all_edges_agree_on() {
    let mut world = World::with_segments(2, &[]).await;
    let other = world.add_edge().await;
    let own = world.viewer(0, "").await;
    let before = List::of(world.get(0, &own).await).await;
    world.nodes[1].segments("cam", 0, 2);
    world.truth.live_on(&world.nodes[1], "cam", 2);
    let seen = async |edge| List::of(world.get(edge, &own).await).await;
    until("both edges follow", || async {
        seen(0).await.uris == ["cam.2.0.ts", "cam.2.1.ts"] && seen(other).await.uris == ["cam.2.0.ts", "cam.2.1.ts"]
    })
    .await;
    let (after, at_other) = (seen(0).await, seen(other).await);
    assert_eq!(after.text, at_other.text);
    for tag in ["#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE"] {
        assert!(after.number(tag) > before.number(tag), "{tag}");
    }
    assert_eq!(world.get(0, "/live/cam.2.0.ts").await.text().await.unwrap(), "n1 cam-0.ts");
    assert_eq!(world.get(0, "/live/cam.1.5.ts").await.text().await.unwrap(), "n0 cam-5.ts", "who is behind may finish");
}

#[actix_web::test]
async fn while_a_new_publish_has_no_segment_the_old_list_stands() {
    let world = World::with_segments(2, &[]).await;
    let own = world.viewer(0, "").await;
    let before = List::of(world.get(0, &own).await).await;
    world.truth.live_on(&world.nodes[1], "cam", 2);
    until("the edge asks the new node", || async {
        let list = List::of(world.get(0, &own).await).await;
        assert_eq!(list.text, before.text);
        world.nodes[1].fetched("cam.m3u8") > 0
    })
    .await;
    world.nodes[1].segments("cam", 0, 1);
    until("the new list is there", || async { List::of(world.get(0, &own).await).await.uris == ["cam.2.0.ts"] }).await;
}

#[actix_web::test]
async fn a_playlist_that_a_node_still_has_is_not_found_once_nobody_publishes() {
    let world = World::with_segments(1, &[]).await;
    let own = world.viewer(0, "").await;
    List::of(world.get(0, &own).await).await;
    world.truth.ended("cam", 1);
    until("the edge has heard", || async { world.get(0, &own).await.status() == 404 }).await;
    let answer = world.get(0, &own).await;
    assert_eq!(header(&answer, "retry-after"), "2");
    refused(answer, 404, "stream-not-live").await;
    refused(world.get(0, "/live/cam.m3u8").await, 404, "stream-not-live").await;
    refused(world.get(0, "/live/nobody.m3u8").await, 404, "stream-unknown").await;
}

#[actix_web::test]
async fn the_first_segment_of_a_stream_is_waited_for() {
    let world = World::start().await;
    world.truth.live_on(world.node(), "cam", 1);
    let (own, ()) = tokio::join!(world.viewer(0, ""), async {
        until("the edge waits", || async { world.node().fetched("cam.m3u8") > 1 }).await;
        world.node().segments("cam", 0, 1);
    });
    assert_eq!(List::of(world.get(0, &own).await).await.uris, ["cam.1.0.ts"]);
}

#[actix_web::test]
async fn a_node_that_is_set_up_otherwise_or_gone_is_no_fault_of_the_viewers() {
    let world = World::with_segments(1, &[]).await;
    world.node().put("cam.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/live/cam.m3u8?hls_ctx=40l58011");
    refused(world.get(0, "/live/cam.m3u8").await, 502, "upstream-refused").await;
    world.node().put("cam.m3u8", vec![b'#'; 65 * 1024]);
    refused(world.get(0, "/live/cam.m3u8").await, 502, "upstream-refused").await;
    let killed = World::with_segments(1, &[]).await;
    killed.node().kill().await;
    refused(killed.get(0, "/live/cam.m3u8").await, 503, "node-unavailable").await;
}

#[actix_web::test]
async fn a_node_that_does_not_answer_for_a_moment_costs_nobody_the_list() {
    let world = World::with_segments(1, &[]).await;
    let own = world.viewer(0, "").await;
    let before = List::of(world.get(0, &own).await).await;
    world.node().kill().await;
    let fetches = || world.metric("keystone_edge_hls_fetches_total{file=\"playlist\",outcome=\"failed\"}");
    until("the node was asked in vain", || async {
        assert_eq!(List::of(world.get(0, &own).await).await.text, before.text);
        fetches().await.is_some_and(|failed| failed > 0)
    })
    .await;
}

#[actix_web::test]
async fn viewers_are_sessions_and_their_bytes_are_told() {
    let world = World::with_segments(1, &[]).await;
    let own = world.viewer(0, "").await;
    let list = List::of(world.get(0, &own).await).await;
    let mut bytes = list.text.len();
    for uri in &list.uris {
        bytes += world.get(0, &format!("/live/{uri}")).await.bytes().await.unwrap().len();
    }
    until("it is told", || async { world.truth.told().iter().any(|told| !told.opened.is_empty()) }).await;
    let told = world.truth.told().into_iter().find(|told| !told.opened.is_empty()).unwrap();
    let session = &told.opened[0];
    assert_eq!(
        (session.stream.clone(), session.protocol, session.epoch),
        (StreamId::parse("cam").unwrap(), Protocol::Hls, 1)
    );
    assert_eq!(session.node, world.node().node);
    let key = proto::keys::traffic(&told.edge);
    until("its bytes are in Redis", || async {
        world.truth.redis(&["HGET", &key, &session.id.to_string()]).contains(&format!("0 {bytes} "))
    })
    .await;
}
