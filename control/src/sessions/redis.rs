//! The session table in Redis: one key a session, sets to find them by stream, one hash a node to find them by connection.
//!
//! Hooks of one client reach different control nodes. Whoever takes the id out of the set of open sessions is the one that closed it, so an end
//! is told once.

use super::{Known, OnNode, Opened, SessionView};
use crate::{
    domain::sessions::{Filter, page},
    store::cache::event,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use kit::{
    clock,
    kv::{Cmd, Kv, KvError, Reply},
};
use proto::{
    ClientId, NodeId, ServiceId, SessionId, StreamId,
    event::Event,
    fleet::Placement,
    keys,
    session::{EndReason, Session},
};
use std::time::Duration;

/// Sessions read in one round trip.
const CHUNK: usize = 256;

/// Writes the session if its key is free, is this client's, or is closed and was this client's; answers what was there.
const BIND: &str = "
local was = redis.call('GET', KEYS[1])
if was then
  local ok, it = pcall(cjson.decode, was)
  if ok and it.client_id ~= ARGV[2] then return 'other' end
  if ok and not it.closed_at then return 'again' end
end
redis.call('SET', KEYS[1], ARGV[1])
return 'open'";

/// [`SessionView`] in Redis.
#[derive(Debug, Clone)]
pub struct RedisSessions(Kv);

impl RedisSessions {
    /// Uses this store.
    #[must_use]
    pub const fn new(kv: Kv) -> Self {
        Self(kv)
    }

    async fn read(&self, ids: &[SessionId]) -> Result<Vec<Option<Known>>, KvError> {
        let mut all = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let replies = self.0.run(chunk.iter().map(|id| Cmd::get(&keys::session(id))).collect()).await?;
            for reply in replies {
                all.push(reply.json()?);
            }
        }
        Ok(all)
    }

    async fn list_now(&self, filter: Filter, after: Option<SessionId>, limit: usize) -> Result<Vec<Known>, KvError> {
        let sets = match &filter.streams {
            None => vec![Cmd::smembers(keys::SESSIONS)],
            Some(streams) => streams.iter().map(|s| Cmd::smembers(&keys::stream_sessions(s))).collect(),
        };
        if sets.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids = Vec::new();
        for reply in self.0.run(sets).await? {
            ids.extend(ids_of(reply)?);
        }
        let mut found = Vec::new();
        for chunk in page(ids, after).chunks(CHUNK) {
            let known = self.read(chunk).await?.into_iter().flatten();
            found.extend(known.filter(|known| known.session.closed_at.is_none() && filter.takes(&known.session)));
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn open_now(&self, known: Known) -> Result<Opened, KvError> {
        let session = &known.session;
        let (id, client) = (session.id.to_string(), session.client_id.as_str());
        let json = serde_json::to_vec(&known).map_err(|_| KvError::Shape)?;
        let bound = self.0.one(Cmd::eval(BIND, &keys::session(&session.id)).arg(json).arg(client)).await?;
        let opened = match bound.text() {
            Some("open") => Opened::Open,
            Some("again") => Opened::Again,
            _ => return Ok(Opened::OtherClient),
        };
        let told = Event::SessionOpened { session: session.clone(), owner: known.owner };
        let at = format!("{id} {}", unix_ms(session));
        let mut commands = vec![
            Cmd::sadd(keys::SESSIONS, &id),
            Cmd::sadd(&keys::stream_sessions(&session.stream), &id),
            Cmd::hset(&keys::node_clients(&session.node), &field(&session.service, &session.client_id), at),
        ];
        if opened == Opened::Open {
            commands.push(event(&told));
        }
        self.0.run(commands).await?;
        Ok(opened)
    }

    async fn close_now(&self, id: SessionId, reason: EndReason) -> Result<Option<Known>, KvError> {
        let key = keys::session(&id);
        let mut replies = self.0.run(vec![Cmd::srem(keys::SESSIONS, id.to_string()), Cmd::get(&key)]).await?;
        let known: Option<Known> = replies.pop().unwrap_or(Reply::Nil).json()?;
        let mine = replies.pop().unwrap_or(Reply::Nil).int()? == 1;
        let Some(mut known) = known.filter(|known| mine && known.session.closed_at.is_none()) else { return Ok(None) };
        known.session.closed_at = Some(time::OffsetDateTime::UNIX_EPOCH + clock::since_epoch());
        known.session.reason = Some(reason);
        let session = &known.session;
        let json = serde_json::to_vec(&known).map_err(|_| KvError::Shape)?;
        let told = Event::SessionClosed { id, stream: session.stream.clone(), owner: known.owner, reason };
        let commands = vec![
            Cmd::set(&key, json, Some(Duration::from_secs(keys::CLOSED_SESSION_TTL_SECONDS))),
            Cmd::srem(&keys::stream_sessions(&session.stream), id.to_string()),
            Cmd::hdel(&keys::node_clients(&session.node), &field(&session.service, &session.client_id)),
            event(&told),
        ];
        self.0.run(commands).await?;
        Ok(Some(known))
    }

    async fn viewers_now(&self, of: Vec<Placement>) -> Result<Vec<u64>, KvError> {
        let mut commands = Vec::with_capacity(of.len() * 2);
        for placement in &of {
            let set = keys::stream_sessions(&placement.stream);
            commands.push(Cmd::scard(&set));
            commands.push(Cmd::on("SISMEMBER", &set).arg(placement.session.to_string()));
        }
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let replies = self.0.run(commands).await?;
        replies
            .chunks_exact(2)
            .map(|pair| match pair {
                [all, publisher] => Ok(u64::try_from(all.int()? - publisher.int()?).unwrap_or_default()),
                _ => Err(KvError::Shape),
            })
            .collect()
    }

    async fn of_node_now(&self, node: NodeId) -> Result<Vec<OnNode>, KvError> {
        let map = self.0.one(Cmd::hgetall(&keys::node_clients(&node))).await?.map()?;
        Ok(map.iter().filter_map(|(field, value)| on_node(field, std::str::from_utf8(value).ok()?)).collect())
    }
}

impl SessionView for RedisSessions {
    fn list(
        &self,
        filter: Filter,
        after: Option<SessionId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Known>, KvError>> {
        self.list_now(filter, after, limit).boxed()
    }

    fn get(&self, id: SessionId) -> BoxFuture<'_, Result<Option<Known>, KvError>> {
        async move { self.0.json(&keys::session(&id)).await }.boxed()
    }

    fn viewers(&self, of: Vec<Placement>) -> BoxFuture<'_, Result<Vec<u64>, KvError>> {
        self.viewers_now(of).boxed()
    }

    fn on_nodes(&self, nodes: Vec<NodeId>) -> BoxFuture<'_, Result<Vec<u64>, KvError>> {
        async move {
            if nodes.is_empty() {
                return Ok(Vec::new());
            }
            let commands = nodes.iter().map(|node| Cmd::on("HLEN", &keys::node_clients(node))).collect();
            let replies = self.0.run(commands).await?;
            replies.iter().map(|reply| Ok(u64::try_from(reply.int()?).unwrap_or_default())).collect()
        }
        .boxed()
    }

    fn open(&self, known: Known) -> BoxFuture<'_, Result<Opened, KvError>> {
        self.open_now(known).boxed()
    }

    fn close(&self, id: SessionId, reason: EndReason) -> BoxFuture<'_, Result<Option<Known>, KvError>> {
        self.close_now(id, reason).boxed()
    }

    fn of_client(
        &self,
        node: NodeId,
        service: ServiceId,
        client: ClientId,
    ) -> BoxFuture<'_, Result<Option<SessionId>, KvError>> {
        async move {
            let get = Cmd::on("HGET", &keys::node_clients(&node)).arg(field(&service, &client));
            let reply = self.0.one(get).await?;
            let id = reply.text().and_then(|text| text.split(' ').next());
            Ok(id.and_then(|id| SessionId::parse(id).ok()))
        }
        .boxed()
    }

    fn of_node(&self, node: NodeId) -> BoxFuture<'_, Result<Vec<OnNode>, KvError>> {
        self.of_node_now(node).boxed()
    }

    fn of_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<Vec<SessionId>, KvError>> {
        async move { ids_of(self.0.one(Cmd::smembers(&keys::stream_sessions(&stream))).await?) }.boxed()
    }
}

fn ids_of(reply: Reply) -> Result<Vec<SessionId>, KvError> {
    Ok(reply.texts()?.iter().filter_map(|text| SessionId::parse(text).ok()).collect())
}

fn field(service: &ServiceId, client: &ClientId) -> String {
    format!("{service}/{client}")
}

fn on_node(field: &str, value: &str) -> Option<OnNode> {
    let (service, client) = field.split_once('/')?;
    let (session, opened_ms) = value.split_once(' ')?;
    Some(OnNode {
        service: ServiceId::parse(service).ok()?,
        client: ClientId::parse(client).ok()?,
        session: SessionId::parse(session).ok()?,
        opened_ms: opened_ms.parse().ok()?,
    })
}

fn unix_ms(session: &Session) -> i128 {
    session.opened_at.unix_timestamp_nanos() / 1_000_000
}
