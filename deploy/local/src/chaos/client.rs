//! One client as the outside world has them: it publishes or watches, notices when media stops, and POSTs again.

use super::tally::{At, ClientId, Event, What};
use crate::media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle, Source, State, Still};
use proto::ids::StreamId;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// From a 201 to media; a viewer's first keyframe comes within a frame's time.
const MEDIA_WITHIN: Duration = Duration::from_secs(6);
/// First wait before another POST, and the last, which doubling ends at; each is drawn between a half and the whole.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(2));
/// How often a client looks whether media still comes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Which edge carries whom, by the id it answers with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edges(Arc<Mutex<BTreeMap<ClientId, String>>>);

impl Edges {
    fn note(&self, client: ClientId, edge: Option<&str>) {
        let mut edges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match edge {
            Some(edge) => drop(edges.insert(client, edge.to_owned())),
            None => drop(edges.remove(&client)),
        }
    }

    /// Everybody on an edge.
    pub(crate) fn on(&self, edge: &str) -> BTreeSet<ClientId> {
        let edges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        edges.iter().filter(|(_, on)| *on == edge).map(|(client, _)| *client).collect()
    }
}

/// What a client is.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) stream: StreamId,
    /// A publisher has the key.
    pub(crate) key: Option<String>,
    /// `http://127.0.0.1:8880`.
    pub(crate) origin: String,
    pub(crate) local_ip: IpAddr,
    pub(crate) still: Still,
    /// Without a frame (a publisher: without a datagram) for so long, the session is given up.
    pub(crate) patience: Duration,
    /// Where it says which edge it is on.
    pub(crate) edges: Edges,
}

impl Client {
    /// Runs until `cancel`, then leaves without a word.
    pub(crate) async fn run(self, began: Instant, events: mpsc::Sender<Event>, cancel: CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.forever(began, events) => {}
        }
    }

    async fn forever(&self, began: Instant, events: mpsc::Sender<Event>) {
        let mut wait = BACKOFF.0;
        loop {
            match self.open().await {
                Ok(session) => {
                    self.edges.note(self.id, session.edge());
                    tell(&events, began, self.id, What::Opened).await;
                    if self.hold(&session, began, &events).await {
                        wait = BACKOFF.0;
                    }
                    // As a page that closes: it says so, and does not wait for the answer.
                    tokio::spawn(async move { drop(session.stop().await) });
                }
                Err(error) => tell(&events, began, self.id, What::Refused { status: status(&error) }).await,
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }

    pub(crate) async fn open(&self) -> Result<SessionHandle, MediaError> {
        let local_ip = Some(self.local_ip);
        match &self.key {
            Some(key) => {
                let (url, token) = (format!("{}/rtc/v1/whip/{}", self.origin, self.stream), Some(key.clone()));
                media::publish(PublishOptions {
                    url,
                    token,
                    local_ip,
                    via: None,
                    source: Source::Still(self.still.clone()),
                })
                .await
            }
            None => {
                let url = format!("{}/rtc/v1/whep/{}", self.origin, self.stream);
                media::play(PlayOptions { url, token: None, local_ip }).await
            }
        }
    }

    /// Holds a session until media stops; says whether there ever was any.
    async fn hold(&self, session: &SessionHandle, began: Instant, events: &mpsc::Sender<Event>) -> bool {
        if session.until(MEDIA_WITHIN, |stats| stats.frames_video > 0).await.is_err() {
            tell(events, began, self.id, What::Empty).await;
            return false;
        }
        tell(events, began, self.id, What::Flowing).await;
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stats = session.stats();
            let heard = if self.key.is_some() { stats.datagrams } else { stats.frames_video };
            if heard != seen {
                (seen, since) = (heard, Instant::now());
            }
            if stats.state == State::Lost || since.elapsed() > self.patience {
                tell(events, began, self.id, What::Lost).await;
                return true;
            }
        }
    }
}

/// The status of a refusal; 0 when there was no answer.
pub(crate) fn status(error: &MediaError) -> u16 {
    match error {
        MediaError::Refused { status, .. } => *status,
        MediaError::Url(_)
        | MediaError::NoAnswer(_)
        | MediaError::Answer(_)
        | MediaError::Rtc(_)
        | MediaError::Socket(_)
        | MediaError::Source(_)
        | MediaError::Timeout { .. }
        | MediaError::Ended(_) => 0,
    }
}

async fn tell(events: &mpsc::Sender<Event>, began: Instant, client: ClientId, what: What) {
    let at: At = began.elapsed();
    // Nobody listens any more once the run is over.
    events.send(Event { at, client, what }).await.ok();
}

/// Between a half and the whole of `wait`.
fn jittered(wait: Duration) -> Duration {
    let random = u32::from_le_bytes(uuid::Uuid::new_v4().into_bytes()[..4].try_into().unwrap_or_default());
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_drawn_from_the_upper_half() {
        let wait = Duration::from_secs(2);
        let drawn: Vec<_> = (0..100).map(|_| jittered(wait)).collect();
        assert!(drawn.iter().all(|drawn| (wait / 2..=wait).contains(drawn)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
        assert!(jittered(BACKOFF.0) >= Duration::from_millis(200));
    }
}
