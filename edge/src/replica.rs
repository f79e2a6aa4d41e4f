//! What the edge keeps of Redis in memory, so that it goes on while Redis is away: secrets, control-apis, revocations, placements, closed
//! sessions.
//!
//! Filled by [`feed`]: read whole at start, after every lost connection and every few seconds, and kept fresh by news in between.

pub mod feed;
mod homes;
pub mod numbers;
mod placements;

pub use homes::Home;
pub use placements::Placements;

use crate::leases::Leases;
use data_encoding::BASE64URL_NOPAD;
use kit::token::MediaKeys;
use proto::{
    SessionId, StreamId, TokenId,
    fleet::{ControlInfo, FLEET_ALIVE_MS},
    keys::CLOSED_SESSION_TTL_SECONDS,
    secret::{ClusterSecret, Keyring, PublishedSecrets},
    session::EndReason,
    stream::Visibility,
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use url::Url;

/// Revocations kept at most; the ones that expire first are the first to go.
pub const REVOKED_MAX: usize = 100_000;
/// Streams whose visibility is remembered at most, and for how long.
const VISIBILITY_MAX: u64 = 100_000;
const VISIBILITY_FOR: Duration = Duration::from_secs(3600);
/// Closed sessions remembered at most.
const CLOSED_MAX: u64 = 100_000;

/// What tickets, handles, keys and tokens are made and checked with.
#[derive(Clone)]
pub struct Secrets {
    /// The cluster secret and the one before.
    pub keyring: Keyring,
    /// Checks stream keys; `None` while only `EDGE_SECRET` is known.
    pub stream_key: Option<Arc<[u8]>>,
    /// Checks publish and play tokens.
    pub tokens: MediaKeys,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    secrets: Option<Arc<Secrets>>,
    controls: Vec<ControlInfo>,
    revoked: HashMap<TokenId, u64>,
    placements: Placements,
    news_healthy: bool,
}

/// The replica; every clone is the same one.
#[derive(Debug, Clone)]
pub struct Replica {
    state: Arc<RwLock<State>>,
    fixed: Option<Keyring>,
    closed: moka::sync::Cache<SessionId, Option<EndReason>>,
    visibility: moka::sync::Cache<StreamId, Visibility>,
    leases: Leases,
}

impl Replica {
    /// An empty one. `fixed` is `EDGE_SECRET`, which stands above what Redis says.
    #[must_use]
    pub fn new(fixed: Option<Keyring>) -> Self {
        let closed = moka::sync::Cache::builder()
            .max_capacity(CLOSED_MAX)
            .time_to_live(Duration::from_secs(CLOSED_SESSION_TTL_SECONDS))
            .build();
        let secrets =
            fixed.clone().map(|keyring| Arc::new(Secrets { keyring, stream_key: None, tokens: MediaKeys::default() }));
        let visibility = moka::sync::Cache::builder().max_capacity(VISIBILITY_MAX).time_to_live(VISIBILITY_FOR).build();
        Self {
            state: Arc::new(RwLock::new(State { secrets, ..State::default() })),
            fixed,
            closed,
            visibility,
            leases: Leases::default(),
        }
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The secrets, once they are known.
    #[must_use]
    pub fn secrets(&self) -> Option<Arc<Secrets>> {
        self.read(|state| state.secrets.clone())
    }

    /// Takes published secrets; what cannot be read is logged and changes nothing.
    pub fn learn_secrets(&self, published: &PublishedSecrets) {
        let current = ClusterSecret::decode(&published.current);
        let stream_key = BASE64URL_NOPAD.decode(published.stream_key.as_bytes()).ok();
        let (Some(current), Some(stream_key)) = (current, stream_key) else {
            tracing::error!("the published secrets cannot be read");
            return;
        };
        let previous = published.previous.as_deref().and_then(ClusterSecret::decode);
        let keyring = self.fixed.clone().unwrap_or(Keyring { current, previous });
        let tokens = MediaKeys::new(&published.token_keys);
        let secrets = Arc::new(Secrets { keyring, stream_key: Some(stream_key.into()), tokens });
        self.write(|state| state.secrets = Some(secrets));
    }

    /// Origins of the control-apis that were alive when last heard, in the order of their ids.
    #[must_use]
    pub fn controls(&self) -> Vec<Url> {
        self.read(|state| state.controls.iter().filter_map(|c| c.url.parse().ok()).collect())
    }

    /// Takes the list of control-apis. While none looks alive the last ones heard stay: a Redis that was flushed knows none.
    pub fn learn_controls(&self, list: impl Iterator<Item = ControlInfo>, now_ms: u64) {
        let oldest = now_ms.saturating_sub(FLEET_ALIVE_MS);
        let mut alive: Vec<_> = list.filter(|control| control.seen_at_ms >= oldest).collect();
        alive.sort_by(|a, b| a.id.cmp(&b.id));
        if !alive.is_empty() {
            self.write(|state| state.controls = alive);
        }
    }

    /// Whether a token is known to be revoked.
    #[must_use]
    pub fn revoked(&self, jti: &TokenId) -> bool {
        self.read(|state| state.revoked.contains_key(jti))
    }

    /// Takes one revocation.
    pub fn learn_revoked(&self, jti: TokenId, expires_at: u64) {
        self.write(|state| {
            if state.revoked.len() >= REVOKED_MAX
                && let Some(first) = state.revoked.iter().min_by_key(|(_, at)| **at).map(|(jti, _)| *jti)
            {
                state.revoked.remove(&first);
            }
            state.revoked.insert(jti, expires_at);
        });
    }

    /// Forgets revocations of tokens that have expired anyway.
    pub fn forget_revoked(&self, now_unix: u64) {
        let kept = now_unix.saturating_sub(kit::token::LEEWAY_SECONDS);
        self.write(|state| state.revoked.retain(|_, expires_at| *expires_at >= kept));
    }

    /// Looks at the placements.
    pub fn placements<T>(&self, look: impl FnOnce(&Placements) -> T) -> T {
        self.read(|state| look(&state.placements))
    }

    /// Changes the placements.
    pub fn change_placements<T>(&self, change: impl FnOnce(&mut Placements) -> T) -> T {
        self.write(|state| change(&mut state.placements))
    }

    /// Whether news arrives: without it, what was heard grows stale within a second.
    #[must_use]
    pub fn news_healthy(&self) -> bool {
        self.read(|state| state.news_healthy)
    }

    pub(crate) fn set_news_healthy(&self, healthy: bool) {
        self.write(|state| state.news_healthy = healthy);
    }

    /// Remembers who may play a stream, for when nobody can be asked.
    pub fn learn_visibility(&self, stream: &StreamId, visibility: Visibility) {
        if self.visibility.get(stream) != Some(visibility) {
            self.visibility.insert(stream.clone(), visibility);
        }
    }

    /// Who might play a stream when it was last asked; forgotten when the stream changes.
    #[must_use]
    pub fn visibility(&self, stream: &StreamId) -> Option<Visibility> {
        self.visibility.get(stream)
    }

    /// Forgets what was known of a stream.
    pub fn forget_stream(&self, stream: &StreamId) {
        self.visibility.invalidate(stream);
    }

    /// Forgets what was known of all streams: news of their changes may be lost.
    pub fn forget_streams(&self) {
        self.visibility.invalidate_all();
    }

    /// Remembers that a session ended, and ends its relay if it passes here.
    pub fn learn_closed(&self, session: SessionId) {
        if !self.closed.contains_key(&session) {
            self.closed.insert(session, None);
        }
        self.leases.end(&session);
    }

    /// The same, with the reason that was told.
    pub fn learn_ended(&self, session: SessionId, reason: EndReason) {
        self.closed.insert(session, Some(reason));
        self.leases.end(&session);
    }

    /// Takes back that a session ended: an edge opened it anew.
    pub fn learn_opened(&self, session: &SessionId) {
        self.closed.invalidate(session);
    }

    /// Why a session ended, if that is known.
    #[must_use]
    pub fn end_of(&self, session: &SessionId) -> Option<EndReason> {
        self.closed.get(session).flatten()
    }

    /// Sessions whose media passes this edge.
    #[must_use]
    pub const fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Whether a session is known to have ended.
    #[must_use]
    pub fn closed(&self, session: &SessionId) -> bool {
        self.closed.contains_key(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::ControlId;

    fn control(id: &str, seen_at_ms: u64) -> ControlInfo {
        ControlInfo {
            id: ControlId::parse(id).unwrap(),
            url: format!("http://{id}:1"),
            version: String::new(),
            seen_at_ms,
        }
    }

    #[test]
    fn silent_controls_are_passed_over_unless_all_are() {
        let replica = Replica::new(None);
        replica.learn_controls([control("b", 20_000), control("a", 20_000), control("c", 1)].into_iter(), 20_000);
        let hosts = |r: &Replica| r.controls().iter().map(|u| u.host_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(hosts(&replica), ["a", "b"]);
        replica.learn_controls([].into_iter(), 90_000);
        assert_eq!(hosts(&replica), ["a", "b"]);
    }

    #[test]
    fn the_operators_secret_stands_above_redis() {
        let ours = Keyring { current: ClusterSecret::from_setting("operator"), previous: None };
        let replica = Replica::new(Some(ours.clone()));
        assert!(replica.secrets().unwrap().stream_key.is_none());
        replica.learn_secrets(&PublishedSecrets {
            current: ClusterSecret::from_setting("redis").encode(),
            previous: None,
            stream_key: ClusterSecret::from_setting("keys").encode(),
            token_keys: Vec::new(),
        });
        let secrets = replica.secrets().unwrap();
        assert_eq!(secrets.keyring, ours);
        assert!(secrets.stream_key.is_some());
    }

    #[test]
    fn revocations_end_with_their_tokens() {
        let replica = Replica::new(None);
        let (old, new) = (TokenId::from_bytes([1; 16]), TokenId::from_bytes([2; 16]));
        replica.learn_revoked(old, 10);
        replica.learn_revoked(new, 1000);
        replica.forget_revoked(500);
        assert!(!replica.revoked(&old) && replica.revoked(&new));
    }
}
