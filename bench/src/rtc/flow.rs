//! The generator: packets on schedule over some flows, and what came back of them.

use super::Sends;
use crate::report::Latencies;
use anyhow::Context as _;
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

/// Bytes of a packet: video over the internet.
pub(super) const PACKET: usize = 1_200;
/// Bytes that one receive may bring.
const CHUNK: usize = 64 * 1_024;
/// Packets of one burst.
const BURST: usize = 16;
/// Receive buffer of a flow, in bytes: 3,000 packets of small memory.
const ROOM: usize = 4 * 1_024 * 1_024;
/// How long stragglers are waited for.
const SETTLE: Duration = Duration::from_millis(300);

/// One client.
#[derive(Debug)]
pub(super) struct Flow {
    socket: UdpSocket,
    state: UdpSocketState,
    to: SocketAddr,
}

impl Flow {
    /// One that talks to `to`.
    ///
    /// # Errors
    /// There is no socket.
    pub(super) fn new(to: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(to)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, ROOM).is_err() {
            state.set_recv_buffer_size(UdpSockRef::from(&socket), ROOM)?;
        }
        Ok(Self { socket, state, to })
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes)
    }

    /// Waits for a datagram.
    ///
    /// # Errors
    /// None came.
    pub(super) fn wait(&self, within: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        let mut bytes = [0; 2_048];
        while Instant::now() < until {
            match self.socket.recv(&mut bytes) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("nothing came back in {within:?}")
    }

    fn burst(&self, bytes: &[u8], sends: Sends) -> io::Result<()> {
        match sends {
            Sends::Single => bytes.chunks(PACKET).try_for_each(|one| self.socket.send(one).map(drop)),
            Sends::Joined => {
                let segment_size = (bytes.len() > PACKET).then_some(PACKET);
                let all = Transmit { destination: self.to, ecn: None, contents: bytes, segment_size, src_ip: None };
                self.state.try_send(UdpSockRef::from(&self.socket), &all)
            }
        }
    }
}

/// What came of one rate.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Round trips a second that were asked for.
    pub(super) rate: u32,
    /// Packets sent.
    pub(super) sent: u64,
    /// Packets that came back.
    pub(super) received: u64,
    /// Round trips, by a sample of them.
    pub(super) latencies: Latencies,
    /// CPU seconds of what is measured.
    pub(super) cpu_seconds: f64,
    took: Duration,
}

impl Outcome {
    /// Packets that did not come back.
    #[must_use]
    pub(super) const fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Whether the generator itself did not keep up.
    #[must_use]
    pub(super) fn late(&self) -> bool {
        (self.sent as f64) < 0.98 * f64::from(self.rate) * self.took.as_secs_f64()
    }

    /// Packets taken and sent on for a CPU second, each round trip counted `passings` times.
    #[must_use]
    pub(super) fn packets_per_cpu_second(&self, passings: u32) -> f64 {
        self.received as f64 * f64::from(passings) / self.cpu_seconds.max(0.001)
    }
}

/// Sends `rate` packets a second for a while, shared out over the flows, and takes what comes back.
///
/// # Errors
/// The kernel's.
pub(super) fn drive(flows: &[Flow], sends: Sends, rate: u32, time: Duration) -> anyhow::Result<Outcome> {
    let mut poll = Poll::new()?;
    for (at, flow) in flows.iter().enumerate() {
        poll.registry().register(&mut SourceFd(&flow.socket.as_raw_fd()), Token(at), Interest::READABLE)?;
    }
    let mut receiver =
        Receiver { chunks: vec![0; CHUNK * BATCH_SIZE], outcome: Outcome { rate, ..Outcome::default() } };
    let (mut events, start, mut next) = (Events::with_capacity(256), Instant::now(), 0);
    let mut burst = vec![0x80; PACKET * BURST];
    loop {
        let now = start.elapsed();
        let over = now >= time;
        let due = due(rate, now.min(time));
        let count = if sends == Sends::Joined || flows.len() == 1 { BURST } else { 1 };
        let (size, bytes) = (count as u64, count * PACKET);
        // A burst waits until it is whole, as a frame of video is.
        while receiver.outcome.sent + size <= due {
            for packet in burst.chunks_mut(PACKET) {
                packet[8..16].copy_from_slice(&nanos(start).to_be_bytes());
            }
            let flow = flows.get(next % flows.len()).context("no flow")?;
            flow.burst(burst.get(..bytes).unwrap_or_default(), sends)?;
            receiver.outcome.sent += size;
            next += 1;
        }
        if over && (receiver.outcome.lost() == 0 || now >= time + SETTLE) {
            receiver.outcome.took = time;
            return Ok(receiver.outcome);
        }
        poll.poll(&mut events, Some(Duration::from_micros(200)))?;
        for event in &events {
            receiver.drain(flows.get(event.token().0).context("no flow")?, start)?;
        }
    }
}

/// Packets that should have been sent by now.
pub(super) fn due(rate: u32, after: Duration) -> u64 {
    u64::try_from(u128::from(rate) * after.as_micros() / 1_000_000).unwrap_or(u64::MAX)
}

struct Receiver {
    chunks: Vec<u8>,
    outcome: Outcome,
}

impl Receiver {
    fn drain(&mut self, flow: &Flow, start: Instant) -> anyhow::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        loop {
            let mut slices: Vec<IoSliceMut<'_>> = self.chunks.chunks_mut(CHUNK).map(IoSliceMut::new).collect();
            let count = match flow.state.recv(UdpSockRef::from(&flow.socket), &mut slices, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let now = nanos(start);
            for (chunk, meta) in self.chunks.chunks(CHUNK).zip(&metas).take(count) {
                let packets = meta.len.div_ceil(meta.stride.max(1)) as u64;
                self.outcome.received += packets;
                if let Some(sent) = chunk.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes) {
                    self.outcome.latencies.add(Duration::from_nanos(now.saturating_sub(sent)));
                }
            }
        }
    }
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
