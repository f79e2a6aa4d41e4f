//! What Redis is told when Postgres changed. Redis may be away: then the change stands, the skip is counted, and Redis is refilled from
//! Postgres once it is back ([`catch_up`]).

use crate::{app::State, domain::stream::Facts};
use kit::{
    clock,
    kv::{Cmd, KvError},
};
use proto::{
    StreamId, TokenId,
    api::Token,
    event::Event,
    fleet::{KeyCache, StreamCache},
    keys,
};
use std::{sync::atomic::Ordering, time::Duration};

/// How long the revocation of an expired token is kept, in seconds: clocks differ.
const REVOKED_KEPT_SECONDS: u64 = 3600;

/// Runs commands; when Redis is away notes that it must be refilled.
async fn tell(state: &State, what: &'static str, commands: Vec<Cmd>) {
    if let Err(error) = state.kv.run(commands).await {
        state.metrics.redis_skipped(what);
        state.redis_behind.store(true, Ordering::Relaxed);
        if error != KvError::Away {
            tracing::error!(%error, what, "Redis could not be told of a change");
        }
    }
}

/// The value of [`keys::FILLED`] when Redis kept its data and lacks some changes; [`WHOLE`] when it lacks nothing.
pub const BEHIND: &str = "behind";
/// The value of [`keys::FILLED`] when Redis holds what it should.
pub const WHOLE: &str = "1";

/// Asks for a refill when something was skipped and Redis is back: whoever finds [`keys::FILLED`] missing or [`BEHIND`] fills it from Postgres.
pub async fn catch_up(state: &State) {
    if !state.redis_behind.swap(false, Ordering::Relaxed) {
        return;
    }
    // Only where the mark still is: one that lost it lost all.
    if state.kv.one(Cmd::on("SET", keys::FILLED).arg(BEHIND).arg("XX")).await.is_err() {
        state.redis_behind.store(true, Ordering::Relaxed);
    }
}

/// Numbers an event and publishes it, as [`proto::event::Told`]: its JSON is an object, so the number goes in behind the brace.
const TELL: &str = "
local n = redis.call('INCR', KEYS[1])
redis.call('PUBLISH', ARGV[1], '{\"n\":' .. n .. ',' .. string.sub(ARGV[2], 2))
return n";

/// The command that publishes an event.
#[must_use]
pub fn event(event: &Event) -> Cmd {
    Cmd::eval(TELL, keys::EVENTS_NUMBER).arg(keys::EVENTS).arg(json(event))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("types of proto have text keys and finite numbers")
}

/// The command that caches a stream for admission.
#[must_use]
pub fn stream(facts: &Facts) -> Cmd {
    let cache = StreamCache { visibility: facts.visibility, owner: facts.owner };
    Cmd::set(&keys::stream(&facts.id), json(&cache), Some(Duration::from_secs(keys::STREAM_TTL_SECONDS)))
}

/// The command that caches a stream key for admission: until it ends, at most for a minute.
#[must_use]
pub fn stream_key(hash: &str, key: &KeyCache) -> Cmd {
    let left = key.expires_at.map_or(u64::MAX, |end| end.saturating_sub(clock::unix()));
    let ttl = Duration::from_secs(left.clamp(1, keys::STREAM_TTL_SECONDS));
    Cmd::set(&keys::stream_key(hash), json(key), Some(ttl))
}

/// A stream was made or changed.
pub async fn stream_changed(state: &State, facts: &Facts) {
    let news = Event::StreamChanged { stream: facts.id.clone(), owner: Some(facts.owner), deleted: false };
    tell(state, "stream", vec![stream(facts), event(&news)]).await;
}

/// A stream was deleted, and with it its keys and tokens.
pub async fn stream_deleted(state: &State, facts: &Facts, key_hashes: &[String], tokens: &[Token]) {
    keys_revoked(state, key_hashes).await;
    for token in tokens {
        token_revoked(state, token).await;
    }
    let news = Event::StreamChanged { stream: facts.id.clone(), owner: Some(facts.owner), deleted: true };
    tell(state, "stream", vec![Cmd::del(&keys::stream(&facts.id)), event(&news)]).await;
}

/// Stream keys ended at once.
pub async fn keys_revoked(state: &State, hashes: &[String]) {
    for hash in hashes {
        let news = Event::KeyRevoked { hash: hash.clone() };
        tell(state, "stream_key", vec![Cmd::del(&keys::stream_key(hash)), event(&news)]).await;
    }
}

/// A stream key goes on for a while beside its successor.
pub async fn key_retired(state: &State, stream: &StreamId, hash: &str, expires_at: u64) {
    let key = KeyCache { stream: stream.clone(), expires_at: Some(expires_at) };
    tell(state, "stream_key", vec![stream_key(hash, &key)]).await;
}

/// The command by which a token becomes valid. One that is there already stays: it may be taken.
#[must_use]
pub fn token(jti: &TokenId, expires_at: u64) -> Cmd {
    let left = expires_at.saturating_sub(clock::unix()).max(1);
    Cmd::set_new(&keys::token(jti), "1", Duration::from_secs(left))
}

/// A token was issued.
pub async fn token_issued(state: &State, issued: &Token) {
    tell(state, "token", vec![token(&issued.id, unix(issued.expires_at))]).await;
}

/// The commands by which a token stops being valid.
#[must_use]
pub fn revocation(token: &Token) -> Vec<Cmd> {
    let expires_at = unix(token.expires_at);
    vec![Cmd::del(&keys::token(&token.id)), Cmd::zadd(keys::REVOKED, expires_at, token.id.to_string())]
}

/// A token was revoked.
pub async fn token_revoked(state: &State, token: &Token) {
    state.away.revoke(token.id, unix(token.expires_at));
    let old = clock::unix().saturating_sub(REVOKED_KEPT_SECONDS);
    let mut commands = revocation(token);
    commands.push(Cmd::on("ZREMRANGEBYSCORE", keys::REVOKED).num(0).num(old));
    commands.push(event(&Event::TokenRevoked { jti: token.id, expires_at: unix(token.expires_at) }));
    tell(state, "token", commands).await;
}

/// Unix seconds of a time.
#[must_use]
pub fn unix(at: time::OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp()).unwrap_or_default()
}
