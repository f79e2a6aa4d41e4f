//! The threads that connections run on.

use std::{future::Future, net::TcpStream, pin::Pin, time::Duration};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, LocalSet},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections that may wait for a thread to take them.
const WAITING_MAX: usize = 256;
/// How long connections get to say their last words when the edge ends.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What is done with a connection, on the thread that it is given to. Ends soon once the token is cancelled.
pub(super) type Serve<T> = fn(T, TcpStream, CancellationToken) -> Pin<Box<dyn Future<Output = ()>>>;

/// A few threads, each with a runtime of its own.
#[derive(Debug)]
pub(super) struct Threads<T> {
    inboxes: Vec<mpsc::Sender<(T, TcpStream)>>,
    ends: Vec<JoinHandle<()>>,
    next: usize,
}

impl<T: Send + 'static> Threads<T> {
    /// Starts `count` threads. They end, with all their connections, when `stop` is cancelled.
    pub(super) fn start(count: usize, stop: &CancellationToken, serve: Serve<T>) -> Self {
        let (mut inboxes, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..count.max(1) {
            let (inbox, given) = mpsc::channel(WAITING_MAX);
            let stop = stop.clone();
            // The runtime's own pool of threads for what blocks: this one blocks until the end.
            ends.push(tokio::task::spawn_blocking(move || run(given, &stop, serve)));
            inboxes.push(inbox);
        }
        Self { inboxes, ends, next: 0 }
    }

    /// Gives a connection to the next thread that has room; it is closed if none has.
    pub(super) fn give(&mut self, what: T, stream: TcpStream) {
        let mut given = (what, stream);
        for _ in 0..self.inboxes.len() {
            self.next = (self.next + 1) % self.inboxes.len();
            let Some(inbox) = self.inboxes.get(self.next) else { return };
            match inbox.try_send(given) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => given = back,
            }
        }
        tracing::warn!("an RTMP connection was closed: every thread has too many waiting");
    }

    /// Waits until the threads have ended.
    pub(super) async fn ended(self) {
        for end in self.ends {
            if let Err(error) = end.await {
                tracing::error!(%error, "a thread of RTMP connections failed");
            }
        }
    }
}

fn run<T: 'static>(mut given: mpsc::Receiver<(T, TcpStream)>, stop: &CancellationToken, serve: Serve<T>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a thread for RTMP connections has no runtime");
            return;
        }
    };
    let (local, tasks) = (LocalSet::new(), TaskTracker::new());
    local.block_on(&runtime, async {
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => break,
                next = given.recv() => next,
            };
            let Some((what, stream)) = next else { break };
            tasks.spawn_local(serve(what, stream, stop.clone()));
        }
        tasks.close();
        // What has not ended by then is dropped with the runtime.
        drop(tokio::time::timeout(ENDS_WITHIN, tasks.wait()).await);
    });
    let entered = runtime.enter();
    drop(local);
    drop(entered);
}
