//! Hooks through the edge: passed on as they are while a control-api answers, decided by tickets while none does.

use super::helpers::{
    World,
    control::{Does, FakeControl, body, ticket, world},
    until,
};
use proto::session::Role;
use std::time::{Duration, Instant};

const YES: &str = r#"{"code":0}"#;

/// Whether a viewer is sent to the node; with nobody live it is not asked.
async fn finds_it_live(world: &World) -> bool {
    let before = world.node().posts().len();
    let status = world.whep("play.sdp").await.status().as_u16();
    assert_ne!(status, 201, "the node here takes no ticket of these tests");
    world.node().posts().len() > before
}

#[actix_web::test]
async fn a_hook_and_its_answer_pass_as_they_are() {
    let control = FakeControl::start(Does::Says(200, r#"{"code":409}"#), Does::HangsUp).await;
    let world = world(&[&control], &[]).await;
    let (status, text) = world.hook("on_publish", "c1", "?token=t").await;
    assert_eq!((status, text.as_str()), (200, r#"{"code":409}"#));
    let seen = control.seen().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/hooks/srs/n0/n0des3cret"));
    assert_eq!(String::from_utf8(seen.body).unwrap(), body("on_publish", "c1", "?token=t"));
    assert_eq!(seen.headers.get("x-forwarded-for").map(String::as_str), Some("127.0.0.1"));
    assert!(!seen.headers.contains_key("x-secret"), "headers stay here");
    control.does(Does::Says(401, r#"{"code":"node-unknown"}"#), Does::HangsUp);
    assert_eq!(world.hook("on_play", "c1", "").await, (401, r#"{"code":"node-unknown"}"#.to_owned()));
    assert_eq!(world.metric(r#"keystone_edge_hooks_total{kind="on_publish",outcome="forwarded"}"#).await, Some(1));
}

#[actix_web::test]
async fn heartbeats_and_registrations_pass_too() {
    let control = FakeControl::good().await;
    let world = world(&[&control], &[]).await;
    assert_eq!(world.post_hook("/v1/hooks/heartbeat/n0/n0des3cret", "{}").await.0, 200);
    let register = world.http.post(world.url("/api/v1/srs/register")).bearer_auth("n0des3cret").body("{}");
    assert_eq!(register.send().await.unwrap().status().as_u16(), 200);
    let seen = control.seen();
    assert_eq!(seen[0].path, "/v1/hooks/heartbeat/n0/n0des3cret");
    assert_eq!(seen[0].headers.get("authorization"), None);
    assert_eq!(seen[1].path, "/api/v1/srs/register");
    assert_eq!(seen[1].headers.get("authorization").map(String::as_str), Some("Bearer n0des3cret"));
    control.goes_away();
    assert_eq!(world.post_hook("/v1/hooks/heartbeat/n0/n0des3cret", "{}").await.0, 503, "nobody heard it");
}

#[actix_web::test]
async fn a_control_api_that_is_silent_or_broken_is_passed_over() {
    let hangs = FakeControl::start(Does::Hangs, Does::Hangs).await;
    let broken = FakeControl::start(Does::Says(503, "{}"), Does::HangsUp).await;
    let (gone, good) = (FakeControl::away().await, FakeControl::good().await);
    let world = world(&[&hangs, &gone, &broken, &good], &[]).await;
    let began = Instant::now();
    assert_eq!(world.code("on_publish", "c1", "?token=t").await, 0);
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    let asked = hangs.seen().len() + gone.seen().len() + broken.seen().len();
    assert_eq!(asked, 3);
    assert_eq!(world.code("on_publish", "c2", "?token=t").await, 0);
    assert_eq!((hangs.seen().len(), good.seen().len()), (1, 2), "the one that answered is asked first");
}

#[actix_web::test]
async fn a_slow_answer_counts_where_the_edge_could_only_say_no() {
    let control = FakeControl::start(Does::Hangs, Does::Hangs).await;
    let world = world(&[&control], &[]).await;
    let began = Instant::now();
    let ticket = format!("?kst={}", ticket(Role::Publish, 1, 1, 30));
    assert_eq!(world.code("on_publish", "c1", &ticket).await, 0);
    assert!(began.elapsed() < Duration::from_secs(2), "a ticket needs nobody: {:?}", began.elapsed());
    let began = Instant::now();
    assert_ne!(world.code("on_publish", "c2", "?token=t").await, 0);
    assert!(began.elapsed() > Duration::from_secs(4), "a takeover takes its time: {:?}", began.elapsed());
}

#[actix_web::test]
async fn with_every_control_api_away_only_a_ticket_lets_in() {
    let (one, two) = (FakeControl::away().await, FakeControl::away().await);
    let world = world(&[&one, &two], &[]).await;
    let of = |role, session| format!("?kst={}", ticket(role, session, 1, 30));
    for param in ["", "?token=t", "?key=sk_cam_x_y", "?kst=AAAA"] {
        assert_ne!(world.code("on_publish", "c0", param).await, 0, "{param}");
        assert_ne!(world.code("on_play", "c0", param).await, 0, "{param}");
    }
    assert_ne!(
        world.code("on_publish", "c0", &format!("?kst={}", ticket(Role::Publish, 9, 1, 0))).await,
        0,
        "too late"
    );
    assert!(!finds_it_live(&world).await);
    assert_eq!(world.code("on_publish", "c1", &of(Role::Publish, 1)).await, 0);
    assert!(finds_it_live(&world).await, "the edge's replica was told");
    assert_ne!(world.code("on_publish", "c2", &of(Role::Publish, 1)).await, 0, "a ticket is its first client's");
    assert_ne!(world.code("on_publish", "c3", &of(Role::Publish, 2)).await, 0, "one publisher a stream");
    assert_eq!(world.code("on_play", "v1", &of(Role::Play, 3)).await, 0);
    for action in ["on_connect", "on_hls", "on_dvr", "on_close", "on_unpublish"] {
        assert_eq!(world.code(action, "stranger", "").await, 0, "{action}");
    }
    assert_eq!(world.hook("on_forward", "c1", "").await.1, r#"{"code":0,"data":{"urls":[]}}"#);
    assert!(finds_it_live(&world).await, "a stranger's end is nobody's");
    assert_eq!(world.code("on_unpublish", "c1", &of(Role::Publish, 1)).await, 0);
    assert!(!finds_it_live(&world).await);
    assert_eq!(world.metric("keystone_edge_hook_journal_entries").await, Some(3));
    two.comes_back();
    until("the journal is handed in", || async { two.journal().len() == 3 }).await;
    let told = |action: &str, client: &str| (action.to_owned(), client.to_owned());
    assert_eq!(two.journal(), [told("on_publish", "c1"), told("on_play", "v1"), told("on_unpublish", "c1")]);
    until("the journal is empty", || async { world.metric("keystone_edge_hook_journal_entries").await == Some(0) })
        .await;
    assert_eq!(world.metric("keystone_edge_hook_journal_handed_in_total").await, Some(3));
}

#[actix_web::test]
async fn other_edges_hear_of_a_stream_that_only_the_journal_knows() {
    let control = FakeControl::away().await;
    let mut world = world(&[&control], &[]).await;
    let second = world.add_edge().await;
    let param = format!("?kst={}", ticket(Role::Publish, 1, 1, 30));
    assert_eq!(world.code("on_publish", "c1", &param).await, 0);
    let play = super::helpers::sdp::fixture("play.sdp");
    until("the other edge sends viewers to the node", || async {
        let request = world.http.post(world.at(second, "/rtc/v1/whep/cam")).header("Content-Type", "application/sdp");
        request.body(play.clone()).send().await.unwrap();
        !world.node().posts().is_empty()
    })
    .await;
}

#[actix_web::test]
async fn strangers_find_no_such_path() {
    let control = FakeControl::good().await;
    let outside = world(&[&control], &[("EDGE_HOOKS_FROM", "10.0.0.0/8, 2001:db8::/32")]).await;
    for path in ["/v1/hooks/srs/n0/n0des3cret", "/v1/hooks/heartbeat/n0/n0des3cret", "/api/v1/srs/register"] {
        assert_eq!(outside.post_hook(path, "{}").await.0, 404, "{path}");
        assert_eq!(outside.http.get(outside.url(path)).send().await.unwrap().status().as_u16(), 404);
    }
    assert_eq!(outside.metric(r#"keystone_edge_hooks_total{kind="heartbeat",outcome="stranger"}"#).await, Some(1));
    let inside = world(&[&control], &[]).await;
    let through = |proxied: &'static str| {
        let request = inside.http.post(inside.url("/v1/hooks/srs/n0/n0des3cret")).header("X-Forwarded-For", proxied);
        async move { request.body("{}").send().await.unwrap().status().as_u16() }
    };
    assert_eq!(through("203.0.113.5").await, 404, "a client of the proxy");
    assert_eq!(through("10.0.0.5").await, 200, "a node behind the proxy");
    for path in ["/v1/hooks/srs/n.0/x", "/v1/hooks/srs/n0/x%2Fy", "/rtc/v1/hooks/srs/n0/x", "/v1/hooks/srs/n0"] {
        assert_eq!(inside.post_hook(path, "{}").await.0, 404, "{path}");
    }
    assert_eq!(inside.http.get(inside.url("/v1/hooks/srs/n0/x")).send().await.unwrap().status().as_u16(), 405);
    assert_eq!(control.seen().len(), 1);
    let distrustful = world(&[&control], &[("TRUSTED_PROXIES", "10.9.9.9")]).await;
    let request = distrustful.http.post(distrustful.url("/v1/hooks/srs/n0/x")).header("X-Forwarded-For", "10.0.0.5");
    assert_eq!(request.body("{}").send().await.unwrap().status().as_u16(), 404, "a proxy that nobody vouches for");
}

#[actix_web::test]
async fn bad_bodies_and_floods_are_bounded() {
    let control = FakeControl::away().await;
    let world = world(&[&control], &[]).await;
    let path = "/v1/hooks/srs/n0/n0des3cret";
    for text in ["", "null", "[]", "{\"action\":\"on_publish\"}", "{\"action\":\"on_dance\",\"client_id\":\"a\"}"] {
        let (status, answer) = world.post_hook(path, text).await;
        assert!(status == 200 && answer != YES, "{text}: {answer}");
    }
    assert_eq!(world.post_hook(path, &"x".repeat(65 * 1024)).await.0, 413);
    let long = format!("?kst={}&x={}", ticket(Role::Publish, 1, 1, 30), "y".repeat(20 * 1024));
    assert_ne!(world.code("on_publish", "c1", &long).await, 0, "too long for the journal");
    let other = body("on_publish", "c1", &format!("?kst={}", ticket(Role::Publish, 1, 1, 30)));
    assert_ne!(world.post_hook("/v1/hooks/srs/n1/n1des3cret", &other).await.1, YES, "under another's name");
    let mut seen = 200;
    for _ in 0..400 {
        seen = world.post_hook("/v1/hooks/heartbeat/n0/n0des3cret", "{}").await.0;
        if seen == 429 {
            break;
        }
    }
    assert_eq!(seen, 429);
}
