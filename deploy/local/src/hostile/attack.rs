//! The attacks: bounded in rate, number and time, against one edge on loopback.

use super::bytes::{Dice, announce, chunk_size, message, nested_connect, rtmp_hello, srt, stun};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Datagrams a second of a flood.
const FLOOD_PER_SECOND: u32 = 50_000;
/// Datagrams of a flood that are made beforehand and sent over and over.
const MADE: usize = 4_096;
/// Addresses that floods and connections come from: 127.0.1.1 and on. All of 127/8 is this machine.
const SOURCES: u8 = 64;
/// Half-open connections.
const HALF_OPEN: usize = 5_000;
/// Connections that send a byte a second.
const DRIPPING: usize = 200;
/// Connections that do something forbidden, a second.
const FORBIDDEN_PER_SECOND: u32 = 50;
/// Connections that announce more than they send, and what each announces: 256 messages of 16 MiB.
const ANNOUNCING: usize = 20;
/// How deep `connect` is nested.
const DEPTH: usize = 10_000;
/// Requests with a body of 4 GiB.
const BODY_BYTES: u64 = 4 << 30;
/// Connections are opened in steps of this many at once.
const STEP: usize = 100;

/// What is done to the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Attack {
    /// STUN requests for sessions that do not exist.
    Stun,
    /// SRT inductions, and conclusions with a cookie that was never given.
    Srt,
    /// RTMP connections that say nothing after their first byte.
    HalfOpen,
    /// RTMP handshakes and HTTP requests at one byte a second.
    Drip,
    /// RTMP chunk sizes of 2^31 and 2^31 - 1.
    ChunkSize,
    /// An RTMP `connect` of 10,000 objects in each other.
    Nested,
    /// Messages and a body of 4 GiB announced, of which little comes.
    Announce,
}

/// Where the edge listens.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// WebRTC.
    pub rtc: SocketAddr,
    /// SRT.
    pub srt: SocketAddr,
    /// RTMP.
    pub rtmp: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

/// What was done so far.
#[derive(Debug, Default)]
pub struct Done {
    datagrams: AtomicU64,
    opened: AtomicU64,
    /// Connections that the edge closed or did not take.
    ended: AtomicU64,
}

impl Done {
    /// For the table.
    #[must_use]
    pub fn text(&self, during: Duration) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        match of(&self.datagrams) {
            0 => format!("{} connections, {} ended by the edge", of(&self.opened), of(&self.ended)),
            sent => format!("{} datagrams a second", (u128::from(sent) * 1_000) / during.as_millis().max(1)),
        }
    }
}

impl Attack {
    /// All, in the order of a run.
    pub const ALL: [Self; 7] =
        [Self::Stun, Self::Srt, Self::HalfOpen, Self::Drip, Self::ChunkSize, Self::Nested, Self::Announce];

    /// For the table.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Stun => "spoofed STUN",
            Self::Srt => "SRT inductions and forged conclusions",
            Self::HalfOpen => "5,000 half-open RTMP connections",
            Self::Drip => "one byte a second",
            Self::ChunkSize => "RTMP chunk size 2^31",
            Self::Nested => "AMF nested 10,000 deep",
            Self::Announce => "4 GiB announced",
        }
    }

    /// Does it until `stop`.
    pub(crate) async fn run(self, target: Target, done: Arc<Done>, stop: CancellationToken) {
        match self {
            Self::Stun => flood(target.rtc, stun, done, stop).await,
            Self::Srt => flood(target.srt, srt, done, stop).await,
            Self::HalfOpen => crowd(HALF_OPEN, done, stop, move |n| half_open(target.rtmp, n)).await,
            Self::Drip => {
                let http = |n: usize| if n.is_multiple_of(4) { target.http } else { target.rtmp };
                crowd(DRIPPING, done, stop, move |n| drip(http(n), n)).await;
            }
            Self::ChunkSize => stream(done, stop, move |n| sized(target.rtmp, n)).await,
            Self::Nested => stream(done, stop, move |n| nested(target.rtmp, n)).await,
            Self::Announce => {
                crowd(ANNOUNCING * 2, done, stop, move |n| async move {
                    if n.is_multiple_of(2) { announced(target.rtmp, n).await } else { body(target.http, n).await }
                })
                .await;
            }
        }
    }
}

/// An address of this machine that is not the viewers'.
fn source(n: usize) -> SocketAddr {
    let host = u8::try_from(n % usize::from(SOURCES)).unwrap_or(0).saturating_add(1);
    SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), 0))
}

/// Sends datagrams at a steady rate, from a thread of its own: pacing must not wait for anything else.
async fn flood(target: SocketAddr, make: fn(&mut Dice) -> Vec<u8>, done: Arc<Done>, stop: CancellationToken) {
    let thread = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let sockets = (0..usize::from(SOURCES)).map(|n| {
            let socket = UdpSocket::bind(source(n))?;
            socket.connect(target)?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        });
        let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
        let mut dice = Dice(7);
        let made: Vec<_> = (0..MADE).map(|_| make(&mut dice)).collect();
        let (began, mut sent) = (Instant::now(), 0_u64);
        while !stop.is_cancelled() {
            let due = began.elapsed().as_secs_f64() * f64::from(FLOOD_PER_SECOND);
            while u32::try_from(sent).map_or(f64::MAX, f64::from) < due && !stop.is_cancelled() {
                let at = usize::try_from(sent).unwrap_or(0);
                // Refused (the edge does not listen) and full are no reason to stop an attack.
                if sockets[at % sockets.len()].send(&made[at % made.len()]).is_ok() {
                    done.datagrams.fetch_add(1, Ordering::Relaxed);
                }
                sent += 1;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    });
    if let Ok(Err(error)) = thread.await {
        crate::say::note(&format!("hostile: {error}"));
    }
}

/// Many connections at the same time, until `stop`.
async fn crowd<F>(count: usize, done: Arc<Done>, stop: CancellationToken, one: impl Fn(usize) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut all = JoinSet::new();
    for n in 0..count {
        if n % STEP == STEP - 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if stop.is_cancelled() {
            return;
        }
        spawn(&mut all, &done, one(n));
    }
    stop.cancelled().await;
}

/// One connection after the other, until `stop`.
async fn stream<F>(done: Arc<Done>, stop: CancellationToken, one: impl Fn(usize) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut all = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / FORBIDDEN_PER_SECOND);
    for n in 0.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => spawn(&mut all, &done, one(n)),
        }
        while all.try_join_next().is_some() {}
    }
}

fn spawn(all: &mut JoinSet<()>, done: &Arc<Done>, one: impl Future<Output = io::Result<()>> + Send + 'static) {
    let done = Arc::clone(done);
    done.opened.fetch_add(1, Ordering::Relaxed);
    all.spawn(async move {
        // However the edge ends it; ending the attack ends the task instead.
        drop(one.await);
        done.ended.fetch_add(1, Ordering::Relaxed);
    });
}

async fn connect(target: SocketAddr, n: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(source(n))?;
    socket.connect(target).await
}

/// Reads until the edge closes.
async fn until_closed(mut stream: TcpStream) -> io::Result<()> {
    let mut heard = [0; 4_096];
    while stream.read(&mut heard).await? > 0 {}
    Ok(())
}

async fn half_open(target: SocketAddr, n: usize) -> io::Result<()> {
    let mut stream = connect(target, n).await?;
    stream.write_all(&[3]).await?;
    until_closed(stream).await
}

async fn drip(target: SocketAddr, n: usize) -> io::Result<()> {
    let (mut reader, mut writer) = connect(target, n).await?.into_split();
    let slow = async {
        for byte in rtmp_hello() {
            writer.write_all(&[if byte == 3 { 3 } else { b'A' }]).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    };
    let mut heard = [0; 64];
    tokio::select! {
        ended = slow => ended,
        closed = reader.read(&mut heard) => closed.map(|_| ()),
    }
}

/// A connection after its handshake.
async fn shaken(target: SocketAddr, n: usize) -> io::Result<TcpStream> {
    let mut stream = connect(target, n).await?;
    stream.write_all(&rtmp_hello()).await?;
    let mut answer = vec![0; 1 + 2 * 1_536];
    stream.read_exact(&mut answer).await?;
    stream.write_all(&answer[1..=1_536]).await?;
    Ok(stream)
}

async fn sized(target: SocketAddr, n: usize) -> io::Result<()> {
    let mut stream = shaken(target, n).await?;
    let size = if n.is_multiple_of(2) { 1 << 31 } else { (1 << 31) - 1 };
    stream.write_all(&chunk_size(size)).await?;
    stream.write_all(&announce(3, 20, 0x00ff_ffff, &[0; 65_536])).await?;
    until_closed(stream).await
}

async fn nested(target: SocketAddr, n: usize) -> io::Result<()> {
    let mut stream = shaken(target, n).await?;
    stream.write_all(&nested_connect(DEPTH)).await?;
    until_closed(stream).await
}

async fn announced(target: SocketAddr, n: usize) -> io::Result<()> {
    let mut stream = shaken(target, n).await?;
    stream
        .write_all(&message(20, b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\0\x09"))
        .await?;
    for chunk_stream in 0..=u8::MAX {
        stream.write_all(&announce(chunk_stream.max(4), 9, 0x00ff_ffff, &[0; 128])).await?;
    }
    until_closed(stream).await
}

async fn body(target: SocketAddr, n: usize) -> io::Result<()> {
    let mut stream = connect(target, n).await?;
    let head = format!(
        "POST /rtc/v1/whip/anything HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nAuthorization: Bearer x\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let (mut reader, mut writer) = stream.into_split();
    let feed = async {
        loop {
            writer.write_all(&[b'v'; 4_096]).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut heard = [0; 4_096];
    tokio::select! {
        ended = feed => ended,
        closed = reader.read(&mut heard) => closed.map(|_| ()),
    }
}
