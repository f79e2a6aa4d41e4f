//! Prometheus beside a cluster: real faults make the alerts rise, and every panel of every dashboard has data afterwards. More faults: `faults.rs`.
use crate::support::{PATIENCE, Up, repository};
use keystone::{
    api::Api,
    config::{Config, Media},
    media::{self, PlayOptions, PublishOptions, SessionHandle},
    observe,
    plan::Options,
};
use proto::{ids::StreamId, session::Role, stream::Visibility};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// Scrapes and rules are 2 s apart.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest wait for an alert: a rate needs two scrapes, and some faults take a while to be found.
const RISES_WITHIN: Duration = Duration::from_secs(40);
/// An alert has to be there for so long, more than a turn of the rules: two scrapes that do not fit together are gone by then.
const HOLDS: Duration = Duration::from_secs(3);

/// A cluster and its Prometheus.
pub(crate) struct Watched {
    pub(crate) up: Up,
    prometheus: String,
    pub(crate) http: reqwest::Client,
}

/// Alerts by real faults, then the panels.
pub(crate) async fn alerts_rise_and_panels_have_data(test: &str) {
    let Some(mut watched) = Watched::start(test, |options| options).await else { return };
    let stream = watched.up.stream(Visibility::Private).await.id;
    let play = watched.up.token(&stream, Role::Play).await.token;
    let publisher = watched.publish(&stream).await;
    let viewer = watched.play(&stream, &play).await;
    watched.scraped("keystone_control_live_streams >= 1").await;
    watched.media(&stream, &play).await;
    watched.wrong_doings(&stream).await;
    watched.stores(&stream, &play).await;
    watched.two_faced_control(&stream).await;
    watched.parts().await;
    drop((publisher, viewer));
    let empty = watched.empty_panels().await;
    assert!(empty.is_empty(), "panels without data:\n{}", empty.join("\n"));
    drop(watched.up.cluster.stop().await);
}

impl Watched {
    /// `None`, and a word about it, where there is no Prometheus.
    pub(crate) async fn start(test: &str, change: impl FnOnce(Options) -> Options) -> Option<Self> {
        let mut up = Up::start_with(Media::Builtin, change).await;
        let specs = match observe::specs(up.cluster.plan(), &Config::from_process().unwrap()) {
            Ok(specs) => specs,
            Err(error) => {
                kit::testing::skipped(test, &error.to_string());
                up.stop().await;
                return None;
            }
        };
        up.cluster.children().start(specs).await.unwrap();
        let prometheus = format!("http://127.0.0.1:{}/api/v1", up.cluster.plan().ports.prometheus());
        Some(Self { up, prometheus, http: reqwest::Client::new() })
    }

    async fn publish(&self, stream: &StreamId) -> SessionHandle {
        let token = Some(self.up.token(stream, Role::Publish).await.token);
        let local_ip = Some(self.up.cluster.plan().candidate());
        media::publish(PublishOptions { url: self.up.whip(stream), token, local_ip, ..Default::default() })
            .await
            .unwrap()
    }

    async fn play(&self, stream: &StreamId, token: &str) -> SessionHandle {
        let options = || PlayOptions {
            url: self.up.whep(stream),
            token: Some(token.to_owned()),
            local_ip: Some(self.up.cluster.plan().candidate()),
        };
        crate::support::eventually("it can be watched", async || media::play(options()).await.ok()).await
    }

    pub(crate) async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let answer = self.http.get(format!("{}/{path}", self.prometheus)).query(query).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Waits until a query has a result.
    pub(crate) async fn scraped(&self, query: &str) {
        let holds = async {
            while self.ask("query", &[("query", query)]).await["data"]["result"].as_array().is_none_or(Vec::is_empty) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(RISES_WITHIN, holds).await.unwrap_or_else(|_| panic!("{query} never held"));
    }

    /// Waits until each of these alerts was pending or firing for [`HOLDS`].
    pub(crate) async fn rises(&self, names: &[&str]) {
        let mut left: BTreeSet<&str> = names.iter().copied().collect();
        let (began, mut since) = (Instant::now(), BTreeMap::new());
        while !left.is_empty() {
            assert!(began.elapsed() < RISES_WITHIN, "never rose, or not for {HOLDS:?}: {left:?}");
            let told = self.ask("alerts", &[]).await;
            let alerts = told["data"]["alerts"].as_array().into_iter().flatten();
            let up: BTreeSet<&str> = alerts.filter_map(|alert| alert["labels"]["alertname"].as_str()).collect();
            since.retain(|name, _| up.contains(name));
            left.retain(|name| !up.contains(name) || since.entry(*name).or_insert_with(Instant::now).elapsed() < HOLDS);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        println!("rose within {:?}: {}", began.elapsed(), names.join(", "));
    }

    /// What strangers and clients do wrong.
    async fn wrong_doings(&self, stream: &StreamId) {
        let ports = self.up.cluster.plan().ports;
        let hook = format!("http://127.0.0.1:{}/v1/hooks/srs/node-0/not-its-secret", ports.control(0));
        let anyone = Api::new(&self.up.cluster.admin().api);
        for round in 0..60 {
            let body = r#"{"action":"on_play","client_id":"x"}"#;
            drop(self.http.post(&hook).header("content-type", "application/json").body(body).send().await.unwrap());
            let wrong = anyone.sign_in(&format!("nobody{round}@example.com"), "not a password at all").await;
            assert!(wrong.is_err());
            let url = self.up.whep(stream);
            drop(self.http.post(url).header("content-type", "application/sdp").body("v=0").send().await.unwrap());
        }
        self.rises(&["KeystoneStrangers", "KeystoneSignInsRefused"]).await;
    }

    /// Redis and Postgres away, one after the other, with a viewer who comes meanwhile.
    async fn stores(&mut self, stream: &StreamId, play: &str) {
        self.up.cluster.children().signal("redis", Signal::STOP).unwrap();
        self.scraped("min(keystone_edge_redis_up) == 0").await;
        let asked = media::play(PlayOptions {
            url: self.up.whep(stream),
            token: Some(play.to_owned()),
            local_ip: Some(self.up.cluster.plan().candidate()),
        });
        let viewer = tokio::time::timeout(PATIENCE, asked).await;
        self.rises(&["KeystoneRedisAway", "KeystoneDegraded"]).await;
        self.up.cluster.children().signal("redis", Signal::CONT).unwrap();
        drop(viewer);
        self.scraped("min(keystone_edge_redis_up) == 1 and min(keystone_control_redis_connected) == 1").await;
        self.up.cluster.children().stop_one("postgres").await.unwrap();
        self.scraped("min(keystone_control_postgres_up) == 0").await;
        let read = format!("{}/api/v1/streams/{stream}", self.up.cluster.origin());
        // A series that begins with the fault has no increase to see: one failure at each control-api is there before the many.
        for control in 0..2 {
            let at = format!("http://127.0.0.1:{}/v1/streams/{stream}", self.up.cluster.plan().ports.control(control));
            assert!(self.http.get(at).send().await.unwrap().status().is_server_error());
        }
        let failed = "keystone_control_http_requests_total{status=~\"5..\", route=\"/v1/streams/{stream}\"}";
        self.scraped(&format!("count({failed}) == 2")).await;
        for _ in 0..200 {
            drop(self.http.get(&read).send().await);
        }
        self.rises(&["KeystonePostgresAway", "KeystoneErrors"]).await;
        self.up.cluster.children().start_again("postgres").await.unwrap();
        self.scraped("min(keystone_control_postgres_up) == 1").await;
    }

    /// What panels of media have data of: a stranger's datagram, and a player of HLS.
    async fn media(&self, stream: &StreamId, play: &str) {
        let port = self.up.cluster.plan().ports.edge_rtc(0);
        let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{}/live/{stream}.m3u8?token={play}", self.up.cluster.origin());
        for _ in 0..20 {
            stranger.send_to(b"neither STUN nor anything else", ("127.0.0.1", port)).await.unwrap();
            drop(self.http.get(&url).send().await.unwrap());
        }
        self.scraped("sum(keystone_edge_hls_requests_total) > 0 and sum(keystone_edge_rtc_dropped_total) > 0").await;
    }

    /// Every part lost once, and hooks that cannot come.
    async fn parts(&mut self) {
        // Caddy carries the nodes' heartbeats.
        self.up.cluster.children().signal("caddy", Signal::STOP).unwrap();
        self.rises(&["KeystoneHeartbeatsLate"]).await;
        self.up.cluster.children().signal("caddy", Signal::CONT).unwrap();
        self.up.cluster.children().kill("control-1").await.unwrap();
        self.rises(&["KeystoneControlDown"]).await;
        self.up.cluster.children().start_again("control-1").await.unwrap();
        self.up.cluster.children().kill("edge-1").await.unwrap();
        self.rises(&["KeystoneEdgeDown"]).await;
        self.up.cluster.children().start_again("edge-1").await.unwrap();
        // Opened at edges that run now: what they lose is counted there.
        let stream = self.up.stream(Visibility::Public).await.id;
        let publisher = self.publish(&stream).await;
        self.scraped("sum(keystone_edge_publishers) >= 1").await;
        for node in ["node-0", "node-1"] {
            self.up.cluster.children().kill(node).await.unwrap();
        }
        self.rises(&["KeystoneNodeDown", "KeystoneNodeUnreachable", "KeystoneNoNodes", "KeystoneSessionsLost"]).await;
        drop(publisher);
        for node in ["node-0", "node-1"] {
            self.up.cluster.children().start_again(node).await.unwrap();
        }
        self.scraped("max(keystone_control_nodes{state=\"up\"}) == 2").await;
    }

    /// Asks every query of every panel over the whole run.
    async fn empty_panels(&self) -> Vec<String> {
        let now = kit::clock::unix();
        let (start, end) = (now.saturating_sub(600).to_string(), now.to_string());
        let (mut empty, mut asked) = (Vec::new(), 0);
        for entry in std::fs::read_dir(repository().join("deploy/grafana")).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let board: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            for panel in board["panels"].as_array().unwrap() {
                for target in panel["targets"].as_array().into_iter().flatten() {
                    let query = target["expr"].as_str().unwrap();
                    let range = [("query", query), ("start", &start), ("end", &end), ("step", "2")];
                    let answer = self.ask("query_range", &range).await;
                    asked += 1;
                    if answer["data"]["result"].as_array().is_none_or(Vec::is_empty) {
                        empty.push(format!("{} / {}: {query}: {}", board["title"], panel["title"], answer["error"]));
                    }
                }
            }
        }
        println!("{asked} queries of panels, {} without data", empty.len());
        assert!(asked > 60, "all dashboards were read");
        empty
    }
}
