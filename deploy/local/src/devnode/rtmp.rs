//! RTMP in and out: hooks in SRS's order, H.264 to the media task, H.264 and AAC to HLS and to RTMP and HTTP-FLV viewers.
//!
//! Publish: connect, publish (asked), the name is taken, ..., unpublish, close. A busy name therefore ends with close
//! alone, as at SRS. Play: connect, the client is told that it plays, play (asked), ..., stop, close. A viewer of a
//! stream that nobody publishes waits. AAC has no place in WebRTC and is left out there; a stream with B-frames is not
//! shown over WHEP. A refusal is a closed connection.

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use scuffle_amf0::Amf0Value;
use scuffle_flv::audio::AudioData;
use scuffle_flv::tag::{FlvTag, FlvTagData};
use scuffle_flv::video::VideoData;
use scuffle_rtmp::chunk::Chunk;
use scuffle_rtmp::command_messages::netconnection::NetConnectionCommand;
use scuffle_rtmp::command_messages::netstream::NetStreamCommand;
use scuffle_rtmp::command_messages::{Command, CommandType, UnknownCommand};
use scuffle_rtmp::error::RtmpError;
use scuffle_rtmp::messages::MessageType;
use scuffle_rtmp::protocol_control_messages::ProtocolControlMessageSetChunkSize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::hooks::{Action, Extra};
use super::ids;
use super::query::stream_url;
use super::registry::{Client, Kind, Subject, Traffic};
use super::rtmp_media::Media;
use super::rtmp_wire::{Fault, STREAM, Wire};
use super::sfu::Command as ToMedia;
use super::shared::Node;
use super::tap::{Item, Tag, TagKind};

/// RTMP connections at once.
const CONNECTIONS_MAX: usize = 200;
/// Between two commands of a client that has not said what it wants.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Until a publisher's first message, and between two later ones (SRS: `publish_1stpkt_timeout`,
/// `publish_normal_timeout`).
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// What encoders put before their metadata; viewers get it without.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// Accepts until `cancel`. Each connection has its own task: a fault of the RTMP library ends one client only.
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
    let mut session = Session { node: Arc::clone(&node), peer, kicked: kicked.clone(), known: None };
    tokio::select! {
        // The node's end: no hooks, as when SRS is stopped.
        () = cancel.cancelled() => return,
        () = kicked.cancelled() => tracing::info!(%peer, "rtmp client kicked"),
        ended = session.run(stream) => match ended {
            Ok(()) | Err(Fault::Closed) => tracing::debug!(%peer, "rtmp connection ended"),
            Err(error) => tracing::info!(%peer, %error, "rtmp connection ended"),
        },
    }
    if let Some(known) = session.known {
        finish(&node, &known).await;
    }
}

/// What must be told when a connection ends.
#[derive(Debug)]
struct Known {
    subject: Subject,
    traffic: Arc<Traffic>,
    /// The end that is due before the close: of a publisher whose name was taken, of a viewer that was let in.
    due: Option<Action>,
}

async fn finish(node: &Node, known: &Known) {
    let subject = &known.subject;
    if known.due == Some(Action::Unpublish) {
        // Before the name is free, so that it cannot clear the next publisher's pictures. A media task that ended has none.
        node.sfu.send(ToMedia::FeedEnd { url: subject.url.clone() }).await.ok();
        node.taps.end(&subject.url);
    }
    let stream_id = node.registry().remove(&subject.client_id).and_then(|(_, stream_id)| stream_id);
    if let Some(end) = known.due {
        // Nobody can refuse an end.
        node.hooks.ask(end, subject, Extra::Stream(stream_id.as_deref())).await;
    }
    let (received, sent) = known.traffic.totals();
    node.hooks.ask(Action::Close, subject, Extra::Bytes(received, sent)).await;
}

struct Session {
    node: Node,
    peer: SocketAddr,
    kicked: CancellationToken,
    known: Option<Known>,
}

impl Session {
    async fn run(&mut self, stream: TcpStream) -> Result<(), Fault> {
        let mut wire = Wire::accept(stream).await?;
        let mut app = None;
        loop {
            let chunk = timeout(COMMAND_TIMEOUT, wire.next()).await??;
            let Some(Command { transaction_id, command_type }) = control(&mut wire, &chunk)? else { continue };
            match command_type {
                CommandType::NetConnection(NetConnectionCommand::Connect(connect)) => {
                    app = Some(connect.app.as_str().to_owned());
                    wire.connected(transaction_id).await?;
                }
                CommandType::NetConnection(NetConnectionCommand::CreateStream) => {
                    wire.stream_created(transaction_id).await?;
                }
                CommandType::NetStream(NetStreamCommand::Publish { publishing_name, .. }) => {
                    let app = app.ok_or(Fault::Refused)?;
                    return self.publish(wire, &app, publishing_name.as_str()).await;
                }
                CommandType::NetStream(NetStreamCommand::Play { values }) => {
                    let Some(Amf0Value::String(name)) = values.first() else { return Err(Fault::Refused) };
                    return self.play(wire, &app.ok_or(Fault::Refused)?, name.as_str()).await;
                }
                CommandType::Unknown(UnknownCommand { command_name, .. })
                    if ["releaseStream", "FCPublish"].contains(&command_name.as_str()) =>
                {
                    wire.result(transaction_id).await?;
                }
                CommandType::NetConnection(_)
                | CommandType::NetStream(_)
                | CommandType::OnStatus(_)
                | CommandType::Unknown(_) => {}
            }
        }
    }

    /// Asks whether the client may connect, and lists it.
    async fn admit(&mut self, app: &str, name: &str, kind: Kind) -> Result<(Subject, Arc<Traffic>), Fault> {
        let subject = self.subject(app, name);
        let mut client = Client::new(subject.clone(), kind, self.node.now());
        client.cancel = self.kicked.clone();
        let traffic = Arc::clone(&client.traffic);
        self.known = Some(Known { subject: subject.clone(), traffic: Arc::clone(&traffic), due: None });
        if !self.node.hooks.ask(Action::Connect, &subject, Extra::None).await {
            return Err(Fault::Refused);
        }
        self.node.add(client).map_err(|_| Fault::Refused)?;
        Ok((subject, traffic))
    }

    /// From now on this end is due.
    fn owes(&mut self, end: Action) {
        if let Some(known) = &mut self.known {
            known.due = Some(end);
        }
    }

    async fn publish(&mut self, mut wire: Wire, app: &str, name: &str) -> Result<(), Fault> {
        let (subject, traffic) = self.admit(app, name, Kind::RtmpPublish).await?;
        let stream_id = self.node.stream_id(&subject.url);
        if !self.node.hooks.ask(Action::Publish, &subject, Extra::Stream(stream_id.as_deref())).await {
            return Err(Fault::Refused);
        }
        {
            let mut registry = self.node.registry();
            registry.take(&subject.client_id).map_err(|_| Fault::Refused)?;
            registry.activate(&subject.client_id);
        }
        self.owes(Action::Unpublish);
        self.node.taps.begin(&subject.url);
        self.node.sfu.send(ToMedia::FeedBegin { url: subject.url.clone() }).await.map_err(|_| Fault::Refused)?;
        wire.begin().await?;
        wire.status("NetStream.Publish.Start").await?;
        let mut media = Media::new(subject.clone());
        let mut patience = FIRST_MESSAGE_TIMEOUT;
        loop {
            let chunk = timeout(patience, wire.next()).await??;
            wire.acknowledge().await?;
            let Some(tag) = tag_of(&chunk) else {
                if control(&mut wire, &chunk)?.is_some_and(|command| ends(&command.command_type)) {
                    // A second publish on the same connection is not taken.
                    return Ok(());
                }
                continue;
            };
            patience = MESSAGE_TIMEOUT;
            traffic.received(chunk.payload.len());
            self.feed(&subject, &mut media, tag).await?;
        }
    }

    /// Hands a publisher's message to everybody who wants it.
    async fn feed(&mut self, subject: &Subject, media: &mut Media, tag: Tag) -> Result<(), Fault> {
        let parsed = match tag.kind {
            TagKind::Audio => audio(tag.timestamp_ms, tag.data.clone()),
            TagKind::Video => video(tag.timestamp_ms, tag.data.clone()),
            TagKind::Data => None,
        };
        self.node.taps.push(&subject.url, tag);
        let Some(parsed) = parsed else { return Ok(()) };
        for news in media.learn(&parsed) {
            if let Some(stream) = self.node.registry().held(&subject.client_id) {
                news.apply(stream);
            }
        }
        if let Some(frame) = media.frame(&parsed) {
            let feed = ToMedia::Feed { url: subject.url.clone(), frame };
            self.node.sfu.send(feed).await.map_err(|_| Fault::Refused)?;
        }
        media.hls(&self.node, parsed);
        Ok(())
    }

    async fn play(&mut self, mut wire: Wire, app: &str, name: &str) -> Result<(), Fault> {
        let (subject, traffic) = self.admit(app, name, Kind::RtmpPlay).await?;
        wire.begin().await?;
        wire.status("NetStream.Play.Reset").await?;
        wire.status("NetStream.Play.Start").await?;
        let stream_id = self.node.stream_id(&subject.url);
        if !self.node.hooks.ask(Action::Play, &subject, Extra::Stream(stream_id.as_deref())).await {
            return Err(Fault::Refused);
        }
        self.owes(Action::Stop);
        let mut watch = self.node.taps.watch(&subject.url);
        loop {
            let item = tokio::select! {
                item = watch.next() => item.ok_or(Fault::Behind)?,
                chunk = wire.next() => {
                    let chunk = chunk?;
                    traffic.received(chunk.payload.len());
                    if control(&mut wire, &chunk)?.is_some_and(|command| ends(&command.command_type)) {
                        return Ok(());
                    }
                    continue;
                }
            };
            // The publisher left: the viewer stays, for the next one.
            let Item::Tag(tag) = item else { continue };
            traffic.sent(tag.data.len());
            let (chunk_stream, kind) = match tag.kind {
                TagKind::Audio => (4, MessageType::Audio),
                TagKind::Video => (6, MessageType::Video),
                TagKind::Data => (5, MessageType::DataAMF0),
            };
            wire.message(chunk_stream, tag.timestamp_ms, kind, STREAM, tag.data).await?;
        }
    }

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

/// Takes a message that is about the connection; gives a command that is not.
fn control(wire: &mut Wire, chunk: &Chunk) -> Result<Option<Command<'static>>, Fault> {
    // Sound and pictures before anything was agreed on, and what the library does not know, are passed over.
    match chunk.message_header.msg_type_id {
        MessageType::SetChunkSize => {
            let size = ProtocolControlMessageSetChunkSize::read(&chunk.payload)?;
            wire.chunks_are(size.chunk_size)?;
            Ok(None)
        }
        MessageType::CommandAMF0 => Ok(Some(Command::read(chunk.payload.clone()).map_err(RtmpError::from)?)),
        _ => Ok(None),
    }
}

/// Whether a command ends what the connection is for.
fn ends(command: &CommandType<'_>) -> bool {
    match command {
        CommandType::NetStream(NetStreamCommand::DeleteStream { .. } | NetStreamCommand::CloseStream) => true,
        CommandType::Unknown(unknown) => unknown.command_name.as_str() == "FCUnpublish",
        CommandType::NetStream(_) | CommandType::NetConnection(_) | CommandType::OnStatus(_) => false,
    }
}

fn tag_of(chunk: &Chunk) -> Option<Tag> {
    let kind = match chunk.message_header.msg_type_id {
        MessageType::Audio => TagKind::Audio,
        MessageType::Video => TagKind::Video,
        MessageType::DataAMF0 => TagKind::Data,
        _ => return None,
    };
    let mut data = chunk.payload.clone();
    if kind == TagKind::Data && data.starts_with(SET_DATA_FRAME) {
        data = data.slice(SET_DATA_FRAME.len()..);
    }
    Some(Tag { kind, timestamp_ms: chunk.message_header.timestamp, data })
}

fn audio(timestamp_ms: u32, data: Bytes) -> Option<FlvTag<'static>> {
    let data = AudioData::demux(&mut Cursor::new(data)).ok()?;
    Some(FlvTag { timestamp_ms, stream_id: 0, data: FlvTagData::Audio(data) })
}

fn video(timestamp_ms: u32, data: Bytes) -> Option<FlvTag<'static>> {
    let data = VideoData::demux(&mut Cursor::new(data)).ok()?;
    Some(FlvTag { timestamp_ms, stream_id: 0, data: FlvTagData::Video(data) })
}
