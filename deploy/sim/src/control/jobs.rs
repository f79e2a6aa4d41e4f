//! What a control-api does every so often.

use super::{Held, claiming, health, hooks, members, table, unix_ms};
use crate::domain::{claims::Owner, health::Input};
use crate::{exec::Sim, net::Proc, srs};
use proto::{
    NodeId, ServiceId,
    fleet::ControlInfo,
    node::NodeState,
    session::{EndReason, Role},
};

/// What is younger is not judged when tables and nodes are compared.
const GRACE_MS: u64 = 5_000;
const RECONCILE_EVERY_MS: u64 = 5_000;
const LEASE_MS: u64 = 4_500;
const API_MS: u64 = 1_000;
/// How long a publisher is without a claim before it is put out, and how long that is remembered unseen.
const PATIENCE_MS: u64 = 15_000;
const FORGET_MS: u64 = 120_000;

pub(super) fn start(sim: &Sim, c: usize) {
    every(sim, c, 1_000, fleet);
    every(sim, c, 1_000, kicks);
    every(sim, c, 1_000, async |sim: Sim, c| {
        let expired = sim.pg(Proc::C(c), |pg, now| pg.expire(now)).await;
        sim.w().controls[c].reached = expired.is_ok();
    });
    every(sim, c, 2_000, rebuild);
    every(sim, c, RECONCILE_EVERY_MS, async |sim: Sim, c| {
        let ids: Vec<NodeId> = sim.w().weights.keys().cloned().collect();
        for id in ids {
            let lease = sim.redis(Proc::C(c), |redis, now| redis.lease(&format!("reconcile:{id}"), LEASE_MS, now));
            // With Redis away everybody may: the work is the same done twice.
            if lease.await.unwrap_or(false) {
                reconcile(&sim, c, &id).await;
            }
        }
    });
}

fn every<W>(sim: &Sim, c: usize, ms: u64, work: impl Fn(Sim, usize) -> W + 'static)
where
    W: Future<Output = ()> + 'static,
{
    let task = sim.clone();
    sim.spawn(Proc::C(c), async move {
        let first = task.w().dice.below(ms);
        task.sleep(first).await;
        loop {
            work(task.clone(), c).await;
            task.sleep(ms).await;
        }
    });
}

/// Says that this process lives, and hears who else does, what the nodes told and what the others judged.
async fn fleet(sim: Sim, c: usize) {
    let me = Proc::C(c);
    let (id, now_ms) = {
        let w = sim.w();
        (w.controls[c].id.clone(), unix_ms(&w, c))
    };
    let hooks = health::unshared(&sim, c);
    let read = sim.redis(me, |redis, _| {
        redis.controls.insert(id, now_ms);
        for (node, service, at) in hooks {
            let heard = redis.hooked.entry(node).or_insert_with(|| (service.clone(), 0));
            *heard = (service, heard.1.max(at));
        }
        (redis.controls.clone(), redis.nodes.clone(), redis.hooked.clone(), redis.members.clone())
    });
    let Ok((controls, nodes, hooked, membership)) = read.await else { return };
    let infos = controls.into_iter().filter_map(|(id, seen_at_ms)| {
        let index = id.as_str().strip_prefix("ctl")?.split('-').next()?.to_owned();
        Some(ControlInfo { id, url: index, version: String::new(), seen_at_ms })
    });
    {
        let w = sim.w();
        let now_ms = unix_ms(&w, c);
        w.controls[c].others.learn(infos.collect(), now_ms);
    }
    for (node, (service, at)) in nodes {
        let newer = {
            let mut w = sim.w();
            let heard = w.controls[c].beats.entry(node.clone()).or_default();
            let newer = at > *heard;
            *heard = at.max(*heard);
            newer
        };
        if newer {
            health::feed(&sim, c, &node, Input::Heard(service));
        }
    }
    for (node, (service, at)) in hooked {
        let grew = {
            let mut w = sim.w();
            let before = w.controls[c].hooks.insert(node.clone(), at);
            before.is_some_and(|before| at > before)
        };
        if grew {
            health::feed(&sim, c, &node, Input::Hook(service));
        }
    }
    if let Some(membership) = membership {
        members::learn(&sim, c, &membership);
    }
    sim.w().controls[c].dirty = true;
}

/// Carries out the kicks that are due.
async fn kicks(sim: Sim, c: usize) {
    let unwritten = std::mem::take(&mut sim.w().controls[c].unwritten);
    for owner in unwritten {
        if !claiming::kick(&sim, c, &owner).await {
            sim.w().controls[c].unwritten.push(owner);
        }
    }
    let away: Vec<NodeId> = {
        let w = sim.w();
        let down = w.controls[c].nodes.iter().filter(|(_, entry)| entry.health.state() == NodeState::Down);
        down.map(|(id, _)| id.clone()).collect()
    };
    let Ok(due) = sim.pg(Proc::C(c), |pg, now| pg.due(now, &away)).await else { return };
    for owner in due {
        let task = sim.clone();
        sim.spawn(Proc::C(c), async move {
            if claiming::kick(&task, c, &owner).await {
                // Struck out or not: a kick that is done twice finds nobody.
                let struck = task.pg(Proc::C(c), |pg, _| pg.kicked(&owner)).await;
                if struck.is_err() {
                    task.w().seen("kick done twice");
                }
            }
        });
    }
}

/// Fills Redis again when it lost its data.
async fn rebuild(sim: Sim, c: usize) {
    let me = Proc::C(c);
    if sim.redis(me, |redis, _| redis.filled).await != Ok(false) {
        return;
    }
    let Ok(live) = sim.pg(me, |pg, _| pg.live()).await else { return };
    let all: Vec<_> = live.into_iter().map(held).map(|held| held.placement()).collect();
    let filled = sim.redis(me, |redis, _| {
        for placement in &all {
            redis.place(placement);
        }
        redis.told += 1;
        redis.filled = true;
    });
    if filled.await.is_ok() {
        sim.w().seen("redis filled again");
    }
}

fn held((stream, epoch, session, owner): (proto::StreamId, u64, proto::SessionId, Owner)) -> Held {
    Held { stream, epoch, session, owner, edge: None }
}

/// Compares one node with the tables.
pub(crate) async fn reconcile(sim: &Sim, c: usize, id: &NodeId) {
    let (me, began) = (Proc::C(c), sim.now());
    let Some(n) = sim.w().node_index(id) else { return };
    let Ok(live) = sim.pg(me, |pg, _| pg.live()).await else { return };
    let known = table::of_node(sim, c, id);
    let task = sim.clone();
    let listed = sim.call(me, Proc::N(n), API_MS, async move {
        let w = task.w();
        let node = &w.nodes[n];
        let all = node.clients.iter().filter_map(|(id, client)| Some((node.owner(*id)?, client.clone())));
        (node.service.clone(), all.collect::<Vec<_>>())
    });
    let Ok((service, clients)) = listed.await else { return };
    // What older runs held is over, also when nobody could write that down at the restart.
    let mut runs: Vec<_> =
        live.iter().filter(|(_, _, _, owner)| owner.node == *id).map(|(.., owner)| &owner.service).collect();
    runs.retain(|run| **run != service);
    for run in runs {
        if let Ok(all) = sim.pg(me, |pg, _| pg.end_run(id, run)).await {
            sim.w().seen("claims of an old run ended late");
            hooks::all_ended(sim, c, all, EndReason::NodeLost).await;
        }
    }
    put_out(sim, c, &service, &clients).await;
    let compares = sim.w().broken != crate::Broken::ForgetEarlyClose;
    let present = |owner: &Owner| clients.iter().any(|(here, _)| here == owner);
    let now = sim.now();
    for (_, _, _, owner) in live.iter().filter(|(_, _, _, owner)| owner.node == *id && owner.service == service) {
        if !present(owner) && table::age_ms(sim, c, owner).is_none_or(|age| age >= GRACE_MS) {
            sim.w().seen("publisher found gone");
            let freed = sim.pg(me, |pg, _| {
                pg.end_where(|_, claim| {
                    matches!(&claim.state, crate::domain::claims::State::Live { owner: held, .. } if held == owner)
                })
            });
            if let Ok(all) = freed.await {
                hooks::all_ended(sim, c, all, EndReason::Reconciled).await;
            }
        }
    }
    // As `reconcile::compare` does: one may have been opened late, by a journal, under a run that is over.
    if compares && known.iter().any(|(owner, _)| owner.service != service) {
        sim.w().seen("session of an old run ended late");
        table::lost_other_runs(sim, c, id, &service);
    }
    for (owner, age) in known {
        if owner.service == service && age >= GRACE_MS && !present(&owner) && compares {
            sim.w().seen("session found gone");
            table::close_client(sim, c, &owner, EndReason::Reconciled);
        }
    }
    for (owner, client) in &clients {
        let settled = client.accepted && now.saturating_sub(client.since) >= GRACE_MS;
        if table::ended_since(sim, c, owner, began) {
            continue;
        }
        if client.role == Role::Publish {
            claiming::watch(sim, c, owner, srs::bytes(client, now)).await;
            if let Some(one) = live.iter().find(|(_, _, _, held)| held == owner).cloned() {
                repair(sim, c, held(one)).await;
            }
        } else if settled && !table::knows(sim, c, owner) {
            // Of a stream that nobody publishes any more it waits for the next publisher; one that is live elsewhere has moved away from it.
            let elsewhere = live.iter().any(|(stream, _, _, held)| *stream == client.stream && held.node != owner.node);
            if !elsewhere && table::is_settled(sim, c) {
                sim.w().seen("viewer adopted");
                let session = crate::check::session_of(client).unwrap_or_else(|| sim.w().session_id());
                table::open(sim, c, &client.stream, Role::Play, owner, session, 0, None);
            }
        }
    }
}

/// Owes kicks to publishers of a run that have had no claim for long, as this control-api saw it.
async fn put_out(sim: &Sim, c: usize, service: &ServiceId, clients: &[(Owner, srs::Client)]) {
    let Ok(live) = sim.pg(Proc::C(c), |pg, _| pg.live()).await else { return };
    let claimed = |owner: &Owner| live.iter().any(|(_, _, _, held)| held == owner);
    let publishers = clients.iter().filter(|(_, client)| client.role == Role::Publish).map(|(owner, _)| owner);
    let without: Vec<Owner> = publishers.filter(|owner| !claimed(owner)).cloned().collect();
    let over: Vec<Owner> = {
        let mut w = sim.w();
        let now = w.now;
        let known = &mut w.controls[c].unclaimed;
        known.retain(|(owner, _, last)| {
            now.saturating_sub(*last) < FORGET_MS && (owner.service != *service || without.contains(owner))
        });
        let long = |owner: &Owner| {
            if let Some((_, first, last)) = known.iter_mut().find(|(one, ..)| one == owner) {
                *last = now;
                return now.saturating_sub(*first) >= PATIENCE_MS;
            }
            known.push((owner.clone(), now, now));
            false
        };
        without.into_iter().filter(long).collect()
    };
    for owner in over {
        if sim.pg(Proc::C(c), |pg, now| pg.owe(&owner, now)).await.is_ok() {
            sim.w().seen("publisher without a claim put out");
        }
    }
}

/// What Redis or the table lack of a live publisher.
async fn repair(sim: &Sim, c: usize, held: Held) {
    if !table::knows(sim, c, &held.owner) {
        table::open(sim, c, &held.stream, Role::Publish, &held.owner, held.session, held.epoch, None);
    }
    let placement = held.placement();
    let lacked = sim.redis(Proc::C(c), |redis, _| {
        let lacks = redis.placements.get(&placement.stream).is_none_or(|old| old.epoch < placement.epoch);
        redis.place(&placement);
        lacks
    });
    if lacked.await == Ok(true) {
        sim.w().seen("placement repaired");
        let placement = held.placement();
        sim.tell(Proc::C(c), proto::event::Event::StreamLive { placement, owner: None }).await;
    }
}
