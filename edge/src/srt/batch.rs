//! UDP in bursts: many datagrams a system call, in and out.

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{IpAddr, SocketAddr, UdpSocket},
};
use tokio::io::Interest;

/// Buffers a call fills at most; each holds one datagram or a train of them.
const BATCH: usize = 16;
/// Bytes of a buffer: the longest train the kernel joins.
const BUFFER_BYTES: usize = 64 * 1024;
/// Longest train that is sent at once: what IPv4 can carry.
const TRAIN_BYTES_MAX: usize = 65_507;
/// What is asked of the kernel for a socket's queue; it gives what `net.core.rmem_max` allows.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Datagrams of one sender, all of `stride` bytes but the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Train<'a> {
    pub(super) from: SocketAddr,
    /// The address of ours they were sent to.
    pub(super) local: Option<IpAddr>,
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
}

/// What became of datagrams that were sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    /// Datagrams that were lost here.
    pub(super) lost: usize,
    /// The other machine has said that nothing listens there; of a connected socket only.
    pub(super) refused: bool,
}

/// What wakes a receiver: on a connected socket the other machine's refusal is an error and nothing to read.
const HEARD: Interest = Interest::READABLE.add(Interest::ERROR);

/// Room for one call.
pub(super) struct Room {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH],
}

impl Room {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BATCH * BUFFER_BYTES], metas: [RecvMeta::default(); BATCH] }
    }

    /// What the last call brought.
    pub(super) fn trains(&self, count: usize) -> impl Iterator<Item = Train<'_>> {
        let filled = self.bytes.chunks(BUFFER_BYTES).zip(&self.metas).take(count);
        filled.filter_map(|(bytes, meta)| {
            let bytes = bytes.get(..meta.len).filter(|bytes| !bytes.is_empty())?;
            Some(Train { from: meta.addr, local: meta.dst_ip, bytes, stride: meta.stride.max(1) })
        })
    }
}

/// A UDP socket of this thread's runtime.
pub(super) struct Socket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    /// Takes a bound socket.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        // A smaller queue loses bursts, which SRT repairs: no reason not to start.
        for failed in [
            state.set_recv_buffer_size((&socket).into(), QUEUE_BYTES),
            state.set_send_buffer_size((&socket).into(), QUEUE_BYTES),
        ] {
            if let Err(error) = failed {
                tracing::debug!(%error, "a socket keeps the system's queue length");
            }
        }
        Ok(Self { io: tokio::net::UdpSocket::from_std(socket)?, state })
    }

    /// Resolves when there may be something to receive, an error included.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.ready(HEARD).await.map(drop)
    }

    /// Receives what is there. `Err(WouldBlock)`: nothing is.
    pub(super) fn recv(&self, room: &mut Room) -> io::Result<usize> {
        match self.recv_if(Interest::READABLE, room) {
            // The runtime looks at one kind of readiness a call.
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.recv_if(Interest::ERROR, room),
            done => done,
        }
    }

    fn recv_if(&self, interest: Interest, room: &mut Room) -> io::Result<usize> {
        let mut got = 0;
        let outcome = self.io.try_io(interest, || {
            let mut buffers = room.bytes.chunks_mut(BUFFER_BYTES);
            let mut slices: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
            got = self.state.recv((&self.io).into(), &mut slices, &mut room.metas)?;
            // Fewer than fit: the queue is empty. Saying so here saves the call that would find out; what arrives from now on wakes anew.
            if got < BATCH { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match outcome {
            Err(error) if got == 0 => Err(error),
            Ok(()) | Err(_) => Ok(got),
        }
    }

    /// Sends datagrams of `stride` bytes, the last may be shorter. What a full queue or a barred way loses, SRT repeats.
    pub(super) fn send(&self, to: SocketAddr, local: Option<IpAddr>, bytes: &[u8], stride: usize) -> Sent {
        let segments = self.state.max_gso_segments().min(TRAIN_BYTES_MAX / stride.max(1)).max(1);
        let mut sent = Sent::default();
        for part in bytes.chunks(stride.saturating_mul(segments)) {
            let segment_size = (part.len() > stride).then_some(stride);
            let transmit = Transmit { destination: to, ecn: None, contents: part, segment_size, src_ip: local };
            if let Err(error) = self.state.try_send((&self.io).into(), &transmit) {
                sent.lost += part.len().div_ceil(stride);
                sent.refused |= error.kind() == ErrorKind::ConnectionRefused;
            }
        }
        sent
    }
}
