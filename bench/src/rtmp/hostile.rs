//! A live stream beside thousands of connections that say nothing, or a byte a second: what its receiver notices, and what the edge needs.

use super::encoder::Encoder;
use crate::{
    process::Process,
    report::{Latencies, Report},
    world::Published,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::Instant,
};

/// Connections that are tried; the edge lets fewer in.
const HOSTILE: u32 = 5_000;
/// Of one address, each with its own of 127.0.0.0/8.
const PER_ADDRESS: u32 = 50;
/// How long the stream is watched each time.
const FOR: Duration = Duration::from_secs(6);

/// When bytes came, since that was last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<Instant>>>);

impl Seen {
    pub(super) fn now(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    fn gaps(&self) -> Latencies {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut gaps = Latencies::default();
        all.windows(2).for_each(|pair| {
            if let [a, b] = pair {
                gaps.add(b.duration_since(*a));
            }
        });
        gaps
    }
}

/// Watches one stream alone, and beside them.
pub(super) async fn run(
    report: &mut Report,
    edge: &Process,
    at: SocketAddr,
    stream: &Published,
    seen: &Seen,
) -> anyhow::Result<()> {
    let name = format!("{}?token={}", stream.stream, stream.token);
    let publisher = tokio::spawn(Encoder::open(at, name).await?.publish(0, FOR * 2 + Duration::from_secs(4)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(seen.gaps());
    tokio::time::sleep(FOR).await;
    let mut alone = seen.gaps();
    let before = edge.resident()?;
    let mut hostile = Vec::new();
    for number in 0..HOSTILE {
        if let Ok(stream) = connect(at, number / PER_ADDRESS).await {
            hostile.push(stream);
        }
    }
    drop(seen.gaps());
    let bytes = tokio::spawn(a_byte_a_second(hostile));
    tokio::time::sleep(FOR).await;
    let mut beside = seen.gaps();
    let grown = edge.resident()?.saturating_sub(before);
    bytes.abort();
    publisher.await??;
    report.add("live stream, longest gap between bytes", alone.percentile(100), "ms");
    report.add(format!("the same beside {HOSTILE} half-open connections"), beside.percentile(100), "ms");
    #[expect(clippy::cast_precision_loss, reason = "mebibytes")]
    report.add("memory of the edge for them", grown as f64 / 1024.0 / 1024.0, "MiB");
    Ok(())
}

async fn connect(at: SocketAddr, address: u32) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::from(0x7F01_0001 + address), 0).into())?;
    socket.connect(at).await
}

/// Ends one after the other as the edge lets go of them.
async fn a_byte_a_second(mut hostile: Vec<TcpStream>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        let mut left = Vec::new();
        for mut stream in hostile {
            if stream.write_all(&[3]).await.is_ok() {
                left.push(stream);
            }
        }
        hostile = left;
    }
}
