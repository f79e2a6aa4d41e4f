//! Hears `ks:events` once for the whole process and hands each event to every open event stream.

use crate::{app::State, metrics::media::MediaMetrics};
use bytes::Bytes;
use kit::kv::{Kv, News as FromRedis};
use proto::{StreamId, event::Event, keys};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// Events an event stream may lag behind before it is cut.
const QUEUE: usize = 256;
/// Event streams of one process.
const LISTENERS_MAX: usize = 2_000;
/// Between tries to subscribe.
const RETRY: Duration = Duration::from_secs(1);

/// An event, read and written once for all listeners.
#[derive(Debug)]
pub struct Heard {
    /// The event.
    pub event: Event,
    /// The stream it is about, if it is about one.
    pub stream: Option<StreamId>,
    /// As server-sent event.
    pub text: Bytes,
}

/// What listeners get.
#[derive(Debug, Clone)]
pub enum Item {
    /// An event.
    Heard(Arc<Heard>),
    /// Events were lost between Redis and here.
    Gap,
}

/// The door to the news.
#[derive(Debug, Clone)]
pub struct News {
    to: broadcast::Sender<Item>,
    metrics: MediaMetrics,
}

impl News {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(metrics: MediaMetrics) -> Self {
        Self { to: broadcast::channel(QUEUE).0, metrics }
    }

    /// A receiver of what is told from now on; `None` when there are too many.
    #[must_use]
    pub fn listen(&self) -> Option<broadcast::Receiver<Item>> {
        (self.to.receiver_count() < LISTENERS_MAX).then(|| self.to.subscribe())
    }

    fn tell(&self, item: Item) {
        self.metrics.event("heard");
        // Nobody listening is no failure.
        self.to.send(item).ok();
    }

    /// Gives back the event, if it is one.
    fn message(&self, payload: &[u8]) -> Option<Arc<Heard>> {
        match serde_json::from_slice::<Event>(payload) {
            Ok(event) => {
                let heard = Arc::new(heard(event));
                self.tell(Item::Heard(Arc::clone(&heard)));
                Some(heard)
            }
            Err(error) => {
                tracing::warn!(%error, "a message on the event channel is no event");
                None
            }
        }
    }
}

/// The kind of an event, as its JSON names it.
const fn name(event: &Event) -> &'static str {
    match event {
        Event::StreamLive { .. } => "stream_live",
        Event::StreamEnded { .. } => "stream_ended",
        Event::SessionOpened { .. } => "session_opened",
        Event::SessionClosed { .. } => "session_closed",
        Event::TokenRevoked { .. } => "token_revoked",
        Event::StreamChanged { .. } => "stream_changed",
        Event::KeyRevoked { .. } => "key_revoked",
        Event::SecretsChanged => "secrets_changed",
        Event::MembersChanged { .. } => "members_changed",
        Event::NodeUp { .. } => "node_up",
        Event::NodeDown { .. } => "node_down",
    }
}

fn heard(event: Event) -> Heard {
    let stream = match &event {
        Event::StreamLive { placement, .. } => Some(placement.stream.clone()),
        Event::SessionOpened { session, .. } => Some(session.stream.clone()),
        Event::StreamEnded { stream, .. }
        | Event::SessionClosed { stream, .. }
        | Event::StreamChanged { stream, .. } => Some(stream.clone()),
        Event::TokenRevoked { .. }
        | Event::KeyRevoked { .. }
        | Event::SecretsChanged
        | Event::MembersChanged { .. }
        | Event::NodeUp { .. }
        | Event::NodeDown { .. } => None,
    };
    // JSON has no line breaks of its own, so one `data:` line holds it.
    let json = serde_json::to_string(&event).unwrap_or_default();
    Heard { text: Bytes::from(format!("event: {}\ndata: {json}\n\n", name(&event))), stream, event }
}

/// Subscribes and passes news on until `stop`.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let mut news = state.kv.news();
    if !subscribed(&state.kv, &stop).await {
        return;
    }
    loop {
        let item = tokio::select! {
            () = stop.cancelled() => return,
            item = news.recv() => item,
        };
        match item {
            Ok(FromRedis::Message { channel, payload }) if channel == keys::EVENTS => {
                let heard = state.news.message(&payload);
                match heard.as_ref().map(|heard| &heard.event) {
                    Some(Event::MembersChanged { version }) if *version > state.fleet.membership().version => {
                        state.health.stir();
                    }
                    Some(Event::TokenRevoked { jti, expires_at }) => state.away.revoke(*jti, *expires_at),
                    Some(Event::StreamEnded { stream, epoch, .. }) => state.away.homes().ended(stream, *epoch),
                    Some(_) | None => {}
                }
            }
            Ok(FromRedis::Message { channel, .. }) if channel == keys::ENROLMENTS => state.nodes.told(),
            Ok(FromRedis::Message { .. }) => {}
            Ok(FromRedis::Reconnected) | Err(RecvError::Lagged(_)) => {
                state.news.tell(Item::Gap);
                state.nodes.told();
            }
            Err(RecvError::Closed) => {
                stop.cancelled().await;
                return;
            }
        }
    }
}

/// False when told to stop first.
async fn subscribed(kv: &Kv, stop: &CancellationToken) -> bool {
    while let Err(error) = kv.subscribe(vec![keys::EVENTS.to_owned(), keys::ENROLMENTS.to_owned()]).await {
        tracing::debug!(%error, "cannot subscribe to events yet");
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        let event = Event::StreamEnded {
            stream: StreamId::parse("cam").unwrap(),
            epoch: 1,
            owner: None,
            reason: proto::session::EndReason::ClientLeft,
        };
        let heard = heard(event);
        let text = std::str::from_utf8(&heard.text).unwrap();
        assert!(text.starts_with("event: stream_ended\ndata: {\"event\":\"stream_ended\""), "{text}");
        assert!(text.ends_with("}\n\n"));
        assert_eq!(heard.stream.unwrap().as_str(), "cam");
    }
}
