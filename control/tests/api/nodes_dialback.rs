//! Nodes are dialled back before they join: liars, closed and silent ports, versions, and real SRS.

use super::{
    helpers::{Control, Session, Test, send, until},
    media::Node,
};
use proto::{NodeId, api::NodeCheck};
use reqwest::Method;
use serde_json::{Value, json};
use std::{net::SocketAddr, process::Stdio, time::Duration};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, UdpSocket},
};

const PATH: &str = "/v1/hooks/heartbeat/n1/node-one-secret";

async fn beat(control: &Control, body: &Value) {
    send(control.request(Method::POST, PATH).json(body)).await.is(200);
}

/// What `n1`'s page says once a dial-back is over that fits.
async fn shown(control: &Control, admin: &Session, fits: impl Fn(&[NodeCheck]) -> bool) -> Value {
    until("the dial-back", async || {
        let page = control.get("/v1/nodes/n1", Some(admin)).await.is(200).body;
        let checks: Vec<NodeCheck> = serde_json::from_value(page["checks"].clone()).unwrap();
        (!checks.is_empty() && fits(&checks)).then_some(page)
    })
    .await
}

/// Its page once it joined.
async fn joined(control: &Control, admin: &Session) -> Value {
    until("it joins", async || {
        let page = control.get("/v1/nodes/n1", Some(admin)).await.is(200).body;
        (page["state"] == "up" && page["checks"] != json!([])).then_some(page)
    })
    .await
}

fn of<'a>(page: &'a Value, check: &str) -> (bool, &'a str) {
    let found = page["checks"].as_array().unwrap().iter().find(|found| found["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check}: {page}"));
    (found["ok"].as_bool().unwrap(), found["why"].as_str().unwrap_or_default())
}

/// A port that nobody listens on.
async fn closed_tcp() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[actix_web::test]
async fn who_answers_for_another_node_or_run_does_not_join() {
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let (node, other) = (Node::quiet("n1", "node-one-secret"), Node::quiet("n2", "node-two-secret"));
    let mut body = node.beat_body(1);
    body["service"] = json!("other");
    beat(control, &body).await;
    let page = shown(control, &admin, |_| true).await;
    assert_eq!(page["state"], "joining");
    let (ok, why) = of(&page, "api");
    assert!(!ok && why.contains("another run") && why.contains("run1"), "{why}");
    // n1's heartbeat names the API of n2.
    body["api"] = other.beat_body(1)["api"].clone();
    body["service"] = json!("run1");
    beat(control, &body).await;
    let page = shown(control, &admin, |checks| checks.iter().any(|check| check.why.contains("another node"))).await;
    assert_eq!(page["state"], "joining");
    // The truth lets it join.
    node.beat(control).await;
    let page = joined(control, &admin).await;
    assert_eq!((&page["state"], of(&page, "version")), (&json!("up"), (true, "5.0.216")));
    assert!(page["warnings"].to_string().contains("#4656"), "{page}");
    assert_eq!(control.metric("keystone_control_node_versions{verdict=\"warn\"}").await, 1.0);
    assert!(control.metric("keystone_control_dialbacks_total{check=\"api\",ok=\"no\"}").await >= 2.0);
    test.stop().await;
}

#[actix_web::test]
async fn closed_and_silent_ports_keep_a_node_out_until_they_answer() {
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let node = Node::quiet("n1", "node-one-secret");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let quiet = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let http = closed_tcp().await;
    let mut body = node.beat_body(1);
    body["http"] = json!([http.to_string()]);
    body["rtmp"] = json!([silent.local_addr().unwrap().to_string()]);
    body["srt"] = json!([format!("udp://{}", quiet.local_addr().unwrap())]);
    body["rtc"] = json!([format!("udp://{gone}")]);
    beat(control, &body).await;
    let page = shown(control, &admin, |checks| checks.len() == 6).await;
    assert_eq!((&page["state"], of(&page, "api"), of(&page, "version").0), (&json!("joining"), (true, ""), true));
    assert_eq!(of(&page, "http"), (false, format!("{http}: the port is closed").as_str()));
    assert_eq!(of(&page, "rtc"), (false, format!("{gone}: the port is closed").as_str()));
    assert!(of(&page, "rtmp").1.contains("no answer within 1 s"), "{page}");
    assert!(of(&page, "srt").1.contains("no answer to an SRT induction"), "{page}");
    // It is dialled again by itself once the ports are there. What is bound but says nothing is all that WebRTC can be asked.
    let web = TcpListener::bind(http).await.unwrap();
    let rtc = UdpSocket::bind(gone).await.unwrap();
    let serve = actix_web::rt::spawn(async move {
        while let Ok((mut stream, _)) = silent.accept().await {
            let mut hello = vec![0; 1_537];
            stream.read_exact(&mut hello).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, &[3]).await.unwrap();
        }
    });
    let answer = actix_web::rt::spawn(async move {
        let mut hello = [0; 64];
        while let Ok((_, from)) = quiet.recv_from(&mut hello).await {
            let mut answer = hello;
            answer[12..16].copy_from_slice(&hello[40..44]);
            answer[22..24].copy_from_slice(&[0x4A, 0x17]);
            quiet.send_to(&answer, from).await.unwrap();
        }
    });
    let page = joined(control, &admin).await;
    assert_eq!(page["state"], "up");
    assert!(of(&page, "rtc").1.contains("more cannot be told"), "{page}");
    drop((web, rtc));
    serve.abort();
    answer.abort();
    test.stop().await;
}

#[actix_web::test]
async fn a_version_that_is_refused_keeps_a_node_out() {
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let node = Node::quiet("n1", "node-one-secret");
    let mut body = node.beat_body(1);
    for (version, why) in [("5.0.199", "older than 5.0.200"), ("9.0.1", "ALLOW_UNKNOWN_SRS")] {
        node.restart(&format!("run-{}", &version[..1]));
        body["service"] = json!(node.service());
        body["summaries"]["data"]["self"]["version"] = json!(version);
        body["summaries"]["data"]["self"]["srs_uptime"] = json!(0);
        beat(control, &body).await;
        let page = shown(control, &admin, |checks| checks.iter().any(|check| check.why.contains(why))).await;
        assert_eq!((&page["state"], of(&page, "version").0, of(&page, "api").0), (&json!("joining"), false, true));
    }
    assert_eq!(control.metric("keystone_control_node_versions{verdict=\"refuse\"}").await, 1.0);
    assert_eq!(control.metric("keystone_control_node_versions{verdict=\"warn\"}").await, 0.0);
    let lenient = test.another(&[("ALLOW_UNKNOWN_SRS", "1")]).await;
    beat(&lenient, &body).await;
    until("it joins there", async || {
        lenient.state.nodes.checks(&NodeId::parse("n1").unwrap()).filter(|checked| checked.ok)
    })
    .await;
    lenient.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn the_dial_back_of_one_run_does_not_count_for_the_next() {
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let node = Node::quiet("n1", "node-one-secret");
    node.beat(control).await;
    joined(control, &admin).await;
    node.restart("run2");
    until("the probe sees the restart", async || {
        control.state.health.run_of(&node.id()).filter(|run| *run == node.service())
    })
    .await;
    let answered = "keystone_control_node_probe_seconds_count{met=\"answered\"}";
    let before = control.metric(answered).await;
    until("it answers more probes", async || (control.metric(answered).await >= before + 4.0).then_some(())).await;
    assert_eq!(control.get("/v1/nodes/n1", Some(&admin)).await.is(200).body["state"], "joining");
    node.beat(control).await;
    joined(control, &admin).await;
    test.stop().await;
}

/// Where a real SRS is, if there is one.
fn srs() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("srs")).find(|file| file.is_file())
}

#[actix_web::test]
async fn a_real_srs_sends_heartbeats_is_dialled_back_and_joins() {
    let Some(srs) = srs() else {
        kit::testing::skipped("a_real_srs_sends_heartbeats_is_dialled_back_and_joins", "no srs binary");
        return;
    };
    let test = Test::start().await;
    let control = &test.control;
    let admin = control.admin("admin").await;
    let mut ports = Vec::new();
    for _ in 0..3 {
        ports.push(closed_tcp().await.port());
    }
    for _ in 0..2 {
        ports.push(UdpSocket::bind("0.0.0.0:0").await.unwrap().local_addr().unwrap().port());
    }
    let dir = std::env::temp_dir().join(format!("ks-srs-{}", kit::random::letters(8)));
    std::fs::create_dir_all(&dir).unwrap();
    let [rtmp, api, http, rtc, srt] = ports[..] else { unreachable!() };
    let conf = format!(
        "listen 127.0.0.1:{rtmp}; daemon off; max_connections 100; pid ./srs.pid; srs_log_tank console; ff_log_dir /dev/null;\n\
         query_latest_version off; server_id n1; http_api {{ enabled on; listen 127.0.0.1:{api}; }}\n\
         http_server {{ enabled on; listen 127.0.0.1:{http}; dir ./; }} rtc_server {{ enabled on; listen {rtc}; candidate 127.0.0.1; }}\n\
         srt_server {{ enabled on; listen {srt}; }} exporter {{ enabled off; }}\n\
         heartbeat {{ enabled on; interval 1; url {}{PATH}; device_id n1; summaries on; ports on; }} vhost __defaultVhost__ {{ }}\n",
        control.url
    );
    std::fs::write(dir.join("srs.conf"), conf).unwrap();
    let start = || {
        let mut child = tokio::process::Command::new(&srs);
        child
            .arg("-c")
            .arg("srs.conf")
            .current_dir(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        child.spawn().unwrap()
    };
    let mut child = start();
    let page = joined(control, &admin).await;
    for check in ["version", "api", "http", "rtmp", "srt", "rtc"] {
        assert!(of(&page, check).0, "{check}: {page}");
    }
    assert_eq!((&page["state"], &page["info"]["version"]), (&json!("up"), &json!("5.0.216")));
    assert!(!page["warnings"].as_array().unwrap().is_empty());
    let first = page["info"]["service"].clone();
    // Another run: it joins again only after it was dialled back again.
    child.kill().await.unwrap();
    let mut child = start();
    let page = until("the restart is seen", async || {
        let page = control.get("/v1/nodes/n1", Some(&admin)).await.is(200).body;
        (page["info"]["service"] != first && page["state"] == "up").then_some(page)
    })
    .await;
    let run = control.state.nodes.checks(&NodeId::parse("n1").unwrap()).unwrap().service;
    assert_eq!(page["info"]["service"], json!(run));
    child.kill().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), child.wait()).await.unwrap().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    test.stop().await;
}
