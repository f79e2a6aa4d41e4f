//! Stream keys, by the hash of their text.

use super::{PgResult, column, word};
use kit::pg::{GenericClient, Type};
use proto::{StreamId, fleet::KeyCache};
use time::OffsetDateTime;

/// Stores a stream's new current key. The one before must have been retired.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(client: &impl GenericClient, stream: &StreamId, hash: &str) -> PgResult<()> {
    let sql = "INSERT INTO stream_keys (hash, stream_id) VALUES ($1, $2)";
    client.execute_typed(sql, &[(&hash, Type::TEXT), (&stream.as_str(), Type::TEXT)]).await?;
    Ok(())
}

/// A key that was retired, and when it ends.
#[derive(Debug, Clone)]
pub struct Retired {
    /// Its hash.
    pub hash: String,
    /// Good until then.
    pub until: OffsetDateTime,
}

/// Gives the current key an end in so many seconds, and ends earlier those that were to live longer: what is rotated away with no
/// overlap takes the older ones with it.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn retire(client: &impl GenericClient, stream: &StreamId, overlap_seconds: u32) -> PgResult<Vec<Retired>> {
    let sql = "UPDATE stream_keys SET expires_at = least(expires_at, now() + $2 * interval '1 second')
               WHERE stream_id = $1 AND (expires_at IS NULL OR expires_at > now()) RETURNING hash, expires_at";
    let params = [(&stream.as_str() as _, Type::TEXT), (&i64::from(overlap_seconds) as _, Type::INT8)];
    let rows = client.query_typed(sql, &params).await?;
    rows.iter().map(|row| Ok(Retired { hash: column(row, "hash")?, until: column(row, "expires_at")? })).collect()
}

/// A valid key of a stream that was not deleted.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn find(client: &impl GenericClient, hash: &str) -> PgResult<Option<KeyCache>> {
    let sql = "SELECT k.stream_id, k.expires_at FROM stream_keys k JOIN streams s ON s.id = k.stream_id
               WHERE k.hash = $1 AND s.deleted_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())";
    let row = client.query_typed_opt(sql, &[(&hash, Type::TEXT)]).await?;
    let key = row.map(|row| {
        let expires_at: Option<OffsetDateTime> = column(&row, "expires_at")?;
        let expires_at = expires_at.map(|at| u64::try_from(at.unix_timestamp()).unwrap_or_default());
        Ok(KeyCache { stream: word(&row, "stream_id")?, expires_at })
    });
    key.transpose()
}

/// Forgets keys that ended more than 30 days ago.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn forget_old(client: &impl GenericClient) -> PgResult<u64> {
    Ok(client.execute_typed("DELETE FROM stream_keys WHERE expires_at < now() - interval '30 days'", &[]).await?)
}
