use super::*;
use crate::users::RunAs;
use std::{net::SocketAddr, path::PathBuf};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("keystone-supervisor-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// A shell script as a child that is ready when `address` says PONG.
    fn child(&self, name: &str, script: &str, address: SocketAddr) -> Spec {
        Spec {
            name: name.to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            dir: self.0.clone(),
            user: RunAs::Us,
            log: self.0.join(format!("{name}.log")),
            ready: Ready::Redis { address, password: String::new() },
            ready_within: Duration::from_secs(20),
            stop: rustix::process::Signal::TERM,
            stop_within: Duration::from_secs(20),
        }
    }

    /// A shell sets its traps some time after it was started, and says so behind them.
    async fn until_said(&self, name: &str, word: &str) {
        let log = self.0.join(format!("{name}.log"));
        while !std::fs::read_to_string(&log).unwrap_or_default().contains(word) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Something that answers like a Redis that is ready.
async fn pong() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = [0; 64];
            drop(socket.read(&mut asked).await);
            drop(socket.write_all(b"+OK\r\n+PONG\r\n").await);
        }
    });
    address
}

/// A port that refuses.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_child_that_ends_at_once_is_named_with_its_code_and_last_words() {
    let dir = Dir::new("ends");
    let mut supervisor = Supervisor::default();
    let spec = dir.child("quick", "echo first; printf '\\033[31mlast words\\033[0m\\n' >&2; exit 3", nobody().await);
    let error = supervisor.start(vec![spec]).await.unwrap_err().to_string();
    assert!(error.starts_with("quick ended with exit status: 3; last lines of "), "{error}");
    assert!(error.ends_with("quick.log:\n  first\n  last words"), "{error}");
}

#[tokio::test]
async fn a_child_that_is_never_ready_is_reported_at_its_deadline() {
    let dir = Dir::new("never");
    let mut supervisor = Supervisor::default();
    let within = Duration::from_millis(200);
    let spec = Spec { ready_within: within, ..dir.child("slow", "exec sleep 100", nobody().await) };
    let error = supervisor.start(vec![spec]).await.unwrap_err().to_string();
    assert!(error.contains("slow was not ready within 200ms (waiting for PONG from 127.0.0.1:"), "{error}");
    assert_eq!(supervisor.running().len(), 1);
    assert_eq!(supervisor.stop().await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_reported_and_the_rest_can_be_stopped() {
    let dir = Dir::new("missing");
    let mut supervisor = Supervisor::default();
    let here = dir.child("here", "exec sleep 100", pong().await);
    let gone = Spec { dir: "/no/such/folder".into(), ..dir.child("gone", "true", pong().await) };
    let error = supervisor.start(vec![here, gone]).await.unwrap_err();
    assert!(matches!(&error, ChildError::Spawn { name, .. } if name == "gone"), "{error}");
    supervisor.stop().await;
}

#[tokio::test]
async fn the_last_started_is_ended_first_and_each_in_its_own_way() {
    let dir = Dir::new("order");
    let ready = pong().await;
    let script = |name: &str, signal: &str| {
        format!("trap 'echo {name} >> order; exit' {signal}; echo waits; while :; do sleep 0.05; done")
    };
    let mut supervisor = Supervisor::default();
    let store = Spec { stop: rustix::process::Signal::INT, ..dir.child("store", &script("store", "INT"), ready) };
    supervisor.start(vec![store]).await.unwrap();
    supervisor.start(vec![dir.child("front", &script("front", "TERM"), ready)]).await.unwrap();
    dir.until_said("store", "waits").await;
    dir.until_said("front", "waits").await;
    assert_eq!(supervisor.stop().await, [] as [&str; 0]);
    assert_eq!(std::fs::read_to_string(dir.0.join("order")).unwrap(), "front\nstore\n");
}

#[tokio::test]
async fn a_child_that_will_not_end_is_killed_after_its_deadline_and_named() {
    let dir = Dir::new("stubborn");
    let ready = pong().await;
    let mut supervisor = Supervisor::default();
    let script = "trap '' TERM; echo deaf; while :; do sleep 0.05; done";
    let spec = Spec { stop_within: Duration::from_millis(100), ..dir.child("stubborn", script, ready) };
    supervisor.start(vec![spec]).await.unwrap();
    dir.until_said("stubborn", "deaf").await;
    assert_eq!(supervisor.stop().await, ["stubborn"]);
}

#[tokio::test]
async fn a_death_is_told_and_an_ordered_end_is_not() {
    let dir = Dir::new("death");
    let ready = pong().await;
    let mut supervisor = Supervisor::default();
    let specs = ["kept", "other"].map(|name| dir.child(name, "exec sleep 100", ready));
    supervisor.start(specs.into()).await.unwrap();
    assert!(!supervisor.kill("kept").await.unwrap().success());
    assert!(supervisor.died_already().is_none());
    assert!(matches!(supervisor.kill("nobody").await, Err(ChildError::Unknown(name)) if name == "nobody"));
    supervisor.start_again("kept").await.unwrap();
    let pid = supervisor.running().iter().find(|(name, _)| *name == "other").unwrap().1;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let death = supervisor.died().await;
    assert_eq!((death.name.as_str(), death.status.code()), ("other", None));
    assert_eq!(supervisor.running().len(), 1);
    supervisor.stop().await;
}

#[tokio::test]
async fn a_one_off_gets_its_input_and_its_failure_is_told() {
    let dir = Dir::new("once");
    let here = nobody().await;
    run_once(&dir.child("good", "read word; test \"$word\" = secret", here), "secret\n").await.unwrap();
    let failed = run_once(&dir.child("bad", "echo no >&2; exit 1", here), "").await.unwrap_err();
    assert!(failed.to_string().ends_with("bad.log:\n  no"), "{failed}");
    let within = Duration::from_millis(100);
    let late = run_once(&Spec { ready_within: within, ..dir.child("late", "exec sleep 100", here) }, "").await;
    assert!(matches!(late, Err(ChildError::NotReady { .. })));
}
