//! A rolling restart: what an edge does between SIGTERM and its end, as a process of its own.

use super::helpers::{Opened, SDP, World, header, refused, sdp::fixture, until};
use proto::{fleet::EdgeInfo, keys, session::Role};
use reqwest::Method;
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Seconds between SIGTERM and the end.
const DRAIN: u64 = 3;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn edges(world: &World) -> Vec<EdgeInfo> {
    let reply = world.truth.redis(&["HVALS", keys::EDGES]);
    reply.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[actix_web::test]
async fn an_edge_that_is_told_to_end_serves_what_there_is_and_takes_nothing_more() {
    let world = World::of_members(1, &[]).await;
    let port = kit::testing::free_port();
    let own = [("EDGE_LISTEN", format!("127.0.0.1:{port}")), ("EDGE_DRAIN_SECONDS", DRAIN.to_string())];
    let others = world.settings().iter().filter(|(name, _)| own.iter().all(|(own, _)| own != name));
    let child = Command::new(env!("CARGO_BIN_EXE_edge-gateway"))
        .env_clear()
        .envs(others.cloned())
        .envs(own.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let ready = || async { world.http.get(at("/readyz")).send().await.map_or(0, |answer| answer.status().as_u16()) };
    until("it is ready", || async { ready().await == 200 }).await;
    let url = format!("http://127.0.0.1:{port}");
    let told = || edges(&world).into_iter().find(|edge| edge.url == url);
    until("it is registered", || async { told().is_some() }).await;
    assert_eq!(serde_json::to_value(told().unwrap().state).unwrap(), "ready");

    let post = || {
        let request = world.request(Method::POST, &at("/rtc/v1/whip/cam")).header("Content-Type", SDP);
        request.bearer_auth(world.token("cam", Role::Publish)).body(fixture("pub.sdp")).send()
    };
    let session = Opened::of(post().await.unwrap()).await;
    let signalled = Instant::now();
    let term = Command::new("kill").args(["-TERM", &process.0.id().to_string()]).status().unwrap();
    assert!(term.success());
    until("it is not ready", || async { ready().await == 503 }).await;
    let refusal = post().await.unwrap();
    assert_eq!((header(&refusal, "retry-after").as_str(), header(&refusal, "connection").as_str()), ("1", "close"));
    refused(refusal, 503, "edge-leaving").await;
    until("the cluster knows", || async {
        told().is_some_and(|edge| serde_json::to_value(edge.state).unwrap() == "draining" && edge.load.publishers == 1)
    })
    .await;
    assert_eq!(world.node().held().len(), 1, "its sessions go on");
    let deleted = world.request(Method::DELETE, &session.url).send().await.unwrap();
    assert_eq!(deleted.status(), 200, "and can be ended here");
    let mut code = None;
    until("it ends", || {
        code = process.0.try_wait().unwrap();
        std::future::ready(code.is_some())
    })
    .await;
    assert!(code.unwrap().success());
    assert!(signalled.elapsed() >= Duration::from_secs(DRAIN), "load balancers had time to notice");
    assert!(told().is_none(), "it signed off");
}

#[actix_web::test]
async fn another_edge_serves_the_sessions_of_one_that_has_ended() {
    let mut world = World::of_members(1, &[]).await;
    let session = world.publish().await;
    let second = world.add_edge().await;
    world.stop(0);
    until("the first is gone", || async { world.http.get(world.url("/healthz")).send().await.is_err() }).await;
    let there =
        world.at(second, session.url.split_once("/rtc").map(|(_, rest)| format!("/rtc{rest}")).unwrap().as_str());
    assert_eq!(world.request(Method::DELETE, &there).send().await.unwrap().status(), 200);
    assert!(world.node().held().is_empty());
}
