//! What browsers need: preflights, exposed headers, OPTIONS.

use super::helpers::{FRAGMENT, SDP, World, header, sdp::fixture};
use reqwest::{Method, Response};

async fn preflight(world: &World, url: &str, method: &str, headers: &str) -> Response {
    let request = world.request(Method::OPTIONS, url).header("Origin", "https://page.example");
    let request =
        request.header("Access-Control-Request-Method", method).header("Access-Control-Request-Headers", headers);
    request.send().await.unwrap()
}

fn allows(answer: &Response, name: &str, wanted: &[&str]) {
    let list = header(answer, name).to_ascii_lowercase();
    let list: Vec<&str> = list.split(',').map(str::trim).collect();
    for item in wanted {
        assert!(list.contains(&item.to_ascii_lowercase().as_str()), "{name} has no {item}: {list:?}");
    }
}

#[actix_web::test]
async fn w19_preflight_of_a_post_passes() {
    let world = World::start().await;
    for path in
        ["/rtc/v1/whip/cam", "/rtc/v1/whep/cam", "/v1/whip/cam", "/rtc/v1/whip/?app=live&stream=cam", "/rtc/v1/play/"]
    {
        let answer = preflight(&world, &world.url(path), "POST", "authorization,content-type").await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        allows(&answer, "access-control-allow-methods", &["POST", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"]);
        allows(&answer, "access-control-allow-headers", &["Authorization", "Content-Type", "If-Match", "ETag"]);
    }
}

#[actix_web::test]
async fn w20_options_names_what_can_be_posted() {
    let world = World::start().await;
    for path in ["/rtc/v1/whip/cam", "/rtc/v1/whep/cam"] {
        let answer = world.request(Method::OPTIONS, &world.url(path)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "accept-post")), (200, SDP.to_owned()));
        assert_eq!(header(&answer, "link"), "", "a link of another kind breaks clients");
        allows(&answer, "access-control-allow-methods", &["PATCH"]);
        allows(&answer, "access-control-expose-headers", &["Access-Control-Allow-Methods"]);
    }
}

#[actix_web::test]
async fn w21_headers_are_exposed_on_refusals_too() {
    let world = World::start().await;
    let session = world.publish().await.url;
    let post = |url: String| {
        world.request(Method::POST, &url).header("Origin", "https://x").header("Content-Type", SDP).body("x")
    };
    let exposed =
        ["Location", "ETag", "Link", "Retry-After", "WWW-Authenticate", "Accept-Post", "Accept-Patch", "Allow"];
    for (request, status) in [
        (post(world.url("/rtc/v1/whip/cam")), 400),
        (post(world.url("/rtc/v1/whip/cam")).body(fixture("pub.sdp")), 401),
        (post(world.url("/rtc/v1/whep/cam")), 400),
        (post(session), 405),
        (post(world.url("/rtc/v1/nowhere")), 404),
        (post(world.url("/rtc/v1/whip/a.b")), 404),
        (world.request(Method::GET, &world.url("/healthz")), 200),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        allows(&answer, "access-control-expose-headers", &exposed);
    }
    let created = world.request(Method::POST, &world.url("/rtc/v1/whep/cam")).header("Content-Type", SDP);
    let created = created.header("Origin", "https://x").body(fixture("play.sdp")).send().await.unwrap();
    assert_eq!(created.status(), 201);
    assert_eq!(
        created.headers().get_all("access-control-allow-origin").iter().count(),
        1,
        "the node's own are not doubled"
    );
}

#[actix_web::test]
async fn w22_preflight_of_a_session_passes_without_credentials() {
    let world = World::start().await;
    let session = world.publish().await.url;
    for url in [session, world.url("/rtc/v1/sessions/unknown")] {
        for method in ["PATCH", "DELETE", "OPTIONS"] {
            let answer = preflight(&world, &url, method, "authorization,content-type,if-match").await;
            assert_eq!(answer.status(), 200);
            assert_eq!(header(&answer, "accept-patch"), FRAGMENT);
            allows(&answer, "access-control-allow-methods", &["PATCH", "DELETE"]);
            allows(&answer, "access-control-allow-headers", &["If-Match"]);
        }
    }
    let answer = preflight(&world, &world.url("/rtc/v1/whip/a.b"), "POST", "content-type").await;
    assert_eq!(answer.status(), 200, "so that the page may read the 404 that follows");
}

#[actix_web::test]
async fn listed_origins_alone_may_read() {
    let world = World::with(1, &[("EDGE_CORS_ORIGINS", "https://page.example")]).await;
    let asked =
        |origin: &str| world.request(Method::GET, &world.url("/rtc/v1/whep/cam")).header("Origin", origin).send();
    let known = asked("https://page.example").await.unwrap();
    assert_eq!(header(&known, "access-control-allow-origin"), "https://page.example");
    let stranger = asked("https://evil.example").await.unwrap();
    assert_eq!((stranger.status().as_u16(), header(&stranger, "access-control-allow-origin")), (200, String::new()));
    assert_eq!(header(&stranger, "vary"), "Origin");
}
