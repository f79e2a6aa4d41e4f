//! The SRT port of a media node: SRS's listener as far as a relay sees it.

use super::caller::{CONCLUSION, handshake, media_for};
use proto::wire::srt::{Handshake, HandshakeError, Kind, Packet, induction_reply, rejection};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// What it does with conclusions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behave {
    Accept,
    /// Answers nothing at all.
    Silent,
    Refuse(u32),
    /// So many answers are lost on the way.
    Lose(usize),
}

/// What it has seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Of each conclusion, the sender's address, its socket and its stream id.
    pub(crate) conclusions: Vec<(SocketAddr, u32, String, bool)>,
    pub(crate) media: Vec<Vec<u8>>,
    pub(crate) shutdowns: usize,
}

impl Seen {
    /// Addresses that a conclusion came from.
    pub(crate) fn callers(&self) -> std::collections::BTreeSet<SocketAddr> {
        self.conclusions.iter().map(|(from, ..)| *from).collect()
    }
}

pub(crate) struct SrtNode {
    pub(crate) address: SocketAddr,
    udp: Arc<UdpSocket>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

const COOKIE: u32 = 0x00c0_0c1e;

impl SrtNode {
    pub(crate) async fn start(behave: Behave) -> Self {
        let udp = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let (address, seen) = (udp.local_addr().unwrap(), Arc::<Mutex<Seen>>::default());
        let task = tokio::spawn(serve(udp.clone(), seen.clone(), behave));
        Self { address, udp, seen, task }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Sends media to the last caller.
    pub(crate) async fn send(&self, media: &[u8]) {
        let (to, socket, ..) = self.seen().conclusions.last().cloned().unwrap();
        self.udp.send_to(&media_for(socket, media), to).await.unwrap();
    }

    pub(crate) async fn shutdown(&self) {
        let (to, socket, ..) = self.seen().conclusions.last().cloned().unwrap();
        self.udp.send_to(&proto::wire::srt::shutdown(socket, 0), to).await.unwrap();
    }
}

impl Drop for SrtNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(udp: Arc<UdpSocket>, seen: Arc<Mutex<Seen>>, behave: Behave) {
    let mut buffer = vec![0; 2048];
    let mut lose = if let Behave::Lose(count) = behave { count } else { 0 };
    loop {
        let Ok((got, from)) = udp.recv_from(&mut buffer).await else { continue };
        let datagram = &buffer[..got];
        if behave == Behave::Silent {
            continue;
        }
        let answer = match Handshake::read(datagram) {
            Ok(read) if read.kind == Kind::Induction => induction_reply(&read, COOKIE).to_vec(),
            Ok(read) => {
                assert_eq!(read.cookie, COOKIE, "the node's own cookie comes back");
                let text = read.stream_id().unwrap().unwrap();
                seen.lock().unwrap().conclusions.push((from, read.socket, text, read.encrypted().unwrap()));
                match behave {
                    Behave::Refuse(reason) => rejection(&read, reason).to_vec(),
                    Behave::Accept | Behave::Silent | Behave::Lose(_) => accepted(&read),
                }
            }
            Err(HandshakeError::NotHandshake) => {
                let mut seen = seen.lock().unwrap();
                if Packet::read(datagram).is_ok_and(Packet::is_shutdown) {
                    seen.shutdowns += 1;
                } else {
                    seen.media.push(datagram[16..].to_vec());
                }
                continue;
            }
            Err(error) => panic!("the edge sends no broken handshakes: {error}"),
        };
        if Handshake::read(&answer).unwrap().kind == Kind::Conclusion && lose > 0 {
            lose -= 1;
            continue;
        }
        udp.send_to(&answer, from).await.unwrap();
    }
}

/// The socket id a node gives a caller: another for each, the same each time it is asked.
fn accepted(request: &Handshake<'_>) -> Vec<u8> {
    let mut out = handshake(
        CONCLUSION,
        5,
        request.socket ^ 0x4000_0000,
        request.cookie,
        &[0, 2, 0, 3, 0, 1, 5, 3, 0, 0, 0, 0xb5, 0, 0, 0, 0x78],
    );
    out[12..16].copy_from_slice(&request.socket.to_be_bytes());
    out
}
