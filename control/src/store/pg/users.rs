//! Accounts.

use super::{PgResult, column, word};
use crate::domain::account::Email;
use kit::pg::{GenericClient, Row, Type};
use proto::{
    UserId,
    api::{UpdateUser, User, UserRole},
};
use time::OffsetDateTime;

const COLUMNS: &str = "id, email, display_name, role, created_at, disabled_at";

fn user(row: &Row) -> PgResult<User> {
    Ok(User {
        id: UserId::from_uuid(column(row, "id")?),
        email: column(row, "email")?,
        display_name: column(row, "display_name")?,
        role: word(row, "role")?,
        created_at: column(row, "created_at")?,
        disabled_at: column(row, "disabled_at")?,
    })
}

/// The database's word for a role.
#[must_use]
pub const fn role_word(role: UserRole) -> &'static str {
    match role {
        UserRole::User => "user",
        UserRole::Admin => "admin",
    }
}

/// Makes an account; `None` when the e-mail is taken.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(
    client: &impl GenericClient,
    id: UserId,
    email: &Email,
    display_name: &str,
    role: UserRole,
    password_hash: &str,
) -> PgResult<Option<User>> {
    let sql = format!(
        "INSERT INTO users (id, email, display_name, role, password_hash) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ((lower(email))) DO NOTHING RETURNING {COLUMNS}"
    );
    let row = client
        .query_typed_opt(
            &sql,
            &[
                (&id.uuid(), Type::UUID),
                (&email.as_str(), Type::TEXT),
                (&display_name, Type::TEXT),
                (&role_word(role), Type::TEXT),
                (&password_hash, Type::TEXT),
            ],
        )
        .await?;
    row.as_ref().map(user).transpose()
}

/// An account with its password hash, by e-mail without regard to case.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn by_email(client: &impl GenericClient, email: &Email) -> PgResult<Option<(User, String)>> {
    let sql = format!("SELECT {COLUMNS}, password_hash FROM users WHERE lower(email) = lower($1)");
    let row = client.query_typed_opt(&sql, &[(&email.as_str(), Type::TEXT)]).await?;
    row.map(|row| Ok((user(&row)?, column(&row, "password_hash")?))).transpose()
}

/// An account.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn get(client: &impl GenericClient, id: UserId) -> PgResult<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = $1");
    let row = client.query_typed_opt(&sql, &[(&id.uuid(), Type::UUID)]).await?;
    row.as_ref().map(user).transpose()
}

/// An account's e-mail and password hash.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn login_of(client: &impl GenericClient, id: UserId) -> PgResult<Option<(String, String)>> {
    let sql = "SELECT email, password_hash FROM users WHERE id = $1";
    let row = client.query_typed_opt(sql, &[(&id.uuid(), Type::UUID)]).await?;
    row.map(|row| Ok((column(&row, "email")?, column(&row, "password_hash")?))).transpose()
}

/// Gives an account another password.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn set_password(client: &impl GenericClient, id: UserId, password_hash: &str) -> PgResult<()> {
    let sql = "UPDATE users SET password_hash = $2 WHERE id = $1";
    client.execute_typed(sql, &[(&id.uuid(), Type::UUID), (&password_hash, Type::TEXT)]).await?;
    Ok(())
}

/// Changes what is given; `None` when there is no such account. One that is disabled already keeps its time.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn update(client: &impl GenericClient, id: UserId, change: &UpdateUser) -> PgResult<Option<User>> {
    let sql = format!(
        "UPDATE users SET role = coalesce($2, role),
             disabled_at = CASE WHEN $3 THEN coalesce(disabled_at, now()) WHEN NOT $3 THEN NULL ELSE disabled_at END
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    let (id, role) = (id.uuid(), change.role.map(role_word));
    let params = [(&id as _, Type::UUID), (&role as _, Type::TEXT), (&change.disabled as _, Type::BOOL)];
    let row = client.query_typed_opt(&sql, &params).await?;
    row.as_ref().map(user).transpose()
}

/// Makes an account an admin with a new password, and enables it.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn promote(client: &impl GenericClient, email: &Email, password_hash: &str) -> PgResult<Option<User>> {
    let sql = format!(
        "UPDATE users SET role = 'admin', password_hash = $2, disabled_at = NULL WHERE lower(email) = lower($1)
         RETURNING {COLUMNS}"
    );
    let params = [(&email.as_str() as _, Type::TEXT), (&password_hash as _, Type::TEXT)];
    let row = client.query_typed_opt(&sql, &params).await?;
    row.as_ref().map(user).transpose()
}

/// Accounts, newest first, after a place in the list; only that of an e-mail, if one is given.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn list(
    client: &impl GenericClient,
    email: Option<&Email>,
    after: Option<(OffsetDateTime, UserId)>,
    rows_max: i64,
) -> PgResult<Vec<User>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users
         WHERE ($1::timestamptz IS NULL OR (created_at, id) < ($1, $2)) AND ($4::text IS NULL OR lower(email) = lower($4))
         ORDER BY created_at DESC, id DESC LIMIT $3"
    );
    let (at, id) = (after.map(|(at, _)| at), after.map(|(_, id)| id.uuid()));
    let email = email.map(Email::as_str);
    let params = [
        (&at as _, Type::TIMESTAMPTZ),
        (&id as _, Type::UUID),
        (&rows_max as _, Type::INT8),
        (&email as _, Type::TEXT),
    ];
    client.query_typed(&sql, &params).await?.iter().map(user).collect()
}
