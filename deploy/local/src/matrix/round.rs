//! One publisher and its players, on a running cluster.

use super::{
    account,
    cell::{Cell, Expect, Round, Seen, Sink, Source},
    clients::{self, Door, WATCH_SECONDS},
    door,
    knock::knock,
};
use crate::{
    api::{Api, ApiError},
    cluster::Cluster,
    media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle},
    node::Node,
};
use proto::{
    api::CreateStream,
    session::{Protocol, Role},
    stream::Visibility,
};
use reqwest::Method;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{process::Child, time::Instant};

/// From the start of a publisher until the API calls its stream live.
const LIVE_WITHIN: Duration = Duration::from_secs(20);
/// From a live stream until its node knows picture and sound: SRS makes no sound of WebRTC's before the publisher's first sender report.
const MEDIA_WITHIN: Duration = Duration::from_secs(10);
/// From a live stream until HLS has something to play: SRS cuts segments of 2 s.
const SEGMENTS_WITHIN: Duration = Duration::from_secs(20);
/// From a player's end until every control-api knows its session.
const SESSION_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where rounds are played.
pub(crate) struct Lab {
    owner: Api,
    admin: Api,
    http: reqwest::Client,
    /// API and HTTP server of each media node, by its id.
    nodes: BTreeMap<String, (String, String)>,
    /// Publishers come in here.
    publish: Door,
    /// Players come in here.
    play: Door,
    local_ip: IpAddr,
    /// The repository, whose third-party clients are used.
    root: PathBuf,
}

/// A running publisher.
enum Publisher {
    /// Killed when it is dropped.
    Child(Child),
    Whip(SessionHandle),
}

impl Lab {
    pub(crate) async fn open(cluster: &Cluster, root: &Path) -> Result<Self, ApiError> {
        let admin = cluster.admin();
        Ok(Self {
            owner: account(cluster).await?,
            admin: Api::new(&admin.api).sign_in(&admin.email, &admin.password).await?,
            http: reqwest::Client::builder().no_proxy().build().unwrap_or_default(),
            nodes: cluster.plan().nodes.iter().map(|node| (node.id(), (node.api_url(), http_url(node)))).collect(),
            publish: door(cluster, 0),
            play: door(cluster, 1),
            local_ip: cluster.plan().candidate(),
            root: root.to_owned(),
        })
    }

    /// Plays one publisher to all players; what cannot be done is a round that says so.
    pub(crate) async fn round(&self, source: Source) -> Round {
        if let Err(why) = self.possible(source) {
            return Round::skipped(source, &why);
        }
        let body = CreateStream { title: source.title().to_owned(), visibility: Visibility::Public };
        let made = match self.owner.create_stream(&body).await {
            Ok(made) => made,
            Err(error) => return Round::failed(source, error.to_string()),
        };
        let stream = made.stream.id.to_string();
        let publisher = match self.start(source, &stream, &made.stream_key).await {
            Ok(publisher) => publisher,
            Err(why) => return Round::failed(source, why),
        };
        let Some(node) = self.until(LIVE_WITHIN, async || self.node_of(&stream).await).await else {
            return Round::failed(source, format!("not live within {} s", LIVE_WITHIN.as_secs()));
        };
        // What does not come in time is the players' to say.
        self.until(MEDIA_WITHIN, async || self.has_both(&node, &stream).await.then_some(())).await;
        let mut round = Round { node: Some(node.clone()), failed: None, ..Round::failed(source, String::new()) };
        round.session_on = self.sessions(&stream, Role::Publish, source.protocol()).await;
        for sink in Sink::ALL {
            round.cells.push(self.cell(source, sink, &stream, &node).await);
        }
        match publisher {
            Publisher::Child(child) => drop(child),
            Publisher::Whip(session) => drop(session.stop().await),
        }
        round
    }

    /// Program and arguments of a publisher that is a program, or what is missing for it.
    fn program(&self, source: Source, stream: &str, key: &str) -> Result<Option<(&'static str, Vec<String>)>, String> {
        if source == Source::WhipBrowser {
            return clients::browser(&self.root, &self.publish, stream, key).map(Some);
        }
        Ok(clients::publisher(source, &self.publish, stream, key))
    }

    fn possible(&self, source: Source) -> Result<(), String> {
        match self.program(source, "", "")? {
            Some((program, _)) if !clients::found(program) => Err(format!("no {program}")),
            Some(_) | None => Ok(()),
        }
    }

    async fn start(&self, source: Source, stream: &str, key: &str) -> Result<Publisher, String> {
        match self.program(source, stream, key)? {
            Some((program, args)) => {
                clients::start(program, &args).map(Publisher::Child).map_err(|error| format!("{program}: {error}"))
            }
            None => {
                let options = PublishOptions {
                    url: format!("{}/rtc/v1/whip/{stream}", self.publish.http),
                    token: Some(key.to_owned()),
                    local_ip: Some(self.local_ip),
                    ..PublishOptions::default()
                };
                media::publish(options).await.map(Publisher::Whip).map_err(|error| error.to_string())
            }
        }
    }

    async fn cell(&self, source: Source, sink: Sink, stream: &str, node: &str) -> Cell {
        let url = self.play.playback(sink, stream, source.encrypted());
        if sink == Sink::Hls {
            // What does not come in time is the player's to say.
            self.until(SEGMENTS_WITHIN, async || self.has_segments(node, stream).await.then_some(())).await;
        }
        let mut session_on = Vec::new();
        let played = self.played(source, sink, stream, &url);
        tokio::pin!(played);
        let seen = loop {
            tokio::select! {
                seen = &mut played => break seen,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let now = self.sessions(stream, Role::Play, sink.protocol()).await;
                    if now.len() >= session_on.len() {
                        session_on = now;
                    }
                }
            }
        };
        if session_on.is_empty() && matches!(seen, Seen::Frames { .. }) {
            // ffprobe has read a playlist's segments within one look; a viewer of HLS is a session until he is quiet for long.
            let there =
                async || Some(self.sessions(stream, Role::Play, sink.protocol()).await).filter(|all| !all.is_empty());
            session_on = self.until(SESSION_WITHIN, there).await.unwrap_or_default();
        }
        self.gone(stream, sink).await;
        Cell { source, sink, seen, session_on }
    }

    async fn played(&self, source: Source, sink: Sink, stream: &str, url: &str) -> Seen {
        let seen = match sink {
            Sink::Whep => self.whep(url).await,
            Sink::WhepAiortc => clients::aiortc(&self.root, url).await,
            Sink::Hls | Sink::HttpFlv | Sink::Rtmp | Sink::Srt => clients::probe(url).await,
        };
        match (source.expect(sink), seen) {
            // What the player was told and does not print.
            (Expect::Refused(_), Seen::Refused(None, words)) => match knock(&self.play.srt, stream).await {
                Ok(code) => Seen::Refused(code, words),
                Err(error) => Seen::Failed(format!("no answer to a handshake: {error}")),
            },
            (Expect::Plays | Expect::Refused(_), seen) => seen,
        }
    }

    /// The next player of this kind must not meet the last one's session; HLS ends by time and has one player only.
    async fn gone(&self, stream: &str, sink: Sink) {
        if sink != Sink::Hls {
            let left = async || self.sessions(stream, Role::Play, sink.protocol()).await.is_empty().then_some(());
            self.until(Duration::from_secs(5), left).await;
        }
    }

    /// Whether the node knows picture and sound of the stream.
    async fn has_both(&self, node: &str, stream: &str) -> bool {
        let Some((api, _)) = self.nodes.get(node) else { return false };
        let Ok(response) = self.http.get(format!("{api}/api/v1/streams/?count=1000")).send().await else {
            return false;
        };
        let body: Value = response.json().await.unwrap_or_default();
        let mut streams = body["streams"].as_array().into_iter().flatten();
        streams.any(|known| known["name"] == stream && known["audio"].is_object() && known["video"].is_object())
    }

    /// Whether the node has two segments; asked of the node itself, since each question to an edge would be a viewer.
    async fn has_segments(&self, node: &str, stream: &str) -> bool {
        let Some((_, http)) = self.nodes.get(node) else { return false };
        let Ok(response) = self.http.get(format!("{http}/live/{stream}.m3u8")).send().await else { return false };
        response.text().await.is_ok_and(|text| text.matches("#EXTINF").count() >= 2)
    }

    async fn whep(&self, url: &str) -> Seen {
        let options = PlayOptions { url: url.to_owned(), token: None, local_ip: Some(self.local_ip) };
        let viewer = match media::play(options).await {
            Ok(viewer) => viewer,
            Err(MediaError::Refused { status, .. }) => return Seen::Refused(Some(status.into()), String::new()),
            Err(error) => return Seen::Failed(error.to_string()),
        };
        // Sound is transcoded for it and may come a little later than the first picture.
        let within = Duration::from_secs(WATCH_SECONDS + 6);
        let (video, audio) = super::cell::FRAMES_MIN;
        let enough = viewer.until(within, |seen| seen.frames_video >= video && seen.frames_audio >= audio).await;
        let stats = enough.unwrap_or_else(|_| viewer.stats());
        drop(viewer.stop().await);
        Seen::Frames { video: stats.frames_video, audio: stats.frames_audio }
    }

    /// The node that placement names.
    async fn node_of(&self, stream: &str) -> Option<String> {
        let route = self.admin.value(Method::GET, &format!("/v1/streams/{stream}/route"), None).await.ok()?;
        route["placement"]["node"].as_str().map(str::to_owned)
    }

    /// Nodes of the open sessions of a stream in one role and protocol.
    async fn sessions(&self, stream: &str, role: Role, protocol: Protocol) -> Vec<String> {
        let Ok(page) = self.admin.value(Method::GET, "/v1/sessions?limit=200", None).await else { return Vec::new() };
        let fits = |session: &&Value| {
            session["stream"] == stream
                && session["role"] == role.as_str()
                && session["protocol"] == protocol.as_str()
                && session["closed_at"].is_null()
        };
        let all = page["items"].as_array().into_iter().flatten();
        all.filter(fits).filter_map(|session| session["node"].as_str().map(str::to_owned)).collect()
    }

    /// Asks until there is something, at most `within`.
    async fn until<T>(&self, within: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        let end = Instant::now() + within;
        loop {
            if let Some(found) = ask().await {
                return Some(found);
            }
            if Instant::now() >= end {
                return None;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn http_url(node: &Node) -> String {
    format!("http://127.0.0.1:{}", node.ports.node_http(node.index))
}
