//! Control nodes that died: one survivor takes their entries over. Nodes that were cut off: what they do with what they have.

use crate::{
    core::{Channel, Core, Event, Now, Output, Why},
    limits::{ADOPT_BATCH, DEAD_MS, FORGET_MS, LOST_MS, MENTION_MS, SILENT_MS, TIDY_MS},
    origin::{NO_ORIGIN, OriginState},
    slot::{Life, Stamp},
    table::RUN_BIT,
};
use proto::NodeId;
use std::collections::BTreeSet;

impl OriginState {
    /// Whether it belongs in our vector: it was heard itself not long ago, or something of it still stands.
    pub(crate) fn is_told(&self, now_ms: u64) -> bool {
        !self.index.is_empty() || self.heard_ms.is_some_and(|at| now_ms.saturating_sub(at) < FORGET_MS)
    }
}

impl Core {
    /// Takes over entries of dead control nodes, some at a time, if it is this node's turn.
    ///
    /// Whoever was heard last says nothing while our own channel is down, so nobody is judged then, nor before it was up for as long as it takes to
    /// call a node dead.
    pub(crate) fn adopt(&mut self, now: Now) {
        let Channel::Up { since_ms } = self.channel else { return };
        let hearing = now.mono_ms.saturating_sub(self.heard_ms) < SILENT_MS;
        if !hearing || self.alive(now).min() != Some(&self.me.control) {
            return;
        }
        let judges = now.mono_ms.saturating_sub(since_ms) >= DEAD_MS;
        let mut room = ADOPT_BATCH;
        let dead: Vec<u16> = self
            .table
            .origins
            .iter()
            .filter(|(at, state)| self.is_dead(now, *at, state, judges))
            .map(|(at, _)| at)
            .collect();
        let mut nodes = BTreeSet::new();
        for origin in dead {
            let taken = self.adopt_from(now, origin, room, &mut nodes);
            room = room.saturating_sub(taken);
        }
        for node in nodes {
            if !self.adopted.contains(&node) {
                self.adopted.push(node);
            }
        }
        if room == ADOPT_BATCH && !self.adopted.is_empty() {
            // All of them are ours now.
            let nodes = std::mem::take(&mut self.adopted);
            self.out.push(Output::Reconcile { nodes, why: Why::Adopted });
        }
    }

    fn is_dead(&self, now: Now, at: u16, state: &OriginState, judges: bool) -> bool {
        if at == self.my || state.index.is_empty() {
            return false;
        }
        let silent = state.heard_ms.is_none_or(|at| now.mono_ms.saturating_sub(at) >= DEAD_MS);
        // One life of a control node ended when another began.
        state.left || (judges && silent) || self.table.origins.is_superseded(&state.name)
    }

    fn adopt_from(&mut self, now: Now, origin: u16, room: usize, nodes: &mut BTreeSet<NodeId>) -> usize {
        let Some(state) = self.table.origins.get(origin) else { return 0 };
        let from = state.name.control.clone();
        let rest = state.index.range(state.adopted_upto.saturating_add(1)..).map(|(seq, what)| (*seq, *what));
        let taken: Vec<(u64, u32)> = rest.filter(|(_, what)| self.is_adoptable(*what)).take(room).collect();
        let looked_upto = match taken.last() {
            Some((seq, _)) if taken.len() >= room => *seq,
            Some(_) | None => state.index.last_key_value().map_or(0, |(seq, _)| *seq),
        };
        if let Some(state) = self.table.origins.get_mut(origin) {
            state.adopted_upto = looked_upto;
        }
        for (seq, what) in &taken {
            if what & RUN_BIT == 0 {
                let Some(slot) = self.table.slots.get(*what) else { continue };
                let (term, run) = (slot.stamp.term.saturating_add(1), slot.run);
                nodes.extend(self.table.shared.runs.name(run).and_then(|run| run.node().cloned()));
                let stamp = self.next(now, term);
                self.table.stamp(*what, stamp);
            } else {
                let run = what & !RUN_BIT;
                let term = self.table.shared.runs.data(run).map_or(0, |run| run.stamp.term).saturating_add(1);
                let stamp = self.next(now, term);
                if let Some(run) = self.table.shared.runs.data_mut(run) {
                    run.stamp = stamp;
                }
                self.table.origins.unindex(origin, *seq);
                self.table.origins.index(stamp.origin, stamp.seq, *what);
            }
        }
        if !taken.is_empty() {
            self.out.push(Output::Event(Event::Adopted { from, entries: taken.len() }));
        }
        taken.len()
    }

    /// Open entries and losses are taken over; other ends are forgotten before they are needed.
    fn is_adoptable(&self, what: u32) -> bool {
        what & RUN_BIT != 0 || self.table.slots.get(what).is_some_and(|slot| slot.life == Life::Open)
    }

    /// After a long cut: forgets what others told, and vouches no more for what this node told until the media nodes confirm it.
    pub(crate) fn drop_replica(&mut self) {
        let (mut dropped, mut nodes) = (0_usize, BTreeSet::new());
        let all: Vec<u32> = self.table.slots.numbers().collect();
        for at in all {
            let Some(slot) = self.table.slots.get(at) else { continue };
            let mine = slot.stamp.origin == self.my || (slot.stamp.origin == NO_ORIGIN && slot.life == Life::Open);
            match (mine, slot.life) {
                (true, Life::Open) => {
                    nodes.extend(self.table.shared.runs.name(slot.run).and_then(|run| run.node().cloned()));
                    self.table.stamp(at, Stamp::NOBODY);
                }
                (true, Life::Closed(_) | Life::Bare(_)) => {}
                (false, _) => {
                    dropped = dropped.saturating_add(1);
                    self.table.remove(at);
                }
            }
        }
        self.table.drop_others(self.my);
        self.peers.clear();
        self.pull = None;
        self.behind_ms = None;
        self.out.push(Output::Event(Event::Dropped { entries: dropped }));
        if !nodes.is_empty() {
            self.out.push(Output::Reconcile { nodes: nodes.into_iter().collect(), why: Why::CutOff });
        }
    }

    /// Forgets control nodes that have nothing left, and peers that are silent.
    pub(crate) fn forget(&mut self, now: Now) {
        if now.mono_ms.saturating_sub(self.tidied_ms) < TIDY_MS {
            return;
        }
        self.tidied_ms = now.mono_ms;
        let ago = |at: u64| now.mono_ms.saturating_sub(at);
        let gone: Vec<u16> = self
            .table
            .origins
            .iter()
            .filter(|(at, state)| {
                *at != self.my && !state.is_told(now.mono_ms) && ago(state.mentioned_ms) >= MENTION_MS
            })
            .map(|(at, _)| at)
            .collect();
        for at in gone {
            self.table.origins.forget(at);
            self.peers.values_mut().for_each(|peer| peer.forget(at));
        }
        self.peers.retain(|_, peer| ago(peer.heard_ms) < DEAD_MS);
        self.table.prune_runs(now.mono_ms.saturating_sub(LOST_MS));
    }
}
