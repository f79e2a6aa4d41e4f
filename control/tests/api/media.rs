//! The other side of hooks and the internal API: a media node that posts and answers as SRS does, and an edge that admits.
#![allow(dead_code, reason = "each file of tests uses a part of these")]

use super::{
    edge::{Admitted, Edge, key_of},
    helpers::{Answer, Control, Session, Test, send, until},
};
use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use proto::{
    NodeId, ServiceId, StreamId,
    api::NewStream,
    internal::Credential,
    node::{Member, NodeState},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// What a node's API shows and what was done to it.
#[derive(Debug, Default)]
struct Inside {
    name: &'static str,
    service: String,
    clients: BTreeMap<String, Value>,
    kicked: Vec<String>,
    deaf: bool,
    stubborn: bool,
}

type Shared = Arc<Mutex<Inside>>;

/// A media node: the API it answers, the hooks it posts.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) secret: &'static str,
    port: u16,
    inside: Shared,
    server: ServerHandle,
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

fn head(inside: &Inside, code: i64) -> Value {
    json!({ "code": code, "server": inside.name, "service": inside.service, "pid": "1" })
}

fn with(mut head: Value, name: &str, value: Value) -> HttpResponse {
    head[name] = value;
    HttpResponse::Ok().json(head)
}

async fn versions(data: web::Data<Shared>) -> HttpResponse {
    if data.lock().unwrap().deaf {
        // Longer than anybody waits for a probe.
        actix_web::rt::time::sleep(std::time::Duration::from_secs(2)).await;
    }
    HttpResponse::Ok().json(head(&data.lock().unwrap(), 0))
}

async fn clients(data: web::Data<Shared>) -> HttpResponse {
    let inside = data.lock().unwrap();
    with(head(&inside, 0), "clients", inside.clients.values().cloned().collect())
}

async fn streams(data: web::Data<Shared>) -> HttpResponse {
    let inside = data.lock().unwrap();
    let publishers = inside.clients.values().filter(|client| client["publish"] == true);
    let streams = publishers.map(|client| {
        json!({ "id": "vid-1", "name": client["name"], "app": "live", "url": client["url"], "clients": inside.clients.len(),
                "kbps": { "recv_30s": 900, "send_30s": 1800 }, "publish": { "active": true, "cid": client["id"] } })
    });
    with(head(&inside, 0), "streams", streams.collect())
}

async fn client(data: web::Data<Shared>, path: web::Path<String>) -> HttpResponse {
    let inside = data.lock().unwrap();
    match inside.clients.get(&*path) {
        Some(client) => with(head(&inside, 0), "client", client.clone()),
        None => HttpResponse::Ok().json(json!({ "code": 2049 })),
    }
}

async fn kick(data: web::Data<Shared>, path: web::Path<String>) -> HttpResponse {
    let mut inside = data.lock().unwrap();
    inside.kicked.push(path.clone());
    let known = inside.clients.contains_key(&*path);
    if !inside.stubborn {
        inside.clients.remove(&*path);
    }
    let code = if known { 0 } else { 2049 };
    HttpResponse::Ok().json(json!({ "code": code }))
}

impl Node {
    /// Starts the API of node `n1`, run `run1`, and has it heard by `control`.
    pub(crate) async fn start(control: &Control) -> Self {
        let node = Self::quiet("n1", "node-one-secret");
        node.beat(control).await;
        node.is(control, NodeState::Up).await;
        node
    }

    /// Another node.
    pub(crate) async fn second(control: &Control) -> Self {
        let node = Self::quiet("n2", "node-two-secret");
        node.beat(control).await;
        node.is(control, NodeState::Up).await;
        node
    }

    /// One that was not heard yet.
    pub(crate) fn quiet(name: &'static str, secret: &'static str) -> Self {
        let inside: Shared = Arc::new(Mutex::new(Inside { name, service: "run1".into(), ..Inside::default() }));
        let data = web::Data::new(Arc::clone(&inside));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/api/v1/versions", web::get().to(versions))
                .route("/api/v1/clients/", web::get().to(clients))
                .route("/api/v1/streams/", web::get().to(streams))
                .route("/api/v1/clients/{id}", web::get().to(client))
                .route("/api/v1/clients/{id}", web::delete().to(kick))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let port = server.addrs()[0].port();
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { name, secret, port, inside, server: handle }
    }

    /// Waits until the membership says so.
    pub(crate) async fn is(&self, control: &Control, state: NodeState) {
        let id = self.id();
        until(state.as_str(), async || control.state.fleet.member(&id).filter(|member| member.state == state)).await;
    }

    /// Waits until its present run takes streams.
    pub(crate) async fn has_joined(&self, control: &Control) {
        let ready = |member: &Member| member.state == NodeState::Up && member.service == Some(self.service());
        until("its present run is up", async || control.state.fleet.member(&self.id()).filter(ready)).await;
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::parse(self.name).unwrap()
    }

    pub(crate) fn service(&self) -> ServiceId {
        ServiceId::parse(&self.inside.lock().unwrap().service).unwrap()
    }

    /// Starts another run: nobody is connected any more.
    pub(crate) fn restart(&self, service: &str) {
        let name = self.name;
        *self.inside.lock().unwrap() = Inside { name, service: service.into(), ..Inside::default() };
    }

    /// Stops answering, as a process that is gone.
    pub(crate) async fn die(&self) {
        self.server.stop(false).await;
    }

    /// Answers probes too late, or again in time.
    pub(crate) fn deaf(&self, deaf: bool) {
        self.inside.lock().unwrap().deaf = deaf;
    }

    /// Takes kicks and keeps the clients, or lets them go again.
    pub(crate) fn stubborn(&self, stubborn: bool) {
        self.inside.lock().unwrap().stubborn = stubborn;
    }

    /// Shows a client in the API.
    pub(crate) fn connect(&self, client: &str, stream: &str, publish: bool, recv_bytes: u64) {
        let entry = json!({ "id": client, "ip": "192.0.2.7", "url": format!("/live/{stream}"), "name": stream,
            "type": if publish { "rtc-publish" } else { "rtc-play" }, "publish": publish, "alive": 60.0,
            "send_bytes": 1, "recv_bytes": recv_bytes, "kbps": { "recv_30s": 0, "send_30s": 0 } });
        self.inside.lock().unwrap().clients.insert(client.into(), entry);
    }

    pub(crate) fn disconnect(&self, client: &str) {
        self.inside.lock().unwrap().clients.remove(client);
    }

    /// Who was kicked so far.
    pub(crate) fn kicked(&self) -> Vec<String> {
        self.inside.lock().unwrap().kicked.clone()
    }

    /// Waits until `client` was kicked.
    pub(crate) async fn has_kicked(&self, client: &str) {
        until("the kick", async || self.kicked().iter().any(|kicked| kicked == client).then_some(())).await;
    }

    /// The body of a heartbeat.
    pub(crate) fn beat_body(&self, uptime_s: u64) -> Value {
        json!({ "device_id": self.name, "ip": "127.0.0.1", "server": self.name, "service": self.service(), "pid": "1",
            "summaries": { "data": { "ok": true, "self": { "version": "5.0.216", "mem_kbyte": 40_000, "cpu_percent": 0.25,
                "srs_uptime": uptime_s }, "system": {} } },
            "api": [format!("127.0.0.1:{}", self.port)] })
    }

    /// Sends a heartbeat, and waits until its run was dialled back.
    pub(crate) async fn beat(&self, control: &Control) -> Answer {
        let path = format!("/v1/hooks/heartbeat/{}/{}", self.name, self.secret);
        let answer = control.post(&path, None, self.beat_body(0)).await.is(200);
        let nodes = &control.state.nodes;
        until("the dial-back", async || {
            let run = nodes.info(&self.id())?.service;
            nodes.checks(&self.id()).filter(|checked| checked.service == run).map(|_| ())
        })
        .await;
        answer
    }

    /// Posts a hook and gives back the `code` of the answer.
    pub(crate) async fn hook(&self, control: &Control, body: &Value) -> i64 {
        let answer = self.hook_raw(control, body.to_string()).await.is(200);
        assert!(
            answer.header("content-length").is_some() && answer.header("transfer-encoding").is_none(),
            "{answer:?}"
        );
        answer.body["code"].as_i64().unwrap_or_else(|| panic!("SRS wants an integer code: {answer:?}"))
    }

    pub(crate) async fn hook_raw(&self, control: &Control, body: String) -> Answer {
        let path = format!("/v1/hooks/srs/{}/{}", self.name, self.secret);
        send(control.request(Method::POST, &path).header("content-type", "application/json").body(body)).await
    }

    /// A hook's body; `kind` is `webrtc`, `rtmp`, `srt`, `flv` or `hls`.
    pub(crate) fn body(&self, action: &str, kind: &str, client: &str, stream: &str, param: &str) -> Value {
        let tc_url = match kind {
            "rtmp" => "rtmp://127.0.0.1/live",
            "srt" => "srt://127.0.0.1/live",
            "flv" => "rtmp://__defaultVhost__/live",
            "hls" => "http://127.0.0.1/live",
            _ => "",
        };
        let name = if kind == "hls" { format!("{stream}.m3u8") } else { stream.to_owned() };
        json!({ "server_id": self.name, "service_id": self.service(), "action": action, "client_id": client, "ip": "192.0.2.7",
            "vhost": "__defaultVhost__", "app": "live", "stream": name, "tcUrl": tc_url, "param": param,
            "stream_url": format!("/live/{stream}"), "stream_id": "vid-1" })
    }

    /// A publish hook with the ticket of an admission.
    pub(crate) fn publish(&self, admitted: &Admitted, client: &str) -> Value {
        self.body("on_publish", "webrtc", client, admitted.stream.as_str(), &admitted.param())
    }

    /// The hook at the end of a publisher.
    pub(crate) fn unpublish(&self, stream: &StreamId, client: &str) -> Value {
        self.body("on_unpublish", "webrtc", client, stream.as_str(), "")
    }
}

/// A stream, its owner, a node and an edge: what most tests begin with.
pub(crate) struct Scene {
    pub(crate) test: Test,
    pub(crate) owner: Session,
    pub(crate) made: NewStream,
    pub(crate) stream: StreamId,
    pub(crate) key: Credential,
    pub(crate) node: Node,
    pub(crate) edge: Edge,
}

impl Scene {
    pub(crate) async fn start(visibility: &str) -> Self {
        let test = Test::start().await;
        let owner = test.control.user("owner").await;
        let made = test.control.stream(&owner, visibility).await;
        let node = Node::start(&test.control).await;
        Self { stream: made.stream.id.clone(), key: key_of(&made), made, owner, node, edge: Edge::new(), test }
    }

    pub(crate) fn control(&self) -> &Control {
        &self.test.control
    }

    /// Publishes by an edge as `client`.
    pub(crate) async fn live(&self, client: &str) -> Admitted {
        let admitted = self.edge.admit(self.control(), &self.stream, &self.node, &self.key).await;
        assert_eq!(self.node.hook(self.control(), &self.node.publish(&admitted, client)).await, 0);
        self.node.connect(client, self.stream.as_str(), true, 1);
        admitted
    }

    /// A play hook of a client that reached the node directly.
    pub(crate) async fn play(&self, kind: &str, client: &str, param: &str) -> i64 {
        let body = self.node.body("on_play", kind, client, self.stream.as_str(), param);
        self.node.hook(self.control(), &body).await
    }

    /// Where the stream is, by the internal API.
    pub(crate) async fn route(&self) -> Value {
        let path = format!("/internal/v1/route/{}", self.stream);
        self.edge.get(self.control(), &path).await.is(200).body["placement"].clone()
    }

    /// Where the stream is, by Redis.
    pub(crate) async fn placement(&self) -> Option<proto::fleet::Placement> {
        self.control().state.kv.json(&proto::keys::placement(&self.stream)).await.unwrap()
    }

    /// The stream's path, with what follows it.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/streams/{}{rest}", self.stream)
    }

    pub(crate) async fn stop(self) {
        let Self { test, node, .. } = self;
        drop(node);
        test.stop().await;
    }
}
