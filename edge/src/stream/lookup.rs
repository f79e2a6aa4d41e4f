//! Where a stream's actor asks when it does not know: Redis, the replica, control-api.

use crate::{
    control::{Control, ControlError},
    nodes::Nodes,
    replica::Replica,
    srs::{SrsClient, SrsError, SrsSession},
};
use kit::kv::{Cmd, Kv, KvError};
use proto::{SessionId, StreamId, fleet::Placement, handle::Handle, keys, session::Session};
use std::{sync::Arc, time::Duration};

/// How often ending a session at its node is tried, and how long lies between.
const EXPEL_TRIES: u32 = 5;
const EXPEL_AGAIN: Duration = Duration::from_secs(1);

/// The sources, in the order they are asked.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Redis.
    pub kv: Kv,
    /// What was heard, for when Redis is away.
    pub replica: Replica,
    /// control-api.
    pub control: Control,
    /// Where nodes are.
    pub nodes: Nodes,
    /// Ends sessions at nodes.
    pub srs: SrsClient,
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

    /// Ends a session at its node; false when that did not succeed, and it ends with its client.
    pub async fn expel(&self, handle: &Handle) -> bool {
        let Some(names) = SrsSession::of(&handle.srs_session, &handle.srs_token) else { return false };
        for attempt in 1..=EXPEL_TRIES {
            // Gone with its node or with the node's run.
            let Some(at) = self.nodes.get(&handle.node) else { return true };
            if at.lost || at.service.is_some_and(|run| run != handle.service) {
                return true;
            }
            match self.srs.delete(&at.api, &handle.stream, &names).await {
                Ok(()) | Err(SrsError::HungUp) => return true,
                Err(error) => {
                    tracing::warn!(node = %handle.node, session.id = %handle.session, %error, attempt, "a session could not be ended: {error}");
                }
            }
            tokio::time::sleep(EXPEL_AGAIN).await;
        }
        false
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
