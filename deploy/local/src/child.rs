//! One child process: what it is, how it starts, and the task that owns it until it is reaped.

use crate::{ready::Ready, tally::without_colour, users::RunAs};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsString,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
};

/// Lines of a log shown with an error.
const TAIL_LINES: usize = 12;
/// Bytes of a log read for its last lines.
const TAIL_BYTES: u64 = 8 * 1024;

/// What a child is. Cloned to start it again.
#[derive(Clone)]
pub struct Spec {
    /// Unique; also the name of its log.
    pub name: String,
    /// What to run.
    pub program: PathBuf,
    /// With what.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working folder.
    pub dir: PathBuf,
    /// Its user.
    pub user: RunAs,
    /// Standard output and error, begun anew at each start; the run before is kept as `.old`.
    pub log: PathBuf,
    /// When it counts as started.
    pub ready: Ready,
    /// How long that may take.
    pub ready_within: Duration,
    /// How it is asked to end.
    pub stop: Signal,
    /// How long ending may take before it is killed.
    pub stop_within: Duration,
}

/// The environment and the arguments may hold secrets.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("name", &self.name).field("program", &self.program).finish_non_exhaustive()
    }
}

/// A child did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be run at all.
    #[error("{name}: cannot run {}: {source}", program.display())]
    Spawn {
        /// Which child.
        name: String,
        /// Its program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended before it was ready, or a one-off command failed.
    #[error("{name} ended with {status}; {log}")]
    Ended {
        /// Which child.
        name: String,
        /// Exit code or signal.
        status: ExitStatus,
        /// The end of its log, and where that is.
        log: String,
    },
    /// It runs and does not become ready.
    #[error("{name} was not ready within {within:?} (waiting for {want}: {last}); {log}")]
    NotReady {
        /// Which child.
        name: String,
        /// The deadline.
        within: Duration,
        /// What was waited for.
        want: String,
        /// What the last look saw.
        last: String,
        /// The end of its log, and where that is.
        log: String,
    },
    /// There is no child of that name.
    #[error("there is no child called {0}")]
    Unknown(String),
}

/// What a running child can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// End as your `Spec` says, then be killed.
    Stop,
    /// Be killed.
    Kill,
    /// Be sent a signal and go on.
    Signal(Signal),
}

/// A running child as its supervisor sees it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) spec: Spec,
    pub(crate) pid: u32,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) gone: watch::Receiver<Option<ExitStatus>>,
}

/// A child that ended without having been told to.
#[derive(Debug, Clone)]
pub struct Death {
    /// Which child.
    pub name: String,
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Its log.
    pub log: PathBuf,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended by itself with {}; {}", self.name, self.status, tail(&self.log))
    }
}

/// The command line that ends with us even when we are killed: the kernel signals the child when the thread that started it goes.
///
/// `setpriv` sets the death signal after it changed the user, which would clear it. The child has a process group of its own, so that
/// Ctrl-C in a terminal reaches only us and the order of ending is ours.
pub(crate) fn command(program: &Path, user: &RunAs) -> Command {
    // Where every Linux has it; a PATH that lacks it would be blamed on the child.
    let setpriv =
        ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| Path::new(path).exists()).unwrap_or("setpriv");
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]);
    if let RunAs::Other { name, uid, gid } = user {
        command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--init-groups"]);
        command.env("USER", name);
    }
    command.arg("--").arg(program).process_group(0).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Starts the child and the task that owns it. The task reports on `deaths` unless the end was ordered.
pub(crate) fn start(spec: Spec, deaths: mpsc::Sender<Death>) -> Result<Running, ChildError> {
    let fail = |source| ChildError::Spawn { name: spec.name.clone(), program: spec.program.clone(), source };
    let log = fresh_log(&spec.log).map_err(fail)?;
    let child = command(&spec.program, &spec.user)
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().cloned())
        .current_dir(&spec.dir)
        .stderr(log.try_clone().map_err(fail)?)
        .stdout(log)
        .spawn()
        .map_err(fail)?;
    let pid = child.id().expect("a child that was not waited for has a pid");
    let (orders, inbox) = mpsc::channel(4);
    let (tell, gone) = watch::channel(None);
    tokio::spawn(tend(child, spec.clone(), inbox, tell, deaths));
    Ok(Running { spec, pid, orders, gone })
}

/// Owns the process: no other code signals or reaps it, so a pid is never used after it was given away.
async fn tend(
    mut child: Child,
    spec: Spec,
    mut inbox: mpsc::Receiver<Order>,
    tell: watch::Sender<Option<ExitStatus>>,
    deaths: mpsc::Sender<Death>,
) {
    let deadline = loop {
        tokio::select! {
            biased;
            status = child.wait() => {
                let status = status.unwrap_or_default();
                tell.send_replace(Some(status));
                // Full or closed: nobody is looking any more.
                drop(deaths.try_send(Death { name: spec.name, status, log: spec.log }));
                return;
            }
            // A supervisor that was dropped wants its children gone.
            order = inbox.recv() => match order.unwrap_or(Order::Stop) {
                Order::Signal(number) => signal(&child, number),
                Order::Kill => break Duration::ZERO,
                Order::Stop => {
                    signal(&child, spec.stop);
                    break spec.stop_within;
                }
            },
        }
    };
    let mut deadline = deadline;
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status.unwrap_or_default(),
            () = tokio::time::sleep(deadline) => {
                signal(&child, Signal::KILL);
                break child.wait().await.unwrap_or_default();
            }
            Some(Order::Kill) = inbox.recv() => deadline = Duration::ZERO,
        }
    };
    tell.send_replace(Some(status));
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        // Not reaped yet, so the pid is still its own; the only failure left is a child that just ended.
        kill_process(pid, signal).ok();
    }
}

fn fresh_log(path: &Path) -> std::io::Result<File> {
    if path.exists() {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    File::create(path)
}

/// The last lines of a log, indented, behind its path; what is not text is replaced.
pub(crate) fn tail(log: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text =
        read().map_or_else(|error| format!("({error})"), |bytes| without_colour(&String::from_utf8_lossy(&bytes)));
    let lines: Vec<_> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
    let shown = if last.is_empty() {
        "\n  (empty)".to_owned()
    } else {
        last.iter().map(|line| format!("\n  {line}")).collect()
    };
    format!("last lines of {}:{shown}", log.display())
}
