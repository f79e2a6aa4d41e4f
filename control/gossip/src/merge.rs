//! What a change does to the table, wherever it comes from. The same changes in any order, any number of times, make the same table.

use crate::{
    intern::NONE,
    key::{Key, Run},
    slot::{Age, Life, Stamp},
    table::{RUN_BIT, Rank, Table},
};
use proto::{
    SessionId,
    session::{EndReason, Known},
};

/// A change as it travels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Open { age: Age, term: u16, known: Box<Known> },
    Closed { key: Key, age: Age, term: u16, reason: EndReason, closed_ms: u64, ago_ms: u64 },
    Lost { run: Run, era: u16, term: u16, at_ms: u64, ago_ms: u64 },
}

/// What followed from a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Opened(SessionId),
    /// With who vouched for it until now.
    Closed(SessionId, EndReason, u16),
}

/// A moment, as the table needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) mono_ms: u64,
}

impl Table {
    /// Takes a change in, if it stands above what is there.
    pub(crate) fn apply(&mut self, value: &Value, origin: u16, seq: u64, at: At, effects: &mut Vec<Effect>) {
        match value {
            Value::Open { age, term, known } => {
                self.apply_open(known, *age, Stamp { seq, origin, term: *term }, effects);
            }
            Value::Closed { key, age, term, reason, closed_ms, ago_ms } => {
                let heard_ms = at.mono_ms.saturating_sub(*ago_ms);
                let stamp = Stamp { seq, origin, term: *term };
                self.apply_close(key, *age, stamp, (*reason, *closed_ms), heard_ms, effects);
            }
            Value::Lost { run, era, term, at_ms, ago_ms } => {
                let heard_ms = at.mono_ms.saturating_sub(*ago_ms);
                self.apply_lost(run, *era, Stamp { seq, origin, term: *term }, (*at_ms, heard_ms), effects);
            }
        }
    }

    fn era(&self, run: u32) -> u16 {
        self.shared.runs.data(run).map_or(0, |run| run.era)
    }

    /// Whether a change stands above an entry.
    fn above(&self, at: u32, age: Age, closed: bool, stamp: Stamp) -> bool {
        let Some(slot) = self.slots.get(at) else { return true };
        let present: Rank<'_> = self.rank(slot.age, slot.life != Life::Open, slot.stamp);
        self.rank(age, closed, stamp) > present
    }

    pub(crate) fn apply_open(&mut self, known: &Known, age: Age, stamp: Stamp, effects: &mut Vec<Effect>) {
        let key = Key::of(&known.session);
        let run = self.shared.runs.take(&key.run);
        if self.era(run) > age.era {
            self.shared.runs.release(run);
            return;
        }
        let Some(at) = self.find_in(run, &key.client) else {
            // The slot keeps the use of the run.
            self.insert(known, run, age, stamp);
            effects.push(Effect::Opened(known.session.id));
            return;
        };
        self.shared.runs.release(run);
        if !self.above(at, age, false, stamp) {
            return;
        }
        let before = self.open_session(at);
        self.replace(at, known, age, stamp);
        if before.is_none_or(|(id, _)| id != known.session.id) {
            effects.extend(before.map(|(id, of)| Effect::Closed(id, EndReason::ClientLeft, of)));
            effects.push(Effect::Opened(known.session.id));
        }
    }

    fn open_session(&self, at: u32) -> Option<(SessionId, u16)> {
        self.slots.get(at).filter(|slot| slot.life == Life::Open).map(|slot| (slot.session, slot.stamp.origin))
    }

    pub(crate) fn apply_close(
        &mut self,
        key: &Key,
        age: Age,
        stamp: Stamp,
        end: (EndReason, u64),
        heard_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let run = self.shared.runs.take(&key.run);
        let lost = self.era(run) > age.era;
        let found = self.find_in(run, &key.client);
        match found {
            None if !lost => {
                self.insert_bare((run, &key.client), age, stamp, end, heard_ms);
                return;
            }
            Some(at) if !lost && self.above(at, age, true, stamp) => {
                let before = self.open_session(at);
                self.close(at, age, stamp, end, heard_ms);
                effects.extend(before.map(|(id, of)| Effect::Closed(id, end.0, of)));
            }
            None | Some(_) => {}
        }
        self.shared.runs.release(run);
    }

    /// Ends all that a run carried before its `era`-th loss.
    pub(crate) fn apply_lost(
        &mut self,
        run: &Run,
        era: u16,
        stamp: Stamp,
        (at_ms, heard_ms): (u64, u64),
        effects: &mut Vec<Effect>,
    ) {
        let run = self.shared.runs.take(run);
        let Some(state) = self.shared.runs.data(run) else { return };
        let (old_era, old) = (state.era, state.stamp);
        let rank = |era: u16, stamp: Stamp| (era, stamp.term, self.origins.name(stamp.origin), stamp.seq);
        let newer = rank(era, stamp) > rank(old_era, old);
        if !newer || era == 0 {
            self.shared.runs.release(run);
            return;
        }
        if old_era > 0 {
            self.shared.runs.release(run);
            self.origins.unindex(old.origin, old.seq);
        }
        if let Some(state) = self.shared.runs.data_mut(run) {
            (state.era, state.stamp, state.at_ms, state.lost_ms) = (era, stamp, at_ms, heard_ms);
        }
        self.origins.index(stamp.origin, stamp.seq, run | RUN_BIT);
        let over: Vec<u32> = self.of_run(run).collect();
        for at in over {
            let Some(slot) = self.slots.get(at) else { continue };
            let (age, id, of) = (slot.age, slot.session, slot.stamp.origin);
            if age.era < era {
                // The loss stands for all of them, so none is told by itself.
                self.close(at, age, Stamp::NOBODY, (EndReason::NodeLost, at_ms), heard_ms);
                effects.push(Effect::Closed(id, EndReason::NodeLost, of));
            }
        }
    }

    /// Forgets what others told of runs, but not how often those were lost; which ranges of others arrived is forgotten too.
    pub(crate) fn drop_others(&mut self, my: u16) {
        let runs: Vec<u32> =
            self.shared.runs.iter().filter(|(_, _, run)| run.stamp.origin != my).map(|(at, _, _)| at).collect();
        for run in runs {
            if let Some(state) = self.shared.runs.data_mut(run) {
                state.stamp = Stamp::NOBODY;
            }
        }
        self.origins.drop_others(my);
    }

    /// Forgets losses that are older than anything that could still arrive.
    pub(crate) fn prune_runs(&mut self, before_ms: u64) {
        let old: Vec<u32> = self
            .shared
            .runs
            .iter()
            .filter(|(_, _, state)| state.era > 0 && state.lost_ms < before_ms && state.heads.first == NONE)
            .map(|(run, _, _)| run)
            .collect();
        for run in old {
            if let Some(state) = self.shared.runs.data_mut(run) {
                let stamp = std::mem::replace(&mut state.stamp, Stamp::NOBODY);
                state.era = 0;
                self.origins.unindex(stamp.origin, stamp.seq);
            }
            self.shared.runs.release(run);
        }
    }

    /// The change that an entry's present state is, to be sent.
    pub(crate) fn value(&self, what: u32, at: At) -> Option<Value> {
        let ago = |heard_ms: u64| at.mono_ms.saturating_sub(heard_ms);
        if what & RUN_BIT != 0 {
            let run = what & !RUN_BIT;
            let state = self.shared.runs.data(run)?;
            let run = self.shared.runs.name(run)?.clone();
            return Some(Value::Lost {
                run,
                era: state.era,
                term: state.stamp.term,
                at_ms: state.at_ms,
                ago_ms: ago(state.lost_ms),
            });
        }
        let slot = self.slots.get(what)?;
        let (age, term) = (slot.age, slot.stamp.term);
        match slot.life {
            Life::Open => Some(Value::Open { age, term, known: Box::new(self.known(what)?) }),
            Life::Closed(reason) | Life::Bare(reason) => Some(Value::Closed {
                key: self.key(what)?,
                age,
                term,
                reason,
                closed_ms: slot.opened_ms.saturating_add(u64::from(slot.lasted_ms)),
                ago_ms: ago(u64::from(slot.closed_s).saturating_mul(1_000)),
            }),
        }
    }
}
