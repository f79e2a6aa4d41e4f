//! One SRT handshake of a caller who wants to play, to read the reason of a refusal: ffmpeg prints none.

use proto::wire::srt::session::{Input, Output, Session};
use std::{io, time::Duration};
use tokio::{net::UdpSocket, time::Instant};

/// Longest datagram that a handshake comes in.
const DATAGRAM_MAX: usize = 2048;
/// Any socket id will do: the call ends with the answer.
const SOCKET: u32 = 0x4b53_0001;

/// Asks the edge at `at` to play a stream; the reason of its refusal, `None` when it accepts.
///
/// # Errors
/// No answer to the handshake.
pub(crate) async fn knock(at: &str, stream: &str) -> io::Result<Option<u32>> {
    let udp = UdpSocket::bind("127.0.0.1:0").await?;
    udp.connect(at).await?;
    let (began, mut out) = (Instant::now(), Vec::new());
    // The relay's own machine, which calls nodes in a caller's name.
    let mut session = Session::new(Duration::ZERO, &conclusion()).map_err(io::Error::other)?;
    session.handle(Duration::ZERO, Input::Dial(&format!("#!::r=live/{stream},m=request")), &mut out);
    let mut room = [0; DATAGRAM_MAX];
    loop {
        for output in std::mem::take(&mut out) {
            match output {
                Output::ToNode(bytes) => {
                    udp.send(&bytes).await?;
                }
                Output::NodeRefused(code) => return Ok(Some(code)),
                Output::Opened => {
                    // Said as a caller would: its seat is free at once.
                    session.handle(began.elapsed(), Input::End, &mut out);
                    for bytes in out.drain(..).filter_map(to_node) {
                        udp.send(&bytes).await?;
                    }
                    return Ok(None);
                }
                Output::NodeSilent | Output::NodeGone | Output::Done => return Err(io::ErrorKind::TimedOut.into()),
                Output::Forward | Output::ToCaller(_) | Output::Ended(_) => {}
            }
        }
        let due = began + session.next_at();
        match tokio::time::timeout_at(due, udp.recv(&mut room)).await {
            Ok(received) => {
                let datagram = room.get(..received?).unwrap_or_default();
                session.handle(began.elapsed(), Input::Node(datagram), &mut out);
            }
            Err(_) => session.handle(began.elapsed(), Input::Tick, &mut out),
        }
    }
}

fn to_node(output: Output) -> Option<Vec<u8>> {
    if let Output::ToNode(bytes) = output { Some(bytes) } else { None }
}

/// What a caller says of itself, with no stream id yet: version 5, a window of 8192 packets, SRT 1.5.1, 120 ms of latency.
fn conclusion() -> Vec<u8> {
    let mut out = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for word in [5_u32, 0x0000_0005, 0x2a2a_2a2a, 1500, 8192, 0xffff_ffff, SOCKET, 0, 0x0100_007f, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend([0, 1, 0, 3, 0, 1, 5, 1, 0, 0, 0, 0xbf, 0, 0x78, 0, 0]);
    out
}
