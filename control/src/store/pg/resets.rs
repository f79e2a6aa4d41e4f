//! Codes that set a new password: hashes only, one an account.

use super::{PgResult, column};
use crate::domain::account::ResetCode;
use kit::pg::{GenericClient, Row, Type};
use proto::UserId;
use time::OffsetDateTime;

fn user(row: &Row) -> PgResult<UserId> {
    Ok(UserId::from_uuid(column(row, "user_id")?))
}

/// Puts a code in the place of the account's one before; false when there is no such account.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn put(
    client: &impl GenericClient,
    of: UserId,
    code: &ResetCode,
    expires_at: OffsetDateTime,
) -> PgResult<bool> {
    let sql = "INSERT INTO password_resets (user_id, hash, expires_at) SELECT id, $2, $3 FROM users WHERE id = $1
               ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at";
    let (id, hash) = (of.uuid(), code.hash());
    let params = [(&id as _, Type::UUID), (&hash as _, Type::TEXT), (&expires_at as _, Type::TIMESTAMPTZ)];
    Ok(client.execute_typed(sql, &params).await? == 1)
}

/// Whose a code is, if it is good.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn find(client: &impl GenericClient, code: &ResetCode) -> PgResult<Option<UserId>> {
    let sql = "SELECT user_id FROM password_resets WHERE hash = $1 AND expires_at > now()";
    let row = client.query_typed_opt(sql, &[(&code.hash(), Type::TEXT)]).await?;
    row.as_ref().map(user).transpose()
}

/// The same, and uses it up.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn take(client: &impl GenericClient, code: &ResetCode) -> PgResult<Option<UserId>> {
    let sql = "DELETE FROM password_resets WHERE hash = $1 AND expires_at > now() RETURNING user_id";
    let row = client.query_typed_opt(sql, &[(&code.hash(), Type::TEXT)]).await?;
    row.as_ref().map(user).transpose()
}

/// Voids an account's code.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn forget(client: &impl GenericClient, of: UserId) -> PgResult<()> {
    client.execute_typed("DELETE FROM password_resets WHERE user_id = $1", &[(&of.uuid(), Type::UUID)]).await?;
    Ok(())
}

/// Forgets codes that expired.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn forget_old(client: &impl GenericClient) -> PgResult<u64> {
    Ok(client.execute_typed("DELETE FROM password_resets WHERE expires_at < now()", &[]).await?)
}
