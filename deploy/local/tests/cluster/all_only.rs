//! What takes too long for every change: `make test-all` runs it, `make test` does not.
use crate::{
    clients::{chromium, third_party},
    support::{PATIENCE, Scratch, Up, eventually, has_srs, repository},
};
use keystone::config::Media;
use proto::ids::StreamId;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{ChildStdin, Command},
};

#[tokio::test]
async fn every_client_with_real_srs() {
    let name = "every_client_with_real_srs";
    if !has_srs() {
        return kit::testing::skipped(name, "there is no SRS 5 or later on the PATH or in SRS_BIN");
    }
    // libnice, under GStreamer and Meetecho's client, never uses loopback.
    let up = Up::start_at(Media::Srs, kit::net::own_address()).await;
    third_party(&up, "all", name).await;
    up.stop().await;
}

#[tokio::test]
async fn every_client_with_the_built_in_node() {
    let up = Up::start(Media::Builtin).await;
    third_party(&up, "all", "every_client_with_the_built_in_node").await;
    up.stop().await;
}

/// A drain's deadline here.
const DRAIN_SECONDS: u64 = 5;

/// One publishes and two watch, each by an edge of its own, while their node is drained and the next one is killed: both see the picture again each
/// time without anybody's doing.
#[tokio::test]
async fn two_browsers_on_two_edges_watch_through_a_drain_and_a_killed_node() {
    let name = "two_browsers_on_two_edges_watch_through_a_drain_and_a_killed_node";
    let Some(chromium) = chromium(name) else { return };
    let mut up = Up::start(if has_srs() { Media::Srs } else { Media::Builtin }).await;
    let edges: Vec<String> = up.edges().await.iter().map(|(_, port)| format!("http://127.0.0.1:{port}")).collect();
    let pictures = Scratch::new("failover-screenshots");
    let mut browsers = Command::new("node")
        .arg(repository().join("web/e2e/failover.mjs"))
        .env("KEYSTONE_URL", up.cluster.origin())
        .env("KEYSTONE_EDGES", edges.join(","))
        .env("KEYSTONE_SCREENSHOTS", std::env::var_os("KEYSTONE_SCREENSHOTS").unwrap_or(pictures.path().into()))
        .env("CHROMIUM", chromium)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is on the PATH: `make setup`");
    let mut marks = browsers.stdin.take().unwrap();
    let mut said = BufReader::new(browsers.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&said.next_line().await.unwrap().expect("both see the picture")).unwrap();
    let stream = StreamId::parse(ready["stream"].as_str().unwrap()).unwrap();

    let first = watched_away_from(&up, &stream, "").await;
    mark(&mut marks, &format!("drain {first} in {DRAIN_SECONDS} s")).await;
    let drain = json!({ "deadline_seconds": DRAIN_SECONDS });
    up.admin.value(Method::POST, &format!("/v1/nodes/{first}:drain"), Some(&drain)).await.unwrap();
    let second = watched_away_from(&up, &stream, &first).await;
    up.admin.value(Method::POST, &format!("/v1/nodes/{first}:undrain"), Some(&json!({}))).await.unwrap();
    eventually("the drained node takes streams again", async || {
        let nodes = up.admin.nodes().await.unwrap().items;
        nodes.iter().any(|node| node.id == first && node.state == "up" && !node.cordoned).then_some(())
    })
    .await;

    mark(&mut marks, &format!("kill -9 {second}")).await;
    up.cluster.children().kill(&second).await.unwrap();
    assert_eq!(watched_away_from(&up, &stream, &second).await, first);
    drop(marks);
    let told =
        tokio::time::timeout(2 * PATIENCE, said.next_line()).await.expect("in time").unwrap().expect("an answer");
    println!("{told}");
    assert!(browsers.wait().await.unwrap().success(), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let rows = told["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "before, drain, kill: {told}");
    for row in &rows[1..] {
        assert!(row["viewers"].as_array().unwrap().iter().all(|viewer| viewer["opened_ms"] != json!([])), "{row}");
    }
    up.stop().await;
}

async fn mark(marks: &mut ChildStdin, name: &str) {
    marks.write_all(format!("{name}\n").as_bytes()).await.unwrap();
}

/// Waits until the stream is live on another node than this one with both viewers; which it is.
async fn watched_away_from(up: &Up, stream: &StreamId, node: &str) -> String {
    eventually("both watch", async || {
        let live = up.admin.stream(stream).await.unwrap().live?;
        (live.viewers == 2 && live.node.as_str() != node).then(|| live.node.to_string())
    })
    .await
}

#[tokio::test]
async fn the_doctor_is_clean_on_a_right_cluster_and_finds_ten_planted_faults() {
    Box::pin(crate::doctor::finds_ten_planted_faults()).await;
}

#[tokio::test]
async fn alerts_rise_by_real_faults_and_no_panel_is_empty() {
    Box::pin(crate::observe::alerts_rise_and_panels_have_data("alerts_rise_by_real_faults_and_no_panel_is_empty"))
        .await;
}

#[tokio::test]
async fn alerts_rise_by_load_and_by_publishers_at_a_node() {
    Box::pin(crate::faults::of_load("alerts_rise_by_load_and_by_publishers_at_a_node")).await;
}

#[tokio::test]
async fn alerts_rise_by_nodes_that_come_and_go_and_by_stores_long_away() {
    Box::pin(crate::faults::of_nodes_and_stores("alerts_rise_by_nodes_that_come_and_go_and_by_stores_long_away")).await;
}
