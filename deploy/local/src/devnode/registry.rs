//! Who is connected and which stream has a publisher: the rules of an SRS node, without sockets or clock.
//!
//! The rule everything else here follows: a name is *taken* before the hook is asked and is free again only when the
//! session ends, also when the hook said no. Time is passed in as the time since start.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Seconds over which a bit rate is averaged.
const RATE_SAMPLES: usize = 30;
/// Clients a node takes at once.
const CLIENTS_MAX: usize = 1_000;

/// How a client is connected, in SRS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    RtcPublish,
    RtcPlay,
    RtmpPublish,
    RtmpPlay,
    FlvPlay,
}

impl Kind {
    pub(crate) fn publishes(self) -> bool {
        matches!(self, Self::RtcPublish | Self::RtmpPublish)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RtcPublish => "rtc-publish",
            Self::RtcPlay => "rtc-play",
            Self::RtmpPublish => "fmle-publish",
            Self::RtmpPlay => "rtmp-play",
            Self::FlvPlay => "flv-play",
        }
    }
}

/// Bytes of one client, counted where the sockets are.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    /// Received, sent.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

/// What a hook tells about a client.
#[derive(Clone)]
pub(crate) struct Subject {
    /// 8 characters, random.
    pub(crate) client_id: String,
    pub(crate) ip: String,
    pub(crate) app: String,
    pub(crate) stream: String,
    pub(crate) tc_url: String,
    /// The client's query, in the shape its protocol gives it.
    pub(crate) param: String,
    /// `/app/stream`.
    pub(crate) url: String,
}

impl std::fmt::Debug for Subject {
    /// Without `param` and `tc_url`, which hold tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("client_id", &self.client_id).field("url", &self.url).finish_non_exhaustive()
    }
}

/// One connected client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) subject: Subject,
    pub(crate) kind: Kind,
    pub(crate) traffic: Arc<Traffic>,
    /// WebRTC: `server ufrag:client ufrag`; empty for others.
    pub(crate) session: String,
    /// WebRTC: the token that `DELETE` must bring.
    pub(crate) delete_token: String,
    /// Tells the task that holds the connection to end it.
    pub(crate) cancel: CancellationToken,
    /// Since node start.
    pub(crate) since: Duration,
    /// Refused by the hook: holds its name without ever carrying media, until this time.
    pub(crate) zombie_until: Option<Duration>,
    samples: VecDeque<(u64, u64)>,
}

impl Client {
    pub(crate) fn new(subject: Subject, kind: Kind, since: Duration) -> Self {
        Self {
            subject,
            kind,
            traffic: Arc::default(),
            session: String::new(),
            delete_token: String::new(),
            cancel: CancellationToken::new(),
            since,
            zombie_until: None,
            samples: VecDeque::new(),
        }
    }

    /// Kilobits a second received and sent, over the last half minute at most.
    pub(crate) fn kbps(&self) -> (u64, u64) {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return (0, 0) };
        let seconds = u64::try_from(self.samples.len().saturating_sub(1)).unwrap_or(1).max(1);
        let rate = |from: u64, to: u64| to.saturating_sub(from).saturating_mul(8) / 1_000 / seconds;
        (rate(first.0, last.0), rate(first.1, last.1))
    }
}

/// Picture of a stream, once known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) profile_idc: u8,
    pub(crate) level_idc: u8,
}

/// Sound of a stream, once known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    Opus,
    Aac { sample_rate: u32, channels: u8 },
}

/// One stream that somebody publishes, waits for, or blocks.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) name: String,
    /// Client that holds the name.
    pub(crate) holder: Option<String>,
    /// The holder's media is on.
    pub(crate) active: bool,
    pub(crate) picture: Option<Picture>,
    pub(crate) sound: Option<Sound>,
}

/// Why a client was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Another client holds the name.
    #[error("stream is busy")]
    Busy,
    /// [`CLIENTS_MAX`].
    #[error("node is full")]
    Full,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) clients: BTreeMap<String, Client>,
    /// By `/app/stream`.
    pub(crate) streams: BTreeMap<String, Stream>,
}

impl Registry {
    /// Lists a client; a publisher does not hold the name yet. `stream_id` is used if the stream is new.
    pub(crate) fn add(&mut self, client: Client, stream_id: String) -> Result<(), Refused> {
        if self.clients.len() >= CLIENTS_MAX {
            return Err(Refused::Full);
        }
        let subject = &client.subject;
        self.streams.entry(subject.url.clone()).or_insert_with(|| Stream {
            id: stream_id,
            app: subject.app.clone(),
            name: subject.stream.clone(),
            holder: None,
            active: false,
            picture: None,
            sound: None,
        });
        self.clients.insert(subject.client_id.clone(), client);
        Ok(())
    }

    /// Takes the name for a listed publisher.
    pub(crate) fn take(&mut self, client_id: &str) -> Result<(), Refused> {
        let stream = self.clients.get(client_id).and_then(|client| self.streams.get_mut(&client.subject.url));
        match stream {
            Some(stream) if stream.holder.is_none() => {
                stream.holder = Some(client_id.to_owned());
                Ok(())
            }
            Some(_) | None => Err(Refused::Busy),
        }
    }

    /// True while some client holds the name of `url`.
    pub(crate) fn is_taken(&self, url: &str) -> bool {
        self.streams.get(url).is_some_and(|stream| stream.holder.is_some())
    }

    /// The holder's media is on.
    pub(crate) fn activate(&mut self, client_id: &str) {
        if let Some(stream) = self.held(client_id) {
            stream.active = true;
        }
    }

    /// The stream whose name `client_id` holds.
    pub(crate) fn held(&mut self, client_id: &str) -> Option<&mut Stream> {
        let url = &self.clients.get(client_id)?.subject.url;
        self.streams.get_mut(url).filter(|stream| stream.holder.as_deref() == Some(client_id))
    }

    /// The hook refused a WebRTC publisher: it keeps its name until `until`.
    pub(crate) fn refuse(&mut self, client_id: &str, until: Duration) {
        if let Some(client) = self.clients.get_mut(client_id) {
            client.zombie_until = Some(until);
        }
    }

    /// Refused publishers whose time is up.
    pub(crate) fn expired(&self, now: Duration) -> Vec<String> {
        let over = |client: &&Client| client.zombie_until.is_some_and(|until| until <= now);
        self.clients.values().filter(over).map(|client| client.subject.client_id.clone()).collect()
    }

    /// Forgets a client, frees its name, and drops a stream without clients. Says the stream's id as it was.
    pub(crate) fn remove(&mut self, client_id: &str) -> Option<(Client, Option<String>)> {
        let client = self.clients.remove(client_id)?;
        let url = client.subject.url.clone();
        let stream_id = self.streams.get(&url).map(|stream| stream.id.clone());
        if let Some(stream) = self.streams.get_mut(&url) {
            if stream.holder.as_deref() == Some(client_id) {
                stream.holder = None;
                stream.active = false;
                (stream.picture, stream.sound) = (None, None);
            }
            if !self.clients.values().any(|other| other.subject.url == url) {
                self.streams.remove(&url);
            }
        }
        Some((client, stream_id))
    }

    /// The client of a WebRTC session.
    pub(crate) fn by_session(&self, session: &str) -> Option<&Client> {
        self.clients.values().find(|client| !client.session.is_empty() && client.session == session)
    }

    /// Notes everybody's byte counts; called once a second.
    pub(crate) fn sample(&mut self) {
        for client in self.clients.values_mut() {
            client.samples.push_back(client.traffic.totals());
            if client.samples.len() > RATE_SAMPLES {
                client.samples.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, kind: Kind) -> Client {
        let subject = Subject {
            client_id: id.into(),
            ip: "127.0.0.1".into(),
            app: "live".into(),
            stream: "s".into(),
            tc_url: String::new(),
            param: String::new(),
            url: "/live/s".into(),
        };
        Client::new(subject, kind, Duration::ZERO)
    }

    fn registry(ids: &[(&str, Kind)]) -> Registry {
        let mut registry = Registry::default();
        for (id, kind) in ids {
            registry.add(client(id, *kind), format!("vid-{id}")).unwrap();
        }
        registry
    }

    #[test]
    fn one_holder_a_name() {
        let mut registry = registry(&[("a", Kind::RtcPublish), ("b", Kind::RtmpPublish)]);
        assert_eq!(registry.take("a"), Ok(()));
        assert_eq!(registry.take("b"), Err(Refused::Busy));
        // The loser's end frees nothing.
        registry.remove("b");
        assert!(registry.is_taken("/live/s"));
        registry.remove("a");
        assert!(!registry.is_taken("/live/s") && registry.streams.is_empty());
    }

    #[test]
    fn a_refused_publisher_blocks_its_name_until_its_time_is_up() {
        let mut registry = registry(&[("a", Kind::RtcPublish)]);
        registry.take("a").unwrap();
        registry.refuse("a", Duration::from_secs(30));
        assert!(registry.is_taken("/live/s"));
        assert!(registry.expired(Duration::from_secs(29)).is_empty());
        assert_eq!(registry.expired(Duration::from_secs(30)), ["a"]);
    }

    #[test]
    fn a_stream_lives_as_long_as_anyone_waits_for_it() {
        let mut registry = registry(&[("v", Kind::RtcPlay), ("p", Kind::RtcPublish)]);
        registry.take("p").unwrap();
        registry.activate("p");
        let (_, id) = registry.remove("p").unwrap();
        assert_eq!(id.as_deref(), Some("vid-v"));
        let stream = &registry.streams["/live/s"];
        assert!(!stream.active && stream.holder.is_none());
        assert_eq!(registry.take("p"), Err(Refused::Busy), "an unknown client takes nothing");
    }

    #[test]
    fn rates_are_averages_of_the_last_samples() {
        let mut registry = registry(&[("p", Kind::RtcPublish)]);
        for _ in 0..3 {
            registry.clients["p"].traffic.received(125_000);
            registry.sample();
        }
        assert_eq!(registry.clients["p"].kbps(), (1_000, 0));
    }
}
