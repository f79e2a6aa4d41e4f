//! Software that is not ours: FFmpeg and aiortc by `bench/clients/run`, and browsers by `web/e2e/run.mjs`.
use crate::support::{Scratch, Up, has_srs, repository};
use keystone::config::Media;
use std::process::Stdio;
use tokio::process::Command;

/// The short form of `make test-web`: register, go live, watch, rotate, kick, history, share links. On real SRS where there is one.
#[tokio::test]
async fn chromium_publishes_and_watches() {
    let name = "chromium_publishes_and_watches";
    let Some(chromium) = chromium(name) else { return };
    let up = Up::start(if has_srs() { Media::Srs } else { Media::Builtin }).await;
    let pictures = Scratch::new("screenshots");
    let output = Command::new("node")
        .arg(repository().join("web/e2e/run.mjs"))
        .arg("short")
        .env("KEYSTONE_URL", up.cluster.origin())
        .env("KEYSTONE_SCREENSHOTS", pictures.path())
        .env("CHROMIUM", chromium)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("node is on the PATH: `make setup`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", said.trim());
    up.stop().await;
}

/// The browser, with all that a run needs; `None` (and a word about it) where there is none.
pub(crate) fn chromium(test: &str) -> Option<&'static str> {
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let Some(found) = known.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        kit::testing::skipped(test, "Chromium is not installed: `make setup`");
        return None;
    };
    for (what, there) in [("web/dist/index.html", "make web"), ("web/node_modules/playwright-core", "make setup")] {
        assert!(repository().join(what).exists(), "{what} is missing: `{there}`");
    }
    Some(found)
}

/// Runs the clients that `only` names; each that this machine can run carries video and audio.
pub(crate) async fn third_party(up: &Up, only: &str, test: &str) {
    let output = Command::new("python3")
        .arg(repository().join("bench/clients/run"))
        .args(["--url", &up.cluster.origin(), "--only", only, "--seconds", "5"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("python3 is on the PATH: `make setup`");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}", said.trim());
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect();
    assert!(!lines.is_empty(), "no client said anything");
    for line in &lines {
        if let Some(why) = line["skipped"].as_str() {
            kit::testing::skipped(&format!("{test}: {}", line["client"]), why);
        }
    }
}
