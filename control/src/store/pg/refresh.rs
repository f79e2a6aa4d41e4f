//! Refresh tokens and the sign-ins (families) they belong to.

use super::{PgResult, column, word};
use crate::domain::account::{RefreshRecord, RefreshToken, RefreshUse};
use kit::pg::{GenericClient, Row, Type};
use proto::{UserId, api::UserRole};
use time::OffsetDateTime;
use uuid::Uuid;

/// Why a family ends, in the database's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Signed out.
    Logout,
    /// Signed out of every device.
    LogoutEverywhere,
    /// A token came back after its use.
    Reuse,
    /// The password is another.
    Password,
    /// The account was disabled.
    Disabled,
}

impl Ended {
    const fn word(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutEverywhere => "logout_everywhere",
            Self::Reuse => "reuse",
            Self::Password => "password",
            Self::Disabled => "disabled",
        }
    }
}

/// A refresh token with its family.
#[derive(Debug)]
pub struct Found {
    /// What the rules need.
    pub record: RefreshRecord,
    /// Its family.
    pub family: Uuid,
    /// Whose it is.
    pub user: UserId,
}

/// Begins a sign-in by the password of this hash; false when it is another by now, or the account is disabled.
///
/// The account's row is locked until the transaction ends, so that whoever changes it ends this sign-in too.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert_family(
    client: &impl GenericClient,
    family: Uuid,
    user: UserId,
    password_hash: &str,
) -> PgResult<bool> {
    let sql = "INSERT INTO refresh_families (id, user_id)
               SELECT $1, id FROM users WHERE id = $2 AND password_hash = $3 AND disabled_at IS NULL FOR SHARE";
    let params = [(&family as _, Type::UUID), (&user.uuid() as _, Type::UUID), (&password_hash as _, Type::TEXT)];
    Ok(client.execute_typed(sql, &params).await? == 1)
}

/// The role of whoever is signed in by a family; `None` when it is over or its account disabled.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn role_of(client: &impl GenericClient, family: Uuid) -> PgResult<Option<UserRole>> {
    let sql = "SELECT u.role FROM refresh_families f JOIN users u ON u.id = f.user_id
               WHERE f.id = $1 AND f.revoked_at IS NULL AND u.disabled_at IS NULL";
    let row = client.query_typed_opt(sql, &[(&family, Type::UUID)]).await?;
    row.as_ref().map(|row| word(row, "role")).transpose()
}

/// Stores a token of a family. One that is there already is left alone: the same successor was made twice.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(
    client: &impl GenericClient,
    token: &RefreshToken,
    family: Uuid,
    expires_at: OffsetDateTime,
) -> PgResult<()> {
    let sql = "INSERT INTO refresh_tokens (hash, family_id, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let hash = token.hash();
    let params = [(&hash as _, Type::TEXT), (&family as _, Type::UUID), (&expires_at as _, Type::TIMESTAMPTZ)];
    client.execute_typed(sql, &params).await?;
    Ok(())
}

/// Finds a token and locks it until the transaction ends, so that of two refreshes at once one sees the other's.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn lock(client: &impl GenericClient, token: &RefreshToken) -> PgResult<Option<Found>> {
    let sql = "SELECT t.family_id, t.expires_at, t.used_at, t.used_client, t.successor_salt, f.user_id,
                      f.revoked_at IS NOT NULL AS revoked
               FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id
               WHERE t.hash = $1 FOR UPDATE OF t, f";
    let row = client.query_typed_opt(sql, &[(&token.hash(), Type::TEXT)]).await?;
    row.as_ref().map(found).transpose()
}

fn found(row: &Row) -> PgResult<Found> {
    let used_at: Option<OffsetDateTime> = column(row, "used_at")?;
    let client: Option<String> = column(row, "used_client")?;
    let salt: Option<Vec<u8>> = column(row, "successor_salt")?;
    let used = used_at.zip(salt).map(|(at, salt)| RefreshUse { at, client: client.unwrap_or_default(), salt });
    let record = RefreshRecord { expires_at: column(row, "expires_at")?, revoked: column(row, "revoked")?, used };
    Ok(Found { record, family: column(row, "family_id")?, user: UserId::from_uuid(column(row, "user_id")?) })
}

/// Notes that a token was exchanged.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn mark_used(client: &impl GenericClient, token: &RefreshToken, by: &RefreshUse) -> PgResult<()> {
    let sql = "UPDATE refresh_tokens SET used_at = $2, used_client = $3, successor_salt = $4 WHERE hash = $1";
    let params = [
        (&token.hash() as _, Type::TEXT),
        (&by.at as _, Type::TIMESTAMPTZ),
        (&by.client as _, Type::TEXT),
        (&by.salt as _, Type::BYTEA),
    ];
    client.execute_typed(sql, &params).await?;
    Ok(())
}

/// Ends a sign-in.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn end_family(client: &impl GenericClient, family: Uuid, why: Ended) -> PgResult<()> {
    let sql =
        "UPDATE refresh_families SET revoked_at = now(), revoked_reason = $2 WHERE id = $1 AND revoked_at IS NULL";
    client.execute_typed(sql, &[(&family, Type::UUID), (&why.word(), Type::TEXT)]).await?;
    Ok(())
}

/// Ends every sign-in of a user, but the one to `spare`; how many there were.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn end_all(client: &impl GenericClient, user: UserId, spare: Option<Uuid>, why: Ended) -> PgResult<u64> {
    let sql = "UPDATE refresh_families SET revoked_at = now(), revoked_reason = $2
               WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $3";
    let (user, word) = (user.uuid(), why.word());
    let params = [(&user as _, Type::UUID), (&word as _, Type::TEXT), (&spare as _, Type::UUID)];
    Ok(client.execute_typed(sql, &params).await?)
}

/// Forgets tokens that expired more than a week ago, and families that have none left.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn forget_old(client: &impl GenericClient) -> PgResult<u64> {
    let sql = "DELETE FROM refresh_tokens WHERE expires_at < now() - interval '7 days'";
    let gone = client.execute_typed(sql, &[]).await?;
    let sql = "DELETE FROM refresh_families f WHERE created_at < now() - interval '37 days'
               AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.family_id = f.id)";
    client.execute_typed(sql, &[]).await?;
    Ok(gone)
}
