//! HTTP hooks in SRS's form: bodies, headers, the strict rule of what counts as yes.
//!
//! `on_connect`, `on_publish` and `on_play` are asked and awaited; ends of WebRTC sessions and `on_hls` are told by one
//! serial worker, so a slow receiver delays the ones behind it, as it does at SRS. No retry, ever.
//!
//! Source: SRS 5.0.216 `srs_app_http_hooks.cpp`; bodies and reply matrix captured from it.

use std::time::Duration;

use reqwest::header;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::registry::Subject;
use super::shared::Identity;

/// SRS gives a hook 30 s to connect, and 30 s to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Ends waiting to be told; beyond that they are dropped with an error in the log.
const QUEUE_MAX: usize = 1_024;
/// Longest reply looked at, bytes.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Connect,
    Close,
    Publish,
    Unpublish,
    Play,
    Stop,
    Hls,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "on_connect",
            Self::Close => "on_close",
            Self::Publish => "on_publish",
            Self::Unpublish => "on_unpublish",
            Self::Play => "on_play",
            Self::Stop => "on_stop",
            Self::Hls => "on_hls",
        }
    }
}

/// Caller of one hook URL; without one everything is allowed and nothing is told.
pub(crate) struct Hooks {
    identity: Identity,
    target: Option<(reqwest::Client, String)>,
    queue: mpsc::Sender<Value>,
}

impl std::fmt::Debug for Hooks {
    /// Without the URL, which holds a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("on", &self.target.is_some()).finish_non_exhaustive()
    }
}

impl Hooks {
    /// The second half is the worker's queue, for [`tell_in_order`].
    pub(crate) fn new(
        identity: Identity,
        url: Option<String>,
    ) -> Result<(Self, mpsc::Receiver<Value>), reqwest::Error> {
        let target = match url {
            Some(url) => Some((client(&identity)?, url)),
            None => None,
        };
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        Ok((Self { identity, target, queue }, jobs))
    }

    /// Asks; true means go on.
    pub(crate) async fn ask(&self, action: Action, subject: &Subject, extra: Extra<'_>) -> bool {
        let Some((http, url)) = &self.target else { return true };
        let body = body(&self.identity, action, subject, extra);
        match post(http, url, &body).await {
            Ok(()) => true,
            Err(why) => {
                tracing::info!(action = action.as_str(), client.id = %subject.client_id, %why, "hook refused");
                false
            }
        }
    }

    /// Queues what nobody waits for.
    pub(crate) fn tell(&self, action: Action, subject: &Subject, extra: Extra<'_>) {
        if self.target.is_some() && self.queue.try_send(body(&self.identity, action, subject, extra)).is_err() {
            tracing::error!(action = action.as_str(), client.id = %subject.client_id, "hook queue is full, dropped");
        }
    }

    /// The worker: one hook after the other until `cancel`.
    pub(crate) async fn tell_in_order(&self, mut jobs: mpsc::Receiver<Value>, cancel: CancellationToken) {
        let Some((http, url)) = &self.target else { return };
        loop {
            let job = tokio::select! {
                () = cancel.cancelled() => return,
                job = jobs.recv() => job,
            };
            let Some(job) = job else { return };
            if let Err(why) = post(http, url, &job).await {
                tracing::warn!(action = %job["action"], %why, "hook was not accepted");
            }
        }
    }
}

/// The client for hooks and heartbeats: one connection a call, no redirects, SRS-like headers.
pub(crate) fn client(identity: &Identity) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(identity.software())
        .http1_title_case_headers()
        .timeout(TIMEOUT)
        .build()
}

/// What only some actions carry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extra<'a> {
    None,
    /// The stream's id in the API, when it has one.
    Stream(Option<&'a str>),
    /// Received and sent bytes.
    Bytes(u64, u64),
    /// A finished segment, and the stream's id.
    Segment {
        stream_id: Option<&'a str>,
        file: &'a str,
        playlist: &'a str,
        seconds: f64,
        number: u64,
    },
}

/// The body of a hook.
pub(crate) fn body(identity: &Identity, action: Action, subject: &Subject, extra: Extra<'_>) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    put("server_id", identity.server_id.clone().into());
    put("service_id", identity.service_id.clone().into());
    put("action", action.as_str().into());
    put("client_id", subject.client_id.clone().into());
    put("ip", subject.ip.clone().into());
    put("vhost", "__defaultVhost__".into());
    put("app", subject.app.clone().into());
    if action != Action::Close {
        put("stream", subject.stream.clone().into());
        put("param", subject.param.clone().into());
        put("tcUrl", subject.tc_url.clone().into());
    }
    if matches!(action, Action::Connect | Action::Play) {
        put("pageUrl", "".into());
    }
    if !matches!(action, Action::Connect | Action::Close) {
        put("stream_url", subject.url.clone().into());
    }
    match extra {
        Extra::None => {}
        Extra::Bytes(received, sent) => {
            put("send_bytes", sent.into());
            put("recv_bytes", received.into());
        }
        Extra::Stream(stream_id) => {
            if let Some(id) = stream_id {
                put("stream_id", id.into());
            }
        }
        Extra::Segment { stream_id, file, playlist, seconds, number } => {
            for (name, value) in [
                ("duration", json!(seconds)),
                ("cwd", json!("/")),
                ("file", json!(format!("./html/{file}"))),
                ("url", json!(file)),
                ("m3u8", json!(format!("./html/{playlist}"))),
                ("m3u8_url", json!(playlist)),
                ("seq_no", json!(number)),
            ] {
                put(name, value);
            }
            if let Some(id) = stream_id {
                put("stream_id", id.into());
            }
        }
    }
    Value::Object(body)
}

/// Why a reply is no yes.
#[derive(Debug, thiserror::Error)]
enum NotAccepted {
    #[error("no answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("a body that is neither 0 nor an object with code 0")]
    Body,
}

async fn post(http: &reqwest::Client, url: &str, body: &Value) -> Result<(), NotAccepted> {
    let request = http.post(url).header(header::CONTENT_TYPE, "application/json").body(body.to_string());
    let response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status().as_u16();
    let reply = response.bytes().await.map_err(reqwest::Error::without_url)?;
    if !matches!(status, 200 | 201) {
        return Err(NotAccepted::Status(status));
    }
    if accepted(&reply) { Ok(()) } else { Err(NotAccepted::Body) }
}

/// The text `0`, or an object whose `code` is the integer 0; nothing else, not even with a line end.
fn accepted(reply: &[u8]) -> bool {
    if reply == b"0" {
        return true;
    }
    if reply.len() > REPLY_BYTES_MAX {
        return false;
    }
    let code = serde_json::from_slice::<Map<String, Value>>(reply).ok().and_then(|reply| reply.get("code")?.as_i64());
    code == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(tc_url: &str, param: &str) -> Subject {
        Subject {
            client_id: "m0579z19".into(),
            ip: "127.0.0.1".into(),
            app: "live".into(),
            stream: "s1".into(),
            tc_url: tc_url.into(),
            param: param.into(),
            url: "/live/s1".into(),
        }
    }

    #[test]
    fn only_a_strict_yes_is_a_yes() {
        for yes in ["0", r#"{"code":0}"#, r#"{"code":0,"more":[1]}"#] {
            assert!(accepted(yes.as_bytes()), "{yes}");
        }
        for no in ["0\n", "\"0\"", r#"{"code":"0"}"#, "ok", "", "{}", r#"{"code":403}"#, "1", "[0]", r#"{"code":0.0}"#]
        {
            assert!(!accepted(no.as_bytes()), "{no}");
        }
    }

    /// Field sets of bodies captured from SRS 5.0.216.
    #[test]
    fn bodies_have_the_fields_of_srs() {
        let identity = Identity::new("node-a".into());
        let common = ["action", "app", "client_id", "ip", "server_id", "service_id", "vhost"];
        let rtmp = subject("rtmp://127.0.0.1:21935/live", "?token=T1&x=1");
        let fields = |action, extra| -> Vec<String> {
            let body = body(&identity, action, &rtmp, extra);
            let mut names: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
            names.retain(|name| !common.contains(&name.as_str()));
            names.sort();
            names
        };
        let id = Extra::Stream(Some("vid-4h5663e"));
        assert_eq!(fields(Action::Connect, Extra::None), ["pageUrl", "param", "stream", "tcUrl"]);
        assert_eq!(fields(Action::Close, Extra::Bytes(1, 2)), ["recv_bytes", "send_bytes"]);
        let publish = ["param", "stream", "stream_id", "stream_url", "tcUrl"];
        assert_eq!(fields(Action::Publish, id), publish);
        assert_eq!(fields(Action::Unpublish, id), publish);
        assert_eq!(fields(Action::Stop, id), publish);
        assert_eq!(fields(Action::Play, Extra::Stream(None)), ["pageUrl", "param", "stream", "stream_url", "tcUrl"]);
        let segment = Extra::Segment { stream_id: None, file: "live/s1-0.ts", playlist: "p", seconds: 2.0, number: 0 };
        let names = fields(Action::Hls, segment);
        assert!(["duration", "file", "m3u8_url", "seq_no", "url"].iter().all(|name| names.iter().any(|n| n == name)));
    }
}
