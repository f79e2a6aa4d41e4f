//! Starts children in the order given, waits until each is ready, tells when one dies, ends them in reverse.
//!
//! It restarts nothing by itself: a death is told ([`Supervisor::died`]), and whoever hears of it decides.

use crate::{
    child::{ChildError, Death, Order, Running, Spec, command, start, tail},
    ready::Ready,
};
use futures_util::future::{join_all, try_join_all};
use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, watch},
    time::Instant,
};

/// Between two looks at a child that is starting.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// Deaths kept for a reader that is busy; more children than this cannot be told apart anyway.
const DEATHS_QUEUED: usize = 256;

/// A set of running children. Dropping it asks them all to end; [`Supervisor::stop`] does so in order and waits.
#[derive(Debug)]
pub struct Supervisor {
    /// In the order of their start; those of one group ran up together.
    groups: Vec<Vec<Running>>,
    deaths: mpsc::Receiver<Death>,
    report: mpsc::Sender<Death>,
}

impl Default for Supervisor {
    fn default() -> Self {
        let (report, deaths) = mpsc::channel(DEATHS_QUEUED);
        Self { groups: Vec::new(), deaths, report }
    }
}

impl Supervisor {
    /// Starts one group of children together and returns when all are ready.
    ///
    /// Call it from a task or thread that lives as long as the children: the kernel ends a child with the thread that started it.
    ///
    /// # Errors
    /// The first child that could not be run, ended, or was not ready in its time. The others of the group are running and are ended by
    /// [`Supervisor::stop`].
    pub async fn start(&mut self, specs: Vec<Spec>) -> Result<(), ChildError> {
        let mut group = Vec::with_capacity(specs.len());
        let mut failed = None;
        for spec in specs {
            match start(spec, self.report.clone()) {
                Ok(running) => group.push(running),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        self.groups.push(group);
        match (failed, self.groups.last()) {
            (Some(error), _) => Err(error),
            (None, group) => try_join_all(group.into_iter().flatten().map(until_ready)).await.map(|_| ()),
        }
    }

    /// The next child that ends without having been told to.
    pub async fn died(&mut self) -> Death {
        match self.deaths.recv().await {
            Some(death) => death,
            // `self.report` is a sender that lives as long as we do.
            None => std::future::pending().await,
        }
    }

    /// A child that has died since the last call.
    pub fn died_already(&mut self) -> Option<Death> {
        self.deaths.try_recv().ok()
    }

    /// Names and process ids of the children that run.
    #[must_use]
    pub fn running(&self) -> Vec<(&str, u32)> {
        self.groups
            .iter()
            .flatten()
            .filter(|child| child.gone.borrow().is_none())
            .map(|child| (child.spec.name.as_str(), child.pid))
            .collect()
    }

    /// Kills one child at once, as a crash would, and waits until it is gone. Its [`Spec`] stays for [`Supervisor::start_again`].
    ///
    /// # Errors
    /// [`ChildError::Unknown`].
    pub async fn kill(&mut self, name: &str) -> Result<ExitStatus, ChildError> {
        let child = self.find(name)?;
        Ok(end(child, Order::Kill).await)
    }

    /// Sends a signal that does not end it, such as `STOP` and `CONT`, to one child; a dead one hears nothing.
    ///
    /// # Errors
    /// [`ChildError::Unknown`].
    pub fn signal(&mut self, name: &str, signal: rustix::process::Signal) -> Result<(), ChildError> {
        let child = self.find(name)?;
        // Full: four orders wait already; closed: it is gone.
        child.orders.try_send(Order::Signal(signal)).ok();
        Ok(())
    }

    /// Ends one child as its [`Spec`] says and waits until it is gone.
    ///
    /// # Errors
    /// [`ChildError::Unknown`].
    pub async fn stop_one(&mut self, name: &str) -> Result<ExitStatus, ChildError> {
        let child = self.find(name)?;
        Ok(end(child, Order::Stop).await)
    }

    /// Starts a child again that has ended, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Supervisor::start`].
    pub async fn start_again(&mut self, name: &str) -> Result<(), ChildError> {
        let report = self.report.clone();
        let child = self.find(name)?;
        end(child, Order::Kill).await;
        *child = start(child.spec.clone(), report)?;
        until_ready(child).await
    }

    /// Ends all children, the last started first, and returns when they are gone. Gives the names of those that had to be killed.
    pub async fn stop(mut self) -> Vec<String> {
        let mut killed = Vec::new();
        while let Some(mut group) = self.groups.pop() {
            let ends = group.iter_mut().map(|child| async {
                let ran = child.gone.borrow().is_none();
                let status = end(child, Order::Stop).await;
                (ran && was_killed(status)).then(|| child.spec.name.clone())
            });
            killed.extend(join_all(ends).await.into_iter().flatten());
        }
        killed
    }

    fn find(&mut self, name: &str) -> Result<&mut Running, ChildError> {
        self.groups
            .iter_mut()
            .flatten()
            .find(|child| child.spec.name == name)
            .ok_or_else(|| ChildError::Unknown(name.to_owned()))
    }
}

fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::KILL.as_raw())
}

async fn end(child: &mut Running, order: Order) -> ExitStatus {
    // A full queue holds an order already; a closed one means the child is gone.
    child.orders.try_send(order).ok();
    ended(&mut child.gone).await
}

async fn ended(gone: &mut watch::Receiver<Option<ExitStatus>>) -> ExitStatus {
    match gone.wait_for(Option::is_some).await {
        Ok(status) => status.unwrap_or_default(),
        // The task ended with its runtime, and took the child along.
        Err(_) => ExitStatus::default(),
    }
}

async fn until_ready(child: &Running) -> Result<(), ChildError> {
    let mut gone = child.gone.clone();
    let spec = &child.spec;
    let looks = look_until(&spec.ready, spec.ready_within);
    tokio::select! {
        biased;
        status = ended(&mut gone) => {
            Err(ChildError::Ended { name: spec.name.clone(), status, log: tail(&spec.log) })
        }
        seen = looks => seen.map_err(|last| ChildError::NotReady {
            name: spec.name.clone(),
            within: spec.ready_within,
            want: format!("{:?}", spec.ready),
            last,
            log: tail(&spec.log),
        }),
    }
}

async fn look_until(ready: &Ready, within: Duration) -> Result<(), String> {
    let deadline = Instant::now() + within;
    loop {
        match ready.look().await {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() >= deadline => return Err(last),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Runs a command that ends by itself, such as `initdb`, giving it `input`; its output goes to the spec's log.
///
/// # Errors
/// [`ChildError::Ended`] when it fails, [`ChildError::NotReady`] when it takes longer than `ready_within` (it is then killed).
///
/// # Panics
/// Never: the pipe that is taken was asked for just before.
pub async fn run_once(spec: &Spec, input: &str) -> Result<(), ChildError> {
    let fail = |source| ChildError::Spawn { name: spec.name.clone(), program: spec.program.clone(), source };
    let log = std::fs::File::create(&spec.log).map_err(fail)?;
    let mut child = command(&spec.program, &spec.user)
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().cloned())
        .current_dir(&spec.dir)
        .stdin(Stdio::piped())
        .stderr(log.try_clone().map_err(fail)?)
        .stdout(log)
        .spawn()
        .map_err(fail)?;
    let mut stdin = child.stdin.take().expect("stdin was asked for");
    // A command that does not read its input has closed it; its exit status is what counts.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    match tokio::time::timeout(spec.ready_within, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(ChildError::Ended { name: spec.name.clone(), status, log: tail(&spec.log) }),
        Ok(Err(source)) => Err(fail(source)),
        Err(_) => {
            drop(child.kill().await);
            Err(ChildError::NotReady {
                name: spec.name.clone(),
                within: spec.ready_within,
                want: "its end".to_owned(),
                last: "still running".to_owned(),
                log: tail(&spec.log),
            })
        }
    }
}

#[cfg(test)]
mod tests;
