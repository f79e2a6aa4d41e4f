//! Finds out whose the sessions are whose answer another edge gave, so that their end is heard here.

use super::Relay;
use crate::front::{Adopted, Parts};
use proto::SessionId;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Look-ups at the same time.
const AT_ONCE: usize = 16;
/// How often a session that nobody knows is asked for, and how long in between: its hook may be on its way.
const TRIES: u32 = 5;
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Works until `stop`.
pub(crate) async fn run(
    parts: Arc<Parts>,
    relay: Arc<Relay>,
    mut inbox: mpsc::Receiver<SessionId>,
    stop: CancellationToken,
) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = JoinSet::new();
    loop {
        let session = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = under_way.join_next() => continue,
            Some(session) = inbox.recv() => session,
            else => return,
        };
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let (parts, relay) = (parts.clone(), relay.clone());
        under_way.spawn(async move {
            find(&parts, &relay, session).await;
            drop(turn);
        });
    }
}

async fn find(parts: &Arc<Parts>, relay: &Relay, session: SessionId) {
    for _ in 0..TRIES {
        match parts.adopt(session).await {
            Adopted::Runs(lease) => {
                tracing::info!(session.id = %session, stream.id = %lease.stream(), "a session that another edge opened is relayed here");
                relay.adopted(lease);
                return;
            }
            Adopted::Over => {
                relay.cut(&session);
                return;
            }
            Adopted::Unknown => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
    // Its node still decides: it answers no check of a session that it does not have.
    tracing::info!(session.id = %session, "a session that another edge opened is relayed here, and nobody knows it");
}
