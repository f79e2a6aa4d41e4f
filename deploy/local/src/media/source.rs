//! A moving test picture with sound, from two `ffmpeg` children (one pipe each).
//!
//! The children run in real time (`-re`); each frame is given a timestamp by its number, not by its arrival, and
//! waits for its moment, so that a burst from a pipe never becomes a burst on the network. They end when their
//! pipe closes, thus also when this process is killed.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::Instant;

use super::h264::AccessUnits;
use super::ogg::OggPackets;
use super::signal::MediaError;
use super::still::Still;

/// Frames in flight between the pipes and the session: 1 s of video and audio. A slow session holds the pipes up.
const QUEUE_FRAMES: usize = 80;
/// Bytes read from a pipe at once.
const READ_BYTES: usize = 16 * 1024;
/// Kept of a child's last words, bytes.
const STDERR_BYTES_MAX: usize = 1_000;
/// Opus packets of 20 ms at 48 kHz.
const OPUS_TICKS: u64 = 960;
/// RTP clock of video, Hz.
const VIDEO_HZ: u64 = 90_000;

/// Where a publisher's media comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// `ffmpeg` draws and encodes it live.
    TestPicture(TestPicture),
    /// One keyframe over and over, without sound.
    Still(Still),
}

impl Default for Source {
    fn default() -> Self {
        Self::TestPicture(TestPicture::default())
    }
}

/// The test picture: colour bars that move, with the time and a label burnt in where the machine has fonts.
#[derive(Debug, Clone)]
pub struct TestPicture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second, 1 to 60; a keyframe comes every second.
    pub fps: u32,
    /// Kilobits a second.
    pub video_kbps: u32,
    /// Tone of the sound, Hz.
    pub tone_hz: u32,
    /// Shown in the picture; other than letters, digits, space, `-` and `_` is left out.
    pub label: String,
}

impl Default for TestPicture {
    fn default() -> Self {
        Self { width: 640, height: 360, fps: 30, video_kbps: 800, tone_hz: 440, label: String::new() }
    }
}

/// One encoded frame; ticks are 90 kHz for video, 48 kHz for audio, from 0.
#[derive(Debug)]
pub(crate) enum Frame {
    Video {
        ticks: u64,
        data: Arc<[u8]>,
    },
    Audio {
        ticks: u64,
        data: Arc<[u8]>,
    },
    /// The source is over; why.
    End(String),
}

/// Running children; they die with it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) frames: mpsc::Receiver<Frame>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Source {
    /// Starts the children.
    pub(crate) async fn start(&self) -> Result<Running, MediaError> {
        let picture = match self {
            Self::TestPicture(picture) => picture,
            Self::Still(still) => {
                let (tx, frames) = mpsc::channel(QUEUE_FRAMES);
                return Ok(Running { frames, tasks: vec![tokio::spawn(still.clone().send(tx))] });
            }
        };
        let filter = picture.filter(fonts().await?);
        let (tx, frames) = mpsc::channel(QUEUE_FRAMES);
        let fps = u64::from(picture.fps.clamp(1, 60));
        let mut video = ffmpeg(&picture.video_args(&filter))?;
        let mut audio = ffmpeg(&picture.audio_args())?;
        let (video_out, audio_out) = (video.stdout.take(), audio.stdout.take());
        let audio_tx = tx.clone();
        let tasks = vec![
            tokio::spawn(async move {
                if let Some(out) = video_out {
                    let why = pump(out, AccessUnits::default(), VIDEO_HZ / fps, VIDEO_HZ, &tx).await;
                    end(video, why, "video", &tx).await;
                }
            }),
            tokio::spawn(async move {
                if let Some(out) = audio_out {
                    let why = pump(out, OggPackets::default(), OPUS_TICKS, 48_000, &audio_tx).await;
                    end(audio, why, "audio", &audio_tx).await;
                }
            }),
        ];
        Ok(Running { frames, tasks })
    }
}

impl TestPicture {
    fn filter(&self, fonts: bool) -> String {
        let label: String =
            self.label.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_')).take(40).collect();
        if !fonts {
            return "null".into();
        }
        format!(
            "drawtext=text='%{{localtime\\:%T}} {label}':x=16:y=16:fontsize={}:fontcolor=white:box=1:boxcolor=black@0.6",
            (self.height / 12).max(12)
        )
    }

    fn video_args(&self, filter: &str) -> Vec<String> {
        let input = format!("testsrc2=size={}x{}:rate={}", self.width, self.height, self.fps.clamp(1, 60));
        let (rate, gop) = (format!("{}k", self.video_kbps), self.fps.clamp(1, 60).to_string());
        let args = [
            "-re",
            "-f",
            "lavfi",
            "-i",
            &input,
            "-vf",
            filter,
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
            "-profile:v",
            "baseline",
            "-pix_fmt",
            "yuv420p",
            "-bf",
            "0",
            "-g",
            &gop,
            "-keyint_min",
            &gop,
            "-sc_threshold",
            "0",
            "-b:v",
            &rate,
            "-maxrate",
            &rate,
            "-bufsize",
            &rate,
            "-threads",
            "1",
            "-x264-params",
            "aud=1:sliced-threads=0:repeat-headers=1",
            "-flush_packets",
            "1",
            "-f",
            "h264",
            "pipe:1",
        ];
        args.map(str::to_owned).to_vec()
    }

    fn audio_args(&self) -> Vec<String> {
        let input = format!("sine=frequency={}:sample_rate=48000", self.tone_hz);
        let args = [
            "-re",
            "-f",
            "lavfi",
            "-i",
            &input,
            "-c:a",
            "libopus",
            "-b:a",
            "48k",
            "-ac",
            "2",
            "-ar",
            "48000",
            "-frame_duration",
            "20",
            "-page_duration",
            "20000",
            "-flush_packets",
            "1",
            "-f",
            "ogg",
            "pipe:1",
        ];
        args.map(str::to_owned).to_vec()
    }
}

/// A byte stream cut into frames.
trait Cutter: Send {
    fn push(&mut self, data: &[u8]);
    fn next(&mut self) -> Result<Option<Bytes>, String>;
    fn frame(ticks: u64, data: Arc<[u8]>) -> Frame;
}

impl Cutter for AccessUnits {
    fn push(&mut self, data: &[u8]) {
        self.push(data);
    }
    fn next(&mut self) -> Result<Option<Bytes>, String> {
        self.next_unit().map_err(|error| error.to_string())
    }
    fn frame(ticks: u64, data: Arc<[u8]>) -> Frame {
        Frame::Video { ticks, data }
    }
}

impl Cutter for OggPackets {
    fn push(&mut self, data: &[u8]) {
        self.push(data);
    }
    fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            match self.next_packet().map_err(|error| error.to_string())? {
                Some(packet) if packet.starts_with(b"OpusHead") || packet.starts_with(b"OpusTags") => {}
                other => return Ok(other),
            }
        }
    }
    fn frame(ticks: u64, data: Arc<[u8]>) -> Frame {
        Frame::Audio { ticks, data }
    }
}

/// Reads a pipe to its end, one frame at its moment after the other; says why it ended.
async fn pump<C: Cutter>(
    mut pipe: impl AsyncRead + Unpin,
    mut cutter: C,
    ticks_per_frame: u64,
    hz: u64,
    tx: &mpsc::Sender<Frame>,
) -> String {
    let mut buffer = vec![0; READ_BYTES];
    let (mut number, mut start) = (0_u64, None);
    loop {
        let read = match pipe.read(&mut buffer).await {
            Ok(0) => return "ended".into(),
            Ok(read) => read,
            Err(error) => return error.to_string(),
        };
        cutter.push(buffer.get(..read).unwrap_or_default());
        loop {
            let data = match cutter.next() {
                Ok(Some(data)) => data,
                Ok(None) => break,
                Err(error) => return error,
            };
            let ticks = number.saturating_mul(ticks_per_frame);
            let begin = *start.get_or_insert_with(Instant::now);
            let due = begin + Duration::from_micros(ticks.saturating_mul(1_000_000) / hz);
            tokio::time::sleep_until(due).await;
            if tx.send(C::frame(ticks, Arc::from(data.as_ref()))).await.is_err() {
                return "the session is over".into();
            }
            number = number.saturating_add(1);
        }
    }
}

/// Collects a child's last words and tells the session that there is no more.
async fn end(mut child: Child, why: String, what: &str, tx: &mpsc::Sender<Frame>) {
    let mut words = String::new();
    if let Some(stderr) = child.stderr.take() {
        let limit = u64::try_from(STDERR_BYTES_MAX).unwrap_or(u64::MAX);
        if let Err(error) = stderr.take(limit).read_to_string(&mut words).await {
            tracing::debug!(%error, "ffmpeg's last words were unreadable");
        }
    }
    // The session may be over already, then nobody asks why.
    drop(tx.send(Frame::End(format!("ffmpeg's {what} {why}: {}", words.trim()))).await);
}

fn ffmpeg(args: &[String]) -> Result<Child, MediaError> {
    Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| missing(&error))
}

pub(crate) fn missing(error: &std::io::Error) -> MediaError {
    MediaError::Source(format!("ffmpeg cannot be started ({error}): `make setup` installs it"))
}

/// Whether this machine's `ffmpeg` can draw text; asked once, since it depends on fonts being installed.
async fn fonts() -> Result<bool, MediaError> {
    static FONTS: OnceCell<bool> = OnceCell::const_new();
    let ask = || async {
        let status = Command::new("ffmpeg")
            .args([
                "-hide_banner",
                "-loglevel",
                "quiet",
                "-nostdin",
                "-f",
                "lavfi",
                "-i",
                "color=size=64x64:duration=0.1",
            ])
            .args(["-vf", "drawtext=text=0", "-frames:v", "1", "-f", "null", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .map_err(|error| missing(&error))?;
        Ok(status.success())
    };
    FONTS.get_or_try_init(ask).await.copied()
}
