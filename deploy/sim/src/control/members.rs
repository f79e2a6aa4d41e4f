//! The membership: made of what this process judges, written to Redis over the version it was made from, learned.

use super::{
    health::{Entry, feed},
    unix_ms,
};
use crate::{
    domain::{health::Input, members::compose},
    exec::Sim,
    net::Proc,
    world::World,
};
use proto::{
    NodeId,
    event::Event,
    node::{Member, Membership, NodeAddresses, NodeLimits},
};

/// Writes what this process judges where Redis says otherwise.
pub(super) async fn sync(sim: &Sim, c: usize) {
    for _ in 0..8 {
        let read = sim.redis(Proc::C(c), |redis, _| redis.members.clone()).await;
        let redis = read.is_ok();
        let last = read.map_or_else(|_| sim.w().controls[c].membership.clone(), Option::unwrap_or_default);
        let next = {
            let w = sim.w();
            let control = &w.controls[c];
            let now_ms = unix_ms(&w, c);
            let ours: Vec<Member> = control
                .nodes
                .iter()
                .filter(|(_, entry)| entry.is_judged())
                .map(|(id, entry)| member(&w, id, entry))
                .collect();
            let mine: Vec<NodeId> = ours.iter().map(|member| member.id.clone()).collect();
            compose(&last, ours, |id| mine.contains(id), control.membership.version, now_ms)
        };
        let Some(next) = next else {
            learn(sim, c, &last);
            return;
        };
        if !redis {
            sim.w().controls[c].learn(&next);
            return;
        }
        let (expected, wanted) = (last.version, next.clone());
        let wrote = sim.redis(Proc::C(c), |redis, _| {
            let same = redis.members.as_ref().map_or(0, |members| members.version) == expected;
            if same {
                redis.members = Some(wanted);
            }
            same
        });
        match wrote.await {
            Ok(true) => {
                let version = next.version;
                sim.w().controls[c].learn(&next);
                sim.tell(Proc::C(c), Event::MembersChanged { version }).await;
                return;
            }
            Ok(false) => {}
            Err(_) => {
                sim.w().controls[c].learn(&next);
                return;
            }
        }
    }
    sim.w().controls[c].dirty = true;
}

fn member(w: &World, id: &NodeId, entry: &Entry) -> Member {
    Member {
        id: id.clone(),
        service: entry.health.service().cloned(),
        state: entry.health.state(),
        draining: w.draining.contains(id),
        weight: w.weights.get(id).copied().unwrap_or(1),
        zone: None,
        at: NodeAddresses::default(),
        public: Vec::new(),
        limits: NodeLimits::default(),
    }
}

/// Takes in the membership that Redis holds.
pub(crate) fn learn(sim: &Sim, c: usize, membership: &Membership) {
    for member in &membership.members {
        feed(sim, c, &member.id, Input::Told(member.state, member.service.clone()));
    }
    sim.w().controls[c].learn(membership);
}
