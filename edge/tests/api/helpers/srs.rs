//! A media node as the edge sees it: SRS's HTTP API over raw TCP, with the ways in which SRS fails.

use super::{
    truth::{Hook, Truth},
    wire::{self, Endless, Reply, Request},
};
use proto::{NodeId, ServiceId, session::Role};
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the node does with the next POST.
#[derive(Debug, Clone)]
pub(crate) enum Behave {
    /// 201 as SRS 5 answers.
    Accept,
    /// 201 with SRS 5's captured answer for its captured offer, credentials replaced.
    Captured,
    /// An answer for an audio-only or video-only stream, or one changed otherwise.
    Edited(fn(String) -> String),
    /// Hangs up without a word, as SRS 5 and 6 do on every failure.
    Close,
    /// A status and a text, as SRS 7.0.121 and later do.
    Text(u16, &'static str),
    /// 201 after a while.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Bytes that are not HTTP.
    Garbage,
    /// 201 with an endless body.
    Huge,
    /// 201 without `Location`.
    NoLocation,
    /// 201 with other ICE credentials than were set: a collision inside SRS.
    Collision,
}

/// A session the node holds.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) client_id: String,
    pub(crate) token: String,
}

#[derive(Default)]
struct State {
    behave: VecDeque<Behave>,
    seen: Vec<Request>,
    held: BTreeMap<String, Held>,
    drawn: u32,
    files: BTreeMap<String, Vec<u8>>,
    slow_files: Duration,
    flv: Option<Endless>,
}

/// One fake node.
pub(crate) struct FakeSrs {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    /// Its WebRTC port. What comes there, a test reads and answers itself.
    pub(crate) rtc: tokio::net::UdpSocket,
    state: Arc<Mutex<State>>,
    truth: Arc<Truth>,
    run: Mutex<ServiceId>,
    listening: Mutex<tokio::task::JoinHandle<()>>,
}

impl FakeSrs {
    pub(crate) async fn start(node: &str, truth: Arc<Truth>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (node, service) = (NodeId::parse(node).unwrap(), ServiceId::parse("9j51a805").unwrap());
        let inner = Node { node: node.clone(), service: service.clone(), state: state.clone(), truth: truth.clone() };
        let any = "127.0.0.1:0".parse().unwrap();
        let (address, listening) = wire::serve_at(any, move |request| inner.handle(request)).await;
        let rtc = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { node, address, rtc, state, truth, run: Mutex::new(service), listening: Mutex::new(listening) }
    }

    /// As `SRS_UPSTREAM` names it.
    pub(crate) fn upstream(&self) -> String {
        let (api, rtc) = (self.address, self.rtc.local_addr().unwrap().port());
        format!("http://{api}?id={}&http={}&rtc={rtc}", self.node, api.port())
    }

    /// Its present run.
    pub(crate) fn run(&self) -> ServiceId {
        self.run.lock().unwrap().clone()
    }

    /// The process is gone: connections are refused. What it held is gone with it.
    pub(crate) async fn kill(&self) {
        self.listening.lock().unwrap().abort();
        self.state.lock().unwrap().held.clear();
        super::until("the node refuses connections", || async {
            tokio::net::TcpStream::connect(self.address).await.is_err()
        })
        .await;
    }

    /// It is back at its address, in another run or, as after a cut, the same.
    pub(crate) async fn revive(&self, run: &str) {
        let service = ServiceId::parse(run).unwrap();
        *self.run.lock().unwrap() = service.clone();
        let inner = Node { node: self.node.clone(), service, state: self.state.clone(), truth: self.truth.clone() };
        let (_, listening) = wire::serve_at(self.address, move |request| inner.handle(request)).await;
        *self.listening.lock().unwrap() = listening;
    }

    /// Puts a file under `/live/`; none when empty.
    pub(crate) fn put(&self, file: &str, bytes: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().files.insert(format!("/live/{file}"), bytes.into());
    }

    /// Puts a playlist of segments from `first` on, and the segments, each of which says its own name.
    pub(crate) fn segments(&self, stream: &str, first: u64, count: u64) {
        let mut list = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-TARGETDURATION:2\n");
        for number in first..first + count {
            list.push_str(&format!("#EXTINF:2.000, no desc\n{stream}-{number}.ts\n"));
            self.put(&format!("{stream}-{number}.ts"), format!("{} {stream}-{number}.ts", self.node));
        }
        self.put(&format!("{stream}.m3u8"), list);
    }

    /// Answers every file after a while.
    pub(crate) fn slow_files(&self, wait: Duration) {
        self.state.lock().unwrap().slow_files = wait;
    }

    /// Answers HTTP-FLV so.
    pub(crate) fn flv(&self, endless: Endless) {
        self.state.lock().unwrap().flv = Some(endless);
    }

    /// How often a file was asked for.
    pub(crate) fn fetched(&self, file: &str) -> usize {
        let path = format!("/live/{file}");
        self.state.lock().unwrap().seen.iter().filter(|request| request.path == path).count()
    }

    /// Queues what to do with the next POSTs; after them it accepts.
    pub(crate) fn behave(&self, behave: impl IntoIterator<Item = Behave>) {
        self.state.lock().unwrap().behave.extend(behave);
    }

    /// The POSTs of sessions seen so far.
    pub(crate) fn posts(&self) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|r| r.method == "POST" && r.path.starts_with("/rtc/")).cloned().collect()
    }

    /// Everything seen so far but the edge's own questions about versions.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state.lock().unwrap().seen.iter().filter(|r| r.path != "/api/v1/versions").cloned().collect()
    }

    /// How often the edge asked for the node's version, which is how it learns that the node is there.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().seen.iter().filter(|r| r.path == "/api/v1/versions").count()
    }

    /// Sessions that the node holds.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.state.lock().unwrap().held.values().cloned().collect()
    }
}

struct Node {
    node: NodeId,
    service: ServiceId,
    state: Arc<Mutex<State>>,
    truth: Arc<Truth>,
}

impl Node {
    fn handle(&self, request: Request) -> Reply {
        self.state.lock().unwrap().seen.push(request.clone());
        let path = request.path.as_str();
        match (request.method.as_str(), path) {
            ("POST", "/rtc/v1/whip/") => self.open(&request, Role::Publish),
            ("POST", "/rtc/v1/whep/" | "/rtc/v1/whip-play/") => self.open(&request, Role::Play),
            ("DELETE", "/rtc/v1/whip/") => self.delete(&request),
            (_, path) if path.starts_with("/api/v1/clients/") => self.client(&request),
            ("GET", path) if path.starts_with("/api/v1/versions") => {
                self.ok(json!({"data": {"major": 5, "minor": 0, "revision": 216, "version": "5.0.216"}}))
            }
            ("GET", path) if path.ends_with(".flv") => self.endless(&request),
            ("GET", path) if path.starts_with("/live/") => self.file(path),
            ("GET", path) if path.starts_with("/api/v1/streams") => self.ok(json!({"streams": []})),
            ("GET", path) if path.starts_with("/api/v1/summaries") => self.ok(json!({"data": {"ok": true}})),
            _ => Reply::Close,
        }
    }

    fn file(&self, path: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let reply = match state.files.get(path) {
            Some(bytes) => Reply::Http(200, vec![("Content-Type", "video/MP2T".to_owned())], bytes.clone()),
            None => Reply::Http(404, vec![("Content-Type", "text/plain".to_owned())], b"Not Found".to_vec()),
        };
        if state.slow_files.is_zero() { reply } else { Reply::Later(state.slow_files, Box::new(reply)) }
    }

    /// SRS asks its hook, says nothing until there is media, and hangs up on a refusal.
    fn endless(&self, request: &Request) -> Reply {
        let stream = request.path.trim_start_matches("/live/").trim_end_matches(".flv");
        let ticket = request.param("kst").unwrap_or_default();
        if let Err(why) = self.truth.admits(&self.node, &self.service, stream, ticket) {
            eprintln!("a fake hook refuses: {why}");
            return Reply::Close;
        }
        self.state.lock().unwrap().flv.clone().map_or(Reply::Hang, Reply::Endless)
    }

    fn ok(&self, mut more: serde_json::Value) -> Reply {
        more["code"] = 0.into();
        more["server"] = self.node.as_str().into();
        more["service"] = self.service.as_str().into();
        more["pid"] = "1".into();
        Reply::json(200, &more)
    }

    fn open(&self, request: &Request, role: Role) -> Reply {
        let behave = self.state.lock().unwrap().behave.pop_front().unwrap_or(Behave::Accept);
        match behave {
            Behave::Accept => self.accept(request, role, |sdp| sdp),
            Behave::Edited(edit) => self.accept(request, role, edit),
            Behave::Captured if role == Role::Publish => {
                self.accept(request, role, |_| include_str!("../../fixtures/srs5-whip-answer.sdp").to_owned())
            }
            Behave::Captured => {
                self.accept(request, role, |_| include_str!("../../fixtures/srs5-whep-answer.sdp").to_owned())
            }
            Behave::Close => Reply::Close,
            Behave::Text(status, text) => {
                Reply::Http(status, vec![("Content-Type", "text/plain".to_owned())], text.as_bytes().to_vec())
            }
            Behave::Slow(wait) => Reply::Later(wait, Box::new(self.accept(request, role, |sdp| sdp))),
            Behave::Hang => Reply::Hang,
            Behave::Garbage => Reply::Raw(b"\x16\x03\x01 this is not HTTP\r\n\r\n".to_vec()),
            Behave::Huge => Reply::Http(201, vec![("Location", "/x".to_owned())], vec![b'a'; 8 * 1024 * 1024]),
            Behave::NoLocation => Reply::Http(201, Vec::new(), b"v=0\r\n".to_vec()),
            Behave::Collision => self.accept(request, role, |sdp| swap(&sdp, "a=ice-ufrag:", "0therufr")),
        }
    }

    /// What SRS does: take the session, ask the hook, answer. The truth plays control-api's part in the hook.
    fn accept(&self, request: &Request, role: Role, edit: impl Fn(String) -> String) -> Reply {
        let offer = String::from_utf8_lossy(&request.body).into_owned();
        let stream = request.param("stream").unwrap_or_default().to_owned();
        let remote = super::sdp::value(&offer, "a=ice-ufrag:").unwrap_or_default().to_owned();
        let ufrag = request.param("ice-ufrag").unwrap_or("srsufrag").to_owned();
        let mut sdp = edit(super::sdp::answer(&offer, role, &stream));
        if !sdp.contains("0therufr") {
            sdp = swap(&sdp, "a=ice-ufrag:", &ufrag);
        }
        sdp = swap(&sdp, "a=ice-pwd:", request.param("ice-pwd").unwrap_or("5594t0s11n1198050b944inf0g9j2747"));
        let local = super::sdp::value(&sdp, "a=ice-ufrag:").unwrap_or_default().to_owned();
        let mut state = self.state.lock().unwrap();
        state.drawn += 1;
        let (client_id, token) = (format!("cl{:06}", state.drawn), format!("tok{:06}", state.drawn));
        let ticket = request.param("kst").unwrap_or_default();
        let hook = Hook {
            node: &self.node,
            service: &self.service,
            stream: &stream,
            role,
            client: &client_id,
            ticket,
            ufrag: &local,
        };
        if let Err(why) = self.truth.hook_open(&hook) {
            eprintln!("fake hook refuses: {why}");
            return Reply::Close;
        }
        state.held.insert(format!("{local}:{remote}"), Held { client_id, token: token.clone() });
        let location =
            format!("/rtc/v1/whip/?action=delete&token={token}&app=live&stream={stream}&session={local}:{remote}");
        let lines = vec![("Content-Type", "application/sdp".to_owned()), ("Location", location)];
        Reply::Http(201, lines, sdp.into_bytes())
    }

    /// SRS asks for the session's own token and hangs up otherwise; an unknown session is a success.
    fn delete(&self, request: &Request) -> Reply {
        let mut state = self.state.lock().unwrap();
        let session = request.param("session").unwrap_or_default().replace("%3A", ":").replace("%3a", ":");
        match state.held.get(&session) {
            Some(held) if request.param("token") != Some(&held.token) => Reply::Close,
            Some(held) => {
                self.truth.hook_close(&self.node, &held.client_id);
                state.held.remove(&session);
                Reply::Http(200, Vec::new(), Vec::new())
            }
            None => Reply::Http(200, Vec::new(), Vec::new()),
        }
    }

    fn client(&self, request: &Request) -> Reply {
        let id = request.path.rsplit('/').next().unwrap_or_default();
        let mut state = self.state.lock().unwrap();
        let known = state.held.iter().find(|(_, held)| held.client_id == id).map(|(key, _)| key.clone());
        match (known, request.method.as_str()) {
            (None, _) => {
                Reply::json(200, &json!({"code": 2049, "server": self.node.as_str(), "service": self.service.as_str()}))
            }
            (Some(key), "DELETE") => {
                self.truth.hook_close(&self.node, id);
                state.held.remove(&key);
                self.ok(json!({}))
            }
            (Some(_), _) => self.ok(json!({"client": {"id": id, "type": "rtc-play", "alive": 1.0}})),
        }
    }
}

fn swap(sdp: &str, prefix: &str, value: &str) -> String {
    let line = |line: &str| if line.starts_with(prefix) { format!("{prefix}{value}") } else { line.to_owned() };
    sdp.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n")
}
