//! The cluster's secrets, sealed.

use super::{PgResult, column};
use kit::pg::{GenericClient, Row, Type};
use time::OffsetDateTime;
use uuid::Uuid;

/// What a secret is for, in the database's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The cluster secret.
    Cluster,
    /// The secret behind stream keys' checks.
    StreamKey,
    /// An Ed25519 key that signs publish and play tokens.
    TokenKey,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::StreamKey, Self::TokenKey];

    /// The database's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::StreamKey => "stream_key",
            Self::TokenKey => "token_key",
        }
    }
}

/// One secret that is current, pending or still honoured.
#[derive(Debug)]
pub struct SecretRow {
    /// Names it; a token key's `kid`.
    pub id: Uuid,
    /// [`Kind::word`].
    pub kind: String,
    /// The public half of a token key.
    pub public_key: Option<Vec<u8>>,
    /// See [`crate::secrets::seal`].
    pub sealed: Vec<u8>,
    /// Makes; else it only opens.
    pub active: bool,
    /// When it is forgotten, if it was rotated away.
    pub honoured_until: Option<OffsetDateTime>,
}

fn secret(row: &Row) -> PgResult<SecretRow> {
    Ok(SecretRow {
        id: column(row, "id")?,
        kind: column(row, "kind")?,
        public_key: column(row, "public_key")?,
        sealed: column(row, "sealed")?,
        active: column(row, "active")?,
        honoured_until: column(row, "honoured_until")?,
    })
}

/// All secrets that are not over, newest first. The database's clock decides which are active, so that all processes agree.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn all(client: &impl GenericClient) -> PgResult<Vec<SecretRow>> {
    let sql = "SELECT id, kind, public_key, sealed, active_from <= now() AS active, honoured_until FROM secrets
               WHERE honoured_until IS NULL OR honoured_until > now() ORDER BY active_from DESC";
    client.query_typed(sql, &[]).await?.iter().map(secret).collect()
}

/// Lets one transaction at a time change secrets.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn lock(client: &impl GenericClient) -> PgResult<()> {
    // A number of our own; any would do that nothing else in this database locks.
    client.query_typed("SELECT pg_advisory_xact_lock(1801748581)", &[]).await?;
    Ok(())
}

/// Adds a secret that makes from `active_in_seconds` on.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(
    client: &impl GenericClient,
    id: Uuid,
    kind: Kind,
    public_key: Option<&[u8]>,
    sealed: &[u8],
    active_in_seconds: i64,
) -> PgResult<()> {
    let sql = "INSERT INTO secrets (id, kind, public_key, sealed, active_from)
               VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')";
    let params = [
        (&id as _, Type::UUID),
        (&kind.word() as _, Type::TEXT),
        (&public_key as _, Type::BYTEA),
        (&sealed as _, Type::BYTEA),
        (&active_in_seconds as _, Type::INT8),
    ];
    client.execute_typed(sql, &params).await?;
    Ok(())
}

/// Rotates the current secret of a kind away: honoured for `seconds` more.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn retire(client: &impl GenericClient, kind: Kind, seconds: i64) -> PgResult<()> {
    let sql = "UPDATE secrets SET honoured_until = now() + $2 * interval '1 second'
               WHERE kind = $1 AND honoured_until IS NULL";
    client.execute_typed(sql, &[(&kind.word(), Type::TEXT), (&seconds, Type::INT8)]).await?;
    Ok(())
}

/// Forgets at once what was rotated away earlier.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn drop_retired(client: &impl GenericClient, kind: Kind) -> PgResult<()> {
    let sql = "UPDATE secrets SET honoured_until = now() WHERE kind = $1 AND honoured_until > now()";
    client.execute_typed(sql, &[(&kind.word(), Type::TEXT)]).await?;
    Ok(())
}

/// Replaces a secret's seal, unless another process did so first.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn reseal(client: &impl GenericClient, id: Uuid, from: &[u8], to: &[u8]) -> PgResult<()> {
    let sql = "UPDATE secrets SET sealed = $3 WHERE id = $1 AND sealed = $2";
    client.execute_typed(sql, &[(&id, Type::UUID), (&from, Type::BYTEA), (&to, Type::BYTEA)]).await?;
    Ok(())
}
