//! Health, metrics, request ids, CORS, the description of the API.
use crate::helpers::{Test, send, until};
use reqwest::Method;

#[actix_web::test]
async fn health_metrics_and_docs() {
    let test = Test::start().await;
    let control = &test.control;
    control.get("/healthz", None).await.is(200);
    let ready = until("it is ready", async || {
        let answer = control.get("/readyz", None).await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_eq!(ready["sessions"], "ok");
    assert_eq!((&ready["postgres"], &ready["redis"], &ready["secrets"]), (&"ok".into(), &"ok".into(), &"ok".into()));
    control.get("/v1/streams/nosuchstream", None).await.is_problem(404, "stream-not-found");
    control.get("/nowhere", None).await.is_problem(404, "route-not-found");
    let line = "keystone_control_http_requests_total{method=\"GET\",route=\"/v1/streams/{stream}\",status=\"404\"}";
    assert!(control.metric(line).await >= 1.0);
    let unmatched = "keystone_control_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"}";
    assert!(control.metric(unmatched).await >= 1.0);

    let described = control.get("/openapi.json", None).await.is(200).body;
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"), "{}", described["openapi"]);
    assert_eq!(described["servers"][0]["url"], "/api");
    let to = control.get("/docs", None).await;
    assert_eq!(to.status, 200, "reqwest followed to the page");
    let page = control.request(Method::GET, "/docs/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("swagger") && !page.contains("https://"), "{page}");
    let start =
        control.request(Method::GET, "/docs/swagger-initializer.js").send().await.unwrap().text().await.unwrap();
    assert!(start.contains("../openapi.json"), "{start}");
    control.get("/docs/nothing.js", None).await.is_problem(404, "route-not-found");
    test.stop().await;
}

#[actix_web::test]
async fn request_ids_come_back() {
    let test = Test::start().await;
    let own = send(test.control.request(Method::GET, "/healthz").header("x-request-id", "mine-1")).await;
    assert_eq!(own.header("x-request-id"), Some("mine-1"));
    let replaced = send(test.control.request(Method::GET, "/nowhere").header("x-request-id", "not mine")).await;
    assert_eq!(replaced.header("x-request-id").map(str::len), Some(32));
    test.stop().await;
}

#[actix_web::test]
async fn cors_lets_named_origins_in() {
    let test = Test::start_with(&[("CONTROL_API_CORS_ORIGINS", "https://app.example")]).await;
    let preflight = |origin: &'static str| {
        let request = test.control.request(Method::OPTIONS, "/v1/streams").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,content-type,idempotency-key,x-keystone")
    };
    let good = send(preflight("https://app.example")).await.is(200);
    assert_eq!(good.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(good.header("access-control-allow-credentials"), Some("true"));
    let bad = send(preflight("https://evil.example")).await;
    assert_eq!(bad.header("access-control-allow-origin"), None);
    let refused = send(test.control.request(Method::GET, "/nowhere").header("origin", "https://app.example")).await;
    refused.is_problem(404, "route-not-found");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example"));
    test.stop().await;
}

#[actix_web::test]
async fn without_cors_settings_a_page_of_our_own_origin_works() {
    let test = Test::start().await;
    let answer = send(test.control.request(Method::GET, "/v1/streams").header("origin", "https://own.example")).await;
    assert_eq!(answer.is(200).header("access-control-allow-origin"), None);
    test.stop().await;
}

#[actix_web::test]
async fn an_open_event_stream_does_not_hold_up_the_stop() {
    let test = Test::start().await;
    let ann = test.control.user("ann").await;
    let request = crate::helpers::signed(test.control.request(Method::GET, "/v1/events"), Some(&ann));
    let mut events = request.send().await.unwrap();
    assert!(events.chunk().await.unwrap().is_some());
    let began = std::time::Instant::now();
    test.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}
