//! Where a stream's actor asks when it does not know: Redis, the replica, control-api.

use crate::{
    control::{Control, ControlError},
    replica::Replica,
};
use kit::kv::{Cmd, Kv, KvError};
use proto::{SessionId, StreamId, fleet::Placement, keys, session::Session};
use std::sync::Arc;

/// The sources, in the order they are asked.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Redis.
    pub kv: Kv,
    /// What was heard, for when Redis is away.
    pub replica: Replica,
    /// control-api.
    pub control: Control,
}

impl Lookup {
    /// Asks where a stream is live. `Err`: nobody could say.
    ///
    /// # Errors
    /// `()` when neither Redis, replica nor control-api has an answer.
    pub async fn place(&self, stream: &StreamId) -> Result<Option<Arc<Placement>>, ()> {
        let cached = self.kv.json::<Placement>(&keys::placement(stream)).await;
        match cached {
            Ok(Some(placement)) => return Ok(Some(Arc::new(placement))),
            Ok(None) => {}
            Err(_) => {
                let heard = self.replica.placements(|all| all.get(stream).cloned());
                if let Some(placement) = heard {
                    return Ok(Some(Arc::new(placement)));
                }
            }
        }
        match self.control.route(stream).await {
            Ok(placement) => Ok(placement.map(Arc::new)),
            Err(ControlError::NotFound) => Ok(None),
            // Redis knows of no publisher; with control-api away that is the best answer there is.
            Err(_) if cached.is_ok() => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// Sorts sessions into those that still run and those that ended. What Redis does not know is taken to run on: it may have been
    /// flushed, and its end will be told or the node's run will change.
    ///
    /// # Errors
    /// [`KvError`].
    pub async fn confirm(&self, ids: Vec<SessionId>) -> Result<(Vec<SessionId>, Vec<SessionId>), KvError> {
        let gets = ids.iter().map(|id| Cmd::get(&keys::session(id))).collect();
        let replies = self.kv.run(gets).await?;
        let (mut alive, mut gone) = (Vec::new(), Vec::new());
        for (id, reply) in ids.into_iter().zip(replies) {
            let ended = reply.json::<Session>()?.is_some_and(|session| session.closed_at.is_some());
            if ended || self.replica.closed(&id) { gone.push(id) } else { alive.push(id) }
        }
        Ok((alive, gone))
    }
}
