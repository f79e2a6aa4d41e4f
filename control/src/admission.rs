//! Whether a stream key or token that a client brings is good, asked of Redis and, when that does not know or is away, of Postgres.

use crate::{
    app::State,
    domain::hooks::{Refusal, token_fits},
    secrets::Secrets,
    store::{
        cache::{self, WHOLE},
        pg::{stream_keys, tokens},
    },
};
use kit::{
    clock,
    kv::{Cmd, KvError},
    pg::PgError,
};
use proto::{
    SessionId, StreamId, TokenId, fleet::KeyCache, internal::Credential, keys, session::Role, stream_key::StreamKey,
    token::MediaClaims,
};
use std::net::IpAddr;

/// Takes a token: `1` becomes the session that used it; once taken it is good for that session alone. Answers `ok`, `used` or `none`.
const TAKE: &str = "
local was = redis.call('GET', KEYS[1])
if not was then return 'none' end
if was == '1' then redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL') return 'ok' end
if was == ARGV[1] then return 'ok' end
return 'used'";

impl From<PgError> for Refusal {
    fn from(error: PgError) -> Self {
        tracing::warn!(%error, "a hook cannot be decided without Postgres");
        Self::Away
    }
}

/// A valid stream key by its hash; found ones are put into Redis for the edges.
///
/// # Errors
/// [`PgError`] when neither store could say.
pub async fn key_by_hash(state: &State, hash: &str) -> Result<Option<KeyCache>, PgError> {
    let now = clock::unix();
    let good = |key: &KeyCache| key.expires_at.is_none_or(|end| now < end);
    if let Ok(Some(key)) = state.kv.json::<KeyCache>(&keys::stream_key(hash)).await {
        return Ok(Some(key).filter(good));
    }
    let client = state.pg.get().await?;
    let found = stream_keys::find(&**client, hash).await?.filter(good);
    if let Some(key) = &found
        && state.kv.one(cache::stream_key(hash, key)).await.is_err()
    {
        state.metrics.redis_skipped("stream_key");
    }
    Ok(found)
}

/// Checks a stream key for `stream`.
///
/// # Errors
/// [`Refusal::Key`], [`Refusal::Away`].
pub async fn key(state: &State, secrets: &Secrets, text: &str, stream: &StreamId) -> Result<Credential, Refusal> {
    let key = StreamKey::parse(text, &secrets.stream_key_check()).map_err(|_| Refusal::Key)?;
    if key.stream() != stream {
        return Err(Refusal::Key);
    }
    let hash = key.hash();
    let credential = Credential::StreamKey { hash: hash.clone() };
    let known = match key_by_hash(state, &hash).await {
        // Its check is good, and it opened the stream before: that is all there is to ask while both stores are away.
        Err(error) if state.away.notes(&error) && state.away.opened(stream, &credential) => return Ok(credential),
        known => known?.ok_or(Refusal::Key)?,
    };
    if known.stream == *stream { Ok(credential) } else { Err(Refusal::Key) }
}

/// Checks a token for `stream` and `role`, and takes it for `session` if it is good for one admission.
///
/// # Errors
/// [`Refusal::Token`], [`Refusal::TokenScope`], [`Refusal::TokenSpent`], [`Refusal::Away`].
pub async fn token(
    state: &State,
    secrets: &Secrets,
    text: &str,
    stream: &StreamId,
    role: Role,
    from: Option<IpAddr>,
    session: SessionId,
) -> Result<Credential, Refusal> {
    let claims = secrets.media.verify(text, clock::unix()).map_err(|_| Refusal::Token)?;
    token_fits(&claims, stream, role, from)?;
    let key = keys::token(&claims.jti);
    let asked = if claims.single_use {
        state.kv.one(Cmd::eval(TAKE, &key).arg(session.to_string())).await
    } else {
        state.kv.one(Cmd::get(&key)).await
    };
    let credential = Credential::Token { jti: claims.jti };
    match asked {
        Ok(reply) => match (reply.text(), claims.single_use) {
            (Some("ok"), true) | (Some(_), false) => Ok(credential),
            (Some("none"), true) | (None, _) if !filled(state).await => {
                by_database(state, &claims).await.map(|()| credential)
            }
            _ => Err(Refusal::TokenSpent),
        },
        Err(error) => {
            if error != KvError::Away {
                tracing::error!(%error, "a token cannot be asked of Redis");
            }
            by_database(state, &claims).await.map(|()| credential)
        }
    }
}

/// Gives a single-use token back after SRS's client was refused for another reason.
pub async fn give_back(state: &State, credential: &Credential, session: SessionId) {
    const GIVE_BACK: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], '1', 'KEEPTTL') return 1 end
return 0";
    if let Credential::Token { jti } = credential {
        let command = Cmd::eval(GIVE_BACK, &keys::token(jti)).arg(session.to_string());
        if state.kv.one(command).await.is_err() {
            state.metrics.redis_skipped("token");
        }
    }
}

/// Whether Redis holds what we put there; an empty one knows no token.
async fn filled(state: &State) -> bool {
    !matches!(state.kv.one(Cmd::get(keys::FILLED)).await, Ok(reply) if reply.text() != Some(WHOLE))
}

/// Single use cannot be told by Postgres, so such a token waits for Redis.
async fn by_database(state: &State, claims: &MediaClaims) -> Result<(), Refusal> {
    state.media.token_by_database();
    if claims.single_use {
        return Err(Refusal::Away);
    }
    match valid(state, &claims.jti, &claims.stream).await {
        Ok(true) => Ok(()),
        // Its signature and time are good: that is all there is to ask while both stores are away.
        Err(error) if state.away.notes(&error) && !state.away.is_revoked(&claims.jti) => Ok(()),
        Ok(false) | Err(_) => Err(Refusal::TokenSpent),
    }
}

async fn valid(state: &State, jti: &TokenId, stream: &StreamId) -> Result<bool, PgError> {
    let client = state.pg.get().await?;
    tokens::is_valid(&**client, stream, *jti).await
}
