//! `/healthz`, `/readyz`, `/metrics`.

use super::helpers::{World, header, until};
use reqwest::Method;
use serde_json::Value;

#[actix_web::test]
async fn every_dependency_is_named_and_liveness_depends_on_none() {
    let mut world = World::start().await;
    let ready: Value = world.request(Method::GET, &world.url("/readyz")).send().await.unwrap().json().await.unwrap();
    assert_eq!(ready["ready"], true);
    let names: Vec<&str> =
        ready["dependencies"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"redis") && names.len() >= 3, "{names:?}");
    world.redis.kill();
    let status = |path: &'static str| {
        let request = world.request(Method::GET, &world.url(path));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    until("readiness falls", || async { status("/readyz").await == 503 }).await;
    assert_eq!(status("/healthz").await, 200);
    // What an orchestrator asks: an edge goes on without Redis.
    assert_eq!(status("/readyz?only=edge,secrets").await, 200);
    assert_eq!(status("/readyz?only=edge,redis").await, 503);
    assert_eq!(status("/readyz?only=edge,rediss").await, 400);
}

#[actix_web::test]
async fn metrics_have_no_stream_token_or_handle_in_them() {
    let world = World::start().await;
    let session = world.publish().await;
    world.request(Method::GET, &session.url).send().await.unwrap();
    let answer = world.request(Method::GET, &world.url("/metrics")).send().await.unwrap();
    assert!(header(&answer, "content-type").starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("keystone_edge_http_requests_total{method=\"POST\",route=\"whip\",status=\"201\"} 1"),
        "{text}"
    );
    assert!(text.contains("route=\"session\""));
    assert!(!text.contains(session.url.rsplit('/').next().unwrap()) && !text.contains("\"cam\""));
}

#[actix_web::test]
async fn metrics_are_not_there_for_strangers() {
    let world = World::with(1, &[("EDGE_METRICS_FROM", "10.0.0.0/8")]).await;
    let status = async |forwarded: Option<&str>| {
        let mut request = world.request(Method::GET, &world.url("/metrics"));
        if let Some(address) = forwarded {
            request = request.header("x-forwarded-for", address);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(None).await, 404, "from loopback, which is not listed");
    // Loopback is a trusted proxy, so its word for the client counts.
    assert_eq!((status(Some("10.1.2.3")).await, status(Some("203.0.113.9")).await), (200, 404));
}
