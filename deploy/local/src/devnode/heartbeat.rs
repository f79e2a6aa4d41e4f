//! The heartbeat: one POST an interval with summaries and ports. First beat after one interval, none at the end.

use std::time::Duration;

use reqwest::header;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::hooks;
use super::shared::Node;
use super::system;

/// Beats until `cancel`.
pub(crate) async fn run(node: Node, url: String, interval: Duration, cancel: CancellationToken) {
    let http = match hooks::client(&node.identity) {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "no heartbeat: HTTP client cannot be made");
            return;
        }
    };
    let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = beats.tick() => {}
        }
        let request = http.post(&url).header(header::CONTENT_TYPE, "application/json").body(body(&node).to_string());
        // The reply is not looked at, as at SRS; the URL holds a secret and stays out of the log.
        if let Err(error) = request.send().await {
            tracing::warn!(error = %error.without_url(), "heartbeat not delivered");
        }
    }
}

/// Ports are in SRS's grammar: a bare RTMP port, `ip:port`, `udp://ip:port`. There is no `srt` key: no SRT here.
fn body(node: &Node) -> Value {
    let (identity, ends) = (&node.identity, &node.endpoints);
    let clients = node.registry().clients.len();
    json!({
        "device_id": identity.server_id, "ip": ends.candidate.ip().to_string(),
        "server": identity.server_id, "service": identity.service_id, "pid": identity.pid.to_string(),
        "summaries": {"data": system::summary(identity, node.started.elapsed(), clients)},
        "rtmp": [ends.rtmp.port().to_string()], "http": [ends.http.to_string()], "api": [ends.api.to_string()],
        "rtc": [format!("udp://{}", ends.rtc)],
    })
}
