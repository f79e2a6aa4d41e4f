//! A cluster of one edge: the real program and a real Redis; media node and control-api are played.

use crate::{
    process::{Process, Scratch, beside},
    redis::Redis,
    serve::{Reply, Request, serve},
    wire::{Conn, get},
};
use anyhow::{Context as _, bail};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use kit::{
    testing::{TestRedis, free_port},
    token::MediaSigner,
};
use proto::{
    NodeId, ServiceId, SessionId, StreamId, TokenId, UserId,
    fleet::{Placement, StreamCache},
    internal::{Reservation, ReserveRequest},
    keys,
    secret::{ClusterSecret, PublishedSecrets},
    session::{Protocol, Role},
    stream::Visibility,
    token::{ISSUER, MEDIA_AUDIENCE, MediaClaims, PublicKey},
};
use serde_json::json;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The one node.
pub const NODE: &str = "node-0";
/// Its run.
pub const SERVICE: &str = "9j51a805";
/// Bytes of a segment: 2 s at 1 Mbit/s.
pub const HLS_SEGMENT_BYTES: usize = 250_000;
/// How long a service may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
const WHIP_ANSWER: &str = include_str!("../fixtures/srs5-whip-answer.sdp");
const WHEP_ANSWER: &str = include_str!("../fixtures/srs5-whep-answer.sdp");

/// The cluster; ends with the value.
#[derive(Debug)]
pub struct World {
    /// The edge's HTTP front.
    pub edge: SocketAddr,
    /// The edge.
    pub process: Process,
    /// The node, for those who go around the edge.
    pub node: SocketAddr,
    /// Segments that were asked of the node.
    pub segments: Arc<AtomicU64>,
    /// Where children keep their files.
    pub dir: Scratch,
    _redis: TestRedis,
}

/// A stream and a token to publish it.
#[derive(Debug)]
pub struct Published {
    /// Its id.
    pub stream: String,
    /// The token.
    pub token: String,
}

impl World {
    /// Starts everything with `count` public streams, each with a publish token. With `live`, each is published already.
    ///
    /// # Errors
    /// A part does not start.
    pub async fn start(count: usize, live: bool) -> anyhow::Result<(Self, Vec<Published>)> {
        Self::with(count, live, "", "off".to_owned()).await
    }

    /// The same with an edge that listens for RTMP and has a node that does.
    ///
    /// # Errors
    /// A part does not start.
    pub async fn with_rtmp(count: usize, node: SocketAddr, edge: SocketAddr) -> anyhow::Result<(Self, Vec<Published>)> {
        Self::with(count, false, &format!("&rtmp={node}"), edge.to_string()).await
    }

    async fn with(count: usize, live: bool, node_has: &str, rtmp: String) -> anyhow::Result<(Self, Vec<Published>)> {
        let dir = Scratch::new("edge")?;
        let redis = TestRedis::start();
        let (signer, public) = media_keys()?;
        let cluster = ClusterSecret::from_bytes(kit::random::bytes());
        let stream_key = ClusterSecret::from_bytes(kit::random::bytes());
        let secrets = PublishedSecrets {
            current: cluster.encode(),
            previous: None,
            stream_key: stream_key.encode(),
            token_keys: vec![public],
        };
        let mut pairs = vec![
            (keys::SECRETS.to_owned(), serde_json::to_string(&secrets)?),
            (keys::FILLED.to_owned(), "1".to_owned()),
        ];
        let mut published = Vec::with_capacity(count);
        for number in 0..count {
            published.push(stream(number, live, &signer, &mut pairs)?);
        }
        Redis::connect(&redis.addr()).await?.set_all(&pairs).await?;
        let segments = Arc::new(AtomicU64::new(0));
        let node = serve(node(Arc::clone(&segments))).await?;
        let control = serve(control()).await?;
        let edge = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let env = [
            ("EDGE_LISTEN", edge.to_string()),
            ("REDIS_ADDR", redis.addr()),
            ("EDGE_DRAIN_SECONDS", "0".to_owned()),
            ("SRS_UPSTREAM", format!("http://{node}?id={NODE}&http={}{node_has}", node.port())),
            ("EDGE_RTMP_LISTEN", rtmp),
            ("CONTROL_API_URL", format!("http://{control}")),
            ("EDGE_RATE_LIMIT", "off".to_owned()),
            ("RUST_LOG", "error".to_owned()),
        ];
        let process = Process::start(&beside("edge-gateway")?, &[], &env, &dir.path().join("edge.log"))?;
        ready(edge, &dir.path().join("edge.log")).await?;
        Ok((Self { edge, process, node, segments, dir, _redis: redis }, published))
    }
}

/// Waits for `/readyz` to say 200.
///
/// # Errors
/// It did not; with the last words of the log.
pub async fn ready(at: SocketAddr, log: &std::path::Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while Instant::now() < deadline {
        if Conn::new(at).ask(&get("/readyz")).await.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = std::fs::read_to_string(log).unwrap_or_default();
    bail!("{at} is not ready within {READY_WITHIN:?}: {}", said.lines().last().unwrap_or("no word"))
}

fn media_keys() -> anyhow::Result<(MediaSigner, PublicKey)> {
    let pair = Ed25519KeyPair::generate()?;
    let der = pair.to_pkcs8v1()?;
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    Ok((MediaSigner::new("k1".to_owned(), der.as_ref()), PublicKey { kid: "k1".to_owned(), x }))
}

fn stream(
    number: usize,
    live: bool,
    signer: &MediaSigner,
    pairs: &mut Vec<(String, String)>,
) -> anyhow::Result<Published> {
    let id = StreamId::parse(&format!("bench{number:07}"))?;
    let owner: UserId = serde_json::from_value(json!("0198f0c2-7a10-7000-8000-000000000001"))?;
    let cache = StreamCache { visibility: Visibility::Public, owner };
    pairs.push((keys::stream(&id), serde_json::to_string(&cache)?));
    if live {
        let placement = Placement {
            stream: id.clone(),
            node: NodeId::parse(NODE)?,
            service: ServiceId::parse(SERVICE)?,
            epoch: 1,
            session: SessionId::from_bytes(kit::random::bytes()),
            protocol: Protocol::Webrtc,
            since_ms: kit::clock::unix_ms(),
        };
        pairs.push((keys::placement(&id), serde_json::to_string(&placement)?));
    }
    let now = kit::clock::unix();
    let claims = MediaClaims {
        iss: ISSUER.to_owned(),
        aud: MEDIA_AUDIENCE.to_owned(),
        jti: TokenId::from_bytes(kit::random::bytes()),
        stream: id.clone(),
        action: Role::Publish,
        iat: now,
        exp: now + 3_600,
        single_use: false,
        ip: None,
    };
    pairs.push((keys::token(&claims.jti), "1".to_owned()));
    let token = signer.sign(&claims).ok().context("the signer signs")?;
    Ok(Published { stream: id.to_string(), token })
}

/// A node that takes everybody, in SRS 5's words.
fn node(segments: Arc<AtomicU64>) -> impl Fn(&Request<'_>) -> Reply + Send + Sync + 'static {
    let opened = AtomicU64::new(0);
    move |request| match (request.method, request.path) {
        ("POST", "/rtc/v1/whip/") => open(request, WHIP_ANSWER, opened.fetch_add(1, Ordering::Relaxed)),
        ("POST", "/rtc/v1/whep/") => open(request, WHEP_ANSWER, opened.fetch_add(1, Ordering::Relaxed)),
        ("DELETE", _) => (200, String::new(), Vec::new()),
        ("GET", "/api/v1/versions") => {
            says(&json!({"data": {"major": 5, "minor": 0, "revision": 216, "version": "5.0.216"}}))
        }
        ("GET", path) if path.starts_with("/live/") => file(path, &segments),
        ("GET", path) if path.starts_with("/api/v1/clients/") => says(&json!({"client": {"alive": 1.0}})),
        _ => says(&json!({"data": {"ok": true}, "streams": []})),
    }
}

/// A playlist of four segments, and any segment.
fn file(path: &str, segments: &AtomicU64) -> Reply {
    let name = path.trim_start_matches("/live/");
    if let Some(stream) = name.strip_suffix(".m3u8") {
        let mut list = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:2\n".to_owned();
        (0..4).for_each(|number| list.push_str(&format!("#EXTINF:2.000, no desc\n{stream}-{number}.ts\n")));
        return (200, "Content-Type: application/vnd.apple.mpegurl\r\n".to_owned(), list.into_bytes());
    }
    segments.fetch_add(1, Ordering::Relaxed);
    (200, "Content-Type: video/MP2T\r\n".to_owned(), vec![0x47; HLS_SEGMENT_BYTES])
}

/// An answer of SRS's API with `more` in it.
pub(crate) fn says(more: &serde_json::Value) -> Reply {
    let mut body = json!({"code": 0, "server": NODE, "service": SERVICE, "pid": "1"});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    (200, "Content-Type: application/json\r\n".to_owned(), body.to_string().into_bytes())
}

/// The captured answer with the names that the edge set, as SRS takes them from the query.
fn open(request: &Request<'_>, answer: &str, number: u64) -> Reply {
    let ufrag = request.param("ice-ufrag").unwrap_or("t31m397v");
    let password = request.param("ice-pwd").unwrap_or("5594t0s11n1198050b944inf0g9j2747");
    let line = |line: &str| match line.split_once(':') {
        Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{ufrag}\r\n"),
        Some(("a=ice-pwd", _)) => format!("a=ice-pwd:{password}\r\n"),
        _ => format!("{line}\r\n"),
    };
    let body: String = answer.lines().map(line).collect();
    let stream = request.param("stream").unwrap_or_default();
    let location =
        format!("/rtc/v1/whip/?action=delete&token=t{number:08}&app=live&stream={stream}&session={ufrag}:hbsZ");
    (201, format!("Content-Type: application/sdp\r\nLocation: {location}\r\n"), body.into_bytes())
}

/// control-api's internal API for edges: every reservation is granted.
fn control() -> impl Fn(&Request<'_>) -> Reply + Send + Sync + 'static {
    let epoch = AtomicU64::new(1);
    move |request| {
        let granted = serde_json::from_slice::<ReserveRequest>(request.body).ok().and_then(|ask| {
            let node = ask.nodes.into_iter().next()?;
            Some(Reservation { node: node.node, service: node.service, epoch: epoch.fetch_add(1, Ordering::Relaxed) })
        });
        match (request.path, granted) {
            ("/internal/v1/claims", Some(reservation)) => {
                let body = serde_json::to_vec(&reservation).unwrap_or_default();
                (200, "Content-Type: application/json\r\n".to_owned(), body)
            }
            ("/internal/v1/claims:release", _) => (204, String::new(), Vec::new()),
            ("/healthz", _) => (200, String::new(), b"ok".to_vec()),
            _ => (404, String::new(), Vec::new()),
        }
    }
}
