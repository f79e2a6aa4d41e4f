//! Opening a stream at its media node, as a client of that node.

use super::{buffers::Buffer, socket};
use crate::{front::Grant, srs::SrsError};
use proto::{
    session::Role,
    ticket,
    wire::rtmp::{
        chunk::{Decoder, Message},
        handshake::NOISE_LEN,
        identity::APP,
        session::{Acks, Client, Connect, Hearing, Plan},
    },
};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// How long a node may take to accept the connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long a player waits for media that tells that it was let in: SRS says that it plays before it asks its hook, and hangs up when that says
/// no. A stream that is live sends at once.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// The address that clients are said to have used: it names no virtual host, which could be one without hooks, and holds no credential.
const TC_URL: &str = "rtmp://__defaultVhost__/live";

/// A stream that a node has accepted.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: TcpStream,
    pub(super) decoder: Decoder,
    /// The chunk size the node was told.
    pub(super) told: u32,
    pub(super) acks: Acks,
    /// What was read already.
    pub(super) read: Vec<u8>,
    /// What the node said of the stream already.
    pub(super) held: Option<Message>,
    /// The stream's name with its ticket.
    pub(super) name: String,
}

/// Dials the grant's node and has it accept the stream.
pub(super) async fn open(grant: &Grant, client: Connect) -> Result<Opened, SrsError> {
    let role = grant.wanted().role;
    let at = grant.node().at.rtmp.clone().ok_or(SrsError::BadAnswer("the node has no RTMP port"))?;
    let deadline = grant.deadline();
    let connecting = timeout_at(deadline.min(Instant::now() + CONNECT_MAX), TcpStream::connect(&*at)).await;
    let stream = match connecting {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(SrsError::NotListening),
        Ok(Err(_)) | Err(_) => return Err(SrsError::Unreachable),
    };
    if let Err(error) = socket::prepare_node(&stream, role) {
        tracing::warn!(%error, "a socket towards a node has not all its options");
    }
    let name = format!("{}?{}={}", grant.stream(), ticket::PARAM, grant.ticket());
    let connect = Connect { app: APP.to_owned(), tc_url: TC_URL.to_owned(), ..client };
    let plan = Plan { role, name: name.clone(), connect };
    timeout_at(deadline, ask(stream, plan)).await.unwrap_or(Err(SrsError::TimedOut)).map(|asked| asked.opened(name))
}

/// What was asked and granted.
struct Asked {
    stream: TcpStream,
    decoder: Decoder,
    told: u32,
    acks: Acks,
    read: Vec<u8>,
    held: Option<Message>,
}

impl Asked {
    fn opened(self, name: String) -> Opened {
        let Self { stream, decoder, told, acks, read, held } = self;
        Opened { stream, decoder, told, acks, read, held, name }
    }
}

async fn ask(mut stream: TcpStream, plan: Plan) -> Result<Asked, SrsError> {
    let role = plan.role;
    let mut out = Vec::new();
    let noise: [u8; NOISE_LEN] = noise();
    let mut client = Client::new(plan, &noise, &mut out);
    let (mut buffer, mut filled) = (Buffer::take(), 0_usize);
    loop {
        stream.write_all(&out).await.map_err(|_| SrsError::HungUp)?;
        out.clear();
        let waiting = role == Role::Play && client.started();
        let room = buffer.bytes_mut().get_mut(filled..).unwrap_or_default();
        let read = if waiting {
            tokio::time::timeout(SILENCE_MAX, stream.read(room)).await.ok()
        } else {
            Some(stream.read(room).await)
        };
        let heard = match read {
            // Silence: it was let in, and the stream has nothing to show yet.
            None => Hearing::Accepted(None),
            Some(Ok(count)) if count > 0 => {
                filled += count;
                let bytes = buffer.bytes().get(..filled).unwrap_or_default();
                let (used, heard) = client.receive(bytes, &mut out).map_err(|error| {
                    tracing::warn!(%error, "a media node does not speak RTMP as SRS does");
                    SrsError::BadAnswer("not RTMP as SRS speaks it")
                })?;
                buffer.bytes_mut().copy_within(used..filled, 0);
                filled -= used;
                heard
            }
            Some(Ok(_) | Err(_)) => return Err(SrsError::HungUp),
        };
        match heard {
            Hearing::More => {}
            Hearing::Refused { code, description } => {
                tracing::info!(code, description, "a media node refused an RTMP stream");
                let busy = code == "NetStream.Publish.BadName";
                return Err(if busy { SrsError::Busy } else { SrsError::Refused });
            }
            Hearing::Accepted(held) => {
                stream.write_all(&out).await.map_err(|_| SrsError::HungUp)?;
                let read = buffer.bytes().get(..filled).unwrap_or_default().to_vec();
                let (decoder, told, acks) = client.lend().map_err(|_| SrsError::BadAnswer("cut a message short"))?;
                return Ok(Asked { stream, decoder, told, acks, read, held });
            }
        }
    }
}

/// What fills a handshake. Nothing rests on it; the specification wants it hard to guess.
pub(super) fn noise() -> [u8; NOISE_LEN] {
    kit::random::bytes()
}
