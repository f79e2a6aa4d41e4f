//! The part of SRS's HTTP API that services use: `/api/v1/{versions,summaries,streams,clients}`.
//!
//! Errors are `{"code":N}` with status 200, an unknown path answers the root listing, `count` is at least 10: all as
//! at SRS 5.0.216 (`srs_app_http_api.cpp`).

use hyper::Method;
use serde_json::{Map, Value, json};

use super::http::{Answer, Call, json};
use super::query::Query;
use super::registry::{Client, Picture, Registry, Sound, Stream};
use super::shared::{Identity, Node, VERSION};
use super::system;

/// SRS: `ERROR_RTMP_STREAM_NOT_FOUND`, `ERROR_RTMP_CLIENT_NOT_FOUND`.
const STREAM_NOT_FOUND: u32 = 2048;
const CLIENT_NOT_FOUND: u32 = 2049;
/// Smallest and default page.
const PAGE_MIN: usize = 10;
/// The one virtual host.
const VHOST: &str = "vid-default";

pub(crate) async fn handle(node: Node, call: Call) -> Answer {
    let path = call.path.trim_end_matches('/');
    if path == "/metrics" {
        return super::http::reply(hyper::StatusCode::OK, "text/plain; version=0.0.4", metrics(&node));
    }
    let query = Query::parse(&call.query);
    let (name, id) = match path.strip_prefix("/api/v1/").and_then(|rest| rest.split_once('/')) {
        Some((name, id)) => (name, Some(id)),
        None => (path.strip_prefix("/api/v1/").unwrap_or_default(), None),
    };
    match (name, id) {
        ("versions", None) => json(&with(&node, "data", versions())),
        ("summaries", None) => {
            let clients = node.registry().clients.len();
            json(&with(&node, "data", system::summary(&node.identity, node.started.elapsed(), clients)))
        }
        ("streams", None) => json(&with(&node, "streams", streams(&node, &query))),
        ("streams", Some(id)) => {
            let found = {
                let registry = node.registry();
                registry.streams.iter().find(|(_, s)| s.id == id).map(|(url, s)| stream(&registry, url, s))
            };
            json(&found.map_or(json!({"code": STREAM_NOT_FOUND}), |found| with(&node, "stream", found)))
        }
        ("clients", None) => json(&with(&node, "clients", clients(&node, &query))),
        ("clients", Some(id)) if call.method == Method::DELETE => {
            let kicked = node.kick(id).await;
            json(&if kicked { head(&node).into() } else { json!({"code": CLIENT_NOT_FOUND}) })
        }
        ("clients", Some(id)) => {
            let found = {
                let registry = node.registry();
                registry.clients.get(id).map(|found| client(&node, &registry, found))
            };
            json(&found.map_or(json!({"code": CLIENT_NOT_FOUND}), |found| with(&node, "client", found)))
        }
        _ => json(&with(&node, "urls", json!({"api": "the keystone-devnode subset of the SRS api"}))),
    }
}

/// `code`, `server`, `service`, `pid`: what every good answer begins with.
fn head(node: &Node) -> Map<String, Value> {
    let Identity { server_id, service_id, pid } = &node.identity;
    let mut head = Map::new();
    head.insert("code".into(), 0.into());
    head.insert("server".into(), server_id.clone().into());
    head.insert("service".into(), service_id.clone().into());
    head.insert("pid".into(), pid.to_string().into());
    head
}

fn with(node: &Node, name: &str, value: Value) -> Value {
    let mut body = head(node);
    body.insert(name.into(), value);
    body.into()
}

fn versions() -> Value {
    let (major, minor, revision) = VERSION;
    json!({"major": major, "minor": minor, "revision": revision, "version": Identity::version(),
           "software": concat!("keystone-devnode/", env!("CARGO_PKG_VERSION"))})
}

/// What SRS's exporter says, under the same names; it has no metrics of single streams.
fn metrics(node: &Node) -> String {
    let registry = node.registry();
    let traffic = |of: fn((u64, u64)) -> u64| {
        registry.clients.values().map(|client| of(client.traffic.totals())).fold(0, u64::saturating_add)
    };
    let (received, sent) = (traffic(|both| both.0), traffic(|both| both.1));
    let streams = registry.streams.values().filter(|stream| stream.active).count();
    let Identity { server_id, service_id, pid } = &node.identity;
    let summary = system::summary(&node.identity, node.started.elapsed(), registry.clients.len());
    format!(
        "# TYPE srs_build_info gauge\nsrs_build_info{{server=\"{server_id}\",service=\"{service_id}\",pid=\"{pid}\",version=\"{}\"}} 1\n\
         # TYPE srs_cpu_percent gauge\nsrs_cpu_percent 0\n# TYPE srs_memory gauge\nsrs_memory {}\n\
         # TYPE srs_streams gauge\nsrs_streams {streams}\n# TYPE srs_clients gauge\nsrs_clients {}\n\
         # TYPE srs_receive_bytes_total counter\nsrs_receive_bytes_total {received}\n\
         # TYPE srs_send_bytes_total counter\nsrs_send_bytes_total {sent}\n",
        Identity::version(),
        summary["self"]["mem_kbyte"],
        registry.clients.len(),
    )
}

fn page<'a, T>(items: impl Iterator<Item = T> + 'a, query: &Query) -> impl Iterator<Item = T> + 'a {
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    items.skip(number("start").unwrap_or(0)).take(number("count").unwrap_or(PAGE_MIN).max(PAGE_MIN))
}

fn streams(node: &Node, query: &Query) -> Value {
    let registry = node.registry();
    page(registry.streams.iter(), query).map(|(url, found)| stream(&registry, url, found)).collect()
}

fn clients(node: &Node, query: &Query) -> Value {
    let registry = node.registry();
    page(registry.clients.values(), query).map(|found| client(node, &registry, found)).collect()
}

fn stream(registry: &Registry, url: &str, stream: &Stream) -> Value {
    let on = || registry.clients.values().filter(|client| client.subject.url == url);
    let holder = stream.holder.as_ref().and_then(|id| registry.clients.get(id));
    let total = |of: fn(&Client) -> (u64, u64)| {
        on().map(of).fold((0_u64, 0_u64), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)))
    };
    let (received, sent) = total(|client| client.traffic.totals());
    let (kbps_in, kbps_out) = total(Client::kbps);
    let mut publish = json!({"active": stream.active});
    if let (true, Some(holder)) = (stream.active, holder) {
        publish["cid"] = holder.subject.client_id.clone().into();
    }
    json!({
        "id": stream.id, "name": stream.name, "vhost": VHOST, "app": stream.app,
        "tcUrl": holder.map_or("", |holder| holder.subject.tc_url.as_str()),
        "url": url, "live_ms": system::now_ms(), "clients": on().count(), "frames": 0,
        "send_bytes": sent, "recv_bytes": received, "kbps": {"recv_30s": kbps_in, "send_30s": kbps_out},
        "publish": publish,
        "video": stream.picture.as_ref().map(picture), "audio": stream.sound.map(sound),
    })
}

fn picture(picture: &Picture) -> Value {
    let profile = match picture.profile_idc {
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        _ => "Other",
    };
    let level = format!("{}.{}", picture.level_idc / 10, picture.level_idc % 10);
    json!({"codec": "H264", "profile": profile, "level": level.trim_end_matches(".0"),
           "width": picture.width, "height": picture.height})
}

fn sound(sound: Sound) -> Value {
    match sound {
        Sound::Opus => json!({"codec": "Opus", "sample_rate": 48_000, "channel": 2, "profile": "Other"}),
        Sound::Aac { sample_rate, channels } => {
            json!({"codec": "AAC", "sample_rate": sample_rate, "channel": channels, "profile": "LC"})
        }
    }
}

fn client(node: &Node, registry: &Registry, client: &Client) -> Value {
    let subject = &client.subject;
    let ((received, sent), (kbps_in, kbps_out)) = (client.traffic.totals(), client.kbps());
    let alive = node.now().saturating_sub(client.since).as_millis();
    let alive = f64::from(u32::try_from(alive).unwrap_or(u32::MAX)) / 1_000.0;
    json!({
        "id": subject.client_id, "vhost": VHOST,
        "stream": registry.streams.get(&subject.url).map_or("", |stream| stream.id.as_str()),
        "ip": subject.ip, "pageUrl": "", "swfUrl": "", "tcUrl": subject.tc_url, "url": subject.url,
        "name": subject.stream, "type": client.kind.as_str(), "publish": client.kind.publishes(), "alive": alive,
        "send_bytes": sent, "recv_bytes": received, "kbps": {"recv_30s": kbps_in, "send_30s": kbps_out},
    })
}
