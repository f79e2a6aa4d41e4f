//! Asks everybody, and decides nothing.

use super::{
    facts::{Answer, Facts, Node, Service},
    settings, srs_conf, stores, web,
};
use crate::{
    cli::Doctor,
    config::Config,
    operator::door::{Door, folder},
};
use serde_json::Value;
use std::path::Path;
use url::Url;

/// Entries of a list that are read.
const LIST_MAX: usize = 1_000;

/// Everything that can be found out from here.
pub(super) async fn gather(args: &Doctor, config: &Config) -> anyhow::Result<Facts> {
    let folder = folder(&args.api);
    let (settings, settings_from) = settings::read(args, config, &folder)?;
    let mut facts = Facts { settings, settings_from, now: stores::now_ms() / 1000, ..Facts::default() };
    if let Some(url) = facts.setting("DATABASE_URL").map(str::to_owned) {
        let (answer, ahead) = stores::postgres(&url).await;
        facts.postgres = Some(answer);
        facts.clocks.extend(ahead.map(|ahead| ("Postgres".to_owned(), ahead)));
    }
    if facts.setting("REDIS_URL").or_else(|| facts.setting("REDIS_ADDR")).is_some() {
        let (answer, ahead) = stores::redis(&facts.settings).await;
        facts.redis = Some(answer);
        facts.clocks.extend(ahead.map(|ahead| ("Redis".to_owned(), ahead)));
    }
    cluster(args, config, &mut facts).await;
    public(&mut facts).await;
    facts.srs_confs = confs(&folder);
    facts.disks = [folder.as_path(), Path::new("/")].into_iter().filter_map(disk).collect();
    facts.disks.dedup_by(|a, b| (a.1 >> 24, a.2) == (b.1 >> 24, b.2));
    Ok(facts)
}

/// What control-api tells, and what its processes and the edges answer themselves.
async fn cluster(args: &Doctor, config: &Config, facts: &mut Facts) {
    let mut door = match Door::open(&args.api, config).await {
        Ok(door) => door,
        Err(error) => {
            // Without credentials there is nothing to ask; with them, no answer is a finding.
            if config.api.is_some() || folder(&args.api).join("admin.json").exists() {
                facts.nodes = Some(Err(error.to_string()));
                facts.services = Some(Err(error.to_string()));
            }
            return;
        }
    };
    let now = stores::now_ms();
    let list = async |door: &mut Door, path: &str| -> Answer<Vec<Value>> {
        door.all(path, LIST_MAX).await.map(|(items, _)| items).map_err(|error| error.to_string())
    };
    facts.nodes =
        Some(list(&mut door, "/v1/nodes").await.map(|items| items.iter().map(|item| node(item, now)).collect()));
    let mut services = Vec::new();
    let mut failed = None;
    for (kind, path) in [("control", "/v1/controls"), ("edge", "/v1/edges")] {
        match list(&mut door, path).await {
            Ok(items) => services.extend(items.iter().map(|item| service(kind, item))),
            Err(why) => failed = Some(why),
        }
    }
    let http = web::client();
    let mut asked = Vec::new();
    for service in services {
        let id = service.id.clone();
        let (service, ahead) = web::service(&http, service).await;
        facts.clocks.extend(ahead.map(|ahead| (id, ahead)));
        asked.push(service);
    }
    facts.services = Some(failed.map_or(Ok(asked), Err));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn node(item: &Value, now: i64) -> Node {
    let failed = item["checks"].as_array().into_iter().flatten().filter(|check| check["ok"] == false);
    Node {
        id: text(&item["id"]),
        state: text(&item["state"]),
        version: text(&item["info"]["version"]),
        warnings: item["warnings"].as_array().into_iter().flatten().map(text).collect(),
        silent_ms: item["info"]["seen_at_ms"].as_i64().map(|at| now.saturating_sub(at)),
        failed: failed.map(|check| (text(&check["check"]), text(&check["why"]))).collect(),
        cordoned: item["cordoned"] == true,
        addresses: item["public"].as_array().into_iter().flatten().map(text).collect(),
    }
}

fn service(kind: &'static str, item: &Value) -> Service {
    Service {
        kind,
        id: text(&item["id"]),
        url: text(&item["url"]),
        version: text(&item["version"]),
        answers: Vec::new(),
    }
}

/// Certificates, paths and ports of the public addresses.
async fn public(facts: &mut Facts) {
    let Some(edge) = facts.setting("EDGE_BASE_URL").and_then(|value| Url::parse(value).ok()) else { return };
    let origin = edge.origin().ascii_serialization();
    let http = web::client();
    let mut origins = vec![origin.clone()];
    origins.extend(
        facts
            .setting("HLS_BASE_URL")
            .and_then(|value| Url::parse(value).ok())
            .map(|url| url.origin().ascii_serialization()),
    );
    origins.dedup();
    for origin in origins.into_iter().filter(|origin| origin.starts_with("https://")) {
        let answer = web::certificate(&http, &origin).await;
        facts.tls.push((origin, answer));
    }
    let api = facts.setting("PUBLIC_API_PATH").unwrap_or("/api").to_owned();
    facts.paths = web::paths(&http, &origin, &api).await;
    let Some(host) = edge.host_str().map(str::to_owned) else { return };
    for (name, default) in [("RTMP_BASE_URL", 1935), ("SRT_BASE_URL", 10080)] {
        let Some(url) = facts.setting(name).and_then(|value| Url::parse(value).ok()) else { continue };
        let (at, port) = (url.host_str().unwrap_or(&host).to_owned(), url.port().unwrap_or(default));
        let knocked = if name == "RTMP_BASE_URL" {
            web::open_tcp("RTMP".to_owned(), &at, port).await
        } else {
            web::open_udp("SRT".to_owned(), &at, port).await
        };
        facts.ports.push(knocked);
    }
    if facts.setting("WEBRTC_RELAY") != Some("off") {
        for (at, port) in candidates(facts) {
            facts.ports.push(web::open_udp("WebRTC candidate".to_owned(), &at, port).await);
        }
    }
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !here {
        facts.ports.extend(web::closed(&host).await);
    }
}

/// Address and port of each entry of `WEBRTC_PUBLIC_ADDR`; without a port it is the listener's.
fn candidates(facts: &Facts) -> Vec<(String, u16)> {
    let listen =
        facts.setting("EDGE_RTC_LISTEN").and_then(|value| value.rsplit_once(':')?.1.parse().ok()).unwrap_or(8000);
    let listed = facts.setting("WEBRTC_PUBLIC_ADDR").unwrap_or_default();
    listed
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .map(|one| {
            let whole = one.parse::<std::net::SocketAddr>().map(|at| (at.ip().to_string(), at.port()));
            whole.unwrap_or_else(|_| (one.trim_matches(['[', ']']).to_owned(), listen))
        })
        .collect()
}

/// Configurations of media nodes in the folder of a local cluster.
fn confs(folder: &Path) -> Vec<(String, srs_conf::HookLines)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let file = entry.ok()?.path().join("srs.conf");
            let text = std::fs::read_to_string(&file).ok()?;
            Some((file.display().to_string(), srs_conf::hook_lines(&text)))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn disk(path: &Path) -> Option<(String, u64, u64)> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some((
        path.display().to_string(),
        stat.f_bavail.saturating_mul(stat.f_frsize),
        stat.f_blocks.saturating_mul(stat.f_frsize),
    ))
}
