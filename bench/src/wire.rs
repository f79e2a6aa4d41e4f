//! HTTP/1.1 as a load generator needs it: whole requests out, status and body in, one after another on a kept connection. Raw, so that the
//! generator costs as little of the shared machine as it can.

use std::{io, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longest head or body that is read, in bytes.
const LIMIT: usize = 256 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// One kept connection.
#[derive(Debug)]
pub struct Conn {
    to: SocketAddr,
    socket: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer; borrowed from the connection.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Status line and headers.
    pub head: &'a str,
    /// Body.
    pub body: &'a [u8],
}

impl Conn {
    /// Connects when first asked.
    #[must_use]
    pub fn new(to: SocketAddr) -> Self {
        Self { to, socket: None, buffer: Vec::new() }
    }

    /// Sends one request and reads its answer. Connects again when the last answer closed the connection.
    ///
    /// # Errors
    /// What the socket says, and an answer that is not HTTP with a `Content-Length`.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = TcpStream::connect(self.to).await?;
                socket.set_nodelay(true)?;
                socket
            }
        };
        socket.write_all(request).await?;
        self.buffer.clear();
        let head_len = read_head(&mut socket, &mut self.buffer).await?;
        let (status, length, keep) = {
            let head = text(self.buffer.get(..head_len).unwrap_or_default())?;
            let status = head.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(|| bad("no status"))?;
            let length = match header(head, "content-length") {
                Some(length) => length.parse().map_err(|_| bad("Content-Length"))?,
                None if status == 204 => 0,
                None => return Err(bad("no Content-Length")),
            };
            (status, length, !header(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")))
        };
        read_body(&mut socket, &mut self.buffer, head_len, length).await?;
        if keep {
            self.socket = Some(socket);
        }
        let (head, body) = self.buffer.split_at_checked(head_len).ok_or_else(|| bad("short answer"))?;
        Ok(Answer { status, head: text(head)?, body })
    }
}

/// A `POST` as bytes; `headers` are whole lines, each with its CRLF.
#[must_use]
pub fn post(path: &str, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A `GET` as bytes.
#[must_use]
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// Reads up to the end of a head into `buffer` and gives its length. More may have been read behind it.
///
/// # Errors
/// The socket's, and `UnexpectedEof` when it ends first.
pub async fn read_head(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        if let Some(at) = buffer.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) {
            return Ok(at + END_OF_HEAD.len());
        }
        if buffer.len() > LIMIT {
            return Err(bad("head over the limit"));
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Reads until `buffer` has `length` bytes behind its first `head_len`.
///
/// # Errors
/// As [`read_head`].
pub async fn read_body(socket: &mut TcpStream, buffer: &mut Vec<u8>, head_len: usize, length: usize) -> io::Result<()> {
    if length > LIMIT {
        return Err(bad("body over the limit"));
    }
    while buffer.len() < head_len + length {
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The value of a header, by its name in any case.
#[must_use]
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Bytes that have to be text.
///
/// # Errors
/// `InvalidData`.
pub fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| bad("not UTF-8"))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
