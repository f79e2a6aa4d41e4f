//! An SRT caller as far as a relay sees one: handshakes as libsrt writes them, and datagrams of media that say who they are for.

use proto::wire::srt::{Handshake, Kind, Packet};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::UdpSocket, time::timeout};

/// How long an answer is waited for, all repeats included.
const WITHIN: Duration = Duration::from_secs(8);
/// libsrt repeats a handshake every 250 ms.
const AGAIN: Duration = Duration::from_millis(250);

/// What a caller says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) stream_id: &'a str,
    pub(crate) encrypted: bool,
    pub(crate) version: u32,
}

impl<'a> Call<'a> {
    pub(crate) const fn plain(stream_id: &'a str) -> Self {
        Self { stream_id, encrypted: false, version: 5 }
    }
}

/// One caller on a port of its own.
pub(crate) struct Caller {
    pub(crate) udp: UdpSocket,
    pub(crate) id: u32,
}

/// One that was let in.
pub(crate) struct Open {
    pub(crate) caller: Caller,
    pub(crate) server: u32,
}

/// A handshake packet, with extensions behind it.
pub(crate) fn handshake(kind: u32, version: u32, socket: u32, cookie: u32, extensions: &[u8]) -> Vec<u8> {
    let flags = match (kind, extensions.is_empty()) {
        (1, _) => 2_u32,
        (_, true) => 0,
        (_, false) => 5,
    };
    let mut out = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0];
    for word in [version, flags, 0x2a2a_2a2a, 1500, 8192, kind, socket, cookie, 0x0100_007f, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(extensions);
    out
}

/// The extensions of a conclusion.
pub(crate) fn extensions(call: &Call<'_>) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 3, 0, 1, 5, 1, 0, 0, 0, 0xbf, 0, 0x78, 0, 0];
    if call.encrypted {
        out.extend([0, 3, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
    out.extend([0, 5]);
    out.extend(u16::try_from(call.stream_id.len().div_ceil(4)).unwrap().to_be_bytes());
    for word in call.stream_id.as_bytes().chunks(4) {
        let mut word = word.to_vec();
        word.resize(4, 0);
        word.reverse();
        out.extend(word);
    }
    out
}

pub(crate) const CONCLUSION: u32 = 0xffff_ffff;

impl Caller {
    pub(crate) async fn new(edge: SocketAddr) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        udp.connect(edge).await.unwrap();
        Self { udp, id: u32::from_be_bytes(kit::random::bytes()) | 1 }
    }

    /// One datagram, if one comes within a moment.
    pub(crate) async fn hear(&self, within: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 2048];
        let got = timeout(within, self.udp.recv(&mut buffer)).await.ok()?.ok()?;
        buffer.truncate(got);
        Some(buffer)
    }

    /// Sends a handshake until one of `kind`, or a refusal, comes back.
    async fn shake(&self, packet: &[u8], wanted: Kind) -> Result<(u32, u32), u32> {
        let asked = async {
            loop {
                self.udp.send(packet).await.unwrap();
                let Some(answer) = self.hear(AGAIN).await else { continue };
                let read = Handshake::read(&answer).unwrap();
                assert_eq!(read.destination, self.id);
                match read.kind {
                    Kind::Rejection(reason) => return Err(reason),
                    kind if kind == wanted => return Ok((read.socket, read.cookie)),
                    Kind::Induction | Kind::Conclusion | Kind::Rendezvous => {}
                }
            }
        };
        timeout(WITHIN, asked).await.expect("the edge answers")
    }

    /// Asks for a cookie.
    pub(crate) async fn cookie(&self) -> u32 {
        self.shake(&handshake(1, 4, self.id, 0, &[]), Kind::Induction).await.unwrap().1
    }

    /// The conclusion this caller sends for a call.
    pub(crate) fn conclusion(&self, call: &Call<'_>, cookie: u32) -> Vec<u8> {
        handshake(CONCLUSION, call.version, self.id, cookie, &extensions(call))
    }

    /// Calls; the reason of a refusal otherwise.
    pub(crate) async fn call(edge: SocketAddr, call: Call<'_>) -> Result<Open, u32> {
        let caller = Self::new(edge).await;
        let cookie = caller.cookie().await;
        let (server, _) = caller.shake(&caller.conclusion(&call, cookie), Kind::Conclusion).await?;
        Ok(Open { caller, server })
    }
}

impl Open {
    pub(crate) async fn send(&self, media: &[u8]) {
        self.caller.udp.send(&media_for(self.server, media)).await.unwrap();
    }

    pub(crate) async fn shutdown(&self) {
        self.caller.udp.send(&proto::wire::srt::shutdown(self.server, 0)).await.unwrap();
    }

    /// Media of the next datagram that has some.
    pub(crate) async fn media(&self) -> Vec<u8> {
        loop {
            let datagram = self.caller.hear(WITHIN).await.expect("something comes");
            if matches!(Packet::read(&datagram), Ok(Packet::Data { destination }) if destination == self.caller.id) {
                return datagram[16..].to_vec();
            }
        }
    }

    /// Whether it is told within a second that it is over.
    pub(crate) async fn is_ended(&self) -> bool {
        let told = async {
            while let Some(datagram) = self.caller.hear(WITHIN).await {
                if Packet::read(&datagram).is_ok_and(Packet::is_shutdown) {
                    return true;
                }
            }
            false
        };
        timeout(Duration::from_secs(1), told).await.unwrap_or(false)
    }
}

/// A data packet for one socket.
pub(crate) fn media_for(socket: u32, media: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 1, 0xe0, 0, 0, 1, 0, 0, 0, 0];
    out.extend(socket.to_be_bytes());
    out.extend(media);
    out
}
