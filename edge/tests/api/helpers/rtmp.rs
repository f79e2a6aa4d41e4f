//! RTMP from both sides: a client with the edge's own client machine, and a media node that behaves as SRS does, in the ways it fails too.

use super::{
    World,
    truth::{Hook, Truth},
};
use proto::{
    NodeId, ServiceId,
    session::Role,
    wire::rtmp::{
        MESSAGE_LEN_MAX,
        amf0::Value,
        chunk::{Encoder, Header, Message, Reader},
        handshake::{BLOCK_LEN, NOISE_LEN},
        message::{self, kind},
        session::{self, After, Client, Connect, Heard, Hearing, Plan, Server},
    },
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What a node does with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Manner {
    /// Asks its hook and does as that says: hangs up if it says no.
    #[default]
    Srs,
    /// Hangs up on everybody, players after it has told them that they play.
    Deny,
    /// Shakes hands and says nothing more.
    Hang,
}

/// One video message a player gets, over and over.
pub(crate) const KEY_FRAME: [u8; 6] = [0x17, 1, 0, 0, 0, 9];

#[derive(Default)]
struct State {
    manner: Manner,
    media: Vec<Message>,
    names: Vec<String>,
    clients: usize,
    closed: Vec<String>,
    commands: Vec<String>,
    unpublished: usize,
}

/// A media node's RTMP port.
#[derive(Clone)]
pub(crate) struct FakeRtmp {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct Host {
    node: NodeId,
    service: ServiceId,
    truth: Arc<Truth>,
    state: Arc<Mutex<State>>,
}

impl FakeRtmp {
    pub(crate) async fn start(node: NodeId, service: ServiceId, truth: Arc<Truth>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(State::default())));
        let host = Host { node, service, truth, state: state.clone() };
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let host = host.clone();
                actix_web::rt::spawn(async move { host.serve(stream).await });
            }
        });
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn manner(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// Audio and video that came.
    pub(crate) fn media(&self) -> Vec<Message> {
        self.state().media.clone()
    }

    /// Stream names as they came, in every command that has one.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.clone()
    }

    /// Ends of streams by `FCUnpublish` or `deleteStream`.
    pub(crate) fn unpublished(&self) -> usize {
        self.state().unpublished
    }

    /// Connections that are over.
    pub(crate) fn closed(&self) -> usize {
        self.state().closed.len()
    }

    /// Commands that came while a stream was played.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }
}

impl Host {
    async fn serve(self, mut stream: TcpStream) {
        let client = {
            let mut state = self.state.lock().unwrap();
            state.clients += 1;
            format!("client{:02}", state.clients)
        };
        self.talk(&mut stream, &client).await.ok();
        self.truth.hook_close(&self.node, &client);
        self.state.lock().unwrap().closed.push(client);
    }

    async fn talk(&self, stream: &mut TcpStream, client: &str) -> std::io::Result<()> {
        let manner = self.state.lock().unwrap().manner;
        let mut server = Server::new(Box::new([5; NOISE_LEN]));
        let (mut read, mut out, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let ask = loop {
            let (used, heard) = server.receive(&read, &mut out).map_err(std::io::Error::other)?;
            read.drain(..used);
            stream.write_all(&out).await?;
            out.clear();
            if let Heard::Ask(ask) = heard {
                break ask;
            }
            let from = read.len();
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            all.extend_from_slice(&read[from..]);
        };
        let names = names_in(&all, ask.identity.stream.as_str());
        let ticket = names[0].split_once("kst=").map(|(_, ticket)| ticket.to_owned()).unwrap_or_default();
        self.state.lock().unwrap().names.extend(names);
        if manner == Manner::Hang {
            return std::future::pending().await;
        }
        if ask.role == Role::Play {
            // SRS says so before it asks its hook.
            server.accept(Role::Play, &mut out);
            stream.write_all(&out).await?;
        }
        let hook = Hook {
            node: &self.node,
            service: &self.service,
            stream: ask.identity.stream.as_str(),
            role: ask.role,
            client,
            ticket: &ticket,
            ufrag: "",
        };
        if manner == Manner::Deny || self.truth.hook_open(&hook).is_err() {
            return Ok(());
        }
        match ask.role {
            Role::Publish => {
                server.accept(Role::Publish, &mut out);
                stream.write_all(&out).await?;
                self.publish(stream, server, read).await
            }
            Role::Play => self.play(stream, server, read).await,
        }
    }

    async fn publish(&self, stream: &mut TcpStream, mut server: Server, mut read: Vec<u8>) -> std::io::Result<()> {
        let (decoder, _) = server.lend().map_err(std::io::Error::other)?;
        let mut reader = Reader::of(decoder, MESSAGE_LEN_MAX);
        loop {
            let (used, message) = reader.next(&read).map_err(std::io::Error::other)?;
            read.drain(..used);
            match message {
                Some(message) if matches!(message.header.kind, kind::AUDIO | kind::VIDEO) => {
                    self.state.lock().unwrap().media.push(message);
                }
                Some(message) if message.header.kind == kind::COMMAND => {
                    let after = session::during(&message, Role::Publish, &mut Vec::new());
                    if matches!(after, Ok(After::Ended)) {
                        self.state.lock().unwrap().unpublished += 1;
                    }
                }
                Some(_) => {}
                None if stream.read_buf(&mut read).await? == 0 => return Ok(()),
                None => {}
            }
        }
    }

    /// Frames for ever, as fast as they are taken.
    async fn play(&self, stream: &mut TcpStream, mut server: Server, mut read: Vec<u8>) -> std::io::Result<()> {
        let (decoder, _) = server.lend().map_err(std::io::Error::other)?;
        let (mut reader, mut encoder, mut out) = (Reader::of(decoder, MESSAGE_LEN_MAX), Encoder::default(), Vec::new());
        encoder.set_chunk_size(session::CHUNK_SIZE);
        let mut stamp = 0;
        loop {
            out.clear();
            encoder.push(
                Header { csid: 6, timestamp: stamp, len: 0, kind: kind::VIDEO, stream: 1 },
                &KEY_FRAME,
                &mut out,
            );
            stamp += 40;
            stream.write_all(&out).await?;
            let pause = tokio::time::sleep(Duration::from_millis(5));
            tokio::select! {
                () = pause => {}
                count = stream.read_buf(&mut read) => if count? == 0 { return Ok(()) },
            }
            let (used, message) = reader.next(&read).map_err(std::io::Error::other)?;
            read.drain(..used);
            if let Some(message) = message
                && message.header.kind == kind::COMMAND
            {
                let command = message::Command::read(kind::COMMAND, &message.payload).map_err(std::io::Error::other)?;
                self.state.lock().unwrap().commands.push(command.name);
            }
        }
    }
}

/// The stream's name in every command that has it, out of all that a client sent.
fn names_in(bytes: &[u8], stream: &str) -> Vec<String> {
    let (mut reader, mut rest, mut names) = (Reader::new(MESSAGE_LEN_MAX), &bytes[1 + 2 * BLOCK_LEN..], Vec::new());
    while let (used, Some(message)) = reader.next(rest).unwrap() {
        rest = &rest[used..];
        let Ok(command) = message::Command::read(message.header.kind, &message.payload) else { continue };
        let name = command.arg(1).and_then(Value::text).unwrap_or_default();
        if name.starts_with(stream) {
            names.push(name.to_owned());
        }
    }
    names
}

/// A publisher or player.
pub(crate) struct Caller<S = TcpStream> {
    pub(crate) stream: S,
    client: Option<Client>,
    read: Vec<u8>,
    reader: Option<Reader>,
    encoder: Encoder,
    pub(crate) heard: Hearing,
}

impl Caller {
    pub(crate) async fn connect(at: SocketAddr, role: Role, tc_url: &str, name: &str) -> Self {
        Self::over(TcpStream::connect(at).await.unwrap(), role, tc_url, name).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    /// Says what it wants and hears the answer. A bare hang-up is heard as [`Hearing::More`].
    pub(crate) async fn over(stream: S, role: Role, tc_url: &str, name: &str) -> Self {
        let connect = Connect {
            app: "live".into(),
            tc_url: tc_url.into(),
            flash_ver: "FMLE/3.0 (test)".into(),
            page_url: "https://page.example/".into(),
            ..Connect::default()
        };
        let mut out = Vec::new();
        let client = Client::new(Plan { role, name: name.into(), connect }, &[3; NOISE_LEN], &mut out);
        let mut caller = Self {
            stream,
            client: Some(client),
            read: Vec::new(),
            reader: None,
            encoder: Encoder::default(),
            heard: Hearing::More,
        };
        if caller.stream.write_all(&out).await.is_ok() {
            caller.hear().await;
        }
        caller
    }

    async fn hear(&mut self) {
        let mut client = self.client.take().unwrap();
        let mut out = Vec::new();
        loop {
            let (used, heard) = client.receive(&self.read, &mut out).unwrap();
            self.read.drain(..used);
            if !out.is_empty() && self.stream.write_all(&out).await.is_err() {
                return;
            }
            out.clear();
            if heard != Hearing::More {
                self.heard = heard;
                if let Ok((decoder, _, _)) = client.lend() {
                    self.reader = Some(Reader::of(decoder, MESSAGE_LEN_MAX));
                }
                return;
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// The code it was refused with.
    pub(crate) fn refusal(&self) -> (&str, &str) {
        match &self.heard {
            Hearing::Refused { code, description } => (code, description),
            other @ (Hearing::More | Hearing::Accepted(_)) => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn accepted(self) -> Self {
        assert!(matches!(self.heard, Hearing::Accepted(_)), "{:?}", self.heard);
        self
    }

    /// Sends a media message.
    pub(crate) async fn send(&mut self, csid: u32, timestamp: u32, kind: u8, payload: &[u8]) -> std::io::Result<()> {
        let mut out = Vec::new();
        self.encoder.push(Header { csid, timestamp, len: 0, kind, stream: 1 }, payload, &mut out);
        self.stream.write_all(&out).await
    }

    /// Changes its chunk size.
    pub(crate) async fn chunk_size(&mut self, size: u32) {
        let mut out = Vec::new();
        message::push_number(kind::CHUNK_SIZE, size, &mut out);
        self.encoder.set_chunk_size(size);
        self.stream.write_all(&out).await.unwrap();
    }

    /// Sends a command.
    pub(crate) async fn command(&mut self, command: &message::Command) {
        let payload = command.payload();
        self.send(3, 0, kind::COMMAND, &payload).await.unwrap();
    }

    /// The next message, `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let reader = self.reader.as_mut()?;
        loop {
            let (used, message) = reader.next(&self.read).unwrap();
            self.read.drain(..used);
            if message.is_some() {
                return message;
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// All statuses up to the end of the connection: level, code, words.
    pub(crate) async fn last_words(&mut self) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        while let Some(message) = self.next().await {
            if message.header.kind == kind::COMMAND {
                let command = message::Command::read(kind::COMMAND, &message.payload).unwrap();
                let (level, code, words) = command.told();
                all.push((level.to_owned(), code.to_owned(), words.to_owned()));
            }
        }
        all
    }
}

impl World {
    /// `nodes` nodes with RTMP, and one edge that listens for it.
    pub(crate) async fn with_rtmp(nodes: usize, settings: &[(&str, &str)]) -> (Self, Vec<FakeRtmp>) {
        let own = [("EDGE_RTMP_LISTEN", "127.0.0.1:0")];
        let settings: Vec<_> = own.iter().chain(settings).copied().collect();
        let mut world = Self::bare(nodes, &settings).await;
        let mut ports = Vec::new();
        for node in &world.nodes {
            ports.push(FakeRtmp::start(node.node.clone(), node.run(), world.truth.clone()).await);
        }
        let upstream = world.nodes.iter().zip(&ports);
        let upstream: Vec<_> =
            upstream.map(|(n, rtmp)| format!("http://{}?id={}&rtmp={}", n.address, n.node, rtmp.address)).collect();
        world.settings.iter_mut().find(|(name, _)| name == "SRS_UPSTREAM").unwrap().1 = upstream.join(",");
        world.add_edge().await;
        super::until("the edge is ready", || async {
            world.http.get(world.url("/readyz")).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        (world, ports)
    }

    /// Where the first edge listens for RTMP.
    pub(crate) fn rtmp(&self) -> SocketAddr {
        self.rtmp[0].plain.unwrap()
    }

    /// Where it listens with TLS.
    pub(crate) fn rtmps(&self) -> SocketAddr {
        self.rtmp[0].tls.unwrap()
    }

    /// A publisher of `cam` that was accepted.
    pub(crate) async fn publish_rtmp(&self) -> Caller {
        let name = format!("cam?token={}", self.token("cam", Role::Publish));
        Caller::connect(self.rtmp(), Role::Publish, "rtmp://edge.example/live", &name).await.accepted()
    }
}
