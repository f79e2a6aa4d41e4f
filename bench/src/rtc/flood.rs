//! Checks from everywhere that nobody's cluster signed: what a botnet, or somebody with forged addresses, sends to the port.

use super::flow::due;
use anyhow::Context as _;
use proto::{
    NodeId, SessionId, ice,
    wire::stun::{Class, IntegrityKey, Writer, kind},
};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Different checks; each with a ufrag of the right form, a node that exists, and a wrong signature, which is the dearest thing to refuse.
const CHECKS: usize = 1_024;

/// A flood that goes on until it is ended.
pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<u64>>,
    began: Instant,
}

impl Flood {
    /// Begins to send `rate` a second to `to`, from the 16 million addresses of loopback.
    ///
    /// # Errors
    /// There is no socket.
    pub(super) fn start(to: SocketAddr, node: &NodeId, rate: u32) -> anyhow::Result<Self> {
        let checks: Vec<Vec<u8>> = (0..CHECKS).map(|_| check(node)).collect();
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, began) = (stop.clone(), Instant::now());
        let thread = std::thread::spawn(move || {
            let mut sent = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                let due = due(rate, began.elapsed());
                while sent < due {
                    let number = sent.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let [_, b, c, d, ..] = number.to_be_bytes();
                    let from = IpAddr::V4(Ipv4Addr::new(127, b, c, d.clamp(1, 254)));
                    let at = usize::try_from(number % CHECKS as u64).unwrap_or(0);
                    let contents = checks.get(at).context("no check")?;
                    let one = Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: Some(from) };
                    // A full buffer is the receiver's loss, and what this is about.
                    drop(state.try_send(UdpSockRef::from(&socket), &one));
                    sent += 1;
                }
                std::thread::sleep(Duration::from_micros(500));
            }
            Ok(sent)
        });
        Ok(Self { stop, thread, began })
    }

    /// Ends it; how many it sent a second.
    ///
    /// # Errors
    /// It had failed.
    pub(super) fn end(self) -> anyhow::Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let took = self.began.elapsed();
        let sent = self.thread.join().ok().context("the flood panicked")??;
        Ok(sent as f64 / took.as_secs_f64())
    }
}

fn check(node: &NodeId) -> Vec<u8> {
    let ufrag = ice::ufrag(node, &SessionId::from_bytes(kit::random::bytes()));
    let mut bytes = Vec::new();
    let writer = Writer::binding(Class::Request, &kit::random::bytes(), &mut bytes);
    let named = writer.attribute(kind::USERNAME, format!("{ufrag}:peer").as_bytes());
    named
        .attribute(kind::USE_CANDIDATE, &[])
        .integrity(&IntegrityKey::new("a password that was guessed"))
        .fingerprint();
    bytes
}
