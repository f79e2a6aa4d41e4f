//! control-apis as a hook forwarder sees them, and a media node that calls the edge.

use super::{
    World,
    wire::{self, Reply, Request},
};
use proto::{
    EdgeId, NodeId, ServiceId, SessionId, StreamId,
    internal::open_bearer,
    journal::{JournalEntry, JournalRequest},
    secret::{ClusterSecret, Keyring},
    session::{Protocol, Role},
    ticket::{Scope, Ticket},
};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

/// The cluster secret of these tests, as `EDGE_SECRET`.
pub(crate) const SECRET: &str = "a secret of twenty-odd bytes";

fn keyring() -> Keyring {
    Keyring { current: ClusterSecret::from_setting(SECRET), previous: None }
}

/// What a control-api does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    /// This status and body.
    Says(u16, &'static str),
    /// Hangs up.
    HangsUp,
    /// Keeps the caller waiting.
    Hangs,
}

impl Does {
    fn reply(self) -> Reply {
        match self {
            Self::Says(status, body) => {
                Reply::Http(status, vec![("Content-Type", "application/json".to_owned())], body.into())
            }
            Self::HangsUp => Reply::Close,
            Self::Hangs => Reply::Hang,
        }
    }
}

struct State {
    hooks: Does,
    journal: Does,
    seen: Vec<Request>,
    batches: Vec<Vec<JournalEntry>>,
}

/// One fake control-api.
#[derive(Clone)]
pub(crate) struct FakeControl {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeControl {
    pub(crate) async fn start(hooks: Does, journal: Does) -> Self {
        let state = Arc::new(Mutex::new(State { hooks, journal, seen: Vec::new(), batches: Vec::new() }));
        let inner = state.clone();
        let address = wire::serve(move |request| {
            let mut state = inner.lock().unwrap();
            if request.path != "/internal/v1/journal" {
                let does = state.hooks;
                state.seen.push(request);
                return does.reply();
            }
            let bearer = request.headers.get("authorization").and_then(|v| v.strip_prefix("Bearer ")).unwrap();
            open_bearer(bearer, &keyring(), kit::clock::unix()).unwrap();
            if matches!(state.journal, Does::Says(204, _)) {
                let batch: JournalRequest = serde_json::from_slice(&request.body).unwrap();
                state.batches.push(batch.entries);
            }
            state.journal.reply()
        })
        .await;
        Self { address, state }
    }

    /// One that answers yes to every hook and takes every journal.
    pub(crate) async fn good() -> Self {
        Self::start(Does::Says(200, r#"{"code":0}"#), Does::Says(204, "")).await
    }

    /// One that is not there.
    pub(crate) async fn away() -> Self {
        Self::start(Does::HangsUp, Does::HangsUp).await
    }

    pub(crate) fn does(&self, hooks: Does, journal: Does) {
        let mut state = self.state.lock().unwrap();
        (state.hooks, state.journal) = (hooks, journal);
    }

    pub(crate) fn comes_back(&self) {
        self.does(Does::Says(200, r#"{"code":0}"#), Does::Says(204, ""));
    }

    pub(crate) fn goes_away(&self) {
        self.does(Does::HangsUp, Does::HangsUp);
    }

    /// Hooks and heartbeats seen.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state.lock().unwrap().seen.clone()
    }

    /// How many entries each batch had.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.state.lock().unwrap().batches.iter().map(Vec::len).collect()
    }

    /// What was handed in: action and client of each entry, in order.
    pub(crate) fn journal(&self) -> Vec<(String, String)> {
        let state = self.state.lock().unwrap();
        let entries = state.batches.iter().flatten();
        entries
            .map(|entry| {
                let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
                assert_eq!(entry.node.as_str(), body["server_id"]);
                assert!(kit::clock::unix_ms() - entry.at_ms < 60_000);
                (body["action"].as_str().unwrap().to_owned(), body["client_id"].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

/// An edge whose control-apis are these, with one node `n0`.
pub(crate) async fn world(controls: &[&FakeControl], more: &[(&str, &str)]) -> World {
    let urls: Vec<String> = controls.iter().map(|c| format!("http://{}", c.address)).collect();
    let urls = urls.join(",");
    let settings = [&[("CONTROL_API_URL", urls.as_str()), ("EDGE_SECRET", SECRET)], more].concat();
    World::with(1, &settings).await
}

/// The stream these tests are about.
pub(crate) fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

/// A ticket for `cam` on `n0`, of a session made of one number.
pub(crate) fn ticket(role: Role, session: u8, epoch: u64, life_seconds: u64) -> String {
    ticket_of(role, [session; 16], epoch, life_seconds)
}

/// A ticket for `cam` on `n0`.
pub(crate) fn ticket_of(role: Role, session: [u8; 16], epoch: u64, life_seconds: u64) -> String {
    let ticket = Ticket {
        session: SessionId::from_bytes(session),
        role,
        protocol: Protocol::Rtmp,
        expires_at: kit::clock::unix() + life_seconds,
        epoch,
        client: None,
        ufrag_hash: [0; 8],
        edge: EdgeId::parse("edge-other").unwrap(),
    };
    let (node, service) = (NodeId::parse("n0").unwrap(), ServiceId::parse("9j51a805").unwrap());
    ticket.seal(&keyring().current, Scope { node: &node, service: &service, stream: &cam() })
}

/// A hook's body as SRS writes it.
pub(crate) fn body(action: &str, client: &str, param: &str) -> String {
    json!({"action": action, "client_id": client, "server_id": "n0", "service_id": "9j51a805", "ip": "192.0.2.7", "vhost": "__defaultVhost__",
        "app": "live", "stream": "cam", "stream_url": "/live/cam", "tcUrl": "rtmp://h/live", "param": param})
    .to_string()
}

impl World {
    /// Posts a hook and gives status and body.
    pub(crate) async fn hook(&self, action: &str, client: &str, param: &str) -> (u16, String) {
        self.post_hook("/v1/hooks/srs/n0/n0des3cret", &body(action, client, param)).await
    }

    /// Posts something to a hook's path.
    pub(crate) async fn post_hook(&self, path: &str, body: &str) -> (u16, String) {
        let request = self.http.post(self.url(path)).header("X-Secret", "no business of control-api");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The `code` a hook is answered with.
    pub(crate) async fn code(&self, action: &str, client: &str, param: &str) -> i64 {
        let (status, text) = self.hook(action, client, param).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["code"].as_i64().unwrap()
    }

    /// The value of one metric line.
    pub(crate) async fn metric(&self, line: &str) -> Option<u64> {
        let text = self.http.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
    }
}
