//! One RTMP connection's bytes: handshake, chunks in, messages out. What the messages mean is `rtmp`'s.

use std::io::Cursor;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use scuffle_rtmp::chunk::Chunk;
use scuffle_rtmp::chunk::reader::ChunkReader;
use scuffle_rtmp::chunk::writer::ChunkWriter;
use scuffle_rtmp::command_messages::netconnection::{NetConnectionCommand, NetConnectionCommandConnectResult};
use scuffle_rtmp::command_messages::on_status::{OnStatus, OnStatusCode};
use scuffle_rtmp::command_messages::{Command, CommandResultLevel, CommandType};
use scuffle_rtmp::error::RtmpError;
use scuffle_rtmp::handshake::HandshakeServer;
use scuffle_rtmp::messages::MessageType;
use scuffle_rtmp::protocol_control_messages::{
    ProtocolControlMessageAcknowledgement, ProtocolControlMessageSetChunkSize, ProtocolControlMessageSetPeerBandwidth,
    ProtocolControlMessageSetPeerBandwidthLimitType, ProtocolControlMessageWindowAcknowledgementSize,
};
use scuffle_rtmp::user_control_messages::EventMessageStreamBegin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of C1 and of C2.
const HANDSHAKE_BYTES: usize = 1_536;
/// The whole handshake must be over within this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that does not read is cut off after this.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes after which the other side is told that they came, and is to tell us; SRS's figure.
const WINDOW_BYTES: u32 = 2_500_000;
/// Largest chunk sent; SRS's figure.
const CHUNK_BYTES: u32 = 60_000;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// The one message stream of a connection.
pub(crate) const STREAM: u32 = 1;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("closed by the client")]
    Closed,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Rtmp(#[from] RtmpError),
    #[error("the client was silent or did not read")]
    Slow(#[from] tokio::time::error::Elapsed),
    #[error("chunk size {0} is out of bounds")]
    ChunkSize(u32),
    #[error("the client is too far behind")]
    Behind,
    #[error("refused")]
    Refused,
}

pub(crate) struct Wire {
    stream: TcpStream,
    chunks: ChunkReader,
    writer: ChunkWriter,
    input: BytesMut,
    /// Modulo 2^32, as the protocol counts.
    received: u32,
    acknowledged: u32,
}

impl Wire {
    /// Shakes hands.
    pub(crate) async fn accept(stream: TcpStream) -> Result<Self, Fault> {
        let mut wire = Self {
            stream,
            chunks: ChunkReader::default(),
            writer: ChunkWriter::default(),
            input: BytesMut::new(),
            received: 0,
            acknowledged: 0,
        };
        tokio::time::timeout(HANDSHAKE_TIMEOUT, wire.handshake()).await??;
        Ok(wire)
    }

    async fn handshake(&mut self) -> Result<(), Fault> {
        let mut server = HandshakeServer::default();
        for wanted in [1 + HANDSHAKE_BYTES, HANDSHAKE_BYTES] {
            while self.input.len() < wanted {
                self.read().await?;
            }
            let mut step = Cursor::new(self.input.split_to(wanted).freeze());
            let mut answer = Vec::new();
            server.handshake(&mut step, &mut answer)?;
            self.send(&answer).await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Fault> {
        self.input.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.input).await?;
        self.received = self.received.wrapping_add(u32::try_from(read).unwrap_or(u32::MAX));
        if read == 0 { Err(Fault::Closed) } else { Ok(()) }
    }

    /// The next message. Safe to drop before it is done: nothing read is lost.
    pub(crate) async fn next(&mut self) -> Result<Chunk, Fault> {
        loop {
            if let Some(chunk) = self.chunks.read_chunk(&mut self.input)? {
                return Ok(chunk);
            }
            self.read().await?;
        }
    }

    /// The client's chunks are this long from now on.
    pub(crate) fn chunks_are(&mut self, bytes: u32) -> Result<(), Fault> {
        let fits = usize::try_from(bytes).is_ok_and(|bytes| self.chunks.update_max_chunk_size(bytes));
        if fits { Ok(()) } else { Err(Fault::ChunkSize(bytes)) }
    }

    /// Tells how much came, when enough did.
    pub(crate) async fn acknowledge(&mut self) -> Result<(), Fault> {
        if self.received.wrapping_sub(self.acknowledged) < WINDOW_BYTES {
            return Ok(());
        }
        self.acknowledged = self.received;
        let mut out = Vec::new();
        ProtocolControlMessageAcknowledgement { sequence_number: self.received }.write(&mut out, &self.writer)?;
        self.send(&out).await
    }

    /// Answers `connect`.
    pub(crate) async fn connected(&mut self, transaction_id: f64) -> Result<(), Fault> {
        let mut out = Vec::new();
        ProtocolControlMessageWindowAcknowledgementSize { acknowledgement_window_size: WINDOW_BYTES }
            .write(&mut out, &self.writer)?;
        ProtocolControlMessageSetPeerBandwidth {
            acknowledgement_window_size: WINDOW_BYTES,
            limit_type: ProtocolControlMessageSetPeerBandwidthLimitType::Dynamic,
        }
        .write(&mut out, &self.writer)?;
        ProtocolControlMessageSetChunkSize { chunk_size: CHUNK_BYTES }.write(&mut out, &self.writer)?;
        self.writer.set_chunk_size(usize::try_from(CHUNK_BYTES).unwrap_or(READ_BYTES));
        let result = NetConnectionCommand::ConnectResult(NetConnectionCommandConnectResult::default());
        Command { command_type: CommandType::NetConnection(result), transaction_id }.write(&mut out, &self.writer)?;
        self.send(&out).await
    }

    /// Answers `createStream`.
    pub(crate) async fn stream_created(&mut self, transaction_id: f64) -> Result<(), Fault> {
        let mut out = Vec::new();
        let result = NetConnectionCommand::CreateStreamResult { stream_id: f64::from(STREAM) };
        Command { command_type: CommandType::NetConnection(result), transaction_id }.write(&mut out, &self.writer)?;
        self.send(&out).await
    }

    /// Answers `releaseStream` and `FCPublish`: `_result`, null, undefined.
    pub(crate) async fn result(&mut self, transaction_id: f64) -> Result<(), Fault> {
        let mut body = vec![2, 0, 7];
        body.extend_from_slice(b"_result");
        body.push(0);
        body.extend_from_slice(&transaction_id.to_be_bytes());
        body.extend_from_slice(&[5, 6]);
        self.message(3, 0, MessageType::CommandAMF0, 0, body.into()).await
    }

    /// `onStatus` of the one stream.
    pub(crate) async fn status(&mut self, code: &'static str) -> Result<(), Fault> {
        let status =
            OnStatus { level: CommandResultLevel::Status, code: OnStatusCode(code), description: None, others: None };
        let mut body = Vec::new();
        status.write(&mut body, 0.0).map_err(RtmpError::from)?;
        self.message(5, 0, MessageType::CommandAMF0, STREAM, body.into()).await
    }

    /// The event that a stream begins.
    pub(crate) async fn begin(&mut self) -> Result<(), Fault> {
        let mut out = Vec::new();
        EventMessageStreamBegin { stream_id: STREAM }.write(&self.writer, &mut out)?;
        self.send(&out).await
    }

    /// One message.
    pub(crate) async fn message(
        &mut self,
        chunk_stream: u32,
        timestamp_ms: u32,
        kind: MessageType,
        stream: u32,
        body: Bytes,
    ) -> Result<(), Fault> {
        let mut out = Vec::with_capacity(body.len().saturating_add(64));
        self.writer.write_chunk(&mut out, Chunk::new(chunk_stream, timestamp_ms, kind, stream, body))?;
        self.send(&out).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        tokio::time::timeout(SEND_TIMEOUT, self.stream.write_all(bytes)).await??;
        Ok(())
    }
}
