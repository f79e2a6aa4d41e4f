//! The demo's streams: each with a publisher, a viewer, and what the viewer has seen.

use super::{
    DemoError,
    encoder::{self, Encoder},
};
use crate::{
    api::Api,
    cluster::Cluster,
    demo_line::{Line, Received, kbps},
    matrix::{self, Source},
    media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle, TestPicture},
    say,
    secrets::random_text,
    tools::MediaChoice,
};
use proto::{
    api::{CreateStream, CreateToken},
    ids::StreamId,
    session::Role,
    stream::Visibility,
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};
use tokio::time::{Instant, sleep};

/// From the publisher's 201 to the first answer to a viewer: its ICE, DTLS and first keyframe.
const VIEWABLE_WITHIN: Duration = Duration::from_secs(20);
/// Between two tries to watch or publish.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Everything that is shown.
pub(super) struct Stage {
    /// The WHIP stream first.
    pub(super) shows: Vec<Show>,
    /// Edge id → the name in the table.
    edges: BTreeMap<String, String>,
}

impl Stage {
    pub(super) async fn open(cluster: &Cluster) -> Result<Self, DemoError> {
        let admin = cluster.admin();
        let anyone = Api::new(&admin.api);
        let edges = anyone.sign_in(&admin.email, &admin.password).await?.edges().await?;
        let edges = edges
            .items
            .into_iter()
            .filter_map(|edge| Some((edge.id.to_string(), edge_name(cluster, &edge.listen)?)))
            .collect();
        let (email, password) = (format!("demo-{}@keystone.local", short()), random_text());
        anyone.register(&email, &password, "Demo").await?;
        let api = anyone.sign_in(&email, &password).await?;
        let mut shows = vec![Show::whip(cluster, &api).await?];
        let nodes_take_srt = matches!(cluster.plan().media, MediaChoice::Srs { .. });
        for source in encoder::possible(nodes_take_srt).await {
            shows.extend(Show::encoder(cluster, &api, source).await?);
        }
        Ok(Self { shows, edges })
    }

    pub(super) async fn keep_going(&mut self) {
        for show in &mut self.shows {
            show.keep_going().await;
        }
    }

    pub(super) fn edge_name<'a>(&'a self, show: &'a Show) -> Option<&'a str> {
        let id = show.edge.as_deref()?;
        Some(self.edges.get(id).map_or(id, String::as_str))
    }

    pub(super) async fn close(self) {
        for show in self.shows {
            show.close().await;
        }
    }
}

/// Who publishes a stream.
enum Publisher {
    /// `None` after a session that has ended and could not be opened again yet.
    Whip {
        session: Option<SessionHandle>,
        token: String,
    },
    Encoder(Encoder),
}

/// One stream.
pub(super) struct Show {
    api: Api,
    origin: String,
    /// What both clients bind to: nodes answer from the address they were reached by.
    local_ip: IpAddr,
    stream: StreamId,
    media: &'static str,
    publisher: Publisher,
    play_token: String,
    viewer: Option<SessionHandle>,
    edge: Option<String>,
    /// Of viewer sessions that have ended.
    before: Received,
    since: Instant,
    last: std::cell::Cell<(Instant, u64)>,
}

impl Show {
    /// The main stream: published by WHIP, and watched before the first line is printed.
    async fn whip(cluster: &Cluster, api: &Api) -> Result<Self, DemoError> {
        let (stream, _) = make(api, "Test picture").await?;
        let token = token(api, &stream, Role::Publish).await?;
        let mut show = Self::new(cluster, api, stream, Publisher::Whip { session: None, token: token.clone() }).await?;
        let session =
            show.publish(&token).await.map_err(|source| DemoError::Media { what: "publishing by WHIP", source })?;
        show.publisher = Publisher::Whip { session: Some(session), token };
        show.since = Instant::now();
        show.last.set((show.since, 0));
        let viewer = show.watch_until(show.since + VIEWABLE_WITHIN).await;
        show.take_viewer(viewer.map_err(|source| DemoError::Media { what: "watching by WHEP", source })?);
        Ok(show)
    }

    /// One more stream, from a program through an edge; its viewer comes when there is something to see.
    async fn encoder(cluster: &Cluster, api: &Api, source: Source) -> Result<Option<Self>, DemoError> {
        let (stream, key) = make(api, source.title()).await?;
        let door = matrix::door(cluster, 0);
        let Some(encoder) = Encoder::start(source, &door, stream.as_str(), &key) else { return Ok(None) };
        Self::new(cluster, api, stream, Publisher::Encoder(encoder)).await.map(Some)
    }

    async fn new(cluster: &Cluster, api: &Api, stream: StreamId, publisher: Publisher) -> Result<Self, DemoError> {
        let now = Instant::now();
        Ok(Self {
            api: api.clone(),
            origin: cluster.origin(),
            local_ip: cluster.plan().candidate(),
            media: match cluster.plan().media {
                MediaChoice::Srs { .. } => "srs",
                MediaChoice::Builtin { .. } => "builtin",
            },
            play_token: token(api, &stream, Role::Play).await?,
            stream,
            publisher,
            viewer: None,
            edge: None,
            before: Received::default(),
            since: now,
            last: std::cell::Cell::new((now, 0)),
        })
    }

    async fn publish(&self, token: &str) -> Result<SessionHandle, MediaError> {
        let picture = TestPicture { label: self.stream.to_string(), ..TestPicture::default() };
        let options = PublishOptions {
            via: None,
            url: format!("{}/rtc/v1/whip/{}", self.origin, self.stream),
            token: Some(token.to_owned()),
            local_ip: Some(self.local_ip),
            source: media::Source::TestPicture(picture),
        };
        media::publish(options).await
    }

    async fn watch(&self) -> Result<SessionHandle, MediaError> {
        let url = format!("{}/rtc/v1/whep/{}", self.origin, self.stream);
        media::play(PlayOptions { url, token: Some(self.play_token.clone()), local_ip: Some(self.local_ip) }).await
    }

    /// Tries until the stream can be watched: between the publisher's 201 and its first packets there is nothing to see.
    async fn watch_until(&self, deadline: Instant) -> Result<SessionHandle, MediaError> {
        loop {
            match self.watch().await {
                Err(MediaError::Refused { retry_after: Some(_), .. }) if Instant::now() < deadline => {
                    sleep(TRY_EVERY).await
                }
                result => return result,
            }
        }
    }

    /// Opens again what has ended, as a player and an encoder would; one try a line.
    async fn keep_going(&mut self) {
        let ended = |session: &SessionHandle| session.stats().state.ended();
        match &mut self.publisher {
            Publisher::Encoder(encoder) => encoder.keep_going(),
            Publisher::Whip { session, token } if session.as_ref().is_none_or(ended) => {
                let token = token.clone();
                say::note("keystone: the publisher's session has ended, publishing again");
                let again = self.publish(&token).await.inspect_err(|error| say::note(&format!("keystone: {error}")));
                self.publisher = Publisher::Whip { session: again.ok(), token };
            }
            Publisher::Whip { .. } => {}
        }
        if self.viewer.as_ref().is_some_and(|session| !ended(session)) {
            return;
        }
        if let Some(ended) = self.viewer.take() {
            say::note("keystone: the viewer's session has ended, watching again");
            self.before += ended.stats().into();
        }
        match self.watch().await {
            Ok(viewer) => self.take_viewer(viewer),
            // An encoder takes a moment until there is something to see.
            Err(MediaError::Refused { retry_after: Some(_), .. }) => {}
            Err(error) => say::note(&format!("keystone: {error}")),
        }
    }

    fn take_viewer(&mut self, viewer: SessionHandle) {
        self.edge = viewer.edge().map(str::to_owned);
        self.viewer = Some(viewer);
    }

    /// What is so now. An API that does not answer shows as a stream that is not live.
    pub(super) async fn line(&self, total: bool) -> Line {
        let live = self.api.stream(&self.stream).await.ok().and_then(|stream| stream.live);
        let mut received = self.before;
        if let Some(viewer) = &self.viewer {
            received += viewer.stats().into();
        }
        let now = Instant::now();
        let (last_at, last_bytes) = if total { (self.since, 0) } else { self.last.replace((now, received.bytes)) };
        Line {
            t: (now - self.since).as_secs(),
            stream: self.stream.to_string(),
            node: live.as_ref().map(|live| live.node.to_string()),
            edge: self.edge.clone(),
            media: self.media,
            live: live.is_some(),
            viewers: live.map_or(0, |live| live.viewers),
            frames_video: received.video,
            frames_audio: received.audio,
            bytes: received.bytes,
            kbps: kbps(received.bytes - last_bytes, now - last_at),
            total,
        }
    }

    /// What should have come out and did not. The built-in node makes no Opus of an encoder's AAC.
    pub(super) fn missing(&self, total: &Line) -> Vec<String> {
        let heard = self.media == "srs" || matches!(self.publisher, Publisher::Whip { .. });
        let due = [("video", total.frames_video, true), ("audio", total.frames_audio, heard)];
        let missing = due.into_iter().filter(|(_, frames, due)| *due && *frames == 0);
        missing.map(|(what, ..)| format!("{what} of {}", self.stream)).collect()
    }

    /// Leaves as good clients do, and removes the stream.
    async fn close(self) {
        let publisher = match self.publisher {
            Publisher::Whip { session, .. } => session,
            Publisher::Encoder(encoder) => {
                drop(encoder);
                None
            }
        };
        for session in [self.viewer, publisher].into_iter().flatten() {
            if let Err(error) = session.stop().await {
                say::note(&format!("keystone: {error}"));
            }
        }
        if let Err(error) = self.api.delete_stream(&self.stream).await {
            say::note(&format!("keystone: {error}"));
        }
    }
}

/// A stream and its key.
async fn make(api: &Api, title: &str) -> Result<(StreamId, String), DemoError> {
    let body = CreateStream { title: title.to_owned(), visibility: Visibility::Public };
    let made = api.create_stream(&body).await?;
    Ok((made.stream.id, made.stream_key))
}

async fn token(api: &Api, stream: &StreamId, action: Role) -> Result<String, DemoError> {
    let body = CreateToken { action, ttl_seconds: Some(86_400), single_use: false, ip: None };
    Ok(api.create_token(stream, &body).await.map(|issued| issued.token)?)
}

/// `edge-1` for the edge that listens on that edge's port.
fn edge_name(cluster: &Cluster, listen: &str) -> Option<String> {
    let plan = cluster.plan();
    let port: u16 = listen.rsplit(':').next()?.parse().ok()?;
    (0..plan.options.shape.edges).find(|i| plan.ports.edge_http(*i) == port).map(|i| format!("edge-{i}"))
}

fn short() -> String {
    random_text().to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).take(10).collect()
}
