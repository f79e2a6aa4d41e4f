//! control-api with its stores, and a node and an edge that are played.

use super::request;
use crate::{
    process::{Process, Scratch, beside},
    redis::Redis,
    serve::{Reply, Request, serve},
    wire::{Conn, post},
    world::{NODE, SERVICE, ready, says},
};
use anyhow::{Context as _, bail, ensure};
use kit::testing::{TestRedis, database_url, free_port};
use proto::{
    EdgeId, NodeId, ServiceId, SessionId, StreamId,
    api::{AccessToken, CreateStream, NewStream},
    internal::{self, Credential, ProposedNode, ReleaseRequest, Reservation, ReserveRequest},
    keys,
    node::{Membership, NodeState},
    secret::{ClusterSecret, PublishedSecrets},
    session::{Protocol, Role},
    stream::Visibility,
    ticket::{LIFE_SECONDS, Scope, Ticket, ufrag_hash},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What control-api answers to a hook it agrees with.
pub(super) const YES: &[u8] = br#"{"code":0}"#;
const NODE_SECRET: &str = "bench-node-secret-0123456789";
/// As often as SRS is told to.
const BEAT: Duration = Duration::from_secs(2);
/// How long the node may take to join.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How long making the streams may take.
const MADE_WITHIN: Duration = Duration::from_secs(20);
const UFRAG: &str = "benchufrag";
const PASSWORD: &str = "a password for the bench";

/// Everything; ends with the value.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
    streams: Vec<StreamId>,
    names: Arc<Names>,
    _redis: TestRedis,
    _dir: Scratch,
}

#[derive(Debug)]
struct Names {
    secret: ClusterSecret,
    edge: EdgeId,
    node: NodeId,
    service: ServiceId,
}

impl Cluster {
    pub(super) async fn start(streams: usize) -> anyhow::Result<Self> {
        let (dir, redis) = (Scratch::new("control")?, TestRedis::start());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let env = [
            ("DATABASE_URL", database().await?),
            ("REDIS_ADDR", redis.addr()),
            ("JWT_SECRET", proto::secret::sha256_hex(&kit::random::bytes::<16>())),
            ("CONTROL_LISTEN", address.to_string()),
            ("NODES_BOOTSTRAP", format!("{NODE}:{NODE_SECRET}")),
            ("RUST_LOG", "error".to_owned()),
        ];
        let program = beside("control-api")?;
        Process::start(&program, &["migrate"], &env, &dir.path().join("migrate.log"))?.finish()?;
        let log = dir.path().join("control.log");
        let process = Process::start(&program, &[], &env, &log)?;
        ready(address, &log).await?;
        let mut kept = Redis::connect(&redis.addr()).await?;
        let published = kept.get(keys::SECRETS).await?;
        let published: PublishedSecrets = serde_json::from_str(&published)?;
        let names = Arc::new(Names {
            secret: ClusterSecret::decode(&published.current).context("no cluster secret")?,
            edge: EdgeId::parse("bench")?,
            node: NodeId::parse(NODE)?,
            service: ServiceId::parse(SERVICE)?,
        });
        let mut cluster = Self { address, process, streams: Vec::new(), names, _redis: redis, _dir: dir };
        cluster.join(&mut kept).await?;
        cluster.make(streams).await?;
        Ok(cluster)
    }

    pub(super) fn stream(&self, number: u64) -> &StreamId {
        let index = usize::try_from(number).unwrap_or(0) % self.streams.len();
        self.streams.get(index).expect("the remainder is an index")
    }

    /// Makes every stream live.
    pub(super) async fn publish_all(&self) -> anyhow::Result<()> {
        let mut conn = Conn::new(self.address);
        for stream in &self.streams {
            let claimed = self.claim(&mut conn, stream).await?;
            self.say(&mut conn, &claimed.hook("on_publish")).await?;
        }
        Ok(())
    }

    /// Reserves a stream, as an edge does before it opens a publisher at the node.
    pub(super) async fn claim(&self, conn: &mut Conn, stream: &StreamId) -> anyhow::Result<Claimed> {
        let names = &self.names;
        let session = SessionId::from_bytes(kit::random::bytes());
        let ask = ReserveRequest {
            stream: stream.clone(),
            session,
            edge: names.edge.clone(),
            nodes: vec![ProposedNode { node: names.node.clone(), service: names.service.clone() }],
            protocol: Protocol::Webrtc,
            credential: Credential::Open,
            client: None,
            takeover: false,
            srt: None,
        };
        let bearer = internal::bearer(&names.secret, &names.edge, kit::clock::unix());
        let headers = format!("Authorization: Bearer {bearer}\r\n");
        let body = serde_json::to_vec(&ask)?;
        let answer = conn.ask(&post("/internal/v1/claims", "application/json", &headers, &body)).await?;
        ensure!(answer.status == 200, "a claim: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        let reservation: Reservation = serde_json::from_slice(answer.body)?;
        let client = kit::random::letters(8);
        let ticket = names.ticket(Role::Publish, session, reservation.epoch, stream);
        Ok(Claimed { stream: stream.clone(), session, epoch: reservation.epoch, client, ticket })
    }

    /// Gives a reservation up, as an edge does whose publisher failed at the node.
    pub(super) async fn release(&self, conn: &mut Conn, claimed: &Claimed) -> anyhow::Result<()> {
        let bearer = internal::bearer(&self.names.secret, &self.names.edge, kit::clock::unix());
        let headers = format!("Authorization: Bearer {bearer}\r\n");
        let Claimed { stream, session, epoch, .. } = claimed;
        let body = serde_json::to_vec(&ReleaseRequest { stream: stream.clone(), session: *session, epoch: *epoch })?;
        let answer = conn.ask(&post("/internal/v1/claims:release", "application/json", &headers, &body)).await?;
        ensure!(answer.status == 204, "a release: {}", answer.status);
        Ok(())
    }

    /// Posts a hook and wants a yes.
    pub(super) async fn say(&self, conn: &mut Conn, request: &[u8]) -> anyhow::Result<()> {
        let answer = conn.ask(request).await?;
        let body = String::from_utf8_lossy(answer.body);
        ensure!(answer.status == 200 && answer.body == YES, "a hook: {} {body}", answer.status);
        Ok(())
    }

    pub(super) fn viewer(&self) -> Viewer {
        Viewer { names: Arc::clone(&self.names), streams: self.streams.clone() }
    }

    /// The node joins, and gives signs of life until the process ends.
    async fn join(&self, kept: &mut Redis) -> anyhow::Result<()> {
        let joined = Arc::new(AtomicBool::new(false));
        let api = serve(node(Arc::clone(&joined))).await?;
        // Media ports that are not named are not dialled.
        let beat = json!({
            "device_id": NODE, "ip": "127.0.0.1", "server": NODE, "service": SERVICE, "pid": "1", "api": [api.to_string()],
        });
        let beat = request(&format!("/v1/hooks/heartbeat/{NODE}/{NODE_SECRET}"), &beat);
        let mut conn = Conn::new(self.address);
        self.say(&mut conn, &beat).await?;
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(BEAT);
            loop {
                tick.tick().await;
                // One that is lost is followed by the next.
                drop(conn.ask(&beat).await);
            }
        });
        let deadline = Instant::now() + UP_WITHIN;
        let mut last = String::new();
        while Instant::now() < deadline {
            // Not there until control-api has written it.
            last = kept.get(keys::MEMBERS).await.unwrap_or_default();
            let members = serde_json::from_str::<Membership>(&last).map(|known| known.members).unwrap_or_default();
            if members.iter().any(|member| member.state == NodeState::Up) {
                joined.store(true, Ordering::Relaxed);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the node is not up within {UP_WITHIN:?}: {last}")
    }

    /// Registers an account and makes public streams.
    async fn make(&mut self, count: usize) -> anyhow::Result<()> {
        let mut conn = Conn::new(self.address);
        let account = json!({"email": "bench@example.com", "password": PASSWORD});
        let answer = conn.ask(&request("/v1/auth/register", &account)).await?;
        ensure!(answer.status == 201, "register: {}", answer.status);
        let answer = conn.ask(&request("/v1/auth/login", &account)).await?;
        ensure!(answer.status == 200, "login: {}", answer.status);
        let signed_in: AccessToken = serde_json::from_slice(answer.body)?;
        let bearer = format!("Authorization: Bearer {}\r\n", signed_in.access_token);
        let deadline = Instant::now() + MADE_WITHIN;
        while self.streams.len() < count {
            let title = format!("bench {}", self.streams.len());
            let body = serde_json::to_vec(&CreateStream { title, visibility: Visibility::Public })?;
            let answer = conn.ask(&post("/v1/streams", "application/json", &bearer, &body)).await?;
            if answer.status == 429 && Instant::now() < deadline {
                // An account's writes are limited, here as everywhere.
                tokio::time::sleep(Duration::from_millis(250)).await;
                continue;
            }
            ensure!(answer.status == 201, "create: {}", answer.status);
            let made: NewStream = serde_json::from_slice(answer.body)?;
            self.streams.push(made.stream.id);
        }
        Ok(())
    }
}

impl Names {
    fn ticket(&self, role: Role, session: SessionId, epoch: u64, stream: &StreamId) -> String {
        let ticket = Ticket {
            session,
            role,
            protocol: Protocol::Webrtc,
            expires_at: kit::clock::unix() + LIFE_SECONDS,
            epoch,
            client: Some(Ipv4Addr::LOCALHOST.into()),
            ufrag_hash: ufrag_hash(UFRAG),
            edge: self.edge.clone(),
        };
        ticket.seal(&self.secret, Scope { node: &self.node, service: &self.service, stream })
    }
}

/// A publisher that has reserved its stream.
#[derive(Debug)]
pub(super) struct Claimed {
    stream: StreamId,
    session: SessionId,
    epoch: u64,
    client: String,
    ticket: String,
}

impl Claimed {
    /// The node's hook about it.
    pub(super) fn hook(&self, action: &str) -> Vec<u8> {
        hook(action, &self.client, &self.stream, &self.ticket)
    }
}

/// Viewers by number.
#[derive(Debug)]
pub(super) struct Viewer {
    names: Arc<Names>,
    streams: Vec<StreamId>,
}

impl Viewer {
    /// The node's hook about the n-th viewer.
    pub(super) fn hook(&self, action: &str, number: u64) -> Vec<u8> {
        let index = usize::try_from(number % 1_000_000_007).unwrap_or(0) % self.streams.len();
        let stream = self.streams.get(index).expect("the remainder is an index");
        let session = SessionId::from_bytes(kit::random::bytes());
        let ticket = self.names.ticket(Role::Play, session, 1, stream);
        hook(action, &format!("v{number:x}"), stream, &ticket)
    }
}

/// The node's API. Nobody is on it while it joins; afterwards whoever asks for lists of streams or clients learns nothing, so control-api trusts
/// the hooks.
fn node(joined: Arc<AtomicBool>) -> impl Fn(&Request<'_>) -> Reply + Send + Sync + 'static {
    move |request| match request.path {
        "/api/v1/versions" => says(&json!({"data": {"major": 5, "minor": 0, "revision": 216, "version": "5.0.216"}})),
        _ if !joined.load(Ordering::Relaxed) => says(&json!({"streams": [], "clients": []})),
        _ => (503, String::new(), Vec::new()),
    }
}

/// A hook in the form that SRS 5 posts for WHIP and WHEP.
fn hook(action: &str, client: &str, stream: &StreamId, ticket: &str) -> Vec<u8> {
    let param = format!("app=live&stream={stream}&kst={ticket}&ice-ufrag={UFRAG}");
    let body: Value = json!({
        "server_id": NODE, "service_id": SERVICE, "action": action, "client_id": client, "ip": "127.0.0.1",
        "vhost": "__defaultVhost__", "app": "live", "stream": stream, "tcUrl": "", "param": param, "pageUrl": "",
        "stream_url": format!("/live/{stream}"), "stream_id": "vid-1sk9c85",
    });
    request(&format!("/v1/hooks/srs/{NODE}/{NODE_SECRET}"), &body)
}

/// A fresh database beside those of the tests.
async fn database() -> anyhow::Result<String> {
    let admin = database_url();
    let name = format!("ks_bench_{}", kit::random::letters(8));
    let client = kit::pg::direct(&SecretString::from(admin.clone())).await.map_err(anyhow::Error::msg)?;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    let mut url = url::Url::parse(&admin)?;
    url.set_path(&name);
    Ok(url.to_string())
}
