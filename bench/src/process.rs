//! Children under measurement: started without a parent's environment, ended with us, and asked of the kernel what they used.

use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Clock ticks in a second of CPU time as `/proc` counts it: `USER_HZ`, 100 on every Linux there is.
const TICKS: f64 = 100.0;

/// How long a child may take to end when asked to, before it is killed.
const END_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A child; gone when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a program with these arguments and only this environment. Its words go to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, args: &[&str], env: &[(&str, String)], log: &Path) -> anyhow::Result<Self> {
        let out = fs::File::create(log).with_context(|| log.display().to_string())?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (*name, value.as_str())))
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .spawn()
            .with_context(|| format!("{}: is it built, and setpriv installed?", program.display()))?;
        Ok(Self { child, name: program.display().to_string() })
    }

    /// Waits for its end and wants it to be a good one.
    ///
    /// # Errors
    /// It failed.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(())
    }

    /// CPU seconds, user and system, of it and its children that live.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let pids = std::iter::once(self.child.id()).chain(children(self.child.id()));
        pids.map(cpu_seconds).sum()
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// It is gone.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("it is gone")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Process {
    /// Asks first: a master that is killed leaves its workers behind.
    fn drop(&mut self) {
        let (pid, term) = (rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        // One that has ended by itself cannot be asked; the look below finds that out.
        rustix::process::kill_process(pid, term).ok();
        let asked = Instant::now();
        while asked.elapsed() < END_WITHIN {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("it is gone")?;
    // The name in parentheses may hold anything; fields are counted behind it, from the third.
    let (_, fields) = stat.rsplit_once(") ").context("no stat")?;
    let ticks: u32 = fields.split(' ').skip(11).take(2).map(|field| field.parse().unwrap_or(0)).sum();
    Ok(f64::from(ticks) / TICKS)
}

fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// A program built beside this one.
///
/// # Errors
/// It is not there.
pub fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing: bench/run.sh builds it", path.display());
    }
    Ok(path)
}

/// A folder that is gone with the value.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    ///
    /// # Errors
    /// The temporary folder takes none.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("keystone-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
