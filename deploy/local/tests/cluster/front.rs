//! Caddy's part: what it lets in, to whom, and what it says of the client.
use crate::support::{Up, eventually, repository};
use keystone::config::Media;
use reqwest::{Client, StatusCode};
use std::collections::HashSet;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
async fn the_front_lets_in_what_it_should_and_outlives_its_backends() {
    let mut up = Up::start(Media::Builtin).await;
    hooks_and_internals_are_closed(&up).await;
    any_edge_answers(&up).await;
    the_client_address_cannot_be_made_up(&up).await;
    pages_come_from_the_build(&up).await;
    one_of_two_may_be_gone(&mut up).await;
    up.stop().await;
}

/// Sends the path as it is: an HTTP client would tidy it first. Gives the status line and the body.
async fn raw(up: &Up, method: &str, path: &str) -> (String, String) {
    let port = up.cluster.plan().ports.caddy();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// No spelling of a hook's path reaches control-api: it would answer with JSON.
async fn hooks_and_internals_are_closed(up: &Up) {
    let secret = &up.cluster.plan().nodes[0].secret;
    let hook = format!("v1/hooks/srs/node-0/{secret}");
    for path in [
        format!("/api/{hook}"),
        format!("/API/{hook}"),
        format!("/api//{hook}"),
        format!("/api/./{hook}"),
        format!("/api/x/../{hook}"),
        format!("/api/v1/%68ooks/srs/node-0/{secret}"),
        format!("/api/v1%2fhooks/srs/node-0/{secret}"),
        format!("/api/v1/hooks//srs/node-0/{secret}"),
        format!("/api/v1/hooks/heartbeat/node-0/{secret}"),
        "/api/internal/v1/claims".to_owned(),
        "/api/%69nternal/v1/claims".to_owned(),
        "/api//internal/v1/claims".to_owned(),
    ] {
        let (status, body) = raw(up, "POST", &path).await;
        let reached = body.contains("\"code\":0") || status.contains(" 401 ") || status.contains(" 200 ");
        assert!(!reached, "{path}: {status}: {body}");
    }
    // Neither control-api's nor the edges'.
    for path in
        [format!("/api/{hook}"), format!("/{hook}"), format!("/rtc/{hook}"), "/api/api/v1/srs/register".to_owned()]
    {
        let (status, body) = raw(up, "POST", &path).await;
        assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 404 Not Found", ""), "{path}");
    }
}

async fn any_edge_answers(up: &Up) {
    let url = format!("{}/rtc/v1/whip/some-stream", up.cluster.origin());
    let mut seen = HashSet::new();
    for _ in 0..8 {
        let answer = Client::new().request(reqwest::Method::OPTIONS, &url).send().await.unwrap();
        seen.insert(answer.headers()["x-keystone-edge"].to_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), 2, "both edges take their turn: {seen:?}");
}

async fn the_client_address_cannot_be_made_up(up: &Up) {
    let account = up.cluster.admin();
    let body = serde_json::json!({ "email": account.email, "password": account.password });
    let login = Client::new()
        .post(format!("{}/v1/auth/login", account.api))
        .header("X-Forwarded-For", "203.0.113.7")
        .json(&body);
    let answer: serde_json::Value = login.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let audit =
        Client::new().get(format!("{}/v1/audit", account.api)).bearer_auth(answer["access_token"].as_str().unwrap());
    let audit: serde_json::Value = audit.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let last = audit["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "user.login").unwrap();
    assert_eq!(last["ip"], "127.0.0.1");
}

async fn pages_come_from_the_build(up: &Up) {
    if !repository().join("web/dist/index.html").exists() {
        kit::testing::skipped("pages_come_from_the_build", "web/dist is not built: `make web`");
        return;
    }
    for path in ["/", "/watch/some-stream"] {
        let page = reqwest::get(format!("{}{path}", up.cluster.origin())).await.unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        let policy = header(&page, "content-security-policy");
        assert!(policy.contains("script-src 'self';") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert_eq!(header(&page, "cache-control"), "no-cache", "{path}");
        let text = page.text().await.unwrap();
        assert!(text.contains("<div id=\"app\""), "{path}");
        let script = text.split('"').find(|part| part.starts_with("/assets/")).expect("a page has a script").to_owned();
        let script = reqwest::get(format!("{}{script}", up.cluster.origin())).await.unwrap();
        assert_eq!(header(&script, "cache-control"), "public, max-age=31536000, immutable");
    }
    let frame = reqwest::get(format!("{}/embed/some-stream", up.cluster.origin())).await.unwrap();
    assert!(
        header(&frame, "content-security-policy").ends_with("frame-ancestors *"),
        "other sites may frame the player"
    );
    let gone = reqwest::get(format!("{}/assets/gone.js", up.cluster.origin())).await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND, "a script that is gone is no page");
}

fn header(answer: &reqwest::Response, name: &str) -> String {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn one_of_two_may_be_gone(up: &mut Up) {
    let origin = up.cluster.origin();
    for (child, url) in [("edge-0", "rtc/v1/whep/none"), ("control-1", "api/v1/streams")] {
        up.cluster.children().kill(child).await.unwrap();
        for _ in 0..10 {
            let answer = reqwest::get(format!("{origin}/{url}")).await.unwrap();
            assert!(!answer.status().is_server_error(), "{child} is gone: {}", answer.status());
        }
        up.cluster.children().start_again(child).await.unwrap();
    }
    eventually("both edges are known again", async || (up.edges().await.len() >= 2).then_some(())).await;
}
