//! Rotation: a new secret is told to everybody first, makes from [`ACTIVE_IN_SECONDS`] on, and the old one opens for a while more.

use super::{Sealer, SecretsError, make};
use crate::store::pg::{
    audit,
    secrets::{self as store, Kind},
};

/// Time for every control-api (which reads every 10 s) and every edge to learn of a new secret before it makes anything.
pub const ACTIVE_IN_SECONDS: i64 = 30;
/// How long the old cluster secret still opens: longer than most sessions live, because session URLs are sealed with it.
pub const CLUSTER_OVERLAP_SECONDS: i64 = 24 * 3600;
/// How long the old token key still verifies: as long as its youngest token may live.
#[expect(clippy::cast_possible_wrap, reason = "a constant of 30 days")]
pub const TOKEN_KEY_OVERLAP_SECONDS: i64 = proto::token::TTL_MAX_SECONDS as i64 + ACTIVE_IN_SECONDS;

/// Why nothing was rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The cluster secret before the current one is still honoured, and only one can be.
    #[error(
        "the last rotation of the cluster secret is in its overlap until {until}; --force ends the sessions that depend on it"
    )]
    Overlap {
        /// Its end.
        until: time::OffsetDateTime,
    },
    /// The new secret of a rotation a moment ago is not active yet.
    #[error("a rotation is under way; try again in {ACTIVE_IN_SECONDS} s")]
    Pending,
    /// See there.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

impl From<tokio_postgres::Error> for RotateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Secrets(error.into())
    }
}

impl From<kit::pg::PgError> for RotateError {
    fn from(error: kit::pg::PgError) -> Self {
        Self::Secrets(error.into())
    }
}

/// Rotates the secret of one kind.
///
/// # Errors
/// [`RotateError`]; nothing was changed then.
pub async fn rotate(
    client: &mut tokio_postgres::Client,
    sealer: &Sealer,
    kind: Kind,
    force: bool,
) -> Result<(), RotateError> {
    let transaction = client.transaction().await?;
    store::lock(&transaction).await?;
    let rows = store::all(&transaction).await?;
    let of_kind = || rows.iter().filter(|row| row.kind == kind.word());
    if of_kind().any(|row| !row.active) {
        return Err(RotateError::Pending);
    }
    let overlap = match kind {
        Kind::TokenKey => TOKEN_KEY_OVERLAP_SECONDS,
        Kind::Cluster | Kind::StreamKey => CLUSTER_OVERLAP_SECONDS,
    };
    if kind != Kind::TokenKey {
        match of_kind().find_map(|row| row.honoured_until) {
            Some(until) if !force => return Err(RotateError::Overlap { until }),
            _ => store::drop_retired(&transaction, kind).await?,
        }
    }
    store::retire(&transaction, kind, ACTIVE_IN_SECONDS + overlap).await?;
    make(&transaction, sealer, kind, ACTIVE_IN_SECONDS).await?;
    let entry = audit::Entry {
        actor: None,
        action: "secret.rotate",
        target: format!("secret/{}", kind.word()),
        ip: None,
        detail: &audit::NOTHING,
    };
    audit::insert(&transaction, entry).await?;
    transaction.commit().await?;
    Ok(())
}
