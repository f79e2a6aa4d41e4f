//! What endpoints and session URLs say to methods other than POST.

use super::helpers::{World, header, refused, sdp::fixture};
use proto::session::Role;
use reqwest::Method;

const WHIP: [&str; 2] = ["/rtc/v1/whip/cam", "/v1/whip/cam"];
const WHEP: [&str; 2] = ["/rtc/v1/whep/cam", "/v1/whep/cam"];

#[actix_web::test]
async fn w01_get_on_the_endpoint_is_2xx_and_empty() {
    let world = World::start().await;
    for path in WHIP {
        let answer = world.request(Method::GET, &world.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(header(&answer, "content-type"), "", "only WHEP names its type");
        assert!(answer.bytes().await.unwrap().is_empty());
    }
}

#[actix_web::test]
async fn w02_get_on_a_live_session_is_2xx_and_empty() {
    let world = World::start().await;
    let session = world.publish().await;
    for bearer in [true, false] {
        let mut get = world.request(Method::GET, &session.url);
        if bearer {
            get = get.bearer_auth(world.token("cam", Role::Publish));
        }
        let answer = get.send().await.unwrap();
        assert_eq!(answer.status(), 204);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
}

#[actix_web::test]
async fn w03_refusals_are_problem_documents_with_an_error_member() {
    let world = World::start().await;
    let answer = world.post("/rtc/v1/whip/cam", &world.token("cam", Role::Publish), "x").await;
    let body = refused(answer, 400, "sdp-malformed").await;
    assert!(!body["error"].as_str().unwrap().is_empty());
}

#[actix_web::test]
async fn w04_head_mirrors_get_and_other_methods_are_405_with_allow() {
    let world = World::start().await;
    let session = world.publish().await.url;
    let form = world.url("/rtc/v1/whip/");
    for (url, head, allow) in [
        (world.url(WHIP[0]), Some(204), "POST, GET, HEAD, OPTIONS"),
        (world.url(WHEP[0]), Some(200), "POST, GET, HEAD, OPTIONS"),
        (session, Some(204), "GET, HEAD, PATCH, DELETE, OPTIONS"),
        (form, None, "POST, OPTIONS"),
    ] {
        let answer = world.request(Method::HEAD, &url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), head.unwrap_or(405), "HEAD {url}");
        let answer = world.request(Method::PUT, &url).body("x").send().await.unwrap();
        assert_eq!(header(&answer, "allow"), allow, "PUT {url}");
        refused(answer, 405, "method-not-allowed").await;
        let answer = world.request(Method::from_bytes(b"FROBNICATE").unwrap(), &url).send().await.unwrap();
        assert_eq!(answer.status(), 405, "FROBNICATE {url}");
    }
    assert_eq!(world.node().posts().len(), 1, "only the POST reached the node");
}

#[actix_web::test]
async fn p01_get_on_endpoint_and_session_is_2xx_and_empty() {
    let world = World::start().await;
    world.publish().await;
    let session = world.play().await;
    for (url, status) in [(world.url(WHEP[0]), 200), (world.url(WHEP[1]), 200), (session.url, 204)] {
        let answer = world.request(Method::GET, &url).send().await.unwrap();
        assert_eq!(answer.status(), status, "{url}");
        assert!(answer.bytes().await.unwrap().is_empty());
    }
}

#[actix_web::test]
async fn p02_head_on_the_endpoint_names_the_type_with_the_headers_of_get() {
    let world = World::start().await;
    let names = |answer: &reqwest::Response| {
        let mut names: Vec<String> = answer.headers().keys().map(|k| k.as_str().to_owned()).collect();
        names.sort();
        names
    };
    let head = world.request(Method::HEAD, &world.url(WHEP[0])).send().await.unwrap();
    let get = world.request(Method::GET, &world.url(WHEP[0])).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-type")), (200, "application/sdp".to_owned()));
    assert_eq!(names(&head), names(&get));
}

#[actix_web::test]
async fn w56_a_session_is_never_renegotiated() {
    let world = World::start().await;
    let session = world.publish().await;
    let post = world.request(Method::POST, &session.url).header("Content-Type", "application/sdp");
    refused(post.body(fixture("pub.sdp")).send().await.unwrap(), 405, "method-not-allowed").await;
    let patch = world.patch(&session.url, "application/sdp", Some(&session.etag), fixture("pub.sdp")).await;
    assert_eq!(header(&patch, "accept-patch"), "application/trickle-ice-sdpfrag");
    refused(patch, 415, "content-type").await;
    assert_eq!(world.node().posts().len(), 1);
}

#[actix_web::test]
async fn names_that_cannot_exist_are_404_on_every_method() {
    let world = World::start().await;
    for name in ["a.b", "%63am", "cam%20", "a%2Fb", "..", "a;b", "a,b", "cam%00", &"x".repeat(65)] {
        for kind in ["whip", "whep"] {
            let path = format!("/rtc/v1/{kind}/{name}");
            let request = format!("GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n");
            let answer = super::helpers::wire::send_raw(world.port(), request.as_bytes()).await.unwrap();
            assert_eq!(answer.status, 404, "GET {path}");
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx"
            );
            let answer = super::helpers::wire::send_raw(world.port(), request.as_bytes()).await.unwrap();
            assert_eq!(answer.status, 404, "POST {path}");
        }
    }
    assert!(world.node().posts().is_empty());
}

#[actix_web::test]
async fn unknown_paths_are_problems_with_the_headers_of_every_answer() {
    let world = World::start().await;
    for path in ["/", "/rtc", "/rtc/v1/whip/a/b", "/rtc/v1/sessions/", "/rtc/v1/whap/cam"] {
        let answer = world.request(Method::GET, &world.url(path)).send().await.unwrap();
        assert!(header(&answer, "x-keystone-edge").starts_with("edge-"), "{path}");
        assert_eq!(header(&answer, "x-request-id").len(), 36, "{path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), "*", "{path}");
        refused(answer, 404, "not-found").await;
    }
}

#[actix_web::test]
async fn every_route_stands_with_and_without_the_prefix() {
    let world = World::start().await;
    let resources = ["whip/cam", "whep/cam", "sessions/x", "whip", "whip/", "whep", "whep/", "whip-play", "whip-play/"];
    for rest in resources.into_iter().chain(["publish", "publish/", "play", "play/"]) {
        for prefix in ["/rtc/v1/", "/v1/"] {
            let url = world.url(&format!("{prefix}{rest}"));
            let options = world.request(Method::OPTIONS, &url).send().await.unwrap();
            assert_eq!(options.status(), 200, "{url}");
            // What `OPTIONS` allows is served, what it does not allow is 405.
            let allowed = header(&options, "allow");
            for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let status = world.request(method.clone(), &url).send().await.unwrap().status().as_u16();
                let listed = allowed.split(", ").any(|name| name == method.as_str());
                assert_eq!(status != 405, listed, "{method} {url}: {status}, but Allow: {allowed}");
            }
        }
    }
}
