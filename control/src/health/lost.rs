//! What ends with a node, and what is ended on a node that comes back.

use crate::{
    app::State,
    domain::{claims::Owner, health::Input},
    health::run::feed,
    sessions::live,
    srs::{Kicked, SrsError},
    store::pg::{
        claims::{self, Held, Which},
        kicks,
    },
};
use futures_util::{StreamExt as _, stream};
use kit::{clock, pg::PgError};
use proto::{ClientId, NodeId, ServiceId, node::NodeState, session::EndReason, srs::api::Client};
use std::{collections::HashSet, sync::Arc};

/// Ends told, and clients kicked, at once.
const AT_ONCE: usize = 32;
/// A client this young may still wait for its hook, in seconds.
const SETTLED_SECONDS: f64 = 3.0;

/// Ends all that a node which is down carried, in a task of its own: one at a time of each node.
pub fn spawn(state: &Arc<State>, node: &NodeId) {
    let Some(service) = state.health.begin_end(node, clock::unix_ms()) else { return };
    let (state, node) = (Arc::clone(state), node.clone());
    tokio::spawn(async move {
        if let Err(error) = end(&state, &node, &service).await {
            tracing::warn!(%error, %node, "what a lost node carried cannot be ended yet; it is tried again");
        }
        state.health.finish(&node, |busy| busy.lost = false);
    });
}

/// One statement frees the claims; whoever does it second frees none.
///
/// Their publishers are owed a kick: a node that was only cut off still has them, and their streams may be live elsewhere by the time it is back.
async fn end(state: &Arc<State>, node: &NodeId, service: &ServiceId) -> Result<(), PgError> {
    let ended = claims::end(&state.pg, Which::Run(node, service), EndReason::NodeLost).await?;
    state.media.claims("lost", ended.len());
    let owner = |claim: &claims::Ended| {
        Some(Owner { node: claim.node.clone(), service: claim.service.clone(), client: claim.client.clone()? })
    };
    let owed: Vec<Owner> = ended.iter().filter_map(owner).collect();
    if !owed.is_empty() {
        kicks::owe(&state.pg, &owed, claims::reason_word(EndReason::NodeLost), 0).await?;
        state.kicker.owed(owed.len());
    }
    let told = |publisher: claims::Ended| async move { live::ended(state, &publisher, EndReason::NodeLost).await };
    stream::iter(ended).for_each_concurrent(AT_ONCE, told).await;
    let count = state.sessions.lose_run(node, service);
    if count > 0 {
        tracing::info!(%node, count, "sessions ended with their node");
    }
    Ok(())
}

/// Looks at what a node that is back still carries and ends what owns nothing any more, in a task of its own.
pub fn clear(state: &Arc<State>, node: &NodeId) {
    let Some(service) = state.health.begin_clear(node) else { return };
    let (state, node) = (Arc::clone(state), node.clone());
    tokio::spawn(async move {
        match left(&state, &node, &service).await {
            Ok(left) => feed(&state, &node, Input::Stale(left > 0), clock::unix_ms()),
            Err(why) => tracing::debug!(%node, why, "what a node that is back carries cannot be looked at yet"),
        }
        state.health.finish(&node, |busy| busy.clear = false);
    });
}

/// How many clients that own nothing were found; their kicks were asked for.
async fn left(state: &State, node: &NodeId, service: &ServiceId) -> Result<usize, String> {
    let api = state.nodes.api(node).ok_or("its address is not known")?;
    let held = claims::live(&state.pg, Some(node)).await.map_err(|error| error.to_string())?;
    let clients = state.srs.clients(&api, service).await.map_err(|error| error.to_string())?;
    let stale = strangers(&clients, &held, service);
    let count = stale.len();
    if count > 0 {
        tracing::warn!(%node, clients = count, "a node that is back still serves clients that own nothing; they are ended");
    }
    let kick = |client: ClientId| {
        let api = &api;
        async move {
            match state.srs.kick(api, service, &client).await {
                Ok(Kicked::Ended | Kicked::Unknown) | Err(SrsError::OtherRun | SrsError::Gone) => {
                    state.media.kick("done");
                }
                Err(SrsError::Away(_)) => state.media.kick("failed"),
            }
            let owner = Owner { node: node.clone(), service: service.clone(), client };
            live::closed(state, &owner, EndReason::NodeLost).await;
        }
    };
    stream::iter(stale).for_each_concurrent(AT_ONCE, kick).await;
    Ok(count)
}

/// Publishers that own no claim, and players of streams whose publisher is not here.
fn strangers(clients: &[Client], held: &[Held], service: &ServiceId) -> Vec<ClientId> {
    let here = || held.iter().filter(|held| held.from.service == *service);
    let owners: HashSet<&str> = here().map(|held| held.from.client.as_str()).collect();
    let streams: HashSet<&str> = here().map(|held| held.stream.as_str()).collect();
    let stream = |client: &Client| {
        let name = client.url.strip_prefix("/live/")?;
        Some(streams.contains(name.split('.').next()?))
    };
    let fits = |client: &Client| match client.publish {
        true => owners.contains(client.id.as_str()),
        false => stream(client).unwrap_or(false),
    };
    let stale = clients.iter().filter(|client| client.alive >= SETTLED_SECONDS && !fits(client));
    stale.filter_map(|client| ClientId::parse(&client.id).ok()).collect()
}

impl super::Fitness {
    fn begin_end(&self, node: &NodeId, now_ms: u64) -> Option<ServiceId> {
        let mut nodes = self.lock();
        let entry = nodes.get_mut(node).filter(|entry| entry.health.state() == NodeState::Down && !entry.busy.lost)?;
        (entry.busy.lost, entry.ended_ms) = (true, now_ms);
        entry.health.service().cloned()
    }

    fn begin_clear(&self, node: &NodeId) -> Option<ServiceId> {
        let mut nodes = self.lock();
        let entry = nodes.get_mut(node).filter(|entry| !entry.busy.clear)?;
        entry.busy.clear = true;
        entry.health.service().cloned()
    }

    pub(super) fn finish(&self, node: &NodeId, done: impl FnOnce(&mut super::Busy)) {
        if let Some(entry) = self.lock().get_mut(node) {
            done(&mut entry.busy);
        }
    }
}
