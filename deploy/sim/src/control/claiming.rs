//! Getting a stream for a publisher: asks the claim, looks at its holder if the rules want that, puts the holder out if they allow it.

use crate::domain::{
    claims::{self as rules, Ask, Claim, Holder, Owner, State, Verdict},
    placing::Room,
};
use crate::{
    exec::Sim,
    net::{Fail, Proc},
    pg::Publisher,
    srs,
};
use proto::{node::NodeState, session::EndReason};

const ATTEMPTS_MAX: usize = 5;
/// How long a takeover waits for a kicked client to be gone.
const LET_GO_MAX_MS: u64 = 1_500;
/// How long an answer of a node's API may take.
const API_MS: u64 = 1_000;

/// What became of a publisher that asked for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    Granted {
        epoch: u64,
    },
    /// It has it already.
    Again,
    Busy,
    /// The node has its share by now.
    NoRoom,
}

/// Asks for a stream: to reserve it, or with `live` to have it at once.
pub(crate) async fn claim(
    sim: &Sim,
    c: usize,
    publisher: &Publisher,
    live: Option<&Owner>,
    takeover: bool,
    room: Option<&Room>,
) -> Result<Claimed, Fail> {
    let me = Proc::C(c);
    let ask = Ask { session: publisher.session, credential: publisher.credential.clone(), takeover };
    let (mut fence, mut holder) = (None, Holder::Unseen);
    for _ in 0..ATTEMPTS_MAX {
        let asked = sim.pg(me, |pg, now| pg.take(publisher, live, fence, room, now)).await?;
        if asked.no_room {
            return Ok(Claimed::NoRoom);
        }
        if let Some(epoch) = asked.epoch {
            if let Some(old) = asked.put_out {
                sim.w().seen("takeover");
                kick_now(sim, c, &old.owner).await;
                super::ended(sim, c, old, EndReason::TakenOver).await;
            }
            return Ok(Claimed::Granted { epoch });
        }
        if holds_already(asked.before.as_ref(), publisher, live) {
            return Ok(Claimed::Again);
        }
        let now = sim.now();
        match rules::ask(asked.before.as_ref(), now, &ask, holder) {
            Verdict::Granted { .. } => {}
            Verdict::TakeOver { from } => {
                let live = matches!(asked.before, Some(Claim { state: State::Live { .. }, .. }));
                fence = Some((from, live));
            }
            Verdict::Look => {
                holder = match &asked.before {
                    Some(Claim { state: State::Live { owner, .. }, .. }) => look(sim, c, owner).await,
                    Some(_) | None => Holder::Active,
                };
            }
            Verdict::Busy { .. } => return Ok(Claimed::Busy),
        }
    }
    Ok(Claimed::Busy)
}

fn holds_already(before: Option<&Claim>, publisher: &Publisher, live: Option<&Owner>) -> bool {
    match before.map(|claim| &claim.state) {
        Some(State::Live { session, owner }) => *session == publisher.session || live == Some(owner),
        Some(State::Free { .. } | State::Reserved { .. }) | None => false,
    }
}

/// Looks at the connection that holds a claim.
async fn look(sim: &Sim, c: usize, owner: &Owner) -> Holder {
    let n = sim.w().node_index(&owner.node);
    let down = sim.w().controls[c].nodes.get(&owner.node).is_none_or(|entry| entry.health.state() == NodeState::Down);
    let (Some(n), Some(client)) = (n, srs::client_number(&owner.client)) else { return Holder::Gone };
    let (task, run) = (sim.clone(), owner.service.clone());
    let seen = sim.call(Proc::C(c), Proc::N(n), API_MS, async move {
        let w = task.w();
        let node = &w.nodes[n];
        (node.service == run).then(|| node.clients.get(&client).map(|client| srs::bytes(client, w.now)))
    });
    match seen.await {
        Ok(None | Some(None)) => Holder::Gone,
        Ok(Some(Some(bytes))) => watch(sim, c, owner, bytes).await,
        Err(Fail::Refused) => Holder::Gone,
        Err(Fail::Silent) if down => Holder::Gone,
        Err(Fail::Silent) => Holder::Active,
    }
}

/// Compares a holder's bytes with the look before. Without Redis nobody counts as silent.
pub(crate) async fn watch(sim: &Sim, c: usize, owner: &Owner, bytes: u64) -> Holder {
    let now = super::unix_ms(&sim.w(), c);
    let key = (owner.service.clone(), owner.client.to_string());
    let judged = sim.redis(Proc::C(c), |redis, _| {
        let (holder, watch) = rules::judge(redis.watches.get(&key).copied(), bytes, now);
        redis.watches.insert(key.clone(), watch);
        holder
    });
    judged.await.unwrap_or(Holder::Active)
}

/// Kicks a client; true when it is gone for good.
pub(crate) async fn kick(sim: &Sim, c: usize, owner: &Owner) -> bool {
    let (Some(n), Some(client)) = (sim.w().node_index(&owner.node), srs::client_number(&owner.client)) else {
        return true;
    };
    let (task, run) = (sim.clone(), owner.service.clone());
    let kicked = sim.call(Proc::C(c), Proc::N(n), API_MS, async move {
        if task.w().nodes[n].service == run {
            srs::leave(&task, n, client);
        }
    });
    // Refused: the process is gone, and the client with it.
    let gone = kicked.await != Err(Fail::Silent);
    sim.w().note(|| {
        format!("control {c}: kick of {} at {}: {}", owner.client, owner.node, if gone { "done" } else { "failed" })
    });
    gone
}

/// Kicks a client and waits a while for it to be gone. What fails stays written down.
async fn kick_now(sim: &Sim, c: usize, owner: &Owner) {
    let until = sim.now() + LET_GO_MAX_MS;
    if kick(sim, c, owner).await {
        // What cannot be struck out is done again, and finds nobody.
        let struck = sim.pg(Proc::C(c), |pg, _| pg.kicked(owner)).await;
        if struck.is_err() {
            sim.sleep(until.saturating_sub(sim.now()).min(20)).await;
        }
    }
}
