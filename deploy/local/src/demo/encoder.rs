//! The demo's publishers by RTMP and SRT: ffmpeg, where it can, started again when it ends.

use crate::{
    matrix::{
        Source,
        clients::{self, Door},
    },
    say,
};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// ffmpeg with a test picture.
pub(super) struct Encoder {
    source: Source,
    program: &'static str,
    args: Vec<String>,
    child: Option<Child>,
}

impl Encoder {
    /// `None` for a source that no program publishes.
    pub(super) fn start(source: Source, door: &Door, stream: &str, key: &str) -> Option<Self> {
        let (program, args) = clients::publisher(source, door, stream, key)?;
        let mut encoder = Self { source, program, args, child: None };
        encoder.keep_going();
        Some(encoder)
    }

    /// Starts it when it does not run.
    pub(super) fn keep_going(&mut self) {
        if let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(None) => return,
                Ok(Some(status)) => say::note(&format!("keystone: {} ended ({status}), again", self.source.title())),
                Err(error) => say::note(&format!("keystone: {}: {error}", self.source.title())),
            }
        }
        let started = clients::start(self.program, &self.args);
        self.child = started.inspect_err(|error| say::note(&format!("keystone: {}: {error}", self.program))).ok();
    }
}

/// Which publishers the ffmpeg of this machine makes possible: RTMP, and SRT where the media nodes take it.
pub(super) async fn possible(nodes_take_srt: bool) -> Vec<Source> {
    let listed = Command::new("ffmpeg").args(["-hide_banner", "-protocols"]).stdin(Stdio::null()).output().await;
    let Ok(listed) = listed else { return Vec::new() };
    of(&String::from_utf8_lossy(&listed.stdout), nodes_take_srt)
}

/// From the list of protocols that ffmpeg prints, one a line.
fn of(listed: &str, nodes_take_srt: bool) -> Vec<Source> {
    let outputs = listed.split("Output:").nth(1).unwrap_or_default();
    let has = |name: &str| outputs.lines().any(|line| line.trim() == name);
    let wanted = [(Source::Rtmp, has("rtmp")), (Source::Srt, has("srt") && nodes_take_srt)];
    wanted.into_iter().filter_map(|(source, can)| can.then_some(source)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ffmpeg_can_send_is_sent() {
        let listed = "Supported file protocols:\nInput:\n  rtmp\n  srt\nOutput:\n  rtmp\n  rtmps\n  srt\n";
        assert_eq!(of(listed, true), [Source::Rtmp, Source::Srt]);
        assert_eq!(of(listed, false), [Source::Rtmp]);
        assert_eq!(of("Input:\n  rtmp\n  srt\nOutput:\n  file\n", true), []);
        assert_eq!(of("", true), []);
    }
}
