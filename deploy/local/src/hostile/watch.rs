//! The streams beside the attacks: when each picture arrives.

use super::{bytes::FlvReader, row::Flow};
use crate::media::SessionHandle;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Pictures of one look that are remembered; an hour of 30 a second.
const ARRIVALS_MAX: usize = 108_000;
/// Without a picture for so long the stream has ended.
const SILENT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Seen {
    arrivals: Vec<Duration>,
    /// Of the whole session, where the numbering of packets tells, and what of it was told already.
    lost: (u64, u64),
    ended: bool,
}

/// Writes down when pictures arrive.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// A WHEP session.
    pub(crate) fn webrtc(viewer: SessionHandle) -> Self {
        Self::start(async move |seen, began| {
            let mut pictures = viewer.stats().frames_video;
            while let Ok(stats) = viewer.until(SILENT_MAX, |stats| stats.frames_video > pictures).await {
                note(&seen, began.elapsed(), stats.frames_video - pictures, stats.gaps + stats.frames_bad);
                pictures = stats.frames_video;
            }
        })
    }

    /// An endless HTTP answer.
    pub(crate) fn flv(mut response: reqwest::Response) -> Self {
        Self::start(async move |seen, began| {
            let mut reader = FlvReader::default();
            while let Ok(Ok(Some(piece))) = tokio::time::timeout(SILENT_MAX, response.chunk()).await {
                note(&seen, began.elapsed(), reader.push(&piece), 0);
            }
        })
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        look: impl FnOnce(Arc<Mutex<Seen>>, Instant) -> F + Send + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            look(Arc::clone(&log), Instant::now()).await;
            log.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        });
        Self { seen, task }
    }

    /// What arrived since the last call.
    pub(crate) fn take(&self) -> Flow {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let arrivals = std::mem::take(&mut seen.arrivals);
        // The next look begins where this one ended, so that no gap falls between two.
        seen.arrivals.extend(arrivals.last());
        let (in_all, told) = seen.lost;
        seen.lost = (in_all, in_all);
        Flow::of(&arrivals, in_all.saturating_sub(told), seen.ended)
    }
}

/// Pictures that came together are one arrival each, at the same time.
fn note(seen: &Mutex<Seen>, at: Duration, pictures: u64, lost_in_all: u64) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..pictures {
        if seen.arrivals.len() < ARRIVALS_MAX {
            seen.arrivals.push(at);
        }
    }
    seen.lost.0 = lost_in_all;
}
