//! HTTP/1.1 by hand: a server that may also hang, hang up or babble, and a client that sends exactly the bytes it is given.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case; of a repeated one the last.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a query parameter, undecoded.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a server does with a request.
pub(crate) enum Reply {
    /// Head lines without status, and a body.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes, then the end.
    Raw(Vec<u8>),
    /// Hangs up without a word.
    Close,
    /// Answers so after a while.
    Later(Duration, Box<Reply>),
    /// Says nothing and keeps the connection for as long as the client does.
    Hang,
    /// Bytes, then the same piece again and again for as long as the client takes it and this says so; how many were taken is counted.
    Endless(Endless),
}

/// An answer without an end.
#[derive(Debug, Clone)]
pub(crate) struct Endless {
    pub(crate) head: Vec<u8>,
    pub(crate) piece: Vec<u8>,
    pub(crate) every: Duration,
    pub(crate) on: Arc<AtomicBool>,
    pub(crate) taken: Arc<AtomicU64>,
}

impl Endless {
    async fn send(self, socket: &mut TcpStream) {
        if socket.write_all(&self.head).await.is_err() {
            return;
        }
        while self.on.load(Ordering::Relaxed) && socket.write_all(&self.piece).await.is_ok() {
            self.taken.fetch_add(self.piece.len() as u64, Ordering::Relaxed);
            tokio::time::sleep(self.every).await;
        }
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Http(status, vec![("Content-Type", "application/json".to_owned())], body.to_string().into_bytes())
    }
}

type Handler = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// Serves every connection with `handler`, one request each, until the test ends.
pub(crate) async fn serve(handler: impl Fn(Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    serve_at("127.0.0.1:0".parse().unwrap(), handler).await.0
}

/// The same at an address, with the task that listens: aborted, connections are refused.
pub(crate) async fn serve_at(
    address: SocketAddr,
    handler: impl Fn(Request) -> Reply + Send + Sync + 'static,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler: Handler = Arc::new(move |request| {
        let reply = handler(request);
        Box::pin(async move { reply })
    });
    let listening = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move { one(socket, handler).await });
        }
    });
    (address, listening)
}

async fn one(mut socket: TcpStream, handler: Handler) {
    let Some(request) = read_request(&mut socket).await else { return };
    let mut reply = handler(request).await;
    while let Reply::Later(wait, then) = reply {
        tokio::time::sleep(wait).await;
        reply = *then;
    }
    match reply {
        Reply::Later(..) => {}
        Reply::Http(status, lines, body) => {
            let mut head = format!("HTTP/1.1 {status} X\r\nConnection: Close\r\n");
            lines.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
            head.push_str(&format!("Content-Length: {}\r\nServer: SRS/5.0.216(Bee)\r\n\r\n", body.len()));
            drop(socket.write_all(head.as_bytes()).await);
            drop(socket.write_all(&body).await);
        }
        Reply::Raw(bytes) => drop(socket.write_all(&bytes).await),
        Reply::Close => {}
        Reply::Endless(endless) => endless.send(&mut socket).await,
        Reply::Hang => drop(socket.read(&mut [0; 1]).await),
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
    let len: usize = headers.get("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < len {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Name (lower case) and value, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Longest that any answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Sends `bytes` as they are on a connection of their own and reads one answer; `None` if the server hung up without one.
pub(crate) async fn send_raw(port: u16, bytes: &[u8]) -> Option<Answer> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // The server may answer and close before it has read everything.
    drop(socket.write_all(bytes).await);
    tokio::time::timeout(ANSWER_WITHIN, read_answer(&mut socket, bytes.starts_with(b"HEAD")))
        .await
        .expect("an answer in time")
}

/// Reads one answer from an open connection.
pub(crate) async fn read_answer(socket: &mut TcpStream, head_only: bool) -> Option<Answer> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            if bytes.starts_with(b"HTTP/1.1 100") {
                bytes.drain(..end + 4);
                continue;
            }
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
    let len = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse::<usize>().ok());
    let len = if head_only { 0 } else { len.unwrap_or(0) };
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < len {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            break;
        }
    }
    Some(Answer { status, headers, body })
}
