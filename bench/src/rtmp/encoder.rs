//! The load: encoders in real time, and a node that throws away what it gets.

use super::hostile::Seen;
use anyhow::{Context as _, bail};
use proto::{
    session::Role,
    wire::rtmp::{
        chunk::{Encoder as Chunks, Header},
        handshake::NOISE_LEN,
        message::{self, kind},
        session::{Client, Connect, Heard, Hearing, Plan, Server},
    },
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

/// Pictures in a second.
pub(super) const RATE: u32 = 25;
/// Bytes of a key frame, one a second.
pub(super) const KEY: usize = 60_000;
/// Bytes of any other picture.
pub(super) const INTER: usize = 38_000;
/// Bytes of a piece of sound.
pub(super) const SOUND: usize = 350;
/// ffmpeg's chunk size.
pub(super) const CHUNK: u32 = 60_000;

/// A node that lets everybody in.
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    /// When bytes of media came.
    pub(super) seen: Seen,
}

pub(super) async fn sink() -> anyhow::Result<Sink> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (address, seen) = (listener.local_addr()?, Seen::default());
    let all = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = all.clone();
            tokio::spawn(async move { throw_away(stream, &seen).await.ok() });
        }
    });
    Ok(Sink { address, seen })
}

async fn throw_away(mut stream: TcpStream, seen: &Seen) -> anyhow::Result<()> {
    let mut server = Server::new(Box::new([0; NOISE_LEN]));
    let (mut read, mut out) = (Vec::new(), Vec::new());
    loop {
        let (used, heard) = server.receive(&read, &mut out)?;
        read.drain(..used);
        if let Heard::Ask(ask) = heard {
            server.accept(ask.role, &mut out);
            stream.write_all(&out).await?;
            break;
        }
        stream.write_all(&out).await?;
        out.clear();
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
    let mut sink = vec![0; 256 * 1024];
    while stream.read(&mut sink).await? > 0 {
        seen.now();
    }
    Ok(())
}

/// One publisher that was let in.
pub(super) struct Encoder {
    stream: TcpStream,
}

impl Encoder {
    pub(super) async fn open(at: SocketAddr, name: String) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        let connect = Connect { app: "live".into(), tc_url: format!("rtmp://{at}/live"), ..Connect::default() };
        let (mut out, mut read) = (Vec::new(), Vec::new());
        let mut client = Client::new(Plan { role: Role::Publish, name, connect }, &[0; NOISE_LEN], &mut out);
        loop {
            stream.write_all(&out).await?;
            out.clear();
            if stream.read_buf(&mut read).await? == 0 {
                bail!("the publisher was hung up on");
            }
            let (used, heard) = client.receive(&read, &mut out)?;
            read.drain(..used);
            match heard {
                Hearing::More => {}
                Hearing::Accepted(_) => return Ok(Self { stream }),
                Hearing::Refused { code, description } => bail!("{code}: {description}"),
            }
        }
    }

    /// Publishes in real time; gives the bytes. Encoders do not tick together: each begins at another part of the first picture.
    pub(super) async fn publish(mut self, number: usize, during: Duration) -> anyhow::Result<u64> {
        let (mut chunks, mut out, mut sent) = (Chunks::default(), Vec::new(), 0);
        message::push_number(kind::CHUNK_SIZE, CHUNK, &mut out);
        chunks.set_chunk_size(CHUNK);
        let picture = Duration::from_secs(1) / RATE;
        let share = u32::try_from(number % 100)?;
        let began = Instant::now() + picture * share / 100;
        for frame in 0.. {
            let at = picture * frame;
            if at > during {
                break;
            }
            sleep_until(began + at).await;
            push_frame(&mut chunks, frame, &mut out);
            self.stream.write_all(&out).await.context("the relay hung up")?;
            sent += u64::try_from(out.len())?;
            out.clear();
        }
        Ok(sent)
    }
}

/// A picture and the sound with it.
pub(super) fn push_frame(chunks: &mut Chunks, frame: u32, out: &mut Vec<u8>) {
    let key = frame.is_multiple_of(RATE);
    let (first, len) = if key { (0x17, KEY) } else { (0x27, INTER) };
    let mut payload = vec![0x55; len];
    payload[0] = first;
    let timestamp = frame * 1000 / RATE;
    let header = |csid, kind| Header { csid, timestamp, len: 0, kind, stream: 1 };
    chunks.push(header(6, kind::VIDEO), &payload, out);
    for _ in 0..2 {
        chunks.push(header(4, kind::AUDIO), &[0xAF; SOUND], out);
    }
}
