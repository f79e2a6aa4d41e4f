//! What the media node's tests share: tools that must be there, a private SRS, and a hook server.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::let_underscore_must_use,
    reason = "each test file uses its own part, and a test that cannot go on says so"
)]

pub mod hooks;
pub mod srs;

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::process::Child;

/// Longest wait for anything in a test; a condition that holds returns at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the test with one clear line when `tool` is missing.
pub fn need(tool: &str) {
    assert!(found(tool), "{tool} is not on the PATH: `make setup` installs it");
}

/// True when `tool` can be started.
pub fn found(tool: &str) -> bool {
    let started = Command::new(tool).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.is_ok()
}

/// Asks again until `probe` gives something.
///
/// For conditions that only a poll can see (another process, an HTTP answer); everything else is awaited.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let asked = async {
        let mut tick = tokio::time::interval(Duration::from_millis(25));
        loop {
            tick.tick().await;
            if let Some(value) = probe().await {
                return value;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// An encoder like OBS: H.264 without B-frames and AAC, a keyframe a second, to `{url}/{key}`.
pub fn encoder(url: &str, key: &str) -> Child {
    need("ffmpeg");
    let args = "-hide_banner -loglevel error -nostdin -re -f lavfi -i testsrc2=size=320x180:rate=30 -re -f lavfi \
                -i sine=frequency=440:sample_rate=44100 -c:v libx264 -preset ultrafast -tune zerolatency \
                -pix_fmt yuv420p -bf 0 -g 30 -c:a aac -f flv";
    tokio::process::Command::new("ffmpeg")
        .args(args.split_whitespace())
        .arg(format!("{url}/{key}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
