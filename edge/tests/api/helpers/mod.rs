//! One cluster per test: the built edge on a free port, a private Redis, fake media nodes, and control-api's part played by [`truth::Truth`].

pub(crate) mod control;
pub(crate) mod rtmp;
pub(crate) mod sdp;
pub(crate) mod srs;
pub(crate) mod truth;
pub(crate) mod wire;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use edge::{App, Config, Front};
use kit::{env::Env, testing::TestRedis, token::MediaSigner};
use proto::{
    StreamId, TokenId, keys,
    node::{Member, NodeAddresses, NodeLimits, NodeState},
    secret::{ClusterSecret, Keyring, PublishedSecrets},
    session::Role,
    stream::Visibility,
    stream_key::StreamKey,
    token::{ISSUER, MEDIA_AUDIENCE, MediaClaims, PublicKey},
};
use reqwest::{Client, Method, RequestBuilder, Response, redirect::Policy};
use serde_json::json;
use srs::FakeSrs;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use truth::Truth;

pub(crate) const SDP: &str = "application/sdp";
pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// How long a condition is waited for.
const WITHIN: Duration = Duration::from_secs(10);

/// Everything of one test.
pub(crate) struct World {
    pub(crate) redis: TestRedis,
    pub(crate) truth: Arc<Truth>,
    pub(crate) nodes: Vec<FakeSrs>,
    pub(crate) http: Client,
    signer: MediaSigner,
    key_secret: ClusterSecret,
    edges: Vec<(u16, CancellationToken)>,
    rtmp: Vec<edge::rtmp::Bound>,
    fronts: Vec<Front>,
    srt_ports: Vec<Option<u16>>,
    settings: Vec<(String, String)>,
}

impl World {
    /// One node, one edge, and the public stream `cam`.
    pub(crate) async fn start() -> Self {
        Self::with(1, &[]).await
    }

    /// `nodes` nodes and one edge with extra settings.
    pub(crate) async fn with(nodes: usize, settings: &[(&str, &str)]) -> Self {
        let mut world = Self::bare(nodes, settings).await;
        world.add_edge().await;
        until("the edge is ready", || async {
            world.http.get(world.url("/readyz")).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        world
    }

    /// `nodes` nodes that only the membership names, and one edge with extra settings.
    pub(crate) async fn of_members(nodes: usize, settings: &[(&str, &str)]) -> Self {
        let none = [("SRS_UPSTREAM", "")];
        let settings: Vec<_> = none.iter().chain(settings).copied().collect();
        let mut world = Self::bare(nodes, &settings).await;
        world.truth.members(&world.members());
        world.add_edge().await;
        world
    }

    /// All nodes as members that are up.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.members_but(usize::MAX, |member| member)
    }

    /// The same with one changed.
    pub(crate) fn members_but(&self, which: usize, change: impl Fn(Member) -> Member) -> Vec<Member> {
        let member = |node: &FakeSrs| Member {
            id: node.node.clone(),
            service: Some(node.run()),
            state: NodeState::Up,
            draining: false,
            weight: 1,
            zone: None,
            at: NodeAddresses {
                api: node.address.to_string(),
                rtc: Some(node.rtc.local_addr().unwrap().to_string()),
                ..NodeAddresses::default()
            },
            public: Vec::new(),
            limits: NodeLimits::default(),
        };
        let numbered = self.nodes.iter().map(member).enumerate();
        numbered.map(|(index, member)| if index == which { change(member) } else { member }).collect()
    }

    /// The settings of an edge of this cluster, for one that runs as a process of its own.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Publishes a fresh public stream and says on which node it is.
    pub(crate) async fn publish_new(&self, stream: &str) -> (Opened, usize) {
        self.truth.add_stream(stream, Visibility::Public);
        let before: Vec<usize> = self.nodes.iter().map(|node| node.held().len()).collect();
        let token = self.token(stream, Role::Publish);
        let opened =
            Opened::of(self.post(&format!("/rtc/v1/whip/{stream}"), &token, sdp::fixture("pub.sdp")).await).await;
        let at = self.nodes.iter().zip(before).position(|(node, before)| node.held().len() > before);
        (opened, at.expect("a node holds it"))
    }

    /// POSTs a viewer's offer.
    pub(crate) async fn watch(&self, stream: &str) -> Response {
        self.post(&format!("/rtc/v1/whep/{stream}"), &self.token(stream, Role::Play), sdp::fixture("play.sdp")).await
    }

    /// One node and one edge that is also told of `upstream`, which may be no node at all.
    pub(crate) async fn with_also(upstream: &str) -> Self {
        let mut world = Self::bare(1, &[]).await;
        let known = world.settings.iter_mut().find(|(name, _)| name == "SRS_UPSTREAM");
        known.unwrap().1.push_str(&format!(",{upstream}"));
        world.add_edge().await;
        let seen = || async { world.node().asked() > 0 };
        until("the edge knows its node", seen).await;
        world
    }

    /// One edge whose `SRS_UPSTREAM` is `upstream`, ready or not.
    pub(crate) async fn with_upstream(upstream: &str) -> Self {
        let mut world = Self::bare(0, &[("SRS_UPSTREAM", upstream)]).await;
        world.add_edge().await;
        world
    }

    async fn bare(nodes: usize, settings: &[(&str, &str)]) -> Self {
        let redis = TestRedis::start();
        let keyring = Keyring { current: ClusterSecret::from_bytes(kit::random::bytes()), previous: None };
        let key_secret = ClusterSecret::from_bytes(kit::random::bytes());
        let (signer, public) = media_keys();
        let truth = Arc::new(Truth::new(redis.addr(), keyring.clone()));
        let control = {
            let truth = truth.clone();
            wire::serve(move |request| truth.answer(request)).await
        };
        let mut fakes = Vec::new();
        for number in 0..nodes {
            fakes.push(FakeSrs::start(&format!("n{number}"), truth.clone()).await);
        }
        let upstream: Vec<String> = fakes.iter().map(FakeSrs::upstream).collect();
        let secrets = PublishedSecrets {
            current: keyring.current.encode(),
            previous: None,
            stream_key: key_secret.encode(),
            token_keys: vec![public],
        };
        truth.redis(&["SET", keys::SECRETS, &serde_json::to_string(&secrets).unwrap()]);
        truth.redis(&["SET", keys::FILLED, "1"]);
        truth.add_stream("cam", Visibility::Public);
        let mut all = vec![
            ("EDGE_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("REDIS_ADDR".to_owned(), redis.addr()),
            ("SRS_UPSTREAM".to_owned(), upstream.join(",")),
            ("CONTROL_API_URL".to_owned(), format!("http://{control}")),
            ("EDGE_DRAIN_SECONDS".to_owned(), "0".to_owned()),
            // A test that wants one of these says where.
            ("WEBRTC_RELAY".to_owned(), "off".to_owned()),
            ("EDGE_RTMP_LISTEN".to_owned(), "off".to_owned()),
            ("EDGE_SRT_LISTEN".to_owned(), "off".to_owned()),
            ("EDGE_RTC_LISTEN".to_owned(), "off".to_owned()),
        ];
        all.retain(|(name, _)| settings.iter().all(|(other, _)| name != other));
        all.extend(settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let http = Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(20)).build().unwrap();
        Self {
            redis,
            truth,
            nodes: fakes,
            http,
            signer,
            key_secret,
            edges: Vec::new(),
            rtmp: Vec::new(),
            fronts: Vec::new(),
            srt_ports: Vec::new(),
            settings: all,
        }
    }

    /// Starts another edge of the same cluster and says which it is.
    pub(crate) async fn add_edge(&mut self) -> usize {
        let config = Config::read(Env::new(self.settings.clone())).unwrap();
        let app = App::build(config).await.unwrap();
        let (port, stop) = (app.port(), CancellationToken::new());
        self.fronts.push(app.front().clone());
        self.rtmp.push(app.rtmp());
        self.srt_ports.push(app.srt_port());
        actix_web::rt::spawn(app.run(stop.clone()));
        self.edges.push((port, stop));
        self.edges.len() - 1
    }

    /// What an edge's own fronts call.
    pub(crate) fn front(&self, edge: usize) -> &Front {
        &self.fronts[edge]
    }

    /// Where an edge takes SRT callers, if it was told to.
    pub(crate) fn srt(&self, edge: usize) -> std::net::SocketAddr {
        let port = self.srt_ports[edge].expect("the test set EDGE_SRT_LISTEN");
        ([127, 0, 0, 1], port).into()
    }

    /// Ends an edge, as SIGTERM does.
    pub(crate) fn stop(&self, edge: usize) {
        self.edges[edge].1.cancel();
    }

    pub(crate) fn port(&self) -> u16 {
        self.edges[0].0
    }

    /// A URL at one edge.
    pub(crate) fn at(&self, edge: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.edges[edge].0)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.at(0, path)
    }

    pub(crate) fn node(&self) -> &FakeSrs {
        &self.nodes[0]
    }

    /// A fresh token, known to Redis.
    pub(crate) fn token(&self, stream: &str, action: Role) -> String {
        self.token_with(stream, action, |_| {})
    }

    /// A token with changed claims, known to Redis.
    pub(crate) fn token_with(&self, stream: &str, action: Role, change: impl FnOnce(&mut MediaClaims)) -> String {
        let now = kit::clock::unix();
        let mut claims = MediaClaims {
            iss: ISSUER.to_owned(),
            aud: MEDIA_AUDIENCE.to_owned(),
            jti: TokenId::from_bytes(kit::random::bytes()),
            stream: StreamId::parse(stream).unwrap(),
            action,
            iat: now,
            exp: now + 600,
            single_use: false,
            ip: None,
        };
        change(&mut claims);
        self.truth.redis(&["SET", &keys::token(&claims.jti), "1"]);
        self.signer.sign(&claims).unwrap()
    }

    /// A stream key, known to Redis and control-api.
    pub(crate) fn stream_key(&self, stream: &str) -> String {
        let stream = StreamId::parse(stream).unwrap();
        let secret = BASE64URL_NOPAD.decode(self.key_secret.encode().as_bytes()).unwrap();
        let key = StreamKey::make(&stream, kit::random::bytes(), &secret);
        self.truth.add_key(&key.hash(), &stream);
        key.expose().to_owned()
    }

    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// POSTs an offer with a Bearer.
    pub(crate) async fn post(&self, path: &str, token: &str, offer: impl Into<reqwest::Body>) -> Response {
        let request = self.request(Method::POST, &self.url(path)).bearer_auth(token).header("Content-Type", SDP);
        request.body(offer).send().await.unwrap()
    }

    /// POSTs a fixture to `cam`'s WHIP endpoint with a fresh token.
    pub(crate) async fn whip(&self, offer: &str) -> Response {
        self.post("/rtc/v1/whip/cam", &self.token("cam", Role::Publish), sdp::fixture(offer)).await
    }

    /// POSTs a fixture to `cam`'s WHEP endpoint without a token.
    pub(crate) async fn whep(&self, offer: &str) -> Response {
        let request = self.request(Method::POST, &self.url("/rtc/v1/whep/cam")).header("Content-Type", SDP);
        request.body(sdp::fixture(offer)).send().await.unwrap()
    }

    /// A live publisher on `cam`.
    pub(crate) async fn publish(&self) -> Opened {
        Opened::of(self.whip("pub.sdp").await).await
    }

    /// A viewer on `cam`, once somebody publishes.
    pub(crate) async fn play(&self) -> Opened {
        Opened::of(self.whep("play.sdp").await).await
    }

    /// Sends a `PATCH` to a session URL.
    pub(crate) async fn patch(
        &self,
        url: &str,
        kind: &str,
        if_match: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let mut request = self.request(Method::PATCH, url).header("Content-Type", kind).body(body);
        if let Some(tag) = if_match {
            request = request.header("If-Match", tag);
        }
        request.send().await.unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.edges.iter().for_each(|(_, stop)| stop.cancel());
    }
}

/// A 201 taken apart.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) url: String,
    pub(crate) etag: String,
    pub(crate) answer: String,
}

impl Opened {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status();
        let header =
            |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let (url, etag) = (header("location"), header("etag"));
        let answer = response.text().await.unwrap();
        assert_eq!(status, 201, "{answer}");
        Self { url, etag, answer }
    }
}

/// A header as text, empty when absent.
pub(crate) fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Checks a refusal: status, code, and a problem body whose members agree. Gives the body.
pub(crate) async fn refused(response: Response, status: u16, code: &str) -> serde_json::Value {
    let got = response.status().as_u16();
    let kind = header(&response, "content-type");
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    assert_eq!(kind, "application/problem+json", "{text}");
    let body: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["code"], code, "{text}");
    assert_eq!(body["type"], format!("urn:keystone:{code}"));
    assert_eq!(body["status"], json!(status));
    assert_eq!(body["error"], body["detail"]);
    body
}

/// Waits for a condition.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = std::time::Instant::now() + WITHIN;
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn media_keys() -> (MediaSigner, PublicKey) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    (MediaSigner::new("k1".to_owned(), der.as_ref()), PublicKey { kid: "k1".to_owned(), x })
}
