//! The door to Postgres: a pool that works behind a transaction-mode pooler.
//!
//! Statements go out by `query_typed` and its kin only: `query` prepares, and a prepared statement is not there any more when the pooler
//! hands out another server connection. So: parameter types are named at the call, columns are built-in types (text with CHECK instead of enums),
//! and nothing depends on a session (no LISTEN, SET or session advisory lock) outside [`direct`].

use crate::{telemetry::chain, tls};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use secrecy::{ExposeSecret as _, SecretString};
use std::{path::PathBuf, str::FromStr as _, time::Duration};
use tokio_postgres::{Config, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use tokio_postgres::{
    GenericClient, Row,
    types::{ToSql, Type},
};

/// Waiting for a free connection longer than this counts as Postgres being away.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Opening a connection may take this long.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A statement that runs longer is cancelled by the server.
const STATEMENT_MAX_MS: u32 = 5_000;

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// No connection: Postgres is away or every connection is in use. Answer 503 with Retry-After.
    #[error("Postgres is away")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Postgres answered with an error: a violated constraint, or a bug of ours.
    #[error("Postgres refused a statement")]
    Statement(#[source] tokio_postgres::Error),
}

impl PgError {
    /// Every connection of the pool is in use, which says nothing of Postgres.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        use deadpool_postgres::{PoolError, TimeoutType};
        match self {
            Self::Away(error) => matches!(error.downcast_ref(), Some(PoolError::Timeout(TimeoutType::Wait))),
            Self::Statement(_) => false,
        }
    }

    /// The name of the constraint that was violated, if that is what happened.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Away(_) => None,
            Self::Statement(error) => error.as_db_error().and_then(|e| e.constraint()),
        }
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        // No SQLSTATE means that the server did not speak: the connection broke. Class 57P is the server shutting down, 53 out of connections.
        match error.code().map(tokio_postgres::error::SqlState::code) {
            Some(code) if !(code.starts_with("57P") || code.starts_with("53") || code.starts_with("08")) => {
                Self::Statement(error)
            }
            Some(_) | None => Self::Away(Box::new(error)),
        }
    }
}

/// A pool of connections; clones share it.
#[derive(Clone)]
pub struct Pg(Pool);

impl std::fmt::Debug for Pg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pg({:?})", self.0.status())
    }
}

impl Pg {
    /// Makes a pool of at most `size` connections. Connects lazily: a database that is away is found out at first use.
    ///
    /// # Errors
    /// A text for the operator, without the URL: it holds a password.
    pub fn new(url: &SecretString, size: usize) -> Result<Self, String> {
        let (config, tls) = read_url(url)?;
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, tls, manager))
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(WAIT_MAX), create: Some(CONNECT_MAX), recycle: Some(WAIT_MAX) })
            .build();
        pool.map(Self).map_err(|e| e.to_string())
    }

    /// A connection from the pool.
    ///
    /// # Errors
    /// [`PgError::Away`].
    pub async fn get(&self) -> Result<Object, PgError> {
        self.0.get().await.map_err(|e| PgError::Away(Box::new(e)))
    }

    /// Whether Postgres answers.
    ///
    /// # Errors
    /// [`PgError::Away`].
    pub async fn ping(&self) -> Result<(), PgError> {
        self.get().await?.query_typed("SELECT 1", &[]).await?;
        Ok(())
    }

    /// Connections in use and in all, for the metrics.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        let status = self.0.status();
        (status.size.saturating_sub(status.available), status.size)
    }
}

/// Closes a connection of the pool instead of handing it on: what it was asked last was never answered.
pub fn discard(connection: Object) {
    drop(Object::take(connection));
}

/// One connection outside any pool, for migrations and advisory locks (`DATABASE_URL_DIRECT`).
///
/// # Errors
/// A text for the operator, without the URL.
pub async fn direct(url: &SecretString) -> Result<tokio_postgres::Client, String> {
    let (config, tls) = read_url(url)?;
    let (client, connection) =
        config.connect(tls).await.map_err(|e| format!("cannot connect to Postgres: {}", chain(&e)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "the direct connection to Postgres broke");
        }
    });
    Ok(client)
}

/// What a URL says beyond what tokio-postgres reads itself.
#[derive(Debug, PartialEq, Eq)]
struct Normalised {
    url: String,
    ca_file: Option<PathBuf>,
}

/// Managed services hand out URLs that tokio-postgres rejects: `sslmode=verify-full`, `sslrootcert=`, `pgbouncer=true`.
///
/// We verify whenever we encrypt, so `verify-*` becomes `require`; the certificate file is read by ourselves.
fn normalise(url: &str) -> Result<Normalised, String> {
    let Ok(mut parsed) = url::Url::parse(url) else {
        // `host=... user=...` is fine for tokio-postgres as it is.
        return Ok(Normalised { url: url.to_owned(), ca_file: None });
    };
    let mut ca_file = None;
    let mut kept = Vec::new();
    for (name, value) in parsed.query_pairs() {
        match (&*name, &*value) {
            ("sslrootcert", "system") | ("pgbouncer", _) => {}
            ("sslrootcert", path) => ca_file = Some(PathBuf::from(path)),
            ("sslmode", "verify-ca" | "verify-full") => kept.push(("sslmode".to_owned(), "require".to_owned())),
            ("sslmode", "allow") => kept.push(("sslmode".to_owned(), "prefer".to_owned())),
            ("sslcert" | "sslkey", _) => {
                return Err("client certificates (sslcert, sslkey) are not supported".to_owned());
            }
            _ => kept.push((name.into_owned(), value.into_owned())),
        }
    }
    parsed.set_query(None);
    if !kept.is_empty() {
        // The form encoding writes a space as `+`, which tokio-postgres takes literally.
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&kept).finish();
        parsed.set_query(Some(&query.replace('+', "%20")));
    }
    Ok(Normalised { url: parsed.to_string(), ca_file })
}

fn read_url(url: &SecretString) -> Result<(Config, MakeRustlsConnect), String> {
    let normalised = normalise(url.expose_secret())?;
    let mut config = Config::from_str(&normalised.url)
        .map_err(|_| "not a Postgres URL; it looks like postgres://user:password@host:5432/database".to_owned())?;
    if config.get_hosts().is_empty() {
        return Err("the Postgres URL names no host".to_owned());
    }
    config.connect_timeout(CONNECT_MAX).keepalives_idle(Duration::from_secs(30));
    if config.get_application_name().is_none() {
        config.application_name("keystone");
    }
    if config.get_ssl_mode() == SslMode::Disable {
        tracing::debug!("Postgres without TLS, as its URL says");
    }
    Ok((config, MakeRustlsConnect::new(tls::client_config(normalised.ca_file.as_deref())?)))
}

/// Sets the statement time limit for the running transaction.
///
/// # Errors
/// [`PgError`].
pub async fn limit_time(client: &impl GenericClient) -> Result<(), PgError> {
    client.batch_execute(&format!("SET LOCAL statement_timeout = {STATEMENT_MAX_MS}")).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_managed_services_are_read() {
        let given =
            "postgres://u:p%40ss@db.example.com:5432/ks?sslmode=verify-full&sslrootcert=/etc/ca.pem&pgbouncer=true";
        let got = normalise(given).unwrap();
        assert_eq!(got.url, "postgres://u:p%40ss@db.example.com:5432/ks?sslmode=require");
        assert_eq!(got.ca_file, Some(PathBuf::from("/etc/ca.pem")));
        let config = Config::from_str(&got.url).unwrap();
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(config.get_password(), Some(&b"p@ss"[..]));
    }

    #[test]
    fn options_keep_their_spaces() {
        let got = normalise("postgres://u@h/d?options=-c%20search_path%3Dx").unwrap();
        assert_eq!(Config::from_str(&got.url).unwrap().get_options(), Some("-c search_path=x"));
    }

    #[test]
    fn a_bad_url_is_refused_without_showing_it() {
        let error = Pg::new(&SecretString::from("mysql://u:hunter2@h/d"), 1).unwrap_err();
        assert!(error.contains("postgres://user") && !error.contains("hunter2"), "{error}");
    }
}
