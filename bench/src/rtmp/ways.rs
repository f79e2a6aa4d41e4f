//! What could be done with the bytes of a publisher: whole messages read and written again, chunks passed as they are, or no look at them at all
//! (`splice`). One thread, blocking sockets, as fast as they go.

use super::encoder::push_frame;
use crate::report::Report;
use anyhow::Context as _;
use proto::wire::rtmp::{
    CHUNK_SIZE_FIRST, MESSAGE_LEN_MAX,
    chunk::{Decoder, Encoder, Reader},
    message::{self, kind},
    relay::{Out, Piece, Relay},
};
use rustix::{
    pipe::{SpliceFlags, pipe, splice},
    time::{ClockId, clock_gettime},
};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Bytes that pass in each way.
const BYTES: usize = 1_500_000_000;
/// A read of the edge.
const BUFFER: usize = 64 * 1024;
const GB: f64 = 1e9;

pub(super) fn run(report: &mut Report) -> anyhow::Result<()> {
    let ways: [(&str, Way); 4] =
        [("messages", messages), ("chunks as they are", chunks), ("copy", copy), ("splice", spliced)];
    for (name, way) in ways {
        report.add(format!("way: {name}, CPU per GB"), measure(way)?, "s");
    }
    Ok(())
}

/// Passes on what comes from the first to the second, to its end.
type Way = fn(TcpStream, TcpStream) -> anyhow::Result<()>;

/// CPU seconds of the relaying thread for a gigabyte.
fn measure(way: fn(TcpStream, TcpStream) -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = listener.local_addr()?;
    let source = thread::spawn(move || send(TcpStream::connect(at)?));
    let (from, _) = listener.accept()?;
    let sink = thread::spawn(move || throw_away(TcpStream::connect(at)?));
    let (to, _) = listener.accept()?;
    let spent = thread::spawn(move || {
        let before = cpu();
        way(from, to)?;
        anyhow::Ok(cpu().saturating_sub(before))
    });
    let spent = spent.join().ok().context("the relay panicked")??;
    let sent = source.join().ok().context("the source panicked")??;
    sink.join().ok().context("the sink panicked")??;
    #[expect(clippy::cast_precision_loss, reason = "gigabytes")]
    Ok(spent.as_secs_f64() / (sent as f64 / GB))
}

fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    Duration::from_secs(part(spent.tv_sec)) + Duration::from_nanos(part(spent.tv_nsec))
}

fn send(mut to: TcpStream) -> anyhow::Result<usize> {
    let (mut out, mut encoder, mut sent) = (Vec::new(), Encoder::default(), 0);
    message::push_number(kind::CHUNK_SIZE, super::encoder::CHUNK, &mut out);
    encoder.set_chunk_size(super::encoder::CHUNK);
    for frame in 0.. {
        push_frame(&mut encoder, frame, &mut out);
        to.write_all(&out)?;
        sent += out.len();
        out.clear();
        if sent > BYTES {
            break;
        }
    }
    Ok(sent)
}

fn throw_away(mut from: TcpStream) -> anyhow::Result<()> {
    let mut sink = vec![0; 256 * 1024];
    while from.read(&mut sink)? > 0 {}
    Ok(())
}

fn messages(mut from: TcpStream, mut to: TcpStream) -> anyhow::Result<()> {
    let (mut reader, mut encoder) = (Reader::new(MESSAGE_LEN_MAX), Encoder::default());
    let (mut buffer, mut out) = (vec![0; BUFFER], Vec::new());
    let mut filled = 0;
    loop {
        let count = from.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut used = 0;
        loop {
            let (step, message) = reader.next(&buffer[used..filled])?;
            used += step;
            let Some(message) = message else { break };
            encoder.push(message.header, &message.payload, &mut out);
            if message.header.kind == kind::CHUNK_SIZE {
                encoder.set_chunk_size(message::number(&message.payload)?);
            }
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
        to.write_all(&out)?;
        out.clear();
    }
}

fn chunks(mut from: TcpStream, mut to: TcpStream) -> anyhow::Result<()> {
    let mut relay = Relay::new(Decoder::default(), CHUNK_SIZE_FIRST);
    let (mut buffer, mut out, mut filled) = (vec![0; BUFFER], Out::default(), 0);
    loop {
        let count = from.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let used = relay.push(&buffer[..filled], Duration::ZERO, &mut out)?;
        for piece in &out.pieces {
            match piece {
                Piece::Passed(range) => to.write_all(&buffer[range.clone()])?,
                Piece::Made(range) => to.write_all(&out.made[range.clone()])?,
            }
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> anyhow::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn spliced(from: TcpStream, to: TcpStream) -> anyhow::Result<()> {
    let (out, into) = pipe()?;
    loop {
        let mut count = splice(&from, None, &into, None, BUFFER, SpliceFlags::MOVE)?;
        if count == 0 {
            return Ok(());
        }
        while count > 0 {
            count -= splice(&out, None, &to, None, count, SpliceFlags::MOVE | SpliceFlags::MORE)?;
        }
    }
}
