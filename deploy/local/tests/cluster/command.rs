//! The program itself: what it says when it cannot start, and that nothing outlives it.
use crate::support::{Scratch, eventually};
use keystone::ports::{Ports, Shape, free_shift};
use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Starting the stores takes 2 to 5 s.
const UP_WITHIN: Duration = Duration::from_secs(60);

fn keystone(dir: &Path, shift: u16, data: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystone"));
    // Outside the repository, so that its `.env` is left alone.
    command.current_dir(dir).args([
        "up",
        "--deps-only",
        "--media",
        "builtin",
        "--port-base",
        &shift.to_string(),
        "--data",
        data,
    ]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn up(dir: &Path, shift: u16, data: &str) -> Child {
    let mut child = keystone(dir, shift, data).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("Ctrl-C") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(UP_WITHIN, ready).await.expect("up in time"), "it ended before it was up");
    child
}

async fn fails(command: &mut Command) -> String {
    let Output { status, stderr, .. } = tokio::time::timeout(UP_WITHIN, command.output()).await.unwrap().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

fn free() -> u16 {
    free_shift(20, |ports: Ports| ports.of_all(Shape::default())).unwrap().shift()
}

/// Everything that the process has started, also what that has started.
fn descendants(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut all: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    for child in all.clone() {
        all.extend(descendants(child));
    }
    all
}

/// Not a zombie that only waits to be reaped.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}

async fn all_gone(pids: Vec<u32>) {
    assert!(pids.len() >= 4, "PostgreSQL, Redis and two nodes: {pids:?}");
    eventually("every child is gone", async || pids.iter().all(|pid| !runs(*pid)).then_some(())).await;
}

#[tokio::test]
async fn nothing_outlives_keystone_and_a_killed_one_starts_again() {
    let dir = Scratch::new("command");
    let shift = free();

    let mut first = up(dir.path(), shift, "data").await;
    let second = fails(&mut keystone(dir.path(), shift, "data")).await;
    assert!(second.contains("is in use by process") && second.lines().count() == 1, "{second}");
    let busy = fails(&mut keystone(dir.path(), shift, "other")).await;
    assert!(
        busy.contains("(PostgreSQL) is taken") && busy.contains("--port-base") && busy.lines().count() == 1,
        "{busy}"
    );
    let children = descendants(first.id().unwrap());
    first.kill().await.unwrap();
    all_gone(children).await;

    let mut again = up(dir.path(), shift, "data").await;
    let pid = again.id().unwrap();
    let children = descendants(pid);
    let term = Command::new("kill").arg(pid.to_string()).status().await.unwrap();
    assert!(term.success());
    let status = tokio::time::timeout(UP_WITHIN, again.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    all_gone(children).await;
    let env = std::fs::read_to_string(dir.path().join(".env")).unwrap();
    assert!(
        env.contains("\nDATABASE_URL='postgres://keystone:") && env.contains("\nSRS_UPSTREAM='http://127.0.0.1:"),
        "{env}"
    );
}

#[tokio::test]
async fn a_child_that_dies_is_named_and_the_rest_is_ended() {
    let dir = Scratch::new("death");
    let mut command = keystone(dir.path(), free(), "data");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().expect("it comes up").starts_with("Ctrl-C") {}
    let children = descendants(pid);
    let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let redis = children.iter().find(|pid| name(pid).starts_with("redis")).expect("Redis runs");
    assert!(Command::new("kill").args(["-9", &redis.to_string()]).status().await.unwrap().success());
    let output = tokio::time::timeout(UP_WITHIN, child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("redis ended by itself with signal: 9") && said.contains("redis.log"), "{said}");
    all_gone(children).await;
}

#[tokio::test]
async fn a_damaged_folder_is_one_clear_line() {
    let dir = Scratch::new("damaged");
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("pg")).unwrap();
    let half = fails(&mut keystone(dir.path(), free(), "data")).await;
    assert!(half.contains("is not a complete cluster folder") && half.lines().count() == 1, "{half}");
    std::fs::remove_dir_all(data.join("pg")).unwrap();
    std::fs::write(data.join("secrets.json"), "{").unwrap();
    std::fs::write(data.join("version"), "1").unwrap();
    let damaged = fails(&mut keystone(dir.path(), free(), "data")).await;
    assert!(damaged.contains("secrets.json is damaged") && damaged.lines().count() == 1, "{damaged}");
    std::fs::remove_file(data.join("secrets.json")).unwrap();
    std::fs::create_dir_all(data.join("pg")).unwrap();
    std::fs::write(data.join("pg/PG_VERSION"), "9.6\n").unwrap();
    let old = fails(&mut keystone(dir.path(), free(), "data")).await;
    assert!(old.contains("PostgreSQL 9.6") || old.contains("belongs to user id"), "{old}");
}

#[tokio::test]
async fn the_demo_counts_frames_a_second_and_ends_by_itself() {
    let dir = Scratch::new("demo");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystone"));
    command.current_dir(dir.path()).stdin(Stdio::null()).kill_on_drop(true);
    command.args(["demo", "--for", "8s", "--json", "--media", "builtin", "--data", "data"]);
    command.args(["--port-base", &free().to_string()]);
    let output = tokio::time::timeout(UP_WITHIN, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let total = lines.last().unwrap();
    let (totals, lines): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.get("total").is_some());
    // One more stream, by RTMP, where there is an ffmpeg; SRT needs real SRS.
    assert_eq!(totals.len(), 2, "{said}");
    assert_ne!(totals[0]["stream"], total["stream"], "{said}");
    assert!(totals[0]["frames_video"].as_u64().unwrap() > 0, "{said}");
    let lines: Vec<_> = lines.into_iter().filter(|line| line["stream"] == total["stream"]).collect();
    assert!(lines.len() >= 3, "{said}");
    let frames: Vec<_> = lines.iter().map(|line| line["frames_video"].as_u64().unwrap()).collect();
    assert!(frames.windows(2).all(|pair| pair[0] < pair[1]), "frames rise: {frames:?}");
    assert_eq!(
        (&total["total"], &total["live"], &total["viewers"]),
        (&true.into(), &true.into(), &1.into()),
        "{total}"
    );
    assert!(total["frames_video"].as_u64().unwrap() >= 60 && total["frames_audio"].as_u64().unwrap() >= 100, "{total}");
    assert!(total["node"].as_str().unwrap().starts_with("node-") && total["media"] == "builtin", "{total}");
}
