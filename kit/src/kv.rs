//! The door to Redis: commands in one round trip, and subscriptions that survive a reconnect.
//!
//! [`KvStore`] is all that Keystone asks of a Redis client, so that the library behind it (fred, in [`redis`]) can be replaced in one file.
//! Commands are built by [`Cmd`]'s verbs. Every call is bounded in time; while the server is away calls fail at once.

mod cmd;
pub mod placed;
mod redis;

pub use cmd::{Cmd, Reply};
pub use redis::{Redis, RedisConfig};

use futures_util::future::BoxFuture;
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::broadcast;

/// How long a round trip may take before Redis counts as away.
pub const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);
/// Messages a subscriber may lag behind before it is told that it lost some.
pub const NEWS_BACKLOG: usize = 4096;

/// Why Redis has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// Not connected, or no answer in time.
    #[error("Redis is away")]
    Away,
    /// Redis answered with an error; a bug of ours or a server without the right.
    #[error("Redis refused a command: {0}")]
    Refused(String),
    /// The answer has another shape than the command gives; a bug of ours or another program's key.
    #[error("Redis answered in an unexpected shape")]
    Shape,
}

/// News from subscribed channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A message.
    Message {
        /// Its channel.
        channel: String,
        /// Its payload.
        payload: bytes::Bytes,
    },
    /// The connection was lost and is back: messages in between are lost, so ask again for what they told.
    Reconnected,
}

/// What Keystone asks of Redis.
pub trait KvStore: Send + Sync + fmt::Debug {
    /// Runs the commands in order in one round trip; the first error is the answer of all.
    fn run(&self, commands: Vec<Cmd>) -> BoxFuture<'_, Result<Vec<Reply>, KvError>>;
    /// Adds channels to what [`KvStore::news`] hears; kept over reconnects.
    fn subscribe(&self, channels: Vec<String>) -> BoxFuture<'_, Result<(), KvError>>;
    /// A receiver of all news from now on. A `Lagged` receiver has lost news, as if by [`News::Reconnected`].
    fn news(&self) -> broadcast::Receiver<News>;
    /// Whether the server was connected a moment ago.
    fn connected(&self) -> bool;
}

/// A shared handle to the store, with the calls that are common enough to have a name.
#[derive(Debug, Clone)]
pub struct Kv(Arc<dyn KvStore>);

impl Kv {
    /// Wraps a store.
    pub fn new(store: impl KvStore + 'static) -> Self {
        Self(Arc::new(store))
    }

    /// Runs the commands in order in one round trip.
    ///
    /// # Errors
    /// [`KvError`]; none, some or all of the commands may have been carried out then.
    pub async fn run(&self, commands: Vec<Cmd>) -> Result<Vec<Reply>, KvError> {
        self.0.run(commands).await
    }

    /// Runs one command.
    ///
    /// # Errors
    /// [`KvError`].
    pub async fn one(&self, command: Cmd) -> Result<Reply, KvError> {
        self.0.run(vec![command]).await?.pop().ok_or(KvError::Shape)
    }

    /// Reads a key as JSON; `None` when it is absent or holds something else (which is logged: another program's key).
    ///
    /// # Errors
    /// [`KvError`].
    pub async fn json<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>, KvError> {
        self.one(Cmd::get(key)).await?.json()
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// [`KvError`].
    pub async fn ping(&self) -> Result<(), KvError> {
        self.one(Cmd::new("PING")).await.map(|_| ())
    }

    /// Adds channels to what [`Kv::news`] hears.
    ///
    /// # Errors
    /// [`KvError`].
    pub async fn subscribe(&self, channels: Vec<String>) -> Result<(), KvError> {
        self.0.subscribe(channels).await
    }

    /// A receiver of all news from now on.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.0.news()
    }

    /// Whether the server was connected a moment ago.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.0.connected()
    }
}
