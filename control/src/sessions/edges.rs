//! Sessions that edges carry alone (HLS): opened, vouched for and ended by what their edge tells.

use super::{Known, Opened};
use crate::{app::State, domain::edges::Leases, store::pg::claims};
use futures_util::{StreamExt as _, stream};
use kit::kv::Cmd;
use proto::{
    ClientId, EdgeId, StreamId, UserId,
    fleet::StreamCache,
    internal::{EdgeSession, EndedSession, SessionsAnswer, SessionsRequest},
    keys,
    session::{EndReason, Role, Session},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use time::OffsetDateTime;

/// Sessions opened or ended at once: each takes up to three round trips to Redis.
const AT_ONCE: usize = 32;

/// When each edge was last seen to live.
#[derive(Debug, Default)]
pub struct Edges(Mutex<Leases>);

impl Edges {
    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Leases::judge`].
    pub fn judge(&self, holding: &[EdgeId], signs: &BTreeMap<EdgeId, u64>, now_ms: u64) -> Vec<EdgeId> {
        self.leases().judge(holding, signs, now_ms)
    }

    /// [`Leases::blind`].
    pub fn blind(&self, now_ms: u64) {
        self.leases().blind(now_ms);
    }
}

/// What became of one opening.
enum Told {
    Open,
    Ended(EndedSession),
    Elsewhere,
}

/// Takes in what an edge tells.
pub async fn tell(state: &State, asked: SessionsRequest) -> SessionsAnswer {
    let SessionsRequest { edge, opened, closed, alive } = asked;
    let mut answer = SessionsAnswer::default();
    let owners = owners(state, &opened).await;
    let openings = opened.into_iter().map(|session| {
        let (id, owner) = (session.id, owners.get(&session.stream).copied());
        let edge = &edge;
        async move { (id, open(state, edge, session, owner).await) }
    });
    let told: Vec<_> = stream::iter(openings).buffer_unordered(AT_ONCE).collect().await;
    for (id, told) in told {
        match told {
            Told::Open => {}
            Told::Ended(ended) => answer.ended.push(ended),
            Told::Elsewhere => answer.elsewhere.push(id),
        }
    }
    let ends = closed.into_iter().map(|ended| async move {
        if state.sessions.close(ended.id, ended.reason).await.is_err() {
            state.metrics.redis_skipped("session");
        }
    });
    stream::iter(ends).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    for id in alive {
        match state.gossip.find(id).map(|known| known.session) {
            Some(Session { closed_at: None, .. }) => state.sessions.confirm(id),
            Some(Session { reason: Some(reason), .. }) if reason.is_final() => {
                answer.ended.push(EndedSession { id, reason });
            }
            Some(_) | None => answer.unknown.push(id),
        }
    }
    answer
}

async fn open(state: &State, edge: &EdgeId, told: EdgeSession, owner: Option<Option<UserId>>) -> Told {
    let id = told.id;
    let ended = |reason| Told::Ended(EndedSession { id, reason });
    // The stream is gone: nobody could see or end such a session.
    let Some(owner) = owner else { return ended(EndReason::Revoked) };
    let before = state.gossip.find(id).and_then(|known| known.session.reason);
    if let Some(reason) = before.filter(|reason| reason.is_final()) {
        return ended(reason);
    }
    // A session is its own client: no node knows it.
    let Ok(client_id) = ClientId::parse(&id.to_string()) else { return ended(EndReason::ClientLeft) };
    let opened_at = OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_millis(told.opened_ms);
    let session = Session {
        id,
        stream: told.stream,
        role: Role::Play,
        protocol: told.protocol,
        node: told.node,
        service: told.service,
        client_id,
        edge: Some(edge.clone()),
        ip: Some(told.client),
        epoch: told.epoch,
        broadcast: None,
        opened_at,
        closed_at: None,
        reason: None,
    };
    let known = Known { session, owner, credential: Some(told.credential) };
    match super::live::opened(state, known).await {
        Opened::Open | Opened::Again => Told::Open,
        Opened::OtherClient => Told::Elsewhere,
    }
}

/// Who owns the streams: by Redis, else by Postgres. A stream that does not exist is absent; where nobody could be asked the owner is not known.
async fn owners(state: &State, opened: &[EdgeSession]) -> BTreeMap<StreamId, Option<UserId>> {
    let streams: BTreeSet<&StreamId> = opened.iter().map(|session| &session.stream).collect();
    let asked = streams.iter().map(|stream| Cmd::get(&keys::stream(stream))).collect();
    let mut replies = state.kv.run(asked).await.unwrap_or_default().into_iter();
    let mut owners = BTreeMap::new();
    for stream in streams {
        let cached: Option<StreamCache> = replies.next().and_then(|reply| reply.json().ok().flatten());
        let owner = match cached {
            Some(cache) => Some(cache.owner),
            None => match claims::of_stream(&state.pg, stream).await {
                Ok(Some(present)) => Some(present.owner),
                Ok(None) => continue,
                Err(error) => {
                    tracing::debug!(%error, %stream, "the owner of a stream that is watched is not known");
                    None
                }
            },
        };
        owners.insert(stream.clone(), owner);
    }
    owners
}
