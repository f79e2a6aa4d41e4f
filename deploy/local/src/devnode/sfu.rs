//! The media task: every WebRTC session of the node on one UDP socket.
//!
//! One task owns all sessions; nothing is locked while a packet is handled. Frames go through whole: a publisher's
//! packets are put together, and packed again for each viewer with that viewer's payload type and SSRC. RTMP
//! publishers feed frames in by command. Bounds: the command queue, the sessions (the registry's limit), the frame
//! cache of each stream, and str0m's own send queues.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::net::{Protocol, Receive};
use str0m::{Event, Input};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::fanout::{Fanout, Frame, Track};
use super::offer::Role;
use super::peer::{Peer, frame_of, username};
use super::rtc_hls::RtcHls;
use super::shared::Node;

/// Commands waiting; RTMP publishers wait when it is full.
pub(crate) const COMMANDS_MAX: usize = 512;
/// Largest datagram taken, bytes.
const DATAGRAM_BYTES_MAX: usize = 2_000;
/// Datagrams read before timers get their turn.
const DATAGRAMS_AT_ONCE: usize = 64;
/// A publisher is asked for a keyframe at most this often.
const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(300);
/// Without a keyframe for this long a WebRTC publisher is asked for one, so that HLS has where to cut (SRS:
/// `pli_for_rtmp`).
const KEYFRAME_EVERY: Duration = Duration::from_secs(2);
/// Addresses remembered for one session; a client that moves brings new ones.
const ADDRESSES_MAX: usize = 10_000;

/// What others ask of the media task.
#[derive(Debug)]
pub(crate) enum Command {
    /// An answered session.
    Join(Box<Joining>),
    /// Take a session's media down; `done` is answered when it is.
    Leave { client_id: String, done: oneshot::Sender<()> },
    /// An RTMP publisher begins.
    FeedBegin { url: String },
    /// An RTMP publisher ended; its pictures are shown to nobody who comes later.
    FeedEnd { url: String },
    /// A frame of an RTMP publisher.
    Feed { url: String, frame: Frame },
}

pub(crate) struct Joining {
    pub(crate) client_id: String,
    pub(crate) url: String,
    pub(crate) role: Role,
    /// `server ufrag:client ufrag`, the username of the client's STUN requests.
    pub(crate) session: String,
    pub(crate) rtc: Rtc,
    pub(crate) traffic: std::sync::Arc<super::registry::Traffic>,
    /// Set when the client was kicked before it joined.
    pub(crate) kicked: CancellationToken,
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joining").field("client_id", &self.client_id).field("url", &self.url).finish_non_exhaustive()
    }
}

pub(crate) struct Sfu {
    node: Node,
    socket: UdpSocket,
    /// Peers by client id.
    peers: HashMap<String, Peer>,
    by_session: HashMap<String, String>,
    by_addr: HashMap<SocketAddr, String>,
    streams: HashMap<String, Stream>,
    /// What sessions said while they were drained.
    events: VecDeque<(String, Event)>,
    buffer: Vec<u8>,
}

/// One stream's frames and who is on it.
#[derive(Debug, Default)]
struct Stream {
    fanout: Fanout,
    /// WebRTC publisher, by client id.
    publisher: Option<String>,
    viewers: Vec<String>,
    keyframe_asked: Option<Instant>,
    /// Since node start.
    last_keyframe: Duration,
    /// Of a WebRTC publisher.
    hls: Option<RtcHls>,
}

/// What woke the task.
enum Wake {
    Command(Command),
    Readable,
    Timer,
    End,
}

impl Sfu {
    pub(crate) fn new(node: Node, socket: UdpSocket) -> Self {
        Self {
            node,
            socket,
            peers: HashMap::new(),
            by_session: HashMap::new(),
            by_addr: HashMap::new(),
            streams: HashMap::new(),
            events: VecDeque::new(),
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        }
    }

    /// Runs until `cancel`.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, cancel: CancellationToken) {
        loop {
            let far = Instant::now() + Duration::from_secs(1);
            let deadline = self.peers.values().map(|peer| peer.deadline).min().unwrap_or(far).min(far);
            let wake = tokio::select! {
                // The end first, then commands (few), then the network, then time.
                biased;
                () = cancel.cancelled() => Wake::End,
                command = commands.recv() => command.map_or(Wake::End, Wake::Command),
                // A socket error is one lost datagram of somebody's.
                _ = self.socket.readable() => Wake::Readable,
                () = tokio::time::sleep_until(deadline.into()) => Wake::Timer,
            };
            match wake {
                Wake::End => return,
                Wake::Command(command) => self.command(command),
                Wake::Readable => self.receive(),
                Wake::Timer => {}
            }
            self.timers();
            self.settle();
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join(joining) => self.join(*joining),
            Command::Leave { client_id, done } => {
                self.forget(&client_id);
                // Whoever asked may have gone.
                done.send(()).ok();
            }
            Command::FeedBegin { url } => {
                let stream = self.streams.entry(url).or_default();
                (stream.publisher, stream.hls) = (None, None);
                stream.fanout.begin();
            }
            Command::FeedEnd { url } => self.tidy(&url, |stream| stream.fanout.begin()),
            Command::Feed { url, frame } => self.fan_out(&url, frame),
        }
    }

    fn join(&mut self, joining: Joining) {
        let Joining { client_id, url, role, session, rtc, traffic, kicked } = joining;
        if kicked.is_cancelled() {
            return;
        }
        let subject = self.node.registry().clients.get(&client_id).map(|client| client.subject.clone());
        let stream = self.streams.entry(url.clone()).or_default();
        match role {
            Role::Publish => {
                stream.publisher = Some(client_id.clone());
                stream.hls = subject.map(RtcHls::new);
                stream.fanout.begin();
            }
            Role::Play => stream.viewers.push(client_id.clone()),
        }
        self.by_session.insert(session.clone(), client_id.clone());
        self.peers.insert(client_id.clone(), Peer::new(rtc, url, role, session, traffic));
        self.drain(&client_id);
    }

    fn receive(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..DATAGRAMS_AT_ONCE {
            let Ok((length, source)) = self.socket.try_recv_from(&mut buffer) else { break };
            if let Some(data) = buffer.get(..length) {
                self.datagram(data, source);
            }
        }
        self.buffer = buffer;
    }

    /// A STUN request finds its session by the username it names, everything else by its source address.
    fn datagram(&mut self, data: &[u8], source: SocketAddr) {
        let named = username(data).and_then(|name| self.by_session.get(name)).cloned();
        let Some(client_id) = named.or_else(|| self.by_addr.get(&source).cloned()) else { return };
        let Some(peer) = self.peers.get_mut(&client_id) else { return };
        let Ok(contents) = data.try_into() else { return };
        let destination = self.node.endpoints.candidate;
        let now = Instant::now();
        let input = Input::Receive(now, Receive { proto: Protocol::Udp, source, destination, contents });
        if !peer.rtc.accepts(&input) {
            return;
        }
        peer.last_packet = now;
        peer.traffic.received(data.len());
        if let Err(error) = peer.rtc.handle_input(input) {
            tracing::debug!(client.id = %client_id, %error, "session failed");
            peer.rtc.disconnect();
        }
        if self.by_addr.get(&source) != Some(&client_id) {
            if self.by_addr.len() >= ADDRESSES_MAX {
                let peers = &self.peers;
                self.by_addr.retain(|_, owner| peers.contains_key(owner));
            }
            self.by_addr.insert(source, client_id.clone());
        }
        self.drain(&client_id);
    }

    fn timers(&mut self) {
        let now = Instant::now();
        let due: Vec<String> =
            self.peers.iter().filter(|(_, peer)| peer.deadline <= now).map(|(id, _)| id.clone()).collect();
        for client_id in due {
            let Some(peer) = self.peers.get_mut(&client_id) else { continue };
            if now.duration_since(peer.last_packet) >= self.node.session_timeout {
                tracing::info!(client.id = %client_id, "session timed out");
                peer.rtc.disconnect();
            } else if let Err(error) = peer.rtc.handle_input(Input::Timeout(now)) {
                tracing::debug!(client.id = %client_id, %error, "session failed");
                peer.rtc.disconnect();
            }
            self.drain(&client_id);
        }
    }

    /// Empties a session's output; events wait for [`Sfu::settle`].
    fn drain(&mut self, client_id: &str) {
        let Some(peer) = self.peers.get_mut(client_id) else { return };
        let events = peer.drain(&self.socket);
        peer.deadline = peer.deadline.min(peer.last_packet + self.node.session_timeout);
        self.events.extend(events.into_iter().map(|event| (client_id.to_owned(), event)));
    }

    /// Works through events, and through those that follow from them, then removes what is dead.
    fn settle(&mut self) {
        while let Some((client_id, event)) = self.events.pop_front() {
            self.event(&client_id, event);
        }
        let dead: Vec<String> =
            self.peers.iter().filter(|(_, peer)| !peer.rtc.is_alive()).map(|(id, _)| id.clone()).collect();
        for client_id in dead {
            self.forget(&client_id);
            self.node.ended(&client_id);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "str0m adds events; those not named here do not concern a node")]
    fn event(&mut self, client_id: &str, event: Event) {
        let Some(peer) = self.peers.get_mut(client_id) else { return };
        match event {
            Event::MediaAdded(added) => peer.track_added(added.kind, added.mid),
            Event::Connected => {
                peer.connected = true;
                let (url, role) = (peer.url.clone(), peer.role);
                self.connected(client_id, &url, role);
            }
            Event::MediaData(data) if peer.role == Role::Publish => {
                let Some(frame) = frame_of(peer, &data) else { return };
                let (url, lost) = (peer.url.clone(), !data.contiguous && frame.track == Track::Video);
                let news = peer.learn(&frame);
                if let Some(news) = news
                    && let Some(stream) = self.node.registry().held(client_id)
                {
                    news.apply(stream);
                }
                if lost {
                    self.ask_keyframe(&url);
                }
                self.fan_out(&url, frame);
            }
            Event::KeyframeRequest(_) if peer.role == Role::Play => {
                let url = peer.url.clone();
                self.ask_keyframe(&url);
            }
            _ => {}
        }
    }

    fn connected(&mut self, client_id: &str, url: &str, role: Role) {
        match role {
            Role::Publish => self.node.registry().activate(client_id),
            Role::Play => {
                let cached = self.streams.get(url).map(|stream| stream.fanout.cached().to_vec()).unwrap_or_default();
                if cached.is_empty() {
                    self.ask_keyframe(url);
                }
                for frame in &cached {
                    self.write(client_id, frame);
                }
            }
        }
    }

    fn fan_out(&mut self, url: &str, frame: Frame) {
        let now = self.node.now();
        let Some(stream) = self.streams.get_mut(url) else { return };
        let frame = stream.fanout.push(frame, now);
        if frame.idr {
            stream.last_keyframe = now;
        }
        let wanted = now.saturating_sub(stream.last_keyframe) >= KEYFRAME_EVERY;
        if let Some(hls) = &mut stream.hls {
            hls.frame(&self.node, &frame);
        }
        for client_id in stream.viewers.clone() {
            self.write(&client_id, &frame);
        }
        if wanted {
            self.ask_keyframe(url);
        }
    }

    fn write(&mut self, client_id: &str, frame: &Frame) {
        let Some(peer) = self.peers.get_mut(client_id).filter(|peer| peer.connected) else { return };
        if let Err(error) = peer.write(frame) {
            tracing::debug!(client.id = %client_id, %error, "frame not written");
            peer.rtc.disconnect();
        }
        self.drain(client_id);
    }

    /// Asks the stream's WebRTC publisher; an RTMP publisher cannot be asked.
    fn ask_keyframe(&mut self, url: &str) {
        let Some(stream) = self.streams.get_mut(url) else { return };
        if stream.keyframe_asked.is_some_and(|at| at.elapsed() < KEYFRAME_REQUEST_INTERVAL) {
            return;
        }
        let Some(publisher) = stream.publisher.clone() else { return };
        stream.keyframe_asked = Some(Instant::now());
        if let Some(peer) = self.peers.get_mut(&publisher) {
            peer.ask_keyframe();
            self.drain(&publisher);
        }
    }

    fn forget(&mut self, client_id: &str) {
        let Some(peer) = self.peers.remove(client_id) else { return };
        self.by_session.remove(&peer.session);
        self.by_addr.retain(|_, owner| owner != client_id);
        self.tidy(&peer.url, |stream| {
            stream.viewers.retain(|viewer| viewer != client_id);
            if stream.publisher.as_deref() == Some(client_id) {
                (stream.publisher, stream.hls) = (None, None);
                stream.fanout.begin();
            }
        });
    }

    /// Changes a stream and drops it when nobody is left on it.
    fn tidy(&mut self, url: &str, change: impl FnOnce(&mut Stream)) {
        let Some(stream) = self.streams.get_mut(url) else { return };
        change(stream);
        if stream.viewers.is_empty() && stream.publisher.is_none() && stream.fanout.cached().is_empty() {
            self.streams.remove(url);
        }
    }
}
