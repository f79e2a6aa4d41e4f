//! RTMP in: hooks in SRS's order, H.264 to the media task, H.264 and AAC to HLS.
//!
//! Order: connect, publish (asked), the name is taken, ..., unpublish, close. A busy name therefore ends with close
//! alone, as at SRS. AAC has no place in WebRTC and is left out there; a stream with B-frames is not shown over WHEP.

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use scuffle_flv::audio::AudioData;
use scuffle_flv::tag::{FlvTag, FlvTagData};
use scuffle_flv::video::VideoData;
use scuffle_rtmp::ServerSession;
use scuffle_rtmp::session::server::{ServerSessionError, SessionData, SessionHandler};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::hooks::{Action, Extra};
use super::ids;
use super::query::stream_url;
use super::registry::{Client, Kind, Subject, Traffic};
use super::rtmp_media::Media;
use super::sfu::Command;
use super::shared::Node;

/// RTMP connections at once.
const CONNECTIONS_MAX: usize = 200;

/// Accepts until `cancel`. Each connection has its own task: a fault of the RTMP library ends one publisher only.
pub(crate) async fn serve(node: Node, listener: TcpListener, cancel: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = tokio::select! {
            () = cancel.cancelled() => return,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (Ok(slot), Ok((stream, peer))) = (slot, accepted) else { continue };
        let (node, cancel) = (Arc::clone(&node), cancel.clone());
        tokio::spawn(async move {
            connection(node, stream, peer, cancel).await;
            drop(slot);
        });
    }
}

async fn connection(node: Node, stream: TcpStream, peer: SocketAddr, cancel: CancellationToken) {
    let kicked = CancellationToken::new();
    let (tx, mut publication) = tokio::sync::watch::channel(None);
    let handler = Handler { node: Arc::clone(&node), peer, kicked: kicked.clone(), told: tx, publishing: None };
    let session = ServerSession::new(stream, handler).run();
    tokio::select! {
        // The node's end: no hooks, as when SRS is stopped.
        () = cancel.cancelled() => return,
        () = kicked.cancelled() => tracing::info!(%peer, "rtmp client kicked"),
        ended = session => if let Err(error) = ended {
            tracing::info!(%peer, %error, "rtmp connection ended");
        },
    }
    let known = publication.borrow_and_update().clone();
    if let Some(known) = known {
        finish(&node, &known).await;
    }
}

/// What must be told when a connection ends.
#[derive(Debug, Clone)]
struct Known {
    subject: Subject,
    traffic: Arc<Traffic>,
    /// The name was taken: an unpublish is due.
    published: bool,
}

async fn finish(node: &Node, known: &Known) {
    let subject = &known.subject;
    if known.published {
        // Before the name is free, so that it cannot clear the next publisher's pictures. A media task that ended has none.
        node.sfu.send(Command::FeedEnd { url: subject.url.clone() }).await.ok();
    }
    let stream_id = node.registry().remove(&subject.client_id).and_then(|(_, stream_id)| stream_id);
    if known.published {
        // Nobody can refuse an end.
        node.hooks.ask(Action::Unpublish, subject, Extra::Stream(stream_id.as_deref())).await;
    }
    let (received, sent) = known.traffic.totals();
    node.hooks.ask(Action::Close, subject, Extra::Bytes(received, sent)).await;
}

struct Handler {
    node: Node,
    peer: SocketAddr,
    kicked: CancellationToken,
    told: tokio::sync::watch::Sender<Option<Known>>,
    publishing: Option<Publishing>,
}

struct Publishing {
    client_id: String,
    url: String,
    traffic: Arc<Traffic>,
    media: Media,
}

/// The library closes the connection on any error; it has none of its own for "refused".
const REFUSED: ServerSessionError = ServerSessionError::PublishBeforeConnect;

impl SessionHandler for Handler {
    async fn on_publish(&mut self, _: u32, app: &str, name: &str) -> Result<(), ServerSessionError> {
        if self.publishing.is_some() {
            return Err(REFUSED);
        }
        let subject = self.subject(app, name);
        let mut client = Client::new(subject.clone(), Kind::RtmpPublish, self.node.now());
        client.cancel = self.kicked.clone();
        let traffic = Arc::clone(&client.traffic);
        let mut known = Known { subject: subject.clone(), traffic: Arc::clone(&traffic), published: false };
        self.told.send_replace(Some(known.clone()));
        if !self.node.hooks.ask(Action::Connect, &subject, Extra::None).await {
            return Err(REFUSED);
        }
        self.node.add(client).map_err(|_| REFUSED)?;
        let stream_id = self.node.stream_id(&subject.url);
        if !self.node.hooks.ask(Action::Publish, &subject, Extra::Stream(stream_id.as_deref())).await {
            return Err(REFUSED);
        }
        {
            let mut registry = self.node.registry();
            registry.take(&subject.client_id).map_err(|_| REFUSED)?;
            registry.activate(&subject.client_id);
        }
        known.published = true;
        self.told.send_replace(Some(known));
        self.node.sfu.send(Command::FeedBegin { url: subject.url.clone() }).await.map_err(|_| REFUSED)?;
        let (client_id, url) = (subject.client_id.clone(), subject.url.clone());
        self.publishing = Some(Publishing { client_id, url, traffic, media: Media::new(subject) });
        Ok(())
    }

    async fn on_unpublish(&mut self, _: u32) -> Result<(), ServerSessionError> {
        // The end of the connection tells it; a second publish on the same connection is not taken.
        Err(REFUSED)
    }

    async fn on_data(&mut self, _: u32, data: SessionData) -> Result<(), ServerSessionError> {
        let Some(publishing) = &mut self.publishing else { return Ok(()) };
        let (length, tag) = match data {
            SessionData::Audio { timestamp, data } => (data.len(), audio(timestamp, data)),
            SessionData::Video { timestamp, data } => (data.len(), video(timestamp, data)),
            SessionData::Amf0 { data, .. } => (data.len(), None),
        };
        publishing.traffic.received(length);
        let Some(tag) = tag else { return Ok(()) };
        for news in publishing.media.learn(&tag) {
            if let Some(stream) = self.node.registry().held(&publishing.client_id) {
                news.apply(stream);
            }
        }
        if let Some(frame) = publishing.media.frame(&tag) {
            let feed = Command::Feed { url: publishing.url.clone(), frame };
            self.node.sfu.send(feed).await.map_err(|_| REFUSED)?;
        }
        publishing.media.hls(&self.node, tag);
        Ok(())
    }
}

impl Handler {
    /// Names as SRS puts them: a query on the app is part of `tcUrl` and comes twice in `param`.
    fn subject(&self, app: &str, name: &str) -> Subject {
        let (app, app_query) = app.split_once('?').map_or((app, String::new()), |(app, q)| (app, format!("?{q}")));
        let (name, query) = name.split_once('?').map_or((name, String::new()), |(name, q)| (name, format!("?{q}")));
        Subject {
            client_id: ids::random(8),
            ip: self.peer.ip().to_string(),
            app: app.to_owned(),
            stream: name.to_owned(),
            tc_url: format!("rtmp://{}/{app}{app_query}", self.node.endpoints.rtmp),
            param: format!("{query}{app_query}{app_query}"),
            url: stream_url(app, name),
        }
    }
}

fn audio(timestamp_ms: u32, data: Bytes) -> Option<FlvTag<'static>> {
    let data = AudioData::demux(&mut Cursor::new(data)).ok()?;
    Some(FlvTag { timestamp_ms, stream_id: 0, data: FlvTagData::Audio(data) })
}

fn video(timestamp_ms: u32, data: Bytes) -> Option<FlvTag<'static>> {
    let data = VideoData::demux(&mut Cursor::new(data)).ok()?;
    Some(FlvTag { timestamp_ms, stream_id: 0, data: FlvTagData::Video(data) })
}
