//! A client's socket, plain or with TLS.

use proto::{
    session::Role,
    wire::proxy::{self, Front, HEADER_LEN_MAX},
};
use socket2::{SockRef, TcpKeepalive};
use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What bytes come and go through.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Shakes hands over TLS, or leaves the connection as it is.
    pub(super) async fn of(stream: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Self> {
        match tls {
            None => Ok(Self::Plain(stream)),
            Some(acceptor) => Ok(Self::Tls(Box::new(acceptor.accept(stream).await?))),
        }
    }
}

/// How much of what was written may wait in the kernel without having been sent: what a slow player's lag consists of, beside its own network.
const UNSENT_MAX: u32 = 256 * 1024;
/// How much a node may have sent ahead of a slow player. It is one network hop away.
const AHEAD_MAX: usize = 256 * 1024;
/// Silence after which the kernel asks whether the other machine is still there, and how often from then on.
const ALIVE_EVERY: Duration = Duration::from_secs(30);

/// Sets up a client's socket.
pub(super) fn prepare_client(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ALIVE_EVERY).with_interval(ALIVE_EVERY))
}

/// Sets up a socket towards a node.
pub(super) fn prepare_node(stream: &TcpStream, role: Role) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if role == Role::Play {
        socket.set_recv_buffer_size(AHEAD_MAX)?;
    }
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ALIVE_EVERY).with_interval(ALIVE_EVERY))
}

/// Takes a PROXY header off the front of a trusted proxy's connection; the client's address, if it tells one.
pub(super) async fn proxied(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut seen = [0_u8; HEADER_LEN_MAX];
    loop {
        // Looked at and left there, because the first bytes may be the client's own.
        let count = stream.peek(&mut seen).await?;
        let front = proxy::read(seen.get(..count).unwrap_or_default()).map_err(io::Error::other)?;
        match front {
            Front::Absent => return Ok(None),
            Front::Header(header) => {
                if let Some(header) = seen.get_mut(..header.len) {
                    stream.read_exact(header).await?;
                }
                return Ok(header.client.map(|client| client.ip().to_canonical()));
            }
            Front::More if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            // A peek is ready again at once while bytes lie there, so the rest is waited for with a clock.
            Front::More => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
