//! The parts that are played: a media node in SRS's form, and control-api's internal API as the edge asks it.

use crate::wire::{header, read_body, read_head, text};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

/// A request as a part sees it.
#[derive(Debug)]
pub struct Request<'a> {
    /// `POST` and so on.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// Query without `?`, as it came.
    pub query: &'a str,
    /// Body.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// The value of a query parameter, undecoded.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a part answers: status, whole header lines each with its CRLF, body.
pub type Reply = (u16, String, Vec<u8>);

/// Answers every request with `part` on a free port, until the process ends.
///
/// # Errors
/// No free port.
pub async fn serve(part: impl Fn(&Request<'_>) -> Reply + Send + Sync + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let part = Arc::new(part);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let part = Arc::clone(&part);
            tokio::spawn(async move {
                // A client that goes away in the middle is its own business.
                drop(connection(socket, &*part).await);
            });
        }
    });
    Ok(address)
}

async fn connection(mut socket: TcpStream, part: &(dyn Fn(&Request<'_>) -> Reply + Send + Sync)) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let head_len = read_head(&mut socket, &mut buffer).await?;
        let (length, keep) = {
            let head = text(buffer.get(..head_len).unwrap_or_default())?;
            let length = header(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            let close = header(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            (length, !close && head.lines().next().is_some_and(|line| line.ends_with("HTTP/1.1")))
        };
        read_body(&mut socket, &mut buffer, head_len, length).await?;
        let answer = {
            let head = text(buffer.get(..head_len).unwrap_or_default())?;
            let mut first = head.split_whitespace();
            let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let body = buffer.get(head_len..head_len + length).unwrap_or_default();
            let (status, headers, body) = part(&Request { method, path, query, body });
            let connection = if keep { "Keep-Alive" } else { "Close" };
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\nConnection: {connection}\r\n{headers}Content-Length: {length}\r\n\r\n");
            [head.into_bytes(), body].concat()
        };
        socket.write_all(&answer).await?;
        if !keep {
            return socket.shutdown().await;
        }
        buffer.drain(..head_len + length);
    }
}
