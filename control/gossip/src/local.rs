//! What this node is told at first hand: hooks, kicks, comparisons with media nodes.

use crate::{
    core::{Core, Now},
    key::{Key, Run},
    merge::Effect,
    origin::NO_ORIGIN,
    slot::{Age, Life, Slot},
};
use proto::{
    EdgeId, NodeId, ServiceId, SessionId,
    session::{EndReason, Known},
};

/// What opening a session met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It is new, or was closed and is open again for the same connection.
    Open,
    /// It was open for the same connection already.
    Again,
    /// It belongs to another connection: a replayed ticket. Nothing was changed.
    OtherClient,
}

impl Core {
    /// A session was opened. Another one that was open on the same connection is over then.
    pub fn open(&mut self, now: Now, known: &Known) -> Opened {
        let key = Key::of(&known.session);
        let id = known.session.id;
        if let Some(at) = self.table.find_session(id)
            && let Some(other) = self.table.key(at).filter(|other| *other != key)
        {
            // What an edge carried alone may be taken up by another edge once it ended there.
            let over = self.table.slots.get(at).is_some_and(|slot| slot.life != Life::Open);
            if !(over && matches!((&other.run, &key.run), (Run::Edge(_), Run::Edge(_)))) {
                return Opened::OtherClient;
            }
        }
        let run = self.table.shared.runs.take(&key.run);
        let era = self.table.shared.runs.data(run).map_or(0, |run| run.era);
        let Some(at) = self.table.find_in(run, &key.client) else {
            let stamp = self.next(now, 0);
            // The slot keeps the use of the run.
            self.table.insert(known, run, Age { era, turn: 0 }, stamp);
            self.told(vec![Effect::Opened(id)], true);
            return Opened::Open;
        };
        self.table.shared.runs.release(run);
        let Some(slot) = self.table.slots.get(at) else { return Opened::Again };
        let (age, before, unsure) = (slot.age, slot.session, slot.stamp.origin == NO_ORIGIN);
        // Others may have heard of a loss of the run before we do.
        let era = era.max(age.era);
        let is_open = slot.life == Life::Open && age.era == era;
        if is_open && before == id {
            if unsure {
                let stamp = self.next(now, 0);
                self.table.stamp(at, stamp);
            }
            return Opened::Again;
        }
        let turn = if age.era < era { 0 } else { age.turn.saturating_add(1) };
        let stamp = self.next(now, 0);
        let mut effects = Vec::new();
        self.table.apply_open(known, Age { era, turn }, stamp, &mut effects);
        self.told(effects, true);
        Opened::Open
    }

    /// A session ended; what it was, or `None` when it is not open.
    pub fn close(&mut self, now: Now, id: SessionId, reason: EndReason) -> Option<Known> {
        let at = self.table.find_session(id)?;
        self.close_at(now, at, reason)
    }

    /// A connection ended; what it was. That of an unknown one is remembered, because its beginning may be on its way from another node.
    pub fn close_client(&mut self, now: Now, key: &Key, reason: EndReason) -> Option<Known> {
        if let Some(at) = self.table.find(&key.run, &key.client) {
            return self.close_at(now, at, reason);
        }
        let era = self
            .table
            .shared
            .runs
            .find(&key.run)
            .and_then(|run| self.table.shared.runs.data(run))
            .map_or(0, |run| run.era);
        let stamp = self.next(now, 0);
        let end = (reason, now.unix_ms);
        self.table.apply_close(key, Age { era, turn: 0 }, stamp, end, now.mono_ms, &mut Vec::new());
        None
    }

    fn close_at(&mut self, now: Now, at: u32, reason: EndReason) -> Option<Known> {
        let slot = self.table.slots.get(at).filter(|slot| slot.life == Life::Open)?;
        let (age, id) = (slot.age, slot.session);
        let stamp = self.next(now, 0);
        self.table.close(at, age, stamp, (reason, now.unix_ms), now.mono_ms);
        self.told(vec![Effect::Closed(id, reason, self.my)], true);
        self.table.known(at)
    }

    /// The media node says that a session is there: this node vouches for it, if nobody does since a long cut.
    pub fn confirm(&mut self, now: Now, id: SessionId) {
        let Some(at) = self.table.find_session(id) else { return };
        let unsure = |slot: &Slot| slot.life == Life::Open && slot.stamp.origin == NO_ORIGIN;
        if self.table.slots.get(at).is_some_and(unsure) {
            let stamp = self.next(now, 0);
            self.table.stamp(at, stamp);
        }
    }

    /// A run of a node, or an edge, is lost: all its sessions are over, told by one change. How many were known here.
    ///
    /// Sessions that begin on it afterwards, when it was cut off only and is back, stand.
    pub fn lost(&mut self, now: Now, run: &Run) -> usize {
        let found = self.table.shared.runs.find(run);
        let known = found.and_then(|run| self.table.shared.runs.data(run)).map_or(0, |run| run.era);
        let count = found.and_then(|run| self.table.shared.runs.data(run)).map_or(0, |run| run.heads.open);
        if known > 0 && count == 0 {
            // It was told, and nothing began since.
            return 0;
        }
        let open = found.into_iter().flat_map(|run| self.table.of_run(run));
        let eras = open.filter_map(|at| self.table.slots.get(at)).map(|slot| slot.age.era);
        let era = eras.fold(known, u16::max).saturating_add(1);
        let stamp = self.next(now, 0);
        let mut effects = Vec::new();
        self.table.apply_lost(run, era, stamp, (now.unix_ms, now.mono_ms), &mut effects);
        let count = effects.len();
        self.told(effects, true);
        count
    }

    /// Edges that carry open sessions alone.
    #[must_use]
    pub fn edges(&self) -> Vec<EdgeId> {
        let open = self.table.shared.runs.iter().filter(|(_, _, state)| state.heads.open > 0);
        let edge = |run: &Run| match run {
            Run::Edge(edge) => Some(edge.clone()),
            Run::Node { .. } => None,
        };
        open.filter_map(|(_, run, _)| edge(run)).collect()
    }

    /// A node runs as `service` now: what any other run of it carried is over. How many were known here.
    pub fn lost_other_runs(&mut self, now: Now, node: &NodeId, service: Option<&ServiceId>) -> usize {
        let over: Vec<Run> = self
            .table
            .shared
            .runs
            .iter()
            .filter(|(_, run, state)| match run {
                Run::Node { node: of, service: run } => of == node && Some(run) != service && state.heads.open > 0,
                Run::Edge(_) => false,
            })
            .map(|(_, run, _)| run.clone())
            .collect();
        over.iter().map(|run| self.lost(now, run)).sum()
    }
}
