//! [`KvStore`] by fred.
use super::{Cmd, Kv, KvError, KvStore, NEWS_BACKLOG, News, ROUND_TRIP_MAX, Reply};
use crate::env::Env;
use bytes::Bytes;
use fred::{
    clients::{Pool, SubscriberClient},
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface, PubsubInterface},
    types::{
        Builder, ClusterHash, CustomCommand, Value,
        config::{Config, ReconnectPolicy, ServerConfig, TlsConnector, UnresponsiveConfig},
    },
};
use futures_util::{FutureExt as _, future::BoxFuture};
use secrecy::{ExposeSecret as _, SecretString};
use std::{path::PathBuf, time::Duration};
use tokio::sync::broadcast;

/// Connections for commands; each carries many round trips at once.
const POOL_SIZE: usize = 4;
/// Between attempts to reconnect: from 50 ms, doubling, to 2 s; for ever.
const RECONNECT_MIN_MS: u32 = 50;
const RECONNECT_MAX_MS: u32 = 2_000;
/// A connection that answers nothing for this long is broken, whatever TCP says.
const UNRESPONSIVE: Duration = Duration::from_secs(3);
/// How long the first connection may take before the service starts without it.
const FIRST_CONNECT_MAX: Duration = Duration::from_secs(3);

/// Where Redis is: `REDIS_URL`, or `REDIS_ADDR` with `REDIS_PASSWORD`.
#[derive(Clone)]
pub struct RedisConfig(Config);

impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedisConfig({:?})", self.0.server)
    }
}

impl RedisConfig {
    /// Reads `REDIS_CA_FILE` and `REDIS_URL` (`redis://`, `rediss://`, `redis-sentinel://`, `redis-cluster://`), or `REDIS_ADDR` (default `127.0.0.1:6379`) and
    /// `REDIS_PASSWORD` (default none; also used for a URL that names no password).
    pub fn read(env: &mut Env) -> Self {
        let password = env.secret("REDIS_PASSWORD");
        let from_url = env.read("REDIS_URL", |url| {
            Config::from_url(url).map_err(|_| "is not a Redis URL like redis://:password@host:6379".to_owned())
        });
        let mut config = from_url.unwrap_or_else(|| Self::by_address(env));
        if config.password.is_none() {
            config.password = password.map(|secret: SecretString| secret.expose_secret().to_owned());
        }
        config.fail_fast = true;
        read_tls(env, &mut config);
        Self(config)
    }

    fn by_address(env: &mut Env) -> Config {
        let address = env.read("REDIS_ADDR", |raw| {
            let (host, port) = raw.rsplit_once(':').ok_or("must be host:port")?;
            let port: u16 = port.parse().map_err(|_| "its port is not a number below 65536")?;
            Ok((host.trim_matches(['[', ']']).to_owned(), port))
        });
        let (host, port) = address.unwrap_or_else(|| ("127.0.0.1".to_owned(), 6379));
        Config { server: ServerConfig::new_centralized(host, port), ..Config::default() }
    }
}

/// With TLS, certificates are verified as Postgres's are: against `REDIS_CA_FILE`, or the machine's roots and the common ones when it is absent.
fn read_tls(env: &mut Env, config: &mut Config) {
    let file = env.text("REDIS_CA_FILE").map(PathBuf::from);
    if config.tls.is_none() {
        if file.is_some() {
            env.mistake("REDIS_CA_FILE", "is set, and REDIS_URL is none with TLS (rediss://)");
        }
        return;
    }
    match crate::tls::client_config(file.as_deref()) {
        Ok(verifying) => config.tls = Some(TlsConnector::from(verifying).into()),
        Err(why) => env.mistake("REDIS_CA_FILE", &why),
    }
}

/// A pool for commands and one connection for subscriptions.
#[derive(Debug)]
pub struct Redis {
    pool: Pool,
    subscriber: SubscriberClient,
    news: broadcast::Sender<News>,
}

impl Redis {
    /// Starts connecting and waits a little for it. A Redis that is away is no error: calls fail until it is back.
    ///
    /// # Errors
    /// A text for the operator when the settings cannot work at all.
    pub async fn connect(config: &RedisConfig) -> Result<Kv, String> {
        let mut builder = Builder::from_config(config.0.clone());
        builder
            .set_policy(ReconnectPolicy::new_exponential(0, RECONNECT_MIN_MS, RECONNECT_MAX_MS, 2))
            .with_performance_config(|c| {
                c.default_command_timeout = ROUND_TRIP_MAX;
                c.broadcast_channel_capacity = NEWS_BACKLOG;
            })
            .with_connection_config(|c| {
                c.connection_timeout = FIRST_CONNECT_MAX;
                c.internal_command_timeout = FIRST_CONNECT_MAX;
                c.max_command_attempts = 1;
                c.unresponsive = UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE), interval: UNRESPONSIVE / 3 };
                c.tcp.nodelay = Some(true);
            });
        let pool = builder.build_pool(POOL_SIZE).map_err(|e| e.to_string())?;
        let subscriber = builder.build_subscriber_client().map_err(|e| e.to_string())?;
        let (news, _) = broadcast::channel(NEWS_BACKLOG);
        pool.connect();
        subscriber.connect();
        subscriber.manage_subscriptions();
        tokio::spawn(forward(subscriber.clone(), news.clone()));
        let connected = async { tokio::join!(pool.wait_for_connect(), subscriber.wait_for_connect()) };
        if tokio::time::timeout(FIRST_CONNECT_MAX, connected).await.is_err() {
            tracing::warn!("Redis does not answer yet; starting without it");
        }
        Ok(Kv::new(Self { pool, subscriber, news }))
    }

    async fn pipeline(&self, commands: Vec<Cmd>) -> Result<Vec<Reply>, KvError> {
        let client = self.pool.next_connected();
        if !client.is_connected() {
            return Err(KvError::Away);
        }
        if let [_] = commands.as_slice() {
            let Some(command) = commands.into_iter().next() else { return Ok(Vec::new()) };
            let (custom, args) = custom(command);
            let value: Value = client.custom(custom, args).await.map_err(|e| error(&e))?;
            return Ok(vec![reply(value)?]);
        }
        let pipeline = client.pipeline();
        for command in commands {
            let (custom, args) = custom(command);
            let _: Value = pipeline.custom(custom, args).await.map_err(|e| error(&e))?;
        }
        let values: Vec<Value> = pipeline.all().await.map_err(|e| error(&e))?;
        values.into_iter().map(reply).collect()
    }
}

/// Passes messages and reconnects on to the one channel that receivers read.
async fn forward(subscriber: SubscriberClient, news: broadcast::Sender<News>) {
    let mut messages = subscriber.message_rx();
    let mut reconnects = subscriber.reconnect_rx();
    loop {
        let item = tokio::select! {
            biased;
            back = reconnects.recv() => match back {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => News::Reconnected,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            message = messages.recv() => match message {
                Ok(message) => News::Message {
                    channel: message.channel.to_string(),
                    payload: message.value.into_bytes().unwrap_or_default(),
                },
                Err(broadcast::error::RecvError::Lagged(_)) => News::Reconnected,
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        // Nobody listening is no failure.
        news.send(item).ok();
    }
}

impl KvStore for Redis {
    fn run(&self, commands: Vec<Cmd>) -> BoxFuture<'_, Result<Vec<Reply>, KvError>> {
        async move {
            let limited = tokio::time::timeout(ROUND_TRIP_MAX, self.pipeline(commands));
            limited.await.unwrap_or(Err(KvError::Away))
        }
        .boxed()
    }

    fn subscribe(&self, channels: Vec<String>) -> BoxFuture<'_, Result<(), KvError>> {
        async move { self.subscriber.subscribe(channels).await.map_err(|e| error(&e)) }.boxed()
    }

    fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    fn connected(&self) -> bool {
        self.pool.next_connected().is_connected()
    }
}

fn custom(command: Cmd) -> (CustomCommand, Vec<Bytes>) {
    let hash = match command.key_at {
        Some(at) => ClusterHash::Offset(at),
        None => ClusterHash::Random,
    };
    (CustomCommand::new_static(command.name, hash, false), command.args)
}

fn error(error: &Error) -> KvError {
    let refused = [ErrorKind::InvalidArgument, ErrorKind::InvalidCommand, ErrorKind::Parse, ErrorKind::Unknown];
    if refused.contains(error.kind()) {
        return KvError::Refused(error.details().to_owned());
    }
    if *error.kind() == ErrorKind::Auth {
        tracing::error!("Redis refuses our password: check REDIS_PASSWORD");
    }
    KvError::Away
}

fn reply(value: Value) -> Result<Reply, KvError> {
    Ok(match value {
        Value::Null => Reply::Nil,
        Value::Boolean(yes) => Reply::Int(i64::from(yes)),
        Value::Integer(number) => Reply::Int(number),
        Value::Double(number) => Reply::Text(number.to_string().into()),
        Value::String(text) => Reply::Text(Bytes::copy_from_slice(text.as_bytes())),
        Value::Bytes(bytes) => Reply::Text(bytes),
        Value::Array(items) => Reply::List(items.into_iter().map(reply).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut items = Vec::new();
            for (key, value) in map.inner() {
                items.push(Reply::Text(Bytes::copy_from_slice(key.as_bytes())));
                items.push(reply(value)?);
            }
            Reply::List(items)
        }
        Value::Queued => return Err(KvError::Shape),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRedis;

    async fn kv(redis: &TestRedis) -> Kv {
        let mut env = Env::new([("REDIS_ADDR".to_owned(), redis.addr())]);
        Redis::connect(&RedisConfig::read(&mut env)).await.unwrap()
    }

    #[tokio::test]
    async fn commands_run_in_order_in_one_round_trip() {
        let redis = TestRedis::start();
        let kv = kv(&redis).await;
        let replies = kv
            .run(vec![
                Cmd::set("a", "1", None),
                Cmd::get("a"),
                Cmd::get("none"),
                Cmd::hset("h", "f", "v"),
                Cmd::hgetall("h"),
                Cmd::eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", "a").num(4),
            ])
            .await
            .unwrap();
        assert_eq!(replies[1].text(), Some("1"));
        assert!(replies[2].is_nil());
        assert_eq!(replies[4].clone().map().unwrap()["f"], Bytes::from("v"));
        assert_eq!(replies[5].int(), Ok(5));
        assert!(matches!(kv.one(Cmd::on("INCR", "h")).await, Err(KvError::Refused(_))));
    }

    #[tokio::test]
    async fn news_arrives_and_a_lost_connection_is_told() {
        let redis = TestRedis::start();
        let kv = kv(&redis).await;
        let mut news = kv.news();
        kv.subscribe(vec!["c".to_owned()]).await.unwrap();
        kv.one(Cmd::publish("c", "hello")).await.unwrap();
        assert_eq!(news.recv().await.unwrap(), News::Message { channel: "c".into(), payload: "hello".into() });
        kv.one(Cmd::new("CLIENT").arg("KILL").arg("TYPE").arg("pubsub")).await.unwrap();
        assert_eq!(news.recv().await.unwrap(), News::Reconnected);
        let heard = async {
            loop {
                // The subscription is made anew some time after the reconnect.
                kv.one(Cmd::publish("c", "again")).await.unwrap();
                let next = tokio::time::timeout(Duration::from_millis(50), news.recv()).await;
                if let Ok(Ok(News::Message { payload, .. })) = next {
                    return payload;
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap();
        assert_eq!(heard, Bytes::from("again"));
    }

    #[tokio::test]
    async fn a_server_that_is_away_fails_calls_at_once() {
        let redis = TestRedis::start();
        let kv = kv(&redis).await;
        kv.ping().await.unwrap();
        drop(redis);
        let began = tokio::time::Instant::now();
        while kv.connected() {
            assert!(began.elapsed() < Duration::from_secs(10), "the loss of the server is not noticed");
            kv.ping().await.ok();
        }
        assert_eq!(kv.ping().await, Err(KvError::Away));
    }
}
