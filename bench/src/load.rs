//! Load: closed (as fast as the answers come) and open (at a rate, whatever the answers do).

use crate::{report::Latencies, wire::Conn};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

/// Requests that may wait for a free connection in an open run; more are not sent, and counted.
const BACKLOG: usize = 4_096;
/// An answer later than this counts as none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the n-th request.
pub type Source = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;
/// Whether an answer's status and body are what was wanted.
pub type Wanted = fn(u16, &[u8]) -> bool;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Run {
    /// Answers as wanted.
    pub done: u64,
    /// Other answers, and none.
    pub failed: u64,
    /// What the first of them said.
    pub failure: Option<String>,
    /// Requests of an open run for which no connection was free.
    pub unsent: u64,
    /// How long it took.
    pub seconds: f64,
    /// Of answers as wanted; in an open run since the moment the request was due.
    pub latencies: Latencies,
}

impl Run {
    /// Wants that nothing failed.
    ///
    /// # Errors
    /// Something did; says what.
    pub fn all_good(&self, who: &str) -> anyhow::Result<()> {
        let said = self.failure.as_deref().unwrap_or("nothing");
        let asked = self.done + self.failed;
        anyhow::ensure!(self.failed == 0, "{who}: {} of {asked} requests failed, the first with: {said}", self.failed);
        Ok(())
    }

    /// Answers as wanted a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.done as f64 / self.seconds } else { 0.0 }
    }
}

/// Until when a closed run goes.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// For this long.
    Time(Duration),
    /// For this many requests.
    Count(u64),
}

/// Where to, over how many connections, and what counts as an answer.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Address.
    pub to: SocketAddr,
    /// Connections, all kept open.
    pub connections: usize,
    /// What counts.
    pub wanted: Wanted,
}

/// Sends the next request on each connection as soon as the last was answered. Requests are numbered from `first`.
pub async fn closed(target: Target, until: Until, first: u64, source: &Source) -> Run {
    let next = Arc::new(AtomicU64::new(first));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..target.connections {
        let (next, source) = (Arc::clone(&next), Arc::clone(source));
        workers.spawn(async move {
            let mut conn = Conn::new(target.to);
            let mut run = Run::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let over = match until {
                    Until::Time(time) => began.elapsed() >= time,
                    Until::Count(count) => number >= first + count,
                };
                if over {
                    return run;
                }
                let request = source(number);
                let sent = Instant::now();
                one(&mut conn, &request, sent, target.wanted, &mut run).await;
            }
        });
    }
    gather(workers, began).await
}

/// Sends `rate` requests a second for `time`, whether the ones before were answered or not.
///
/// The clock is a thread that sleeps, because a runtime's timer is a millisecond coarse.
pub async fn open(target: Target, rate: u64, time: Duration, first: u64, source: &Source) -> Run {
    let (due, queue) = mpsc::channel::<(u64, Instant)>(BACKLOG);
    let queue = Arc::new(Mutex::new(queue));
    let began = Instant::now();
    let pacer = std::thread::spawn(move || pace(&due, rate, time, first));
    let mut workers = JoinSet::new();
    for _ in 0..target.connections {
        let (queue, source) = (Arc::clone(&queue), Arc::clone(source));
        workers.spawn(async move {
            let mut conn = Conn::new(target.to);
            let mut run = Run::default();
            loop {
                let next = queue.lock().await.recv().await;
                let Some((number, due)) = next else { return run };
                let request = source(number);
                one(&mut conn, &request, due, target.wanted, &mut run).await;
            }
        });
    }
    let mut run = gather(workers, began).await;
    run.unsent = pacer.join().unwrap_or(0);
    run
}

fn pace(due: &mpsc::Sender<(u64, Instant)>, rate: u64, time: Duration, first: u64) -> u64 {
    let (began, gap) = (Instant::now(), Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX));
    let (mut at, mut number, mut unsent) = (began, first, 0);
    while at < began + time {
        let now = Instant::now();
        if at > now {
            std::thread::sleep(at - now);
        }
        if due.try_send((number, at)).is_err() {
            unsent += 1;
        }
        number += 1;
        at += gap;
    }
    unsent
}

async fn one(conn: &mut Conn, request: &[u8], since: Instant, wanted: Wanted, run: &mut Run) {
    let failure = match tokio::time::timeout(PATIENCE, conn.ask(request)).await {
        Ok(Ok(answer)) if wanted(answer.status, answer.body) => {
            run.done += 1;
            run.latencies.add(since.elapsed());
            return;
        }
        Ok(Ok(answer)) => format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    run.failed += 1;
    run.failure.get_or_insert(failure);
}

async fn gather(mut workers: JoinSet<Run>, began: Instant) -> Run {
    let mut all = Run::default();
    while let Some(part) = workers.join_next().await {
        let Ok(part) = part else { continue };
        all.done += part.done;
        all.failed += part.failed;
        all.failure = all.failure.or(part.failure);
        all.latencies.join(part.latencies);
    }
    all.seconds = began.elapsed().as_secs_f64();
    all
}
