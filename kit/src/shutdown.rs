//! Ending a process: one token says stop, named tasks report out, a deadline bounds the wait.

use std::{future::Future, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the handlers cannot be installed.
pub async fn signalled() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// The background tasks of a process, by name.
#[derive(Debug, Default)]
pub struct Tasks {
    stop: CancellationToken,
    set: JoinSet<&'static str>,
}

impl Tasks {
    /// The token every task watches.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that ends by itself when the token is cancelled. One that ends earlier is logged: it should not.
    pub fn spawn<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.set.spawn(async move {
            task.await;
            if !stop.is_cancelled() {
                tracing::error!(task = name, "task ended early: {name}");
            }
            name
        });
    }

    /// Says stop and waits; after `deadline` what still runs is aborted.
    pub async fn stop(mut self, deadline: Duration) {
        self.stop.cancel();
        let drained = tokio::time::timeout(deadline, async { while self.set.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!(left = self.set.len(), "tasks did not end by the deadline and were aborted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_hear_the_token_and_a_stuck_one_is_aborted() {
        let mut tasks = Tasks::default();
        let token = tasks.token();
        let (done, ended) = tokio::sync::oneshot::channel();
        tasks.spawn("polite", async move {
            token.cancelled().await;
            done.send(()).ok();
        });
        tasks.spawn("stuck", std::future::pending());
        tasks.stop(Duration::from_millis(50)).await;
        assert!(ended.await.is_ok());
    }
}
