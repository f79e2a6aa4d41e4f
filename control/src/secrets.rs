//! The cluster's secrets: made once, sealed in Postgres, held in memory, published to edges in Redis, rotated with overlap.

pub mod rotate;
pub mod seal;

use crate::{
    app::State,
    store::{
        cache,
        pg::secrets::{self as store, Kind, SecretRow},
    },
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use kit::{
    kv::{Cmd, Kv, KvError},
    pg::{GenericClient, Pg, PgError},
    token::{MediaKeys, MediaSigner},
};
use proto::{
    event::Event,
    keys,
    secret::{ClusterSecret, Keyring, PublishedSecrets, SECRET_BYTES},
    token::PublicKey,
};
use seal::{SealError, Sealer};
use secrecy::ExposeSecret as _;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often secrets are read from Postgres and published to Redis.
const PUBLISH_EVERY: Duration = Duration::from_secs(10);
/// How often, while they were never read.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Why the secrets are not at hand.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Postgres is away, or was not migrated yet: try again.
    #[error("the secrets cannot be read from Postgres")]
    Store(#[from] PgError),
    /// They cannot be opened with the settings given; an operator must act.
    #[error(
        "the secrets in Postgres cannot be opened: set JWT_SECRET, or JWT_SECRET_PREVIOUS, to the secret they were sealed under"
    )]
    Seal(#[from] SealError),
    /// A row holds something else than it should.
    #[error("a secret in Postgres is damaged: {what}")]
    Damaged {
        /// Which.
        what: &'static str,
    },
}

impl From<tokio_postgres::Error> for SecretsError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The secrets, ready for use.
#[derive(Debug)]
pub struct Secrets {
    /// Tickets, handles, internal bearers.
    pub keyring: Keyring,
    /// Stream keys' checks.
    pub stream_key: ClusterSecret,
    /// Signs publish and play tokens.
    pub signer: MediaSigner,
    /// Checks them.
    pub media: MediaKeys,
    /// Public halves of the token keys, newest first.
    pub token_keys: Vec<PublicKey>,
}

impl Secrets {
    /// The secret behind stream keys' checks, as [`proto::stream_key::StreamKey`] takes it.
    #[must_use]
    pub fn stream_key_check(&self) -> Vec<u8> {
        // The encoded form is what edges get, so both sides take its bytes.
        BASE64URL_NOPAD.decode(self.stream_key.encode().as_bytes()).unwrap_or_default()
    }

    /// What edges get.
    #[must_use]
    pub fn published(&self) -> PublishedSecrets {
        PublishedSecrets {
            current: self.keyring.current.encode(),
            previous: self.keyring.previous.as_ref().map(ClusterSecret::encode),
            stream_key: self.stream_key.encode(),
            token_keys: self.token_keys.clone(),
        }
    }
}

/// What a secret's seal is for.
fn purpose(kind: Kind, id: Uuid) -> String {
    format!("{} {}", kind.word(), id.simple())
}

/// Makes those secrets that are missing. Safe when several processes start at once.
///
/// # Errors
/// [`SecretsError`].
pub async fn ensure(client: &mut tokio_postgres::Client, sealer: &Sealer) -> Result<(), SecretsError> {
    let transaction = client.transaction().await?;
    store::lock(&transaction).await?;
    let rows = store::all(&transaction).await?;
    for kind in Kind::ALL {
        if !rows.iter().any(|row| row.kind == kind.word() && row.honoured_until.is_none()) {
            make(&transaction, sealer, kind, 0).await?;
            tracing::info!(kind = kind.word(), "a secret was made");
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Draws a secret and stores it.
async fn make(
    client: &impl GenericClient,
    sealer: &Sealer,
    kind: Kind,
    active_in_seconds: i64,
) -> Result<(), SecretsError> {
    let id = Uuid::from_bytes(kit::random::bytes());
    let (plain, public) = match kind {
        Kind::Cluster | Kind::StreamKey => (kit::random::bytes::<SECRET_BYTES>().to_vec(), None),
        Kind::TokenKey => {
            let pair = Ed25519KeyPair::generate().map_err(|_| SecretsError::Damaged { what: "no key was made" })?;
            let der = pair.to_pkcs8v1().map_err(|_| SecretsError::Damaged { what: "no key was made" })?;
            (der.as_ref().to_vec(), Some(pair.public_key().as_ref().to_vec()))
        }
    };
    let sealed = sealer.seal(&purpose(kind, id), &plain)?;
    store::insert(client, id, kind, public.as_deref(), &sealed, active_in_seconds).await?;
    Ok(())
}

/// Reads the secrets into `state`, making missing ones and renewing seals made under the previous `JWT_SECRET`.
///
/// # Errors
/// [`SecretsError`]; what was held before stays.
pub async fn load(state: &State) -> Result<(), SecretsError> {
    let secrets = read(&state.pg, &state.sealer).await?;
    let mut secrets = secrets;
    if let Some(edge) = &state.config.edge_secret {
        secrets.keyring = Keyring {
            current: ClusterSecret::from_setting(edge.current.expose_secret()),
            previous: edge.previous.as_ref().map(|previous| ClusterSecret::from_setting(previous.expose_secret())),
        };
    }
    state.set_secrets(secrets);
    Ok(())
}

async fn read(pg: &Pg, sealer: &Sealer) -> Result<Secrets, SecretsError> {
    let mut client = pg.get().await?;
    let mut rows = store::all(&**client).await?;
    let missing = |kind: Kind| !rows.iter().any(|row| row.kind == kind.word() && row.active);
    if Kind::ALL.into_iter().any(missing) {
        ensure(&mut client, sealer).await?;
        rows = store::all(&**client).await?;
    }
    let mut open = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == row.kind) else { continue };
        let purpose = purpose(kind, row.id);
        let opened = sealer.open(&purpose, &row.sealed)?;
        if opened.stale {
            let again = sealer.seal(&purpose, &opened.plain)?;
            store::reseal(&**client, row.id, &row.sealed, &again).await?;
            tracing::info!(kind = row.kind, "a secret was sealed again under the current JWT_SECRET");
        }
        open.push((kind, row, opened.plain));
    }
    assemble(&open)
}

/// Which secret makes and which only open. `rows` are newest first.
fn assemble(rows: &[(Kind, SecretRow, Vec<u8>)]) -> Result<Secrets, SecretsError> {
    let of = |wanted: Kind| rows.iter().filter(move |(kind, ..)| *kind == wanted);
    let current = |wanted: Kind| {
        of(wanted).find(|(_, row, _)| row.active).ok_or(SecretsError::Damaged { what: "one is missing" })
    };
    let symmetric = |plain: &[u8]| {
        let bytes = plain.try_into().map_err(|_| SecretsError::Damaged { what: "its length" })?;
        Ok::<_, SecretsError>(ClusterSecret::from_bytes(bytes))
    };
    let cluster = current(Kind::Cluster)?;
    // While a new secret waits for its time it already opens: another process's clock may be ahead.
    let other = of(Kind::Cluster).find(|(_, row, _)| row.id != cluster.1.id);
    let token = current(Kind::TokenKey)?;
    let token_keys: Vec<PublicKey> = of(Kind::TokenKey)
        .map(|(_, row, _)| PublicKey {
            kid: row.id.simple().to_string(),
            x: BASE64URL_NOPAD.encode(row.public_key.as_deref().unwrap_or_default()),
        })
        .collect();
    Ok(Secrets {
        keyring: Keyring {
            current: symmetric(&cluster.2)?,
            previous: other.map(|(_, _, plain)| symmetric(plain)).transpose()?,
        },
        stream_key: symmetric(&current(Kind::StreamKey)?.2)?,
        signer: MediaSigner::new(token.1.id.simple().to_string(), &token.2),
        media: MediaKeys::new(&token_keys),
        token_keys,
    })
}

/// Writes the secrets to Redis for the edges; tells them when they changed.
///
/// # Errors
/// [`KvError`].
pub async fn publish(kv: &Kv, secrets: &Secrets) -> Result<(), KvError> {
    let json = serde_json::to_string(&secrets.published()).map_err(|_| KvError::Shape)?;
    let before = kv.run(vec![Cmd::get(keys::SECRETS), Cmd::set(keys::SECRETS, &json, None)]).await?;
    if before.first().and_then(|reply| reply.text()) != Some(&json) {
        kv.one(crate::store::cache::event(&Event::SecretsChanged)).await?;
    }
    Ok(())
}

/// Reads and publishes the secrets until `stop`.
pub async fn keep_published(state: Arc<State>, stop: CancellationToken) {
    let mut readable = state.secrets().is_ok();
    loop {
        if let Ok(secrets) = state.secrets()
            && publish(&state.kv, &secrets).await.is_err()
        {
            state.metrics.redis_skipped("secrets");
        }
        cache::catch_up(&state).await;
        let pause = if state.secrets().is_ok() { PUBLISH_EVERY } else { RETRY_EVERY };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let read = load(&state).await;
        if let (Err(error), true) = (&read, readable) {
            tracing::warn!(cause = %kit::telemetry::chain(error), "the secrets cannot be read; going on with those held");
        }
        readable = read.is_ok();
    }
}
