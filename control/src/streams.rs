//! Streams and their keys: the rules carried out on Postgres, then told to Redis and to live sessions.

pub mod directory;

use crate::{
    app::State,
    domain::stream::{Facts, ID_LEN, STREAMS_PER_OWNER_MAX, key_overlap, title},
    error::ApiError,
    http::caller::{Identity, Origin},
    sessions::live::{By, end_by},
    store::{
        cache,
        pg::{
            audit,
            stream_keys::{self, Retired},
            streams::{self as store, After, StreamRow},
            tokens, users,
        },
    },
};
use kit::pg::{GenericClient, PgError};
use proto::{
    StreamId, UserId,
    api::{CreateStream, NewStream, RotatedKey, Stream, UpdateStream},
    internal::Credential,
    session::EndReason,
    stream::Visibility,
    stream_key::StreamKey,
};
use serde_json::json;
use time::OffsetDateTime;

/// Ids drawn before giving up: two equal ones are less likely than a broken random source.
const IDS_DRAWN_MAX: usize = 3;

/// Who changes something, and from where.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who.
    pub user: UserId,
    /// From where.
    pub ip: std::net::IpAddr,
}

impl Actor {
    /// From a handler's guard.
    #[must_use]
    pub const fn new(identity: &Identity, origin: &Origin) -> Self {
        Self { user: identity.user, ip: origin.ip }
    }

    /// An audit entry about a stream.
    #[must_use]
    pub fn entry<'a>(
        &self,
        action: &'static str,
        stream: &StreamId,
        detail: &'a serde_json::Value,
    ) -> audit::Entry<'a> {
        let target = format!("stream/{stream}");
        audit::Entry { actor: Some(self.user), action, target, ip: Some(self.ip), detail }
    }

    /// An audit entry about an account.
    #[must_use]
    pub fn entry_of_user<'a>(
        &self,
        action: &'static str,
        user: UserId,
        detail: &'a serde_json::Value,
    ) -> audit::Entry<'a> {
        audit::Entry { actor: Some(self.user), action, target: format!("user/{user}"), ip: Some(self.ip), detail }
    }
}

fn draw_key(state: &State, stream: &StreamId) -> Result<StreamKey, ApiError> {
    Ok(StreamKey::make(stream, kit::random::bytes(), &state.secrets()?.stream_key_check()))
}

/// Makes a stream and its first key.
///
/// # Errors
/// Values that break a rule; [`ApiError::TooManyStreams`].
pub async fn create(state: &State, body: &CreateStream, by: &Actor) -> Result<NewStream, ApiError> {
    let title = title(&body.title)?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    if store::count_of(&*transaction, by.user).await? >= STREAMS_PER_OWNER_MAX {
        return Err(ApiError::TooManyStreams { limit: STREAMS_PER_OWNER_MAX });
    }
    let id = insert(&*transaction, by.user, &title, body).await?;
    let key = draw_key(state, &id)?;
    stream_keys::insert(&*transaction, &id, &key.hash()).await?;
    let detail = json!({ "title": title, "visibility": body.visibility });
    audit::insert(&*transaction, by.entry("stream.create", &id, &detail)).await?;
    let made = store::get(&*transaction, &id).await?.ok_or(ApiError::StreamNotFound)?;
    transaction.commit().await?;
    cache::stream_changed(state, &made.facts()).await;
    Ok(NewStream { stream: made.0, stream_key: key.expose().to_owned() })
}

/// Makes the stream that a publisher of an open edge names, for the account of `OPEN_STREAMS_OWNER`.
///
/// It is public, titled by its id, and without a key. False when nobody is to own such streams, the owner has too many, or the id belonged to a stream that was deleted.
///
/// # Errors
/// [`PgError`].
pub async fn create_open(state: &State, id: &StreamId) -> Result<bool, PgError> {
    let Some(email) = &state.config.open_streams_owner else { return Ok(false) };
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let Some((owner, _)) = users::by_email(&*transaction, email).await? else {
        tracing::error!("OPEN_STREAMS_OWNER names no account; publishers of open edges are refused");
        return Ok(false);
    };
    if store::count_of(&*transaction, owner.id).await? >= STREAMS_PER_OWNER_MAX
        || !store::insert(&*transaction, id, owner.id, id.as_str(), Visibility::Public).await?
    {
        return Ok(false);
    }
    let (target, detail) = (format!("stream/{id}"), json!({ "by": "open edge" }));
    let entry = audit::Entry { actor: None, action: "stream.create", target, ip: None, detail: &detail };
    audit::insert(&*transaction, entry).await?;
    let made = store::get(&*transaction, id).await?;
    transaction.commit().await?;
    if let Some(made) = made {
        cache::stream_changed(state, &made.facts()).await;
    }
    Ok(true)
}

async fn insert(
    client: &impl GenericClient,
    owner: UserId,
    title: &str,
    body: &CreateStream,
) -> Result<StreamId, ApiError> {
    for _ in 0..IDS_DRAWN_MAX {
        let id = StreamId::parse(&kit::random::letters(ID_LEN)).map_err(ApiError::internal)?;
        if store::insert(client, &id, owner, title, body.visibility).await? {
            return Ok(id);
        }
    }
    Err(ApiError::internal("every drawn stream id was taken"))
}

/// Changes a stream.
///
/// # Errors
/// Values that break a rule; [`ApiError::StreamNotFound`] when it was deleted meanwhile.
pub async fn update(state: &State, id: &StreamId, body: &UpdateStream, by: &Actor) -> Result<Stream, ApiError> {
    let title = body.title.as_deref().map(title).transpose()?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    if !store::update(&*transaction, id, title.as_deref(), body.visibility).await? {
        return Err(ApiError::StreamNotFound);
    }
    let detail = json!({ "title": title, "visibility": body.visibility });
    audit::insert(&*transaction, by.entry("stream.update", id, &detail)).await?;
    let changed = store::get(&*transaction, id).await?.ok_or(ApiError::StreamNotFound)?;
    transaction.commit().await?;
    cache::stream_changed(state, &changed.facts()).await;
    Ok(with_viewers(state, vec![changed]).await.remove(0))
}

/// Deletes a stream with its keys and tokens, and ends its sessions.
///
/// # Errors
/// [`ApiError::StreamNotFound`] when it was deleted meanwhile.
pub async fn delete(state: &State, facts: &Facts, by: &Actor) -> Result<(), ApiError> {
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    if !store::delete(&*transaction, &facts.id).await? {
        return Err(ApiError::StreamNotFound);
    }
    let keys = stream_keys::retire(&*transaction, &facts.id, 0).await?;
    let tokens = tokens::revoke_all(&*transaction, &facts.id).await?;
    audit::insert(&*transaction, by.entry("stream.delete", &facts.id, &audit::NOTHING)).await?;
    transaction.commit().await?;
    drop(client);
    let hashes: Vec<String> = keys.into_iter().map(|key| key.hash).collect();
    cache::stream_deleted(state, facts, &hashes, &tokens).await;
    end_by(state, &By::Stream(facts.id.clone()), EndReason::Revoked).await?;
    Ok(())
}

/// Gives a stream a new key. The old one goes on for the overlap; without one it ends at once, and its publisher with it.
///
/// # Errors
/// An overlap that is too long; [`ApiError::StreamNotFound`] when it was deleted meanwhile.
pub async fn rotate_key(
    state: &State,
    id: &StreamId,
    overlap_seconds: u32,
    by: &Actor,
) -> Result<RotatedKey, ApiError> {
    let overlap_seconds = key_overlap(overlap_seconds)?;
    let key = draw_key(state, id)?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    // Touching the stream's row makes two rotations at once take turns.
    if !store::update(&*transaction, id, None, None).await? {
        return Err(ApiError::StreamNotFound);
    }
    let retired = stream_keys::retire(&*transaction, id, overlap_seconds).await?;
    stream_keys::insert(&*transaction, id, &key.hash()).await?;
    let detail = json!({ "overlap_seconds": overlap_seconds });
    audit::insert(&*transaction, by.entry("stream.rotate_key", id, &detail)).await?;
    transaction.commit().await?;
    drop(client);
    tell_retired(state, id, &retired, overlap_seconds == 0).await?;
    let until = retired.iter().map(|key| key.until).max().unwrap_or_else(OffsetDateTime::now_utc);
    Ok(RotatedKey { stream_key: key.expose().to_owned(), previous_valid_until: until })
}

async fn tell_retired(state: &State, id: &StreamId, retired: &[Retired], at_once: bool) -> Result<(), ApiError> {
    if !at_once {
        for key in retired {
            cache::key_retired(state, id, &key.hash, cache::unix(key.until)).await;
        }
        return Ok(());
    }
    let hashes: Vec<String> = retired.iter().map(|key| key.hash.clone()).collect();
    cache::keys_revoked(state, &hashes).await;
    for hash in hashes {
        end_by(state, &By::Credential(id.clone(), Credential::StreamKey { hash }), EndReason::Revoked).await?;
    }
    Ok(())
}

/// Streams of one owner, or of all.
///
/// # Errors
/// Postgres is away.
pub async fn list(
    state: &State,
    owner: Option<UserId>,
    after: After<'_>,
    rows_max: i64,
) -> Result<Vec<Stream>, ApiError> {
    let rows = {
        let client = state.pg.get().await?;
        store::list(&**client, owner, after, rows_max).await?
    };
    Ok(with_viewers(state, rows).await)
}

/// Fills in how many watch.
pub async fn with_viewers(state: &State, rows: Vec<StreamRow>) -> Vec<Stream> {
    let mut streams: Vec<Stream> = rows.into_iter().map(|row| row.0).collect();
    let live: Vec<&StreamId> = streams.iter().filter(|stream| stream.live.is_some()).map(|stream| &stream.id).collect();
    let counts = state.sessions.viewers_of(&live);
    let live = streams.iter_mut().filter_map(|stream| stream.live.as_mut());
    for (live, viewers) in live.zip(counts) {
        live.viewers = viewers;
    }
    streams
}
