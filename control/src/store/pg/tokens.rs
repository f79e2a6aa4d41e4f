//! Publish and play tokens. The token itself is not stored: its signature makes it.

use super::{PgResult, column, word};
use kit::pg::{GenericClient, Row, Type};
use proto::{StreamId, TokenId, UserId, api::Token};
use time::OffsetDateTime;

const COLUMNS: &str = "id, action, single_use, ip, created_at, expires_at, revoked_at";

fn token(row: &Row) -> PgResult<Token> {
    Ok(Token {
        id: TokenId::from_uuid(column(row, "id")?),
        action: word(row, "action")?,
        single_use: column(row, "single_use")?,
        ip: column(row, "ip")?,
        created_at: column(row, "created_at")?,
        expires_at: column(row, "expires_at")?,
        revoked_at: column(row, "revoked_at")?,
    })
}

/// Stores a token.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(client: &impl GenericClient, stream: &StreamId, made_by: UserId, token: &Token) -> PgResult<()> {
    let sql = "INSERT INTO tokens (id, stream_id, made_by, action, single_use, ip, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let params = [
        (&token.id.uuid() as _, Type::UUID),
        (&stream.as_str() as _, Type::TEXT),
        (&made_by.uuid() as _, Type::UUID),
        (&token.action.as_str() as _, Type::TEXT),
        (&token.single_use as _, Type::BOOL),
        (&token.ip as _, Type::INET),
        (&token.created_at as _, Type::TIMESTAMPTZ),
        (&token.expires_at as _, Type::TIMESTAMPTZ),
    ];
    client.execute_typed(sql, &params).await?;
    Ok(())
}

/// Locks the stream until the transaction ends and counts its valid tokens, so that two requests at once cannot pass the limit.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn count_valid(client: &impl GenericClient, stream: &StreamId) -> PgResult<i64> {
    client.query_typed("SELECT 1 FROM streams WHERE id = $1 FOR UPDATE", &[(&stream.as_str(), Type::TEXT)]).await?;
    let sql = "SELECT count(*) AS n FROM tokens WHERE stream_id = $1 AND revoked_at IS NULL AND expires_at > now()";
    let row = client.query_typed_one(sql, &[(&stream.as_str(), Type::TEXT)]).await?;
    column(&row, "n")
}

/// A stream's tokens, newest first.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn list(
    client: &impl GenericClient,
    stream: &StreamId,
    after: Option<(OffsetDateTime, TokenId)>,
    rows_max: i64,
) -> PgResult<Vec<Token>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tokens
         WHERE stream_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
         ORDER BY created_at DESC, id DESC LIMIT $4"
    );
    let (at, id) = (after.map(|(at, _)| at), after.map(|(_, id)| id.uuid()));
    let params = [
        (&stream.as_str() as _, Type::TEXT),
        (&at as _, Type::TIMESTAMPTZ),
        (&id as _, Type::UUID),
        (&rows_max as _, Type::INT8),
    ];
    client.query_typed(&sql, &params).await?.iter().map(token).collect()
}

/// Revokes one token of a stream; `None` when it has no such token. Revoking twice keeps the first time.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn revoke(client: &impl GenericClient, stream: &StreamId, id: TokenId) -> PgResult<Option<Token>> {
    let sql = format!(
        "UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 AND stream_id = $2 RETURNING {COLUMNS}"
    );
    let row = client.query_typed_opt(&sql, &[(&id.uuid(), Type::UUID), (&stream.as_str(), Type::TEXT)]).await?;
    row.as_ref().map(token).transpose()
}

/// Revokes all valid tokens of a stream and gives them back.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn revoke_all(client: &impl GenericClient, stream: &StreamId) -> PgResult<Vec<Token>> {
    let sql = format!(
        "UPDATE tokens SET revoked_at = now() WHERE stream_id = $1 AND revoked_at IS NULL AND expires_at > now()
         RETURNING {COLUMNS}"
    );
    client.query_typed(&sql, &[(&stream.as_str(), Type::TEXT)]).await?.iter().map(token).collect()
}

/// One page of what Redis must hold again after it lost its data: tokens that have not expired, by id.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn unexpired(client: &impl GenericClient, after: Option<TokenId>, rows_max: i64) -> PgResult<Vec<Token>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tokens WHERE expires_at > now() AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2"
    );
    let params = [(&after.map(|id| id.uuid()) as _, Type::UUID), (&rows_max as _, Type::INT8)];
    client.query_typed(&sql, &params).await?.iter().map(token).collect()
}

/// Whether a token of a stream was issued, has not expired and was not revoked, and its stream not deleted.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn is_valid(client: &impl GenericClient, stream: &StreamId, id: TokenId) -> PgResult<bool> {
    let sql = "SELECT 1 FROM tokens t JOIN streams s ON s.id = t.stream_id
               WHERE t.id = $1 AND t.stream_id = $2 AND t.revoked_at IS NULL AND t.expires_at > now() AND s.deleted_at IS NULL";
    let row = client.query_typed_opt(sql, &[(&id.uuid(), Type::UUID), (&stream.as_str(), Type::TEXT)]).await?;
    Ok(row.is_some())
}

/// Forgets tokens that expired more than 30 days ago.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn forget_old(client: &impl GenericClient) -> PgResult<u64> {
    Ok(client.execute_typed("DELETE FROM tokens WHERE expires_at < now() - interval '30 days'", &[]).await?)
}
