//! What a media node tells and asks.

use super::{Held, claiming, claiming::Claimed, ended, health, published, table};
use crate::domain::{
    claims::{self as rules, Confirm, Owner, State},
    health::Input,
};
use crate::{
    exec::Sim,
    forward::Answer,
    net::Proc,
    pg::{Ended, Publisher},
    srs::{Action, Hook, Right, Ticket},
};
use proto::{
    NodeId, ServiceId,
    session::{EndReason, Role},
};

/// A hook that SRS waits for.
pub(crate) async fn decide(sim: Sim, c: usize, hook: Hook) -> Answer {
    health::feed(&sim, c, &hook.from.node, Input::Hook(hook.from.service.clone()));
    let answer = match hook.action {
        Action::Play => play(&sim, c, &hook).await,
        Action::Publish | Action::Unpublish | Action::Stop => publish(&sim, c, &hook, false).await,
    };
    if answer == Answer::No && hook.action == Action::Publish {
        owe_refused(&sim, c, &hook.from).await;
    }
    sim.w().note(|| {
        format!(
            "control {c}: {:?} of {} at {} client {}: {answer:?}",
            hook.action, hook.stream, hook.from.node, hook.from.client
        )
    });
    answer
}

/// How long a kick of a refused client waits, so that SRS has read the refusal.
const AFTER_REFUSAL_MS: u64 = 200;

async fn owe_refused(sim: &Sim, c: usize, owner: &Owner) {
    if sim.pg(Proc::C(c), |pg, now| pg.owe(owner, now + AFTER_REFUSAL_MS)).await.is_err() {
        sim.w().controls[c].unwritten.push(owner.clone());
    }
}

async fn publish(sim: &Sim, c: usize, hook: &Hook, replayed: bool) -> Answer {
    match &hook.right {
        Right::Ticket(ticket) => confirm(sim, c, hook, ticket, replayed).await,
        Right::Key { credential, takeover } => {
            let publisher = Publisher {
                stream: hook.stream.clone(),
                session: sim.w().session_id(),
                node: hook.from.node.clone(),
                service: hook.from.service.clone(),
                credential: credential.clone(),
                edge: None,
                takeover: *takeover,
            };
            let session = publisher.session;
            match claiming::claim(sim, c, &publisher, Some(&hook.from), *takeover, None).await {
                Ok(Claimed::Granted { epoch }) => {
                    let (stream, owner) = (hook.stream.clone(), hook.from.clone());
                    published(sim, c, Held { stream, epoch, session, owner, edge: None }).await;
                    Answer::Yes
                }
                Ok(Claimed::Again) => Answer::Yes,
                Ok(Claimed::Busy | Claimed::NoRoom) => Answer::No,
                Err(_) => Answer::Away,
            }
        }
    }
}

async fn confirm(sim: &Sim, c: usize, hook: &Hook, ticket: &Ticket, replayed: bool) -> Answer {
    let late = !replayed && ticket.expires <= sim.now();
    let said =
        sim.pg(Proc::C(c), |pg, _| pg.confirm(&hook.stream, ticket.session, ticket.epoch, &hook.from, late)).await;
    let Ok((epoch, before)) = said else { return Answer::Away };
    let Some(epoch) = epoch else {
        return match rules::confirm(before.as_ref(), ticket.session, ticket.epoch, &hook.from) {
            Confirm::Again => Answer::Yes,
            Confirm::Live { .. } | Confirm::Refused(_) => Answer::No,
        };
    };
    let held = Held {
        stream: hook.stream.clone(),
        epoch,
        session: ticket.session,
        owner: hook.from.clone(),
        edge: Some(ticket.edge),
    };
    published(sim, c, held).await;
    Answer::Yes
}

/// A viewer may play where the stream is: by Redis, else by Postgres, else by the table.
async fn play(sim: &Sim, c: usize, hook: &Hook) -> Answer {
    let me = Proc::C(c);
    let placed = sim.redis(me, |redis, _| redis.placements.get(&hook.stream).cloned()).await.ok().flatten();
    let home = match placed {
        Some(placement) => Some((placement.node, placement.service)),
        None => match sim.pg(me, |pg, _| pg.claims.get(&hook.stream).cloned()).await {
            Ok(claim) => claim.and_then(|claim| match claim.state {
                State::Live { owner, .. } => Some((owner.node, owner.service)),
                State::Free { .. } | State::Reserved { .. } => None,
            }),
            Err(_) => match table::home(sim, c, &hook.stream) {
                Some(home) => Some(home),
                None => return Answer::Away,
            },
        },
    };
    if home != Some((hook.from.node.clone(), hook.from.service.clone())) {
        return Answer::No;
    }
    let (session, edge) = match &hook.right {
        Right::Ticket(ticket) => (ticket.session, Some(ticket.edge)),
        Right::Key { .. } => (sim.w().session_id(), None),
    };
    table::open(sim, c, &hook.stream, Role::Play, &hook.from, session, 0, edge);
    Answer::Yes
}

/// A client is gone. False: it could not be written down.
pub(crate) async fn over(sim: Sim, c: usize, hook: Hook) -> bool {
    health::feed(&sim, c, &hook.from.node, Input::Hook(hook.from.service.clone()));
    if hook.action == Action::Stop {
        table::close_client(&sim, c, &hook.from, EndReason::ClientLeft);
        return true;
    }
    match sim.pg(Proc::C(c), |pg, _| pg.end(&hook.from, &hook.stream)).await {
        Ok(Some(over)) => {
            ended(&sim, c, over, EndReason::ClientLeft).await;
            true
        }
        Ok(None) => {
            table::close_client(&sim, c, &hook.from, EndReason::ClientLeft);
            true
        }
        Err(_) => false,
    }
}

/// A hook that was let in while no control-api answered. True when it is settled: written down, or void and its client owed a kick.
pub(crate) async fn replay(sim: Sim, c: usize, hook: Hook) -> bool {
    let answer = match hook.action {
        Action::Play => play(&sim, c, &hook).await,
        Action::Publish | Action::Unpublish | Action::Stop => publish(&sim, c, &hook, true).await,
    };
    match answer {
        Answer::Yes => true,
        Answer::No => {
            let gone = sim.pg(Proc::C(c), |pg, now| pg.owe(&hook.from, now)).await;
            gone.is_ok()
        }
        Answer::Away => false,
    }
}

/// A heartbeat.
pub(crate) async fn beat(sim: Sim, c: usize, node: NodeId, service: ServiceId) {
    {
        let mut w = sim.w();
        let now_ms = super::unix_ms(&w, c);
        // What Redis still has of an earlier run is older than this.
        w.controls[c].beats.insert(node.clone(), now_ms);
    }
    health::feed(&sim, c, &node, Input::Beat(service.clone()));
    let at = super::unix_ms(&sim.w(), c);
    // Whether Redis takes it or not, this process heard it.
    let told = sim.redis(Proc::C(c), |redis, _| redis.nodes.insert(node, (service, at))).await;
    if told.is_err() {
        sim.w().seen("heartbeat only in memory");
    }
}

/// Ends what a statement freed, in the table and for readers.
pub(crate) async fn all_ended(sim: &Sim, c: usize, all: Vec<Ended>, reason: EndReason) {
    for one in all {
        ended(sim, c, one, reason).await;
    }
}
