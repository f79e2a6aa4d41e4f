//! One keyframe over and over: a source that costs next to nothing, for crowds of publishers.

use std::{process::Stdio, sync::Arc, time::Duration};

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::signal::MediaError;
use super::source::{Frame, missing};

/// RTP clock of video, ticks a millisecond.
const TICKS_PER_MS: u64 = 90;

/// A keyframe and how often it is sent. Cloning shares the picture.
#[derive(Clone)]
pub struct Still {
    picture: Arc<[u8]>,
    every: Duration,
}

impl std::fmt::Debug for Still {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Still").field("bytes", &self.picture.len()).field("every", &self.every).finish()
    }
}

impl Still {
    /// Lets `ffmpeg` encode one grey picture of 64 × 64 pixels, to be sent each `every`.
    ///
    /// # Errors
    /// [`MediaError::Source`] without `ffmpeg`, or when it gives nothing.
    pub async fn draw(every: Duration) -> Result<Self, MediaError> {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", "color=gray:size=64x64"]);
        command.args(["-frames:v", "1", "-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p"]);
        command.args(["-x264-params", "aud=1:repeat-headers=1", "-f", "h264", "pipe:1"]);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|error| missing(&error))?;
        if output.stdout.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(MediaError::Source(format!("ffmpeg encoded nothing: {said}")));
        }
        Ok(Self { picture: output.stdout.into(), every })
    }

    /// Sends until nobody takes.
    pub(crate) async fn send(self, frames: mpsc::Sender<Frame>) {
        let mut beats = tokio::time::interval(self.every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let began = tokio::time::Instant::now();
        loop {
            beats.tick().await;
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let frame = Frame::Video { ticks: ms.saturating_mul(TICKS_PER_MS), data: self.picture.clone() };
            if frames.send(frame).await.is_err() {
                return;
            }
        }
    }
}
