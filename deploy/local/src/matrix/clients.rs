//! The publishers and players: command lines (pure), and what a player's output says.

use super::cell::{Seen, Sink, Source};
use crate::say;
use serde_json::Value;
use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};
use tokio::process::{Child, Command};

/// How much of a stream a player reads.
pub const WATCH_SECONDS: u64 = 6;
/// From the start of a player to its end; a live picture comes at once, HLS after its first segments.
const PLAYED_WITHIN: Duration = Duration::from_secs(25);
/// How long the browser publishes unless it is ended before: longer than its round.
const BROWSER_SECONDS: u64 = 240;
/// Characters of a player's own words that are kept.
const WORDS_MAX: usize = 160;
/// Characters of an SRT passphrase, as libsrt wants.
pub const PASSPHRASE: &str = "keystone-matrix-passphrase";

/// Where clients come in.
#[derive(Debug, Clone)]
pub struct Door {
    /// `http://127.0.0.1:8082`.
    pub http: String,
    /// `127.0.0.1:1935`.
    pub rtmp: String,
    /// `127.0.0.1:10080`.
    pub srt: String,
}

impl Door {
    fn srt(&self, stream: &str, mode: &str, rest: &str, encrypted: bool) -> String {
        let secret = if encrypted { format!("&passphrase={PASSPHRASE}&pbkeylen=16") } else { String::new() };
        // ffmpeg 5 passes an escaped `#` on as it is; in its URLs a bare one begins no fragment.
        format!("srt://{}?mode=caller&latency=120000{secret}&streamid=#!::r=live/{stream},m={mode}{rest}", self.srt)
    }

    /// Where a player finds a stream.
    #[must_use]
    pub fn playback(&self, sink: Sink, stream: &str, encrypted: bool) -> String {
        match sink {
            Sink::Whep | Sink::WhepAiortc => format!("{}/rtc/v1/whep/{stream}", self.http),
            Sink::Hls => format!("{}/live/{stream}.m3u8", self.http),
            Sink::HttpFlv => format!("{}/live/{stream}.flv", self.http),
            Sink::Rtmp => format!("rtmp://{}/live/{stream}", self.rtmp),
            Sink::Srt => self.srt(stream, "request", "", encrypted),
        }
    }
}

/// Program and arguments of a publisher; none for WHIP, which is `keystone` itself or [`browser`].
#[must_use]
pub fn publisher(source: Source, door: &Door, stream: &str, key: &str) -> Option<(&'static str, Vec<String>)> {
    const ENCODER: &str = "-hide_banner -loglevel error -nostdin -re -f lavfi -i testsrc2=size=640x360:rate=30 -re -f lavfi -i \
         sine=frequency=440:sample_rate=48000 -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p \
         -profile:v baseline -bf 0 -g 30 -c:a aac -ac 2";
    const PIPELINE: &str = "-q flvmux name=mux streamable=true ! rtmp2sink name=out \
         videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=30/1 ! x264enc tune=zerolatency \
         speed-preset=ultrafast key-int-max=30 ! video/x-h264,profile=baseline ! h264parse ! queue ! mux. \
         audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! avenc_aac ! aacparse ! queue ! mux.";
    let rtmp = format!("rtmp://{}/live/{stream}?token={key}", door.rtmp);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ffmpeg = |format: &str, url: String| Some(("ffmpeg", [words(ENCODER), words(format), vec![url]].concat()));
    match source {
        Source::Rtmp => ffmpeg("-f flv", rtmp),
        Source::Srt | Source::SrtEncrypted => {
            ffmpeg("-f mpegts", door.srt(stream, "publish", &format!(",token={key}"), source.encrypted()))
        }
        Source::RtmpGstreamer => {
            let args = words(PIPELINE).into_iter().flat_map(|word| match word.as_str() {
                "name=out" => vec![format!("location={rtmp}")],
                _ => vec![word],
            });
            Some(("gst-launch-1.0", args.collect()))
        }
        Source::Whip | Source::WhipBrowser => None,
    }
}

/// Program and arguments of a JavaScript WHIP client in Chromium, of the repository at `root`, or what is missing for it.
pub(crate) fn browser(
    root: &Path,
    door: &Door,
    stream: &str,
    key: &str,
) -> Result<(&'static str, Vec<String>), String> {
    let folder = root.join("bench/clients/node");
    if !folder.join("node_modules").is_dir() {
        return Err("the JavaScript clients are not installed: bench/clients/setup node".to_owned());
    }
    let script = folder.join("browser.mjs").display().to_string();
    let url = format!("{}/rtc/v1/whip/{stream}", door.http);
    let args = [script, "medooze-whip".to_owned(), url, BROWSER_SECONDS.to_string(), key.to_owned()];
    Ok(("node", args.to_vec()))
}

/// Plays with aiortc and counts what it decodes.
pub(crate) async fn aiortc(root: &Path, url: &str) -> Seen {
    let script = root.join("bench/clients/python/aiortc_client.py");
    let mut command = Command::new(root.join(".keystone/venv/bin/python"));
    command.arg(script).args(["play", url, "--seconds", &WATCH_SECONDS.to_string()]);
    match output(&mut command).await {
        Err(seen) => seen,
        Ok(output) if !output.status.success() => Seen::Failed(words(&String::from_utf8_lossy(&output.stderr), url)),
        Ok(output) => {
            let counted: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let of = |name: &str| counted[name].as_u64().unwrap_or(0);
            Seen::Frames { video: of("frames_video"), audio: of("frames_audio") }
        }
    }
}

/// What a player printed; what it came to instead where it printed nothing.
async fn output(command: &mut Command) -> Result<Output, Seen> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let ended = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PLAYED_WITHIN, ended).await {
        Err(_) => Err(Seen::Failed(format!("nothing came of it within {} s", PLAYED_WITHIN.as_secs()))),
        Ok(Err(error)) => Err(Seen::Failed(format!("{program}: {error}"))),
        Ok(Ok(output)) => Ok(output),
    }
}

/// Starts a publisher. What it says goes to our own stderr: it is quiet unless something is wrong.
///
/// # Errors
/// It cannot be started.
pub(crate) fn start(program: &str, args: &[String]) -> std::io::Result<Child> {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// Plays with ffprobe and counts.
pub(crate) async fn probe(url: &str) -> Seen {
    // Seconds of reading, counted from the first packet; frames are decoded, so a broken picture is no frame.
    let args = format!(
        "-hide_banner -loglevel error -count_frames -show_entries stream=codec_type,nb_read_frames -of json -read_intervals %+{WATCH_SECONDS}"
    );
    match output(Command::new("ffprobe").args(args.split_whitespace()).arg(url)).await {
        Err(seen) => seen,
        Ok(output) => {
            let words = words(&String::from_utf8_lossy(&output.stderr), url);
            read(&output.stdout, output.status.success(), &words)
        }
    }
}

/// What ffprobe's answer says.
fn read(json: &[u8], success: bool, words: &str) -> Seen {
    if !success {
        return Seen::Refused(None, words.to_owned());
    }
    let found: Value = serde_json::from_slice(json).unwrap_or_default();
    let of = |kind: &str| {
        let streams = found["streams"].as_array().into_iter().flatten();
        let frames = streams.filter(|stream| stream["codec_type"] == kind);
        frames.filter_map(|stream| stream["nb_read_frames"].as_str()?.parse::<u64>().ok()).sum::<u64>()
    };
    match (of("video"), of("audio")) {
        (0, 0) => Seen::Failed(format!("no frames: {words}")),
        (video, audio) => Seen::Frames { video, audio },
    }
}

/// The last line that is not about the URL, whose query may hold a token.
fn words(stderr: &str, url: &str) -> String {
    let lines: Vec<String> = stderr.lines().map(|line| line.replace(url, "…")).collect();
    let told = lines.iter().rfind(|line| !line.trim().is_empty() && !line.starts_with('…')).or(lines.last());
    let told = told.cloned().unwrap_or_default();
    // `[srt @ 0x55…] ` is of no interest and new in each run.
    let told = told.split_once("] ").map_or(told.as_str(), |(_, rest)| rest);
    told.trim().chars().take(WORDS_MAX).collect()
}

/// Whether a program can be started.
pub(crate) fn found(program: &str) -> bool {
    let started =
        std::process::Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if let Err(error) = &started {
        say::note(&format!("{program}: {error}"));
    }
    started.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door { http: "http://h:1".into(), rtmp: "h:2".into(), srt: "h:3".into() }
    }

    #[test]
    fn publishers_name_stream_and_key_and_only_encrypted_ones_a_passphrase() {
        for source in Source::ALL {
            let Some((program, args)) = publisher(source, &door(), "cam", "sk_x") else {
                assert!(matches!(source, Source::Whip | Source::WhipBrowser));
                continue;
            };
            let url = args.iter().find(|arg| arg.contains("live/cam")).unwrap();
            assert!(url.contains("token=sk_x"), "{program} {url}");
            assert_eq!(url.contains("passphrase="), source.encrypted(), "{url}");
        }
    }

    #[test]
    fn frames_are_added_up_and_their_lack_is_told() {
        let json = br#"{"streams":[{"codec_type":"video","nb_read_frames":"120"},{"codec_type":"audio","nb_read_frames":"190"}]}"#;
        assert_eq!(read(json, true, ""), Seen::Frames { video: 120, audio: 190 });
        assert_eq!(read(b"{\"streams\":[]}", true, "x"), Seen::Failed("no frames: x".into()));
        assert_eq!(read(json, false, "403"), Seen::Refused(None, "403".into()));
    }

    #[test]
    fn words_of_a_player_are_kept_without_its_url() {
        let url = "srt://h:3?streamid=token=secret";
        let stderr = format!("[srt @ 0x55d0] Connection to {url} failed: rejected\n{url}: Input/output error\n");
        assert_eq!(words(&stderr, url), "Connection to … failed: rejected");
        assert_eq!(words("", url), "");
    }
}
