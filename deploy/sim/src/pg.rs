//! Postgres: claims and owed kicks, one statement at a time. Each statement is the rule of `crate::domain::claims` that control-api's own test
//! (`control/tests/api/claims_rules.rs`) holds the real statements to.

use crate::domain::{
    claims::{self as rules, Ask, Claim, Confirm, Holder, Owner, State, Verdict},
    placing::Room,
};
use proto::{NodeId, ServiceId, SessionId, StreamId, internal::Credential};
use std::collections::BTreeMap;

/// How long a reservation lasts.
const RESERVED_MS: u64 = proto::internal::RESERVATION_SECONDS * 1_000;

/// A publisher that wants a stream.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) stream: StreamId,
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) service: ServiceId,
    pub(crate) credential: Credential,
    pub(crate) edge: Option<usize>,
    /// It wants whoever is there ended.
    pub(crate) takeover: bool,
}

/// What a statement that asks for a stream did, and what it found.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) before: Option<Claim>,
    pub(crate) epoch: Option<u64>,
    /// Who was put out for it.
    pub(crate) put_out: Option<Ended>,
    pub(crate) no_room: bool,
}

/// A live claim that ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) stream: StreamId,
    pub(crate) epoch: u64,
    pub(crate) session: SessionId,
    pub(crate) owner: Owner,
}

/// A kick that is owed.
#[derive(Debug, Clone)]
pub(crate) struct Kick {
    pub(crate) owner: Owner,
    pub(crate) due_ms: u64,
}

/// A stream that was given to a node, for whoever checks the bound.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) stream: StreamId,
    pub(crate) node: NodeId,
    /// The one it had before, with who held it live.
    pub(crate) from: Option<Ended>,
    /// That one was to be ended on purpose.
    pub(crate) takeover: bool,
    /// Streams of the node and of all of `among` together, this one included; the node's weight and all of theirs.
    pub(crate) counts: Option<(u64, u64, u64, u64)>,
}

/// The database.
#[derive(Debug, Default)]
pub(crate) struct Pg {
    pub(crate) claims: BTreeMap<StreamId, Claim>,
    /// The edge of each claim that came by one.
    pub(crate) edges: BTreeMap<StreamId, Option<usize>>,
    pub(crate) kicks: Vec<Kick>,
    /// What was given since somebody looked.
    pub(crate) grants: Vec<Grant>,
    /// What lost nodes held live, since somebody looked.
    pub(crate) lost: Vec<Owner>,
    /// Broken on purpose: a stream that is free has no epoch.
    pub(crate) forgets_epochs: bool,
    /// Broken on purpose: the bound is not looked at.
    pub(crate) no_bound: bool,
    /// Broken on purpose: any connection's end frees the stream.
    pub(crate) anybody_ends: bool,
}

/// The node of a claim that is not free.
pub(crate) fn node_of(claim: &Claim) -> Option<&NodeId> {
    match &claim.state {
        State::Free { .. } => None,
        State::Reserved { node, .. } => Some(node),
        State::Live { owner, .. } => Some(&owner.node),
    }
}

impl Pg {
    /// Streams a node was given.
    pub(crate) fn streams(&self, node: &NodeId) -> u64 {
        self.claims.values().filter(|claim| node_of(claim) == Some(node)).map(|_| 1).sum()
    }

    /// Reserves a stream, or with `live` gives it at once; with a `fence` that very holder is put out.
    pub(crate) fn take(
        &mut self,
        by: &Publisher,
        live: Option<&Owner>,
        fence: Option<(u64, bool)>,
        room: Option<&Room>,
        now: u64,
    ) -> Asked {
        let before = self.claims.get(&by.stream).cloned();
        let mut asked = Asked { before: before.clone(), epoch: None, put_out: None, no_room: false };
        let ask = Ask { session: by.session, credential: by.credential.clone(), takeover: false };
        let held = before.as_ref().is_some_and(|claim| matches!(claim.state, State::Live { .. }));
        let fenced = before.as_ref().zip(fence).is_some_and(|(claim, (epoch, live))| {
            claim.epoch == epoch && matches!(claim.state, State::Live { .. }) == live
        });
        let granted = match rules::ask(before.as_ref(), now, &ask, Holder::Unseen) {
            Verdict::Granted { epoch } if !held => Some(epoch),
            Verdict::Granted { .. } | Verdict::TakeOver { .. } | Verdict::Look | Verdict::Busy { .. } => None,
        };
        let next = before.as_ref().map_or(1, |claim| claim.epoch + 1);
        let Some(epoch) = granted.or_else(|| fenced.then_some(next)) else { return asked };
        let state = match live {
            None => State::Reserved {
                session: by.session,
                node: by.node.clone(),
                service: by.service.clone(),
                until_ms: now + RESERVED_MS,
            },
            Some(owner) => State::Live { session: by.session, owner: owner.clone() },
        };
        let from_node = before.as_ref().and_then(node_of).cloned();
        let mut counts = None;
        if let Some(room) = room {
            let given_up = |node: &NodeId| u64::from(from_node.as_ref() == Some(node));
            let own = self.streams(&by.node) - given_up(&by.node);
            let total: u64 = room.among.iter().map(|node| self.streams(node) - given_up(node)).sum();
            let (weight, weights) = (u64::from(room.weight), u64::from(room.weights));
            let bound = (125 * (total + 1) * weight).div_ceil(100 * weights);
            let over = room.limit.is_some_and(|limit| own >= u64::from(limit)) || own >= bound;
            if over && !self.no_bound && from_node.as_ref() != Some(&by.node) {
                asked.no_room = true;
                return asked;
            }
            if from_node.as_ref() != Some(&by.node) {
                counts = Some((own + 1, total + 1, weight, weights));
            }
        }
        asked.put_out = before.as_ref().and_then(|claim| ended(&by.stream, claim));
        if let Some(out) = &asked.put_out {
            self.owe(&out.owner, now);
        }
        self.grants.push(Grant {
            stream: by.stream.clone(),
            node: by.node.clone(),
            from: asked.put_out.clone(),
            takeover: by.takeover,
            counts,
        });
        self.claims.insert(by.stream.clone(), Claim { epoch, state, credential: by.credential.clone() });
        self.edges.insert(by.stream.clone(), by.edge);
        asked.epoch = Some(epoch);
        asked
    }

    /// Confirms a reservation, or a publish again on the same connection: the epoch, and the claim as it was.
    pub(crate) fn confirm(
        &mut self,
        stream: &StreamId,
        session: SessionId,
        epoch: u64,
        from: &Owner,
        late: bool,
    ) -> (Option<u64>, Option<Claim>) {
        let before = self.claims.get(stream).cloned();
        let said = match rules::confirm(before.as_ref(), session, epoch, from) {
            Confirm::Live { epoch } => {
                let reserved = before.as_ref().is_some_and(|claim| matches!(claim.state, State::Reserved { .. }));
                (!(late && reserved)).then_some(epoch)
            }
            Confirm::Again | Confirm::Refused(_) => None,
        };
        if let (Some(epoch), Some(claim)) = (said, self.claims.get_mut(stream)) {
            claim.epoch = epoch;
            claim.state = State::Live { session, owner: from.clone() };
        }
        (said, before)
    }

    /// Frees the stream of a connection that ended.
    pub(crate) fn end(&mut self, from: &Owner, stream: &StreamId) -> Option<Ended> {
        let (broken, forgets) = (self.anybody_ends, self.forgets_epochs);
        let claim = self.claims.get_mut(stream)?;
        if !rules::ends(claim, from) && !broken {
            return None;
        }
        let over = ended(stream, claim)?;
        claim.state = State::Free { last: Some((over.session, over.owner.clone())) };
        if forgets {
            claim.epoch = 0;
        }
        Some(over)
    }

    /// Frees for good what a condition names, live or reserved.
    pub(crate) fn end_where(&mut self, which: impl Fn(&StreamId, &Claim) -> bool) -> Vec<Ended> {
        let mut all = Vec::new();
        for (stream, claim) in &mut self.claims {
            if which(stream, claim) && !matches!(claim.state, State::Free { .. }) {
                all.extend(ended(stream, claim));
                claim.state = State::Free { last: None };
            }
        }
        all
    }

    /// Frees what other runs of a node held.
    pub(crate) fn end_other_runs(&mut self, node: &NodeId, service: &ServiceId) -> Vec<Ended> {
        self.end_where(|_, claim| rules::lost(claim, node, service))
    }

    /// Frees what one run of a node held.
    pub(crate) fn end_run(&mut self, node: &NodeId, service: &ServiceId) -> Vec<Ended> {
        let all = self.end_where(|_, claim| match &claim.state {
            State::Free { .. } => false,
            State::Reserved { node: n, service: s, .. } => n == node && s == service,
            State::Live { owner, .. } => owner.node == *node && owner.service == *service,
        });
        self.lost.extend(all.iter().map(|ended| ended.owner.clone()));
        all
    }

    pub(crate) fn give_up(&mut self, stream: &StreamId, session: SessionId, epoch: u64) {
        if let Some(claim) = self.claims.get_mut(stream)
            && rules::gives_up(claim, session, epoch)
        {
            claim.state = State::Free { last: None };
        }
    }

    pub(crate) fn expire(&mut self, now: u64) {
        for claim in self.claims.values_mut().filter(|claim| rules::expired(claim, now)) {
            claim.state = State::Free { last: None };
        }
    }

    /// Writes down that a client must be kicked.
    pub(crate) fn owe(&mut self, owner: &Owner, due_ms: u64) {
        if !self.kicks.iter().any(|kick| kick.owner == *owner) {
            self.kicks.push(Kick { owner: owner.clone(), due_ms });
        }
    }

    pub(crate) fn due(&self, now: u64, away: &[NodeId]) -> Vec<Owner> {
        let due = self.kicks.iter().filter(|kick| kick.due_ms <= now && !away.contains(&kick.owner.node));
        due.map(|kick| kick.owner.clone()).collect()
    }

    pub(crate) fn kicked(&mut self, owner: &Owner) {
        self.kicks.retain(|kick| kick.owner != *owner);
    }

    /// The live claims of a node's run.
    pub(crate) fn live(&self) -> Vec<(StreamId, u64, SessionId, Owner)> {
        let one = |(stream, claim): (&StreamId, &Claim)| match &claim.state {
            State::Live { session, owner } => Some((stream.clone(), claim.epoch, *session, owner.clone())),
            State::Free { .. } | State::Reserved { .. } => None,
        };
        self.claims.iter().filter_map(one).collect()
    }
}

fn ended(stream: &StreamId, claim: &Claim) -> Option<Ended> {
    match &claim.state {
        State::Live { session, owner } => {
            Some(Ended { stream: stream.clone(), epoch: claim.epoch, session: *session, owner: owner.clone() })
        }
        State::Free { .. } | State::Reserved { .. } => None,
    }
}
