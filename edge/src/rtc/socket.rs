//! Sockets of the relay: how they are bound, and batches in and out of them.

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};

/// Bytes that one receive may bring: the kernel joins up to 64 datagrams of one flow.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of datagrams sent in one call at most: what one IP packet could hold, and the kernel's limit of segmentation.
pub(super) const SEND_BYTES_MAX: usize = 65_507 - 1_500;
/// Datagrams waiting at the public sockets, in bytes: 100 ms of 300 Mbit/s. Given if the process may, else what the system allows.
const PUBLIC_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// The same for one session's upstream socket.
const UPSTREAM_BUFFER_BYTES: usize = 512 * 1024;
/// Connections waiting to be accepted.
const BACKLOG: i32 = 512;
/// Ports to try when any will do and UDP and TCP must have the same.
const SAME_PORT_TRIES: usize = 16;

/// A UDP socket with what batching needs to know of it.
pub(super) struct Udp {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    v4: bool,
}

impl Udp {
    fn new(socket: UdpSocket, buffer: usize) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // It asks never to fragment, as QUIC wants. Media packets larger than a tunnel's MTU exist, and a fragment is better than a hole.
        let v4 = socket.local_addr()?.is_ipv4();
        if v4 {
            set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?;
        } else {
            set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DONT)?;
        }
        let plain = socket2::SockRef::from(&socket);
        if set_socket_recv_buffer_size_force(&socket, buffer).is_err() {
            plain.set_recv_buffer_size(buffer)?;
        }
        if set_socket_send_buffer_size_force(&socket, buffer).is_err() {
            plain.set_send_buffer_size(buffer)?;
        }
        Ok(Self { socket, state, v4 })
    }

    /// A socket that talks to one media node only.
    pub(super) fn upstream(node: SocketAddr) -> io::Result<Self> {
        let any = match node.ip() {
            IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(node)?;
        Self::new(socket, UPSTREAM_BUFFER_BYTES)
    }

    /// Keeps the port, and as little as possible of what still comes.
    pub(super) fn retire(&self) {
        // The smallest the kernel allows; a failure costs memory for half a minute only.
        drop(socket2::SockRef::from(&self.socket).set_recv_buffer_size(0));
    }

    /// Receives a batch; `Ok(0)` when nothing is there.
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        let mut rest: &mut [u8] = &mut batch.bytes;
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
            let (chunk, tail) = std::mem::take(&mut rest).split_at_mut(CHUNK_BYTES);
            rest = tail;
            IoSliceMut::new(chunk)
        });
        match self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut batch.metas) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether it speaks IPv4.
    pub(super) const fn is_v4(&self) -> bool {
        self.v4
    }

    /// Datagrams that one call may send, if they have one size.
    pub(super) fn segments_max(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends datagrams of `size` bytes each (the last may be shorter) to one address.
    ///
    /// # Errors
    /// The kernel's; the datagrams that were not sent are lost, as on any network.
    pub(super) fn send(&self, bytes: &[u8], size: usize, to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        let transmit =
            |contents, segment_size| Transmit { destination: to, ecn: None, contents, segment_size, src_ip: from };
        let socket = UdpSockRef::from(&self.socket);
        if bytes.len() <= size {
            return self.state.try_send(socket, &transmit(bytes, None));
        }
        if self.segments_max() > 1 {
            match self.state.try_send(socket, &transmit(bytes, Some(size))) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // Segmentation is not offered here, or the size is above the way's MTU: one by one.
                Err(_) => {}
            }
        }
        let mut result = Ok(());
        for one in bytes.chunks(size) {
            let sent = self.state.try_send(UdpSockRef::from(&self.socket), &transmit(one, None));
            result = result.and(sent);
        }
        result
    }

    /// Sends to the node that this socket is connected to.
    ///
    /// # Errors
    /// As [`Udp::send`].
    pub(super) fn send_up(&self, bytes: &[u8], size: usize, node: SocketAddr) -> io::Result<()> {
        if bytes.len() <= size { self.socket.send(bytes).map(drop) } else { self.send(bytes, size, node, None) }
    }
}

/// Room for one receive, used again for all of a shard's sockets.
pub(super) struct Batch {
    bytes: Box<[u8]>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; CHUNK_BYTES * BATCH_SIZE].into_boxed_slice(), metas: [RecvMeta::default(); BATCH_SIZE] }
    }

    /// What the last receive brought: bytes of one or more datagrams of one flow, and about them.
    pub(super) fn received(&self, count: usize) -> impl Iterator<Item = (&[u8], &RecvMeta)> {
        let chunks = self.bytes.chunks_exact(CHUNK_BYTES).zip(&self.metas).take(count);
        chunks.map(|(chunk, meta)| (chunk.get(..meta.len).unwrap_or_default(), meta))
    }
}

/// The sockets of one shard that strangers may reach.
pub(super) struct Public {
    pub(super) udp: Vec<Udp>,
    pub(super) tcp: Vec<mio::net::TcpListener>,
}

/// Binds the public sockets of all shards: the same addresses for each, shared out by the kernel.
///
/// A wildcard means both families where the machine has both. Nobody else may have the port: the first socket of each address is bound alone.
///
/// # Errors
/// The port is taken, or the address is not this machine's.
pub(super) fn bind(listen: SocketAddr, tcp: bool, shards: usize) -> io::Result<(Vec<Public>, Vec<SocketAddr>)> {
    let mut last = None;
    for _ in 0..if listen.port() == 0 { SAME_PORT_TRIES } else { 1 } {
        match bind_once(listen, tcp, shards) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no port was tried")))
}

fn bind_once(listen: SocketAddr, tcp: bool, shards: usize) -> io::Result<(Vec<Public>, Vec<SocketAddr>)> {
    let first = alone(listen, Type::DGRAM)?;
    let port = first.local_addr()?.as_socket().map_or(listen.port(), |at| at.port());
    let mut addresses = vec![SocketAddr::new(listen.ip(), port)];
    if listen.ip().is_unspecified() {
        let other = match listen.ip() {
            IpAddr::V4(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        match alone(SocketAddr::new(other, port), Type::DGRAM) {
            Ok(_) => addresses.push(SocketAddr::new(other, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => tracing::info!(%error, %other, "the WebRTC port is not open on the other address family"),
        }
    }
    if tcp {
        for address in &addresses {
            drop(alone(*address, Type::STREAM)?);
        }
    }
    drop(first);
    let one = |_| {
        let udp = addresses.iter().map(|at| Udp::new(shared(*at, Type::DGRAM)?.into(), PUBLIC_BUFFER_BYTES));
        let udp = udp.collect::<io::Result<_>>()?;
        let listeners = addresses.iter().filter(|_| tcp).map(|at| {
            let socket = shared(*at, Type::STREAM)?;
            socket.listen(BACKLOG)?;
            Ok(mio::net::TcpListener::from_std(TcpListener::from(socket)))
        });
        Ok(Public { udp, tcp: listeners.collect::<io::Result<_>>()? })
    };
    Ok(((0..shards).map(one).collect::<io::Result<_>>()?, addresses))
}

/// A socket that proves that nobody listens there.
fn alone(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = plain(at, kind)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SockAddr::from(at))?;
    Ok(socket)
}

/// A socket that shares its port with this process's other shards.
fn shared(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = plain(at, kind)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(at))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn plain(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
