//! What sessions carry, as the edges that carry them wrote it into Redis.

use crate::app::State;
use kit::{clock, kv::Cmd};
use proto::{EdgeId, SessionId, api::SessionRead, keys, session::Session, traffic::Sample};
use std::collections::HashMap;

/// Edges that are asked at most: a session passes few of them, but which ones nobody knows.
const EDGES_MAX: usize = 64;

/// Adds to sessions what they carry. Without Redis, or for those whose media passes no edge, nothing is added.
pub async fn shown(state: &State, sessions: Vec<Session>) -> Vec<SessionRead> {
    let ids: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();
    let samples = samples(state, &ids).await;
    let add = |session: Session| {
        let sample = samples.get(&session.id);
        SessionRead {
            bytes_received: sample.map(|sample| sample.received),
            bytes_sent: sample.map(|sample| sample.sent),
            kbps: sample.map(|sample| sample.kbps),
            session,
        }
    };
    sessions.into_iter().map(add).collect()
}

/// The sums over all edges.
async fn samples(state: &State, ids: &[SessionId]) -> HashMap<SessionId, Sample> {
    let mut found: HashMap<SessionId, Sample> = HashMap::new();
    if ids.is_empty() {
        return found;
    }
    let Ok(edges) = edges(state).await else { return found };
    let ask = |edge: &EdgeId| {
        ids.iter().fold(Cmd::on("HMGET", &keys::traffic(edge)), |command, id| command.arg(id.to_string()))
    };
    let Ok(replies) = state.kv.run(edges.iter().map(ask).collect()).await else { return found };
    let now_ms = clock::unix_ms();
    for reply in replies {
        for (id, value) in ids.iter().zip(reply.list().unwrap_or_default()) {
            if let Some(sample) = value.text().and_then(Sample::decode) {
                let sum = found.entry(*id).or_default();
                *sum = sum.and(sample, now_ms);
            }
        }
    }
    found
}

async fn edges(state: &State) -> Result<Vec<EdgeId>, kit::kv::KvError> {
    let names = state.kv.one(Cmd::on("HKEYS", keys::EDGES)).await?.texts()?;
    Ok(names.iter().filter_map(|name| EdgeId::parse(name).ok()).take(EDGES_MAX).collect())
}
