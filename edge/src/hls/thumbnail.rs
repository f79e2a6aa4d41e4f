//! Pictures of live streams: one frame of the latest segment, cut by an ffmpeg child.
//!
//! One a stream in 10 s, two at once, and only while somebody asks. The child reads at most 4 MiB from a pipe, knows one demuxer, and is killed when it
//! takes too long.

use super::{Ask, Hls, cache::Cached};
use crate::{error::ApiError, metrics::hls::Picture};
use bytes::Bytes;
use proto::{StreamId, secret::sha256_hex, wire::m3u8::SegmentKind};
use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    sync::Semaphore,
};

/// How long a picture is shown, and a stream without one is not tried again.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(10);
/// Pictures kept at most, under 100 KiB each.
const KEPT_MAX: u64 = 1_000;
/// Children at once.
const CHILDREN_MAX: usize = 2;
/// How long somebody waits for a child's turn, and how long a child may run.
const TURN_WITHIN: Duration = Duration::from_secs(8);
const CUT_WITHIN: Duration = Duration::from_secs(8);
/// Bytes of a segment that are read: its first frame is a keyframe.
const INPUT_MAX: usize = 4 * 1024 * 1024;
/// Largest picture, in bytes.
const OUTPUT_MAX: u64 = 512 * 1024;
const ETAG_LEN: usize = 20;

/// What makes pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ffmpeg {
    /// Nothing.
    Off,
    /// A program.
    Program {
        /// Its name or path.
        name: String,
        /// `PATH`: all of the edge's environment that it gets.
        path: Option<String>,
    },
}

/// A JPEG.
#[derive(Debug)]
pub(crate) struct Jpeg {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
}

/// The pictures of this edge.
#[derive(Debug)]
pub(super) struct Thumbnails {
    ffmpeg: Ffmpeg,
    kept: moka::future::Cache<StreamId, Option<Arc<Jpeg>>>,
    room: Semaphore,
}

impl Thumbnails {
    pub(super) fn new(ffmpeg: Ffmpeg) -> Self {
        let kept = moka::future::Cache::builder().max_capacity(KEPT_MAX).time_to_live(KEPT_FOR).build();
        Self { ffmpeg, kept, room: Semaphore::new(CHILDREN_MAX) }
    }

    async fn cut(&self, (name, path): (&str, Option<&str>), parts: &[Arc<Cached>]) -> Result<Jpeg, CutError> {
        let _room = tokio::time::timeout(TURN_WITHIN, self.room.acquire())
            .await
            .map_err(|_| CutError::Busy)?
            .map_err(|_| CutError::Busy)?;
        let kind = parts.last().map_or(SegmentKind::Ts, |part| part.kind);
        let mut child = spawn(name, path, kind)?;
        // Dropped before its end it is killed.
        let body = tokio::time::timeout(CUT_WITHIN, feed(&mut child, parts)).await.map_err(|_| CutError::Slow)??;
        let mut etag = sha256_hex(&body);
        etag.truncate(ETAG_LEN);
        Ok(Jpeg { body, etag })
    }
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
enum CutError {
    #[error("too many are being cut")]
    Busy,
    #[error("ffmpeg took too long and was killed")]
    Slow,
    #[error("there is no ffmpeg")]
    NoProgram,
    #[error("ffmpeg: {0}")]
    Io(#[from] std::io::Error),
    #[error("ffmpeg found no frame, or made more than {OUTPUT_MAX} bytes of it")]
    NoFrame,
}

fn spawn(name: &str, path: Option<&str>, kind: SegmentKind) -> Result<Child, CutError> {
    let format = match kind {
        SegmentKind::Ts => "mpegts",
        SegmentKind::M4s | SegmentKind::Init => "mp4",
    };
    let mut command = Command::new(name);
    command.args(["-hide_banner", "-nostdin", "-loglevel", "quiet", "-max_alloc", "134217728", "-threads", "1"]);
    command.args(["-protocol_whitelist", "pipe", "-f", format, "-i", "pipe:0", "-an", "-sn", "-dn"]);
    command.args(["-frames:v", "1", "-vf", "scale='min(640,iw)':-2", "-c:v", "mjpeg", "-q:v", "5"]);
    command.args(["-f", "image2pipe", "pipe:1"]);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.spawn().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound { CutError::NoProgram } else { CutError::Io(error) }
    })
}

async fn feed(child: &mut Child, parts: &[Arc<Cached>]) -> Result<Bytes, CutError> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else { return Err(CutError::NoFrame) };
    let write = async move {
        let mut room = INPUT_MAX;
        for part in parts {
            let piece = part.body.slice(..part.body.len().min(room));
            room -= piece.len();
            // It stops reading once it has its frame.
            if stdin.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut out = Vec::new();
        stdout.take(OUTPUT_MAX + 1).read_to_end(&mut out).await.map(|_| out)
    };
    let (out, ()) = tokio::join!(read, write);
    let (out, status) = (out?, child.wait().await?);
    let whole = status.success() && u64::try_from(out.len()).is_ok_and(|size| (1..=OUTPUT_MAX).contains(&size));
    if whole { Ok(out.into()) } else { Err(CutError::NoFrame) }
}

impl Hls {
    /// A picture of a live stream, at most 10 s old.
    ///
    /// # Errors
    /// [`ApiError::ThumbnailAbsent`], [`ApiError::ThumbnailsOff`]; what is wrong with the right to it.
    pub(crate) async fn thumbnail(&self, stream: &StreamId, ask: Ask<'_>) -> Result<Arc<Jpeg>, ApiError> {
        match self.may_watch(stream, ask).await {
            Ok(()) => {}
            Err(ApiError::StreamNotLive | ApiError::StreamUnknown) => return Err(ApiError::ThumbnailAbsent),
            Err(error) => return Err(error),
        }
        let inner = self.inner();
        let Ffmpeg::Program { name, path } = &inner.thumbnails.ffmpeg else { return Err(ApiError::ThumbnailsOff) };
        if let Some(kept) = inner.thumbnails.kept.get(stream).await {
            inner.parts.metrics.hls().picture(Picture::Kept);
            return kept.ok_or(ApiError::ThumbnailAbsent);
        }
        let (inner, stream, name, path) = (inner.clone(), stream.clone(), name.clone(), path.clone());
        let cut = async move {
            let make = async {
                let parts = inner.latest(&stream).await.map_err(|_| ApiError::ThumbnailAbsent)?;
                match inner.thumbnails.cut((&name, path.as_deref()), &parts).await {
                    Ok(jpeg) => {
                        inner.parts.metrics.hls().picture(Picture::Cut);
                        Ok(Some(Arc::new(jpeg)))
                    }
                    Err(CutError::NoProgram) => Err(ApiError::ThumbnailsOff),
                    Err(error) => {
                        tracing::info!(stream.id = %stream, %error, "no thumbnail: {error}");
                        inner.parts.metrics.hls().picture(Picture::Failed);
                        Ok(None)
                    }
                }
            };
            inner.thumbnails.kept.try_get_with(stream.clone(), make).await.map_err(|error| ApiError::clone(&error))
        };
        // A task of its own: others wait for it when this client hangs up.
        tokio::spawn(cut).await.map_err(|_| ApiError::Internal)??.ok_or(ApiError::ThumbnailAbsent)
    }
}
