//! `keystone doctor`: clean on a right cluster, and each planted fault found by its check.
use crate::support::{Scratch, eventually, repository};
use keystone::{
    cluster::Cluster,
    config::{Config, Media},
    plan::{Options, PortBase},
    postgres,
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, process::Stdio};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// What the doctor says of the cluster in `data`, with some settings changed: its exit code, and its findings.
async fn ask(data: &Path, changed: &[(&str, &str)]) -> (bool, Vec<Value>) {
    let mut settings: BTreeMap<String, String> = std::fs::read_to_string(data.join("doctor.env"))
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    settings.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let file = data.join("planted.env");
    std::fs::write(&file, settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>())
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_keystone"))
        .args(["doctor", "--json", "--data"])
        .arg(data)
        .arg("--env-file")
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(said["healthy"] == true, output.status.success(), "exit code and JSON agree: {said}");
    // How full this machine's disk is is not for the test to say.
    let findings: Vec<Value> =
        said["checks"].as_array().unwrap().iter().filter(|finding| finding["check"] != "disk").cloned().collect();
    (findings.iter().all(|finding| finding["verdict"] != "FAIL"), findings)
}

fn failed<'a>(findings: &'a [Value], check: &str) -> Option<&'a Value> {
    findings.iter().find(|finding| finding["check"] == check && finding["verdict"] == "FAIL")
}

async fn finds(data: &Path, check: &str, words: &str, changed: &[(&str, &str)]) {
    let (healthy, findings) = ask(data, changed).await;
    let found = findings.iter().filter(|finding| finding["check"] == check && finding["verdict"] == "FAIL");
    let told: Vec<&str> = found.filter_map(|finding| finding["reason"].as_str()).collect();
    assert!(
        !healthy && told.iter().any(|reason| reason.contains(words)),
        "{check} does not say {words}: {findings:#?}"
    );
}

/// Ten faults in settings, stores, nodes and services, one after the other, each taken back.
pub(crate) async fn finds_ten_planted_faults() {
    let dir = Scratch::new("doctor");
    let web = dir.path().join("web");
    std::fs::create_dir_all(&web).unwrap();
    std::fs::write(web.join("index.html"), "page").unwrap();
    let data = dir.path().join("data");
    let options = Options {
        ports: PortBase::Free,
        media: Some(Media::Builtin),
        data: data.clone(),
        web_root: web,
        ..Options::in_repository(&repository())
    };
    let config = Config::from_process().unwrap();
    let mut cluster = Cluster::start(options, &config, &CancellationToken::new()).await.unwrap();
    // The built-in node has no SRT; every edge has RTMP.
    let rtmp = format!("rtmp://127.0.0.1:{}", cluster.plan().ports.node_rtmp(0));
    let right = [("SRT_BASE_URL", ""), ("RTMP_BASE_URL", rtmp.as_str())];
    let (healthy, findings) = ask(&data, &right).await;
    let unsound: Vec<_> = findings.iter().filter(|f| f["verdict"] == "FAIL" || f["verdict"] == "warn").collect();
    assert!(healthy && unsound.is_empty(), "clean on a right cluster: {unsound:#?}");

    let with = |name, value| [right[0], right[1], (name, value)];
    finds(&data, "secrets", "JWT_SECRET", &with("JWT_SECRET", "change-me-change-me-change-me-change-me")).await;
    finds(&data, "cors", "every page", &with("CONTROL_API_CORS_ORIGINS", "*")).await;
    let away = "postgres://keystone:wrong-password-0000@127.0.0.1:1/keystone";
    finds(&data, "postgres", "connect", &with("DATABASE_URL", away)).await;
    // TLS is asked of a port that has none.
    let https = format!("https://127.0.0.1:{}", cluster.plan().ports.caddy());
    finds(&data, "tls", &https, &with("EDGE_BASE_URL", &https)).await;
    finds(&data, "ports", "WebRTC candidate", &with("WEBRTC_PUBLIC_ADDR", "127.0.0.1:9")).await;
    finds(&data, "ports", "RTMP", &[("SRT_BASE_URL", ""), ("RTMP_BASE_URL", "rtmp://127.0.0.1:9")]).await;

    let conf = data.join("node-0/srs.conf");
    std::fs::write(&conf, repository_conf()).unwrap();
    finds(&data, "hooks", "control-api:8081, which is no number", &right).await;
    std::fs::remove_file(&conf).unwrap();

    stores(&mut cluster, &data, &right).await;

    cluster.children().kill("edge-1").await.unwrap();
    finds(&data, "services", "refused", &right).await;
    cluster.children().kill("node-1").await.unwrap();
    eventually("the node is seen to be gone", async || {
        let (_, findings) = ask(&data, &right).await;
        failed(&findings, "nodes")
            .is_some_and(|found| found["reason"].as_str().unwrap().contains("node-1"))
            .then_some(())
    })
    .await;
    cluster.children().start_again("edge-1").await.unwrap();
    cluster.children().start_again("node-1").await.unwrap();
    eventually("it is clean again", async || ask(&data, &right).await.0.then_some(())).await;
    drop(cluster.stop().await);
}

/// Persistence and eviction of Redis, and a migration that did not run.
async fn stores(cluster: &mut Cluster, data: &Path, right: &[(&str, &str)]) {
    let (port, password) = (cluster.plan().redis.port.to_string(), cluster.plan().redis.password.clone());
    let redis = async |args: &[&str]| {
        let cli = Command::new("redis-cli").args(["-p", &port]).args(args).env("REDISCLI_AUTH", &password).output();
        assert_eq!(String::from_utf8_lossy(&cli.await.unwrap().stdout).trim(), "OK", "{args:?}");
    };
    redis(&["config", "set", "appendonly", "no"]).await;
    finds(data, "redis-persist", "keeps nothing", right).await;
    redis(&["config", "set", "appendonly", "yes"]).await;
    redis(&["config", "set", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru"]).await;
    finds(data, "redis-evict", "allkeys-lru", right).await;
    redis(&["config", "set", "maxmemory-policy", "noeviction"]).await;

    let database = postgres::connect(&cluster.plan().postgres.url("keystone")).await.unwrap();
    let hide = "create table kept as select * from refinery_schema_history where version > 1; \
                delete from refinery_schema_history where version > 1";
    database.batch_execute(hide).await.unwrap();
    finds(data, "migrations", "at 1", right).await;
    database.batch_execute("insert into refinery_schema_history select * from kept; drop table kept").await.unwrap();
}

fn repository_conf() -> String {
    let text = std::fs::read_to_string(repository().join("deploy/srs.conf.container")).unwrap();
    text.replace("http://127.0.0.1:9/unset", "http://control-api:8081/v1/hooks/srs/node-0/x")
}
