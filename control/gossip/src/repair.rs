//! Finding out what is missing and getting it; answering whoever misses something.
//!
//! A range of an origin's changes is answered from the table, by anybody: with what still stands of it. What is left out was overtaken by a
//! later change, which the asker has or will ask for, since it stands in the vector too. A snapshot is the same from number 0.

use crate::{
    codec::{self, Beacon, Body, Message, PartsWriter, Section, Want},
    core::{Channel, Core, Event, Now, Output, Why},
    error::Error,
    limits::{
        ANSWER_MESSAGES_MAX, ANSWER_WAIT_MS, AVOID_MS, BEACON_MS, GAP_WAIT_MS, ORIGINS_MAX, WANTS_A_SECOND_MAX,
        WANTS_MAX,
    },
    merge::At,
    origin::{Have, Origin},
};
use proto::ControlId;
use std::collections::BTreeMap;

/// Vectors in a row with which a peer's table must differ before that is told: changes under way look the same.
const DIFFERENT_MAX: u32 = 3;

/// What is known of another control node.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    pub(crate) beacon_ms: Option<u64>,
    pub(crate) heard_ms: u64,
    /// What it said it has, by our numbers of origins.
    vector: BTreeMap<u16, Have>,
    avoid_until_ms: u64,
    wants: (u64, u32),
    different: u32,
}

/// An answer that is awaited.
#[derive(Debug)]
pub(crate) struct Pull {
    id: u64,
    peer: ControlId,
    deadline_ms: u64,
    /// How much was here when it was asked for.
    held: u64,
}

impl Peer {
    /// An origin is forgotten; its number may become another one's.
    pub(crate) fn forget(&mut self, origin: u16) {
        self.vector.remove(&origin);
    }
}

impl Core {
    /// Checks what only the receiver can check, before anything is changed.
    pub(crate) fn check(&self, message: &Message) -> Result<(), Error> {
        let mine = |origin: &Origin, upto: u64| *origin == self.me && upto > self.issued;
        let room = ORIGINS_MAX.saturating_sub(self.table.origins.iter().count());
        match &message.body {
            Body::Beacon(beacon) => {
                if beacon.vector.iter().any(|(origin, have)| mine(origin, have.top)) {
                    return Err(Error::Future);
                }
                let new = beacon.vector.iter().filter(|(origin, _)| self.table.origins.find(origin).is_none()).count();
                if new > room { Err(Error::NotTheirs) } else { Ok(()) }
            }
            Body::Parts { answers, sections, .. } => {
                for section in sections {
                    if mine(&section.origin, section.upto) {
                        return Err(Error::Future);
                    }
                    if (*answers == 0 && section.origin != message.from)
                        || (room == 0 && self.table.origins.find(&section.origin).is_none())
                    {
                        return Err(Error::NotTheirs);
                    }
                }
                Ok(())
            }
            Body::Want { .. } => Ok(()),
        }
    }

    fn hear(&mut self, now: Now, from: &Origin) -> Option<u16> {
        self.peers.entry(from.control.clone()).or_default().heard_ms = now.mono_ms;
        let origin = self.table.origins.take(from)?;
        if let Some(state) = self.table.origins.get_mut(origin) {
            state.heard_ms = Some(now.mono_ms);
            state.left = false;
        }
        Some(origin)
    }

    pub(crate) fn hear_beacon(&mut self, now: Now, from: &Origin, beacon: Beacon) {
        let Some(sender) = self.hear(now, from) else { return };
        let mut vector = BTreeMap::new();
        for (origin, have) in beacon.vector {
            if let Some(at) = self.table.origins.take(&origin) {
                if let Some(state) = self.table.origins.get_mut(at) {
                    state.mentioned_ms = now.mono_ms;
                }
                vector.insert(at, have);
            }
        }
        if let Some(state) = self.table.origins.get_mut(sender) {
            state.left = beacon.leaves;
        }
        let same = vector.iter().all(|(at, have)| self.have(*at) == *have)
            && self.table.origins.iter().all(|(at, state)| vector.contains_key(&at) || state.index.is_empty());
        let differs = same && beacon.digest != self.table.digest();
        let Some(peer) = self.peers.get_mut(&from.control) else { return };
        if beacon.leaves {
            self.peers.remove(&from.control);
            return;
        }
        peer.beacon_ms = Some(now.mono_ms);
        peer.vector = vector;
        peer.different = if differs { peer.different.saturating_add(1) } else { 0 };
        if peer.different >= DIFFERENT_MAX {
            peer.different = 0;
            self.out.push(Output::Event(Event::Diverged { peer: from.control.clone() }));
            // Only the media nodes can tell which of the two is right.
            let nodes = self.table.nodes_with_open();
            self.out.push(Output::Reconcile { nodes: nodes.into_iter().collect(), why: Why::Diverged });
        }
    }

    fn have(&self, origin: u16) -> Have {
        self.table.origins.get(origin).map_or(Have::default(), |state| state.seen.have())
    }

    pub(crate) fn hear_parts(
        &mut self,
        now: Now,
        from: &Origin,
        (answers, last): (u64, bool),
        sections: Vec<Section>,
        lag_ms: u64,
    ) {
        self.hear(now, from);
        let (mut changes, mut effects) = (0_usize, Vec::new());
        let at = At { mono_ms: now.mono_ms };
        for section in sections {
            // Ours we know best.
            if section.origin == self.me {
                continue;
            }
            let Some(origin) = self.table.origins.take(&section.origin) else { continue };
            for (seq, value) in &section.entries {
                // What came before is not looked at again: its end may be forgotten already.
                if self.table.origins.get(origin).is_some_and(|state| state.seen.contains(*seq)) {
                    continue;
                }
                changes = changes.saturating_add(1);
                self.table.apply(value, origin, *seq, at, &mut effects);
            }
            if let Some(state) = self.table.origins.get_mut(origin) {
                state.seen.add(section.after, section.upto);
            }
            if answers == 0
                && let Some(peer) = self.peers.get_mut(&from.control)
            {
                let known = peer.vector.entry(origin).or_default();
                *known = Have::all(known.upto.max(section.upto));
            }
        }
        self.told(effects, false);
        if changes > 0 && answers == 0 {
            self.out.push(Output::Event(Event::Applied { changes, lag_ms }));
        }
        self.pulled(now, answers, last);
    }

    /// An answer came in: ask on at once while there is more.
    fn pulled(&mut self, now: Now, answers: u64, last: bool) {
        let Some(pull) = self.pull.as_mut().filter(|pull| pull.id == answers && answers != 0) else { return };
        pull.deadline_ms = now.mono_ms.saturating_add(ANSWER_WAIT_MS);
        if !last {
            return;
        }
        // Its messages may come in any order, so what was missing may have come before.
        let (peer, held) = (pull.peer.clone(), pull.held);
        self.pull = None;
        if self.held() == held && !self.wants(&peer).is_empty() {
            self.avoid(now, &peer);
        } else if !self.wants(&peer).is_empty() {
            self.ask(now, peer);
        }
    }

    /// How many changes of others arrived in all.
    fn held(&self) -> u64 {
        let others = self.table.origins.iter().filter(|(at, _)| *at != self.my);
        others.map(|(_, state)| state.seen.have().held).fold(0, u64::saturating_add)
    }

    fn avoid(&mut self, now: Now, peer: &ControlId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.avoid_until_ms = now.mono_ms.saturating_add(AVOID_MS);
        }
    }

    /// What a peer has and we lack.
    fn wants(&self, peer: &ControlId) -> Vec<Want> {
        let Some(peer) = self.peers.get(peer) else { return Vec::new() };
        let lacking = peer.vector.iter().filter_map(|(at, theirs)| {
            let state = self.table.origins.get(*at)?;
            let (after, to) = state.seen.hole();
            // The first hole first; what they have beyond a hole that they have too, else.
            let to = if theirs.upto > after { to.min(theirs.upto) } else { theirs.top };
            let more = theirs.exceeds(state.seen.have()) && *at != self.my;
            more.then(|| Want { origin: state.name.clone(), after, to })
        });
        lacking.take(WANTS_MAX).collect()
    }

    /// A peer that has something we lack; one that did not answer of late only when there is no other.
    pub(crate) fn ahead_of_us(&self) -> Option<ControlId> {
        let ahead = self.peers.iter().filter(|(_, peer)| {
            peer.vector.iter().any(|(at, theirs)| *at != self.my && theirs.exceeds(self.have(*at)))
        });
        ahead.min_by_key(|(_, peer)| peer.avoid_until_ms).map(|(id, _)| id.clone())
    }

    /// Looks whether something is missing for longer than messages take.
    pub(crate) fn repair(&mut self, now: Now) {
        if self.channel == Channel::Down {
            return;
        }
        if let Some(pull) = &self.pull {
            if now.mono_ms < pull.deadline_ms {
                return;
            }
            let peer = pull.peer.clone();
            self.pull = None;
            self.avoid(now, &peer);
            self.out.push(Output::Event(Event::Unanswered));
        }
        let Some(peer) = self.ahead_of_us() else {
            self.behind_ms = None;
            return;
        };
        let since = *self.behind_ms.get_or_insert(now.mono_ms);
        let avoided = self.peers.get(&peer).is_some_and(|peer| peer.avoid_until_ms > now.mono_ms);
        if !avoided && (now.mono_ms.saturating_sub(since) >= GAP_WAIT_MS || !self.ready) {
            self.ask(now, peer);
        }
    }

    fn ask(&mut self, now: Now, peer: ControlId) {
        let wants = self.wants(&peer);
        if wants.is_empty() {
            return;
        }
        self.pulls = self.pulls.saturating_add(1);
        let id = self.pulls;
        let snapshot = wants.iter().any(|want| want.after == 0);
        self.out.push(Output::Event(Event::Asked { ranges: wants.len(), snapshot }));
        let bytes = codec::want(&self.keys, &self.me, &peer, now.unix_ms, id, &wants);
        self.out.push(Output::Send { to: peer.clone(), bytes });
        let deadline_ms = now.mono_ms.saturating_add(ANSWER_WAIT_MS);
        self.pull = Some(Pull { id, peer, deadline_ms, held: self.held() });
    }

    /// Answers what a peer lacks, up to a bound; it asks on for the rest.
    pub(crate) fn answer(&mut self, now: Now, to: &ControlId, id: u64, wants: &[Want]) -> Result<(), Error> {
        let peer = self.peers.entry(to.clone()).or_default();
        peer.heard_ms = now.mono_ms;
        let second = now.mono_ms.checked_div(1_000).unwrap_or(0);
        peer.wants = if peer.wants.0 == second { (second, peer.wants.1.saturating_add(1)) } else { (second, 1) };
        if peer.wants.1 > WANTS_A_SECOND_MAX {
            return Err(Error::TooOften);
        }
        let mut messages: Vec<PartsWriter> = Vec::new();
        let mut writer = PartsWriter::new(now.unix_ms);
        'wants: for want in wants {
            let Some(origin) = self.table.origins.find(&want.origin) else { continue };
            let Some(state) = self.table.origins.get(origin) else { continue };
            for (mut after, upto) in state.seen.within(want.after, want.to) {
                while after < upto {
                    if !writer.has_room() {
                        messages.push(std::mem::replace(&mut writer, PartsWriter::new(now.unix_ms)));
                        if messages.len() >= ANSWER_MESSAGES_MAX {
                            break 'wants;
                        }
                    }
                    after = self.write_section(&mut writer, origin, after, upto, now);
                }
            }
        }
        if messages.len() < ANSWER_MESSAGES_MAX && (messages.is_empty() || !writer.is_empty()) {
            messages.push(writer);
        }
        let count = messages.len();
        for (number, writer) in messages.iter().enumerate() {
            let last = number.saturating_add(1) == count;
            let bytes = writer.seal(&self.keys, &self.me, Some(to), (id, last));
            self.out.push(Output::Send { to: to.clone(), bytes });
        }
        self.out.push(Output::Event(Event::Answered { messages: count }));
        Ok(())
    }

    /// Control nodes that were heard within two vectors, this one included.
    pub(crate) fn alive(&self, now: Now) -> impl Iterator<Item = &ControlId> {
        let fresh = BEACON_MS.saturating_mul(5).saturating_div(2);
        let others = self
            .peers
            .iter()
            .filter(move |(_, peer)| peer.beacon_ms.is_some_and(|at| now.mono_ms.saturating_sub(at) <= fresh));
        others.map(|(id, _)| id).chain(std::iter::once(&self.me.control))
    }
}
