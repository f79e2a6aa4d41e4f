//! The membership: made of what is enrolled and what is judged, written to Redis over the version it was made from, told, learned.

use crate::{
    app::State,
    domain::{health::Input, members::compose},
    store::cache::event,
};
use kit::{
    clock,
    kv::{Cmd, KvError},
};
use proto::{
    NodeId,
    event::Event,
    keys,
    node::{Member, Membership, NodeState},
};
use std::sync::Arc;

/// Tries to write over what others wrote meanwhile; the next second tries again.
const TRIES: usize = 8;

/// Replaces the document if its version is the expected one (0: there is none). Answers 1, else 0.
const REPLACE: &str = "
local was = redis.call('GET', KEYS[1])
local version = 0
if was then
  local ok, it = pcall(cjson.decode, was)
  if ok and type(it) == 'table' and tonumber(it.version) then version = tonumber(it.version) end
end
if version ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1";

/// Takes in the membership that Redis holds, and what the probers of the other nodes judged.
pub fn learn(state: &Arc<State>, membership: Membership) {
    let now_ms = clock::unix_ms();
    for member in &membership.members {
        state.health.step(&member.id, Input::Told(member.state, member.service.clone()), now_ms);
    }
    state.fleet.learn(membership);
}

/// Writes what this process judges where Redis says otherwise. With Redis away the last membership goes on with what is judged here, in this
/// process alone.
pub async fn sync(state: &Arc<State>) {
    let _one_at_a_time = state.health.hold().await;
    for _ in 0..TRIES {
        let read = state.kv.json::<Membership>(keys::MEMBERS).await;
        let (last, redis) = match read {
            Ok(last) => (last.unwrap_or_default(), true),
            Err(_) => (state.fleet.membership().as_ref().clone(), false),
        };
        let Some(next) = ours(state, &last) else {
            learn(state, last);
            return;
        };
        if !redis {
            state.fleet.learn(next);
            return;
        }
        match replace(state, last.version, &next).await {
            Ok(true) => {
                state.fleet.learn(next);
                return;
            }
            Ok(false) => {}
            Err(error) => {
                if error != KvError::Away {
                    tracing::error!(%error, "the membership cannot be written");
                }
                state.metrics.redis_skipped("members");
                state.fleet.learn(next);
                return;
            }
        }
    }
    state.health.stir();
}

async fn replace(state: &State, expected: u64, next: &Membership) -> Result<bool, KvError> {
    let json = serde_json::to_vec(next).map_err(|_| KvError::Shape)?;
    let write = Cmd::eval(REPLACE, keys::MEMBERS).num(expected).arg(json);
    if state.kv.one(write).await?.int()? != 1 {
        return Ok(false);
    }
    if state.kv.one(event(&Event::MembersChanged { version: next.version })).await.is_err() {
        // Everybody reads the document each second anyway.
        state.metrics.redis_skipped("members");
    }
    Ok(true)
}

/// `last` with the nodes that this process judges as it judges them.
fn ours(state: &State, last: &Membership) -> Option<Membership> {
    let now_ms = clock::unix_ms();
    let mine = state.health.judged();
    if mine.is_empty() && last.members.is_empty() {
        return None;
    }
    let members: Vec<Member> = mine.iter().filter_map(|(node, judged)| member(state, node, judged)).collect();
    let enrolled = state.nodes.enrolments();
    let is_mine = |node: &NodeId| {
        mine.iter().any(|(id, _)| id == node)
            || (!enrolled.contains_key(node) && !mine.is_empty() && state.health.controls.is_ours(node, now_ms))
    };
    compose(last, members, is_mine, state.fleet.membership().version, now_ms)
}

/// A state with the run it is of.
type Judged = (NodeState, Option<proto::ServiceId>);

fn member(state: &State, node: &NodeId, judged: &Judged) -> Option<Member> {
    let enrolment = state.nodes.enrolment(node)?;
    Some(Member {
        id: node.clone(),
        service: judged.1.clone(),
        state: judged.0,
        draining: enrolment.cordoned_at.is_some(),
        weight: enrolment.weight,
        zone: enrolment.zone.clone(),
        at: state.nodes.addresses(node).unwrap_or_default(),
        public: enrolment.public.clone(),
        limits: enrolment.limits,
    })
}

impl super::Fitness {
    /// The nodes this process judges.
    fn judged(&self) -> Vec<(NodeId, Judged)> {
        let nodes = self.lock();
        let ours = nodes.iter().filter(|(_, entry)| entry.ours);
        ours.map(|(node, entry)| (node.clone(), (entry.health.state(), entry.health.service().cloned()))).collect()
    }
}
