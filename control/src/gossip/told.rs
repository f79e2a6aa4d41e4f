//! What Redis keeps of single sessions, beside the table: who a ticket's session belongs to, and its end, for edges.
//!
//! The first hook of a session binds it to its client. Two hooks may reach two control nodes at once, so Redis decides: the session's key is written if
//! it is free. The same key tells edges that a session ended. Lists and counts never read it.

use super::table::GossipSessions;
use crate::store::cache::event;
use kit::kv::{Cmd, Kv, KvError};
use proto::{SessionId, event::Event, keys, session::Known};
use std::time::Duration;

/// How long an open session's key is kept. Its end shortens that; the loss of one only costs the check of a replayed ticket, which lives 30 s.
const OPEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// Sessions whose end is written in one round trip.
const BATCH: usize = 256;

/// Writes the session if its key is free, is this client's, or is closed and was this client's; answers what was there.
const BIND: &str = "
local was = redis.call('GET', KEYS[1])
if was then
  local ok, it = pcall(cjson.decode, was)
  if ok and it.client_id ~= ARGV[2] then return 'other' end
  if ok and not it.closed_at then return 'again' end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 'open'";

/// Writes a session's end unless it is written already, so that of all that hear of it one tells it.
const END: &str = "
local was = redis.call('GET', KEYS[1])
if was then
  local ok, it = pcall(cjson.decode, was)
  if ok and it.closed_at then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// What binding a session met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// Its key was free, or closed.
    New,
    /// It was this client's already.
    Again,
    /// It is another client's.
    Other,
}

/// Binds a session to its client.
pub(super) async fn bind(kv: &Kv, known: &Known) -> Result<Bound, KvError> {
    let json = serde_json::to_vec(known).map_err(|_| KvError::Shape)?;
    let session = &known.session;
    let command = Cmd::eval(BIND, &keys::session(&session.id)).arg(json).arg(session.client_id.as_str());
    let reply = kv.one(command.num(OPEN_TTL.as_millis())).await?;
    Ok(match reply.text() {
        Some("open") => Bound::New,
        Some("again") => Bound::Again,
        Some(_) | None => Bound::Other,
    })
}

/// Tells of a session's beginning.
pub(super) async fn opened(kv: &Kv, known: &Known) -> Result<(), KvError> {
    let told = Event::SessionOpened { session: known.session.clone(), owner: known.owner };
    kv.one(event(&told)).await.map(|_| ())
}

/// Writes the ends of sessions and tells of those that nobody told of before.
pub(super) async fn ended(kv: &Kv, all: &[Known]) -> Result<(), KvError> {
    for batch in all.chunks(BATCH) {
        let mut ends = Vec::with_capacity(batch.len());
        for known in batch {
            let json = serde_json::to_vec(known).map_err(|_| KvError::Shape)?;
            let end = Cmd::eval(END, &keys::session(&known.session.id)).arg(json);
            ends.push(end.num(Duration::from_secs(keys::CLOSED_SESSION_TTL_SECONDS).as_millis()));
        }
        let first = kv.run(ends).await?;
        let news: Vec<Cmd> = batch
            .iter()
            .zip(first)
            .filter(|(_, reply)| reply.int() == Ok(1))
            .filter_map(|(known, _)| {
                let session = &known.session;
                let (id, stream, owner, reason) = (session.id, session.stream.clone(), known.owner, session.reason?);
                Some(event(&Event::SessionClosed { id, stream, owner, reason }))
            })
            .collect();
        if !news.is_empty() {
            kv.run(news).await?;
        }
    }
    Ok(())
}

/// Tells of ends that were heard of by gossip or came all at once, so that neither hooks nor gossip wait for it.
pub(super) async fn tell(table: &GossipSessions, ids: Vec<SessionId>) {
    for batch in ids.chunks(BATCH) {
        let known: Vec<Known> = batch.iter().filter_map(|id| table.find(*id)).collect();
        if ended(table.kv(), &known).await.is_err() {
            table.skipped();
        }
    }
}
