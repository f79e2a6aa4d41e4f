//! Commands and replies as plain values.
use super::KvError;
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};

/// One Redis command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmd {
    /// `GET`.
    pub name: &'static str,
    /// Its arguments.
    pub args: Vec<Bytes>,
    /// Which argument is the key, for Redis Cluster; `None` for commands without one.
    pub key_at: Option<usize>,
}

impl Cmd {
    /// A command without a key, such as `PING`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, args: Vec::new(), key_at: None }
    }

    /// A command whose first argument is its key.
    #[must_use]
    pub fn on(name: &'static str, key: &str) -> Self {
        Self { name, args: vec![Bytes::copy_from_slice(key.as_bytes())], key_at: Some(0) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        self.args.push(Bytes::copy_from_slice(arg.as_ref()));
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn num(self, number: impl std::fmt::Display) -> Self {
        self.arg(number.to_string())
    }

    /// `GET`: text or nil.
    #[must_use]
    pub fn get(key: &str) -> Self {
        Self::on("GET", key)
    }

    /// `SET`, for good or for `ttl` (whole milliseconds, at least one).
    #[must_use]
    pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Self {
        let set = Self::on("SET", key).arg(value);
        match ttl {
            Some(ttl) => set.arg("PX").num(ttl.as_millis().max(1)),
            None => set,
        }
    }

    /// `SET NX PX`: text `OK`, or nil when the key is there already.
    #[must_use]
    pub fn set_new(key: &str, value: impl AsRef<[u8]>, ttl: Duration) -> Self {
        Self::on("SET", key).arg(value).arg("NX").arg("PX").num(ttl.as_millis().max(1))
    }

    /// `DEL`: how many were there.
    #[must_use]
    pub fn del(key: &str) -> Self {
        Self::on("DEL", key)
    }

    /// `PEXPIRE`.
    #[must_use]
    pub fn expire(key: &str, ttl: Duration) -> Self {
        Self::on("PEXPIRE", key).num(ttl.as_millis().max(1))
    }

    /// `HSET` of one field.
    #[must_use]
    pub fn hset(key: &str, field: &str, value: impl AsRef<[u8]>) -> Self {
        Self::on("HSET", key).arg(field).arg(value)
    }

    /// `HDEL` of one field.
    #[must_use]
    pub fn hdel(key: &str, field: &str) -> Self {
        Self::on("HDEL", key).arg(field)
    }

    /// `HGETALL`: [`Reply::map`].
    #[must_use]
    pub fn hgetall(key: &str) -> Self {
        Self::on("HGETALL", key)
    }

    /// `SADD` of one member.
    #[must_use]
    pub fn sadd(key: &str, member: impl AsRef<[u8]>) -> Self {
        Self::on("SADD", key).arg(member)
    }

    /// `SREM` of one member.
    #[must_use]
    pub fn srem(key: &str, member: impl AsRef<[u8]>) -> Self {
        Self::on("SREM", key).arg(member)
    }

    /// `SMEMBERS`: [`Reply::texts`].
    #[must_use]
    pub fn smembers(key: &str) -> Self {
        Self::on("SMEMBERS", key)
    }

    /// `SCARD`: a number.
    #[must_use]
    pub fn scard(key: &str) -> Self {
        Self::on("SCARD", key)
    }

    /// `ZADD` of one member.
    #[must_use]
    pub fn zadd(key: &str, score: u64, member: impl AsRef<[u8]>) -> Self {
        Self::on("ZADD", key).num(score).arg(member)
    }

    /// `PUBLISH`: how many heard it.
    #[must_use]
    pub fn publish(channel: &str, payload: impl AsRef<[u8]>) -> Self {
        Self { name: "PUBLISH", args: vec![Bytes::copy_from_slice(channel.as_bytes())], key_at: None }.arg(payload)
    }

    /// `EVAL` of a script on one key, so that it runs on Redis Cluster too.
    #[must_use]
    pub fn eval(script: &'static str, key: &str) -> Self {
        let args = vec![
            Bytes::from_static(script.as_bytes()),
            Bytes::from_static(b"1"),
            Bytes::copy_from_slice(key.as_bytes()),
        ];
        Self { name: "EVAL", args, key_at: Some(2) }
    }
}

/// One Redis reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Absent.
    Nil,
    /// A number.
    Int(i64),
    /// Bytes or text.
    Text(Bytes),
    /// Several; a map is its keys and values in turn.
    List(Vec<Reply>),
}

impl Reply {
    /// Whether it is nil.
    #[must_use]
    pub const fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// The bytes, if there are any.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Text(bytes) => Some(bytes),
            Self::Nil | Self::Int(_) | Self::List(_) => None,
        }
    }

    /// The text, if it is UTF-8 text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A number, also one that came as text.
    ///
    /// # Errors
    /// [`KvError::Shape`].
    pub fn int(&self) -> Result<i64, KvError> {
        match self {
            Self::Int(number) => Ok(*number),
            Self::Text(_) => self.text().and_then(|t| t.parse().ok()).ok_or(KvError::Shape),
            Self::Nil | Self::List(_) => Err(KvError::Shape),
        }
    }

    /// The elements.
    ///
    /// # Errors
    /// [`KvError::Shape`] if it is not a list; nil counts as an empty one.
    pub fn list(self) -> Result<Vec<Reply>, KvError> {
        match self {
            Self::List(items) => Ok(items),
            Self::Nil => Ok(Vec::new()),
            Self::Int(_) | Self::Text(_) => Err(KvError::Shape),
        }
    }

    /// The elements as texts; what is no text is left out.
    ///
    /// # Errors
    /// [`KvError::Shape`] if it is not a list.
    pub fn texts(self) -> Result<Vec<String>, KvError> {
        Ok(self.list()?.iter().filter_map(|item| item.text().map(str::to_owned)).collect())
    }

    /// A map of texts to bytes (`HGETALL`).
    ///
    /// # Errors
    /// [`KvError::Shape`] if it is not a list of pairs.
    pub fn map(self) -> Result<BTreeMap<String, Bytes>, KvError> {
        let items = self.list()?;
        let pairs = items.chunks_exact(2).filter_map(|pair| match pair {
            [key, value] => Some((key.text()?.to_owned(), value.bytes()?.clone())),
            _ => None,
        });
        Ok(pairs.collect())
    }

    /// The text read as JSON; nil and what does not read are `None`.
    ///
    /// # Errors
    /// [`KvError::Shape`] if it is a number or a list.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, KvError> {
        match self {
            Self::Nil => Ok(None),
            Self::Text(bytes) => Ok(match serde_json::from_slice(bytes) {
                Ok(value) => Some(value),
                Err(error) => {
                    tracing::warn!(%error, wanted = std::any::type_name::<T>(), "a Redis value does not read as what its key holds");
                    None
                }
            }),
            Self::Int(_) | Self::List(_) => Err(KvError::Shape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_say_where_their_key_is() {
        assert_eq!(Cmd::eval("return 1", "k").arg("a").key_at, Some(2));
        assert_eq!(Cmd::publish("c", "p").key_at, None);
        let set = Cmd::set("k", "v", Some(Duration::from_micros(1)));
        assert_eq!(set.args, ["k", "v", "PX", "1"].map(Bytes::from));
    }

    #[test]
    fn replies_are_read_by_shape() {
        let pairs = Reply::List(vec![Reply::Text("a".into()), Reply::Text("1".into())]);
        assert_eq!(pairs.map().unwrap()["a"], Bytes::from("1"));
        assert_eq!(Reply::Text("12".into()).int(), Ok(12));
        assert_eq!(Reply::Nil.int(), Err(KvError::Shape));
        assert_eq!(Reply::Text("{".into()).json::<u8>(), Ok(None));
    }
}
