//! The shell around `crate::domain::health`: who probes, what was met, what follows.

use super::{hooks, members, table, unix_ms};
use crate::domain::{
    claims::Owner,
    health::{Health, Input, Output, Witness},
};
use crate::{
    Broken,
    exec::Sim,
    net::{Fail, Proc},
    srs,
};
use gossip::Run;
use proto::{
    EdgeId, NodeId, ServiceId,
    event::Event,
    node::{Met, NodeState},
    session::{EndReason, Role},
};

const TICK_MS: u64 = 100;
/// How often it is asked whose turn it is to probe.
const JUDGED_EVERY_MS: u64 = 400;
const PROBE_EVERY_MS: u64 = 1_000;
const PROBE_UNEASY_MS: u64 = 250;
const PROBE_MS: u64 = 1_000;
const ASK_MS: u64 = 1_500;
const WAIT_FOR_REDIS_MS: u64 = 2_000;
const END_AGAIN_MS: u64 = 5_000;
/// A client this young may still wait for its hook.
const SETTLED_MS: u64 = 3_000;

/// One node, as one control-api sees it.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) health: Health,
    ours: bool,
    is_mine: bool,
    judged_at: u64,
    due_ms: u64,
    probing: bool,
    asking: bool,
    clearing: bool,
    ending: bool,
    ended_ms: u64,
    hooked_ms: u64,
    shared_ms: u64,
}

impl Entry {
    /// This process judges it.
    pub(super) const fn is_judged(&self) -> bool {
        self.ours
    }
}

pub(crate) fn start(sim: &Sim, c: usize) {
    {
        let mut w = sim.w();
        let ids: Vec<NodeId> = w.weights.keys().cloned().collect();
        for id in ids {
            let mut entry = Entry::default();
            entry.health.judge(false);
            w.controls[c].nodes.insert(id, entry);
        }
    }
    let task = sim.clone();
    sim.spawn(Proc::C(c), async move {
        let first = task.w().dice.below(TICK_MS);
        task.sleep(first).await;
        loop {
            turn(&task, c);
            task.sleep(TICK_MS).await;
        }
    });
}

fn turn(sim: &Sim, c: usize) {
    let ids: Vec<NodeId> = sim.w().weights.keys().cloned().collect();
    for id in &ids {
        let (due, end, informed) = {
            let w = &mut *sim.w();
            let now_ms = unix_ms(w, c);
            let age = w.now.saturating_sub(w.controls[c].began);
            let control = &mut w.controls[c];
            let informed = control.others.is_informed(now_ms);
            let judges = informed || age >= WAIT_FOR_REDIS_MS;
            let Some(entry) = control.nodes.get_mut(id) else { continue };
            // Who is alive changes with what is read each second.
            if w.now >= entry.judged_at + JUDGED_EVERY_MS || entry.judged_at == 0 {
                (entry.judged_at, entry.is_mine) = (w.now, control.others.is_ours(id, now_ms));
            }
            let ours = judges && entry.is_mine;
            if entry.ours != ours {
                entry.ours = ours;
                entry.due_ms = now_ms;
                entry.health.judge(ours);
                control.dirty = true;
            }
            if entry.health.state() == NodeState::Joining {
                entry.health.step(Input::Checked(true), now_ms);
            }
            let due = ours && !entry.probing && entry.due_ms <= now_ms;
            if due {
                entry.probing = true;
                entry.due_ms = u64::MAX;
            }
            let end = ours && entry.health.is_gone(now_ms) && now_ms.saturating_sub(entry.ended_ms) >= END_AGAIN_MS;
            (due, end, informed)
        };
        if !informed {
            feed(sim, c, id, Input::Deaf);
        }
        feed(sim, c, id, Input::Tick);
        if due {
            probe(sim, c, id);
        }
        if end {
            lost(sim, c, id);
        }
    }
    let write = {
        let control = &mut sim.w().controls[c];
        let write = control.dirty && !control.writing;
        if write {
            (control.dirty, control.writing) = (false, true);
        }
        write
    };
    if write {
        let task = sim.clone();
        sim.spawn(Proc::C(c), async move {
            members::sync(&task, c).await;
            task.w().controls[c].writing = false;
        });
    }
}

/// Tells a node's machine something and does what follows.
pub(crate) fn feed(sim: &Sim, c: usize, id: &NodeId, input: Input) {
    let outputs = {
        let mut w = sim.w();
        let now_ms = unix_ms(&w, c);
        let one_witness = w.broken == Broken::OneWitness;
        let Some(entry) = w.controls[c].nodes.get_mut(id) else { return };
        if matches!(&input, Input::Hook(service) if entry.health.service() == Some(service)) {
            entry.hooked_ms = now_ms;
        }
        let mut outputs = Vec::new();
        if one_witness
            && let Input::Word(Witness::Prober, service, Met::Silent | Met::Refused) = &input
            && let Ok(edge) = EdgeId::parse("myself")
        {
            // Broken on purpose: the prober's word counts for two, and no sign of life stands against it.
            entry.health.step(Input::Word(Witness::Prober, service.clone(), Met::Refused), now_ms);
            outputs = entry.health.step(Input::Word(Witness::Edge(edge), service.clone(), Met::Refused), now_ms);
        } else {
            outputs.extend(entry.health.step(input, now_ms));
        }
        if outputs.contains(&Output::Look) {
            entry.due_ms = entry.due_ms.min(now_ms);
        }
        outputs
    };
    for output in outputs {
        match output {
            Output::Changed { from, to, .. } => changed(sim, c, id, from, to),
            Output::Run(service) => restarted(sim, c, id, service),
            Output::Ask => ask(sim, c, id),
            Output::Clear => clear(sim, c, id),
            Output::Look => {}
        }
    }
}

fn changed(sim: &Sim, c: usize, id: &NodeId, from: NodeState, to: NodeState) {
    {
        let mut w = sim.w();
        w.controls[c].dirty = true;
        w.note(|| format!("control {c}: {id} is {} after {}", to.as_str(), from.as_str()));
        match to {
            NodeState::Down => w.seen("node down"),
            NodeState::Suspect => w.seen("node suspect"),
            NodeState::Up | NodeState::Joining => {}
        }
    }
    if to == NodeState::Down {
        lost(sim, c, id);
        let (task, node) = (sim.clone(), id.clone());
        sim.spawn(Proc::C(c), async move { task.tell(Proc::C(c), Event::NodeDown { node }).await });
    }
}

fn restarted(sim: &Sim, c: usize, id: &NodeId, service: ServiceId) {
    sim.w().controls[c].dirty = true;
    let (task, id) = (sim.clone(), id.clone());
    sim.spawn(Proc::C(c), async move {
        let me = Proc::C(c);
        if let Ok(all) = task.pg(me, |pg, _| pg.end_other_runs(&id, &service)).await {
            hooks::all_ended(&task, c, all, EndReason::NodeLost).await;
        }
        table::lost_other_runs(&task, c, &id, &service);
    });
}

fn probe(sim: &Sim, c: usize, id: &NodeId) {
    let (task, id) = (sim.clone(), id.clone());
    sim.spawn(Proc::C(c), async move {
        let Some(n) = task.w().node_index(&id) else { return };
        let met = look_at(&task, c, n).await;
        let known = task.w().controls[c].nodes.get(&id).and_then(|entry| entry.health.service().cloned());
        let (service, met) = match met {
            Ok(service) => (Some(service), Met::Answered),
            Err(Fail::Refused) => (known, Met::Refused),
            Err(Fail::Silent) => (known, Met::Silent),
        };
        if let Some(service) = service {
            feed(&task, c, &id, Input::Word(Witness::Prober, service, met));
        }
        let mut w = task.w();
        let now_ms = unix_ms(&w, c);
        if let Some(entry) = w.controls[c].nodes.get_mut(&id) {
            entry.probing = false;
            let every = if entry.health.is_uneasy() { PROBE_UNEASY_MS } else { PROBE_EVERY_MS };
            let asked = if entry.due_ms == u64::MAX { every } else { PROBE_UNEASY_MS.min(every) };
            entry.due_ms = now_ms + asked;
        }
    });
}

async fn look_at(sim: &Sim, c: usize, n: usize) -> Result<ServiceId, Fail> {
    let task = sim.clone();
    sim.call(Proc::C(c), Proc::N(n), PROBE_MS, async move { task.w().nodes[n].service.clone() }).await
}

/// Asks the next control node to look.
fn ask(sim: &Sim, c: usize, id: &NodeId) {
    let order = {
        let mut w = sim.w();
        let now_ms = unix_ms(&w, c);
        let control = &mut w.controls[c];
        let Some(entry) = control.nodes.get_mut(id).filter(|entry| !entry.asking) else { return };
        entry.asking = true;
        control.others.order(id, now_ms)
    };
    let (task, id) = (sim.clone(), id.clone());
    sim.spawn(Proc::C(c), async move {
        let service = task.w().controls[c].nodes.get(&id).and_then(|entry| entry.health.service().cloned());
        let n = task.w().node_index(&id);
        let next = order.into_iter().find_map(|(id, url)| Some((id, url?)));
        if let (Some(service), Some((control, url))) = (service, next)
            && let Ok(other) = url.parse::<usize>()
            && let Some(n) = n
        {
            let (there, run) = (task.clone(), service.clone());
            let met = task.call(Proc::C(c), Proc::C(other), ASK_MS, async move {
                match look_at(&there, other, n).await {
                    Ok(service) if service == run => Met::Answered,
                    Ok(_) => Met::OtherRun,
                    Err(Fail::Refused) => Met::Refused,
                    Err(Fail::Silent) => Met::Silent,
                }
            });
            match met.await {
                Ok(met) => feed(&task, c, &id, Input::Word(Witness::Control(control), service, met)),
                Err(_) => task.w().controls[c].others.missed(&control),
            }
        }
        if let Some(entry) = task.w().controls[c].nodes.get_mut(&id) {
            entry.asking = false;
        }
    });
}

/// Ends what a node which is down carried.
fn lost(sim: &Sim, c: usize, id: &NodeId) {
    let service = {
        let mut w = sim.w();
        let now_ms = unix_ms(&w, c);
        let Some(entry) = w.controls[c].nodes.get_mut(id).filter(|entry| !entry.ending) else { return };
        (entry.ending, entry.ended_ms) = (true, now_ms);
        entry.health.service().cloned()
    };
    let (task, id) = (sim.clone(), id.clone());
    sim.spawn(Proc::C(c), async move {
        if let Some(service) = service {
            let freed = task.pg(Proc::C(c), |pg, _| pg.end_run(&id, &service)).await;
            if let Ok(all) = freed {
                // A node that was only cut off still has them. What cannot be written down here is found without a claim later.
                let owners: Vec<Owner> = all.iter().map(|ended| ended.owner.clone()).collect();
                let owed = task.pg(Proc::C(c), |pg, now| owners.iter().for_each(|owner| pg.owe(owner, now)));
                if !owners.is_empty() && owed.await.is_err() {
                    task.w().seen("kicks of lost publishers not written down");
                }
                hooks::all_ended(&task, c, all, EndReason::NodeLost).await;
                table::lost(&task, c, &Run::Node { node: id.clone(), service });
            }
        }
        if let Some(entry) = task.w().controls[c].nodes.get_mut(&id) {
            entry.ending = false;
        }
    });
}

/// Looks at what a node that is back still carries and ends what owns nothing any more.
fn clear(sim: &Sim, c: usize, id: &NodeId) {
    {
        let mut w = sim.w();
        let Some(entry) = w.controls[c].nodes.get_mut(id).filter(|entry| !entry.clearing) else { return };
        entry.clearing = true;
    }
    let (task, id) = (sim.clone(), id.clone());
    sim.spawn(Proc::C(c), async move {
        if let Some(left) = strangers(&task, c, &id).await {
            for owner in &left {
                task.w().seen("stranger ended on a node that is back");
                super::claiming::kick(&task, c, owner).await;
                table::close_client(&task, c, owner, EndReason::NodeLost);
            }
            feed(&task, c, &id, Input::Stale(!left.is_empty()));
        }
        if let Some(entry) = task.w().controls[c].nodes.get_mut(&id) {
            entry.clearing = false;
        }
    });
}

/// Publishers that own no claim, and players of streams whose publisher is not here; `None`: not known.
async fn strangers(sim: &Sim, c: usize, id: &NodeId) -> Option<Vec<Owner>> {
    let live = sim.pg(Proc::C(c), |pg, _| pg.live()).await.ok()?;
    let n = sim.w().node_index(id)?;
    let task = sim.clone();
    let listed = sim.call(Proc::C(c), Proc::N(n), PROBE_MS, async move {
        let w = task.w();
        let node = &w.nodes[n];
        let old = |client: &srs::Client| w.now.saturating_sub(client.since) >= SETTLED_MS;
        let all = node.clients.iter().filter(|(_, client)| old(client));
        all.filter_map(|(id, client)| Some((node.owner(*id)?, client.role, client.stream.clone()))).collect::<Vec<_>>()
    });
    let fits = |owner: &Owner, role: Role, stream: &proto::StreamId| match role {
        Role::Publish => live.iter().any(|(_, _, _, held)| held == owner),
        Role::Play => {
            live.iter().any(|(of, _, _, held)| of == stream && held.node == owner.node && held.service == owner.service)
        }
    };
    let all = listed.await.ok()?;
    Some(all.into_iter().filter(|(owner, role, stream)| !fits(owner, *role, stream)).map(|(owner, ..)| owner).collect())
}

/// Whether this process probes a node.
pub(crate) fn probes(w: &crate::world::World, c: usize, id: &NodeId) -> bool {
    w.controls[c].nodes.get(id).is_some_and(|entry| entry.ours)
}

/// Hooks heard here that the prober does not know of: shared by Redis each second.
pub(crate) fn unshared(sim: &Sim, c: usize) -> Vec<(NodeId, ServiceId, u64)> {
    let mut w = sim.w();
    let now_ms = unix_ms(&w, c);
    let mut out = Vec::new();
    for (id, entry) in &mut w.controls[c].nodes {
        if !entry.ours && entry.hooked_ms > entry.shared_ms {
            out.extend(entry.health.service().map(|service| (id.clone(), service.clone(), entry.hooked_ms)));
            entry.shared_ms = now_ms.max(entry.hooked_ms);
        }
    }
    out
}
