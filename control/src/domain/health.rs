//! The health of one media node: what witnesses met goes in, its state and what to do come out. Times are unix milliseconds, passed in.
//!
//! One control node, the node's prober, judges; the others feed their machines too, follow what the prober tells, and are ready to take over.
//! docs/nodes.md has the table of states.

mod words;

pub use words::{Cause, Input, Output, Witness};

use proto::{
    ServiceId,
    node::{Met, NodeState},
};
use std::collections::{BTreeMap, VecDeque};

/// How long a witness's word counts.
pub const WORD_MS: u64 = 5_000;
/// A hook, a heartbeat or another witness's answer of this age stands against a verdict.
pub const VETO_MS: u64 = 3_000;
/// The prober alone judges after this long without any word of anybody: three heartbeats of 5 s.
pub const ALONE_MS: u64 = 15_000;
/// While the prober's own answer is this young, another's word only makes it look again: an edge that is cut off makes nobody suspect.
pub const FRESH_MS: u64 = 1_500;
/// Answers in a row that a suspect, or a node that was down, needs.
pub const GOOD: u8 = 2;
/// Between two questions to another control node about one suspect.
pub const ASK_MS: u64 = 1_000;
/// Between two looks for what a node that is back still carries.
pub const CLEAR_MS: u64 = 250;
/// Witnesses remembered of one node; the oldest word makes room.
pub const WITNESSES_MAX: usize = 16;
/// Runs remembered that are over.
const OVER_MAX: usize = 4;

/// One node's health.
#[derive(Debug, Clone)]
pub struct Health {
    state: NodeState,
    judges: bool,
    service: Option<ServiceId>,
    over: VecDeque<ServiceId>,
    beaten: bool,
    sign_ms: u64,
    words: BTreeMap<Witness, (Met, u64)>,
    good: u8,
    missing_since: Option<u64>,
    others_ms: u64,
    checked: bool,
    stale: bool,
    returned: bool,
    asked_ms: u64,
    cleared_ms: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: NodeState::Joining,
            judges: true,
            service: None,
            over: VecDeque::new(),
            beaten: false,
            sign_ms: 0,
            words: BTreeMap::new(),
            good: 0,
            missing_since: None,
            others_ms: 0,
            checked: false,
            stale: false,
            returned: false,
            asked_ms: 0,
            cleared_ms: 0,
        }
    }
}

impl Health {
    /// Its state.
    #[must_use]
    pub const fn state(&self) -> NodeState {
        self.state
    }

    /// Its present run.
    #[must_use]
    pub const fn service(&self) -> Option<&ServiceId> {
        self.service.as_ref()
    }

    /// The last sign of life of any kind, 0 for none.
    #[must_use]
    pub const fn sign_ms(&self) -> u64 {
        self.sign_ms
    }

    /// Whether what its present run carried may be ended (again): it is down, the prober's own look says so too, and no sign of life stands
    /// against it. Being told that it is down is not enough: that may have been before it came back.
    #[must_use]
    pub fn is_gone(&self, now_ms: u64) -> bool {
        let missed = matches!(self.own(), Some((Met::Refused | Met::Silent, _)));
        self.state == NodeState::Down && missed && now_ms.saturating_sub(self.sign_ms) >= VETO_MS
    }

    /// Whether it should be looked at more often than a healthy node.
    #[must_use]
    pub const fn is_uneasy(&self) -> bool {
        match self.state {
            NodeState::Suspect => true,
            NodeState::Joining => self.beaten,
            NodeState::Up => self.missing_since.is_some(),
            NodeState::Down => self.good > 0,
        }
    }

    /// Says whether this process judges the node. One that takes over begins with the state it was told.
    pub fn judge(&mut self, judges: bool) {
        if judges && !self.judges {
            self.words.remove(&Witness::Prober);
            (self.good, self.missing_since) = (0, None);
        }
        self.judges = judges;
    }

    /// Takes one input in. A hook or what another prober judged changes no state by itself, so whoever tells those may leave all but
    /// [`Output::Look`] aside.
    pub fn step(&mut self, input: Input, now_ms: u64) -> Vec<Output> {
        let mut out = Vec::new();
        let settles = !matches!(input, Input::Hook(_) | Input::Told(..));
        match input {
            Input::Beat(service) => self.beat(service, now_ms, &mut out),
            Input::Heard(service) => self.heard(service, now_ms, &mut out),
            Input::Hook(service) => {
                if self.service.as_ref() == Some(&service) {
                    self.sign_ms = now_ms;
                    if self.state == NodeState::Down {
                        out.push(Output::Look);
                    }
                }
            }
            Input::Word(Witness::Prober, service, met) => self.probed(service, met, now_ms, &mut out),
            Input::Word(by, service, met) => self.told_by(by, &service, met, now_ms, &mut out),
            Input::Checked(good) => self.checked = good,
            Input::Stale(left) => self.stale = left,
            Input::Told(state, service) => self.told(state, service),
            Input::Deaf => self.missing_since = self.missing_since.map(|_| now_ms),
            Input::Tick => {}
        }
        if settles && self.judges {
            self.settle(now_ms, &mut out);
        }
        out
    }

    fn beat(&mut self, service: ServiceId, now_ms: u64, out: &mut Vec<Output>) {
        if self.over.contains(&service) {
            return;
        }
        (self.beaten, self.sign_ms) = (true, now_ms);
        if self.service.as_ref() != Some(&service) {
            self.run(service, out);
        } else if matches!(self.state, NodeState::Down | NodeState::Suspect) {
            out.push(Output::Look);
        }
    }

    /// It tells of a run only while none is known: it may be older than what the node itself was seen to be since.
    fn heard(&mut self, service: ServiceId, now_ms: u64, out: &mut Vec<Output>) {
        match &self.service {
            None => {
                self.next_run(service);
                (self.beaten, self.sign_ms) = (true, now_ms);
                out.push(Output::Look);
            }
            Some(known) if *known == service => self.beat(service, now_ms, out),
            Some(_) if self.over.contains(&service) => {}
            Some(_) => out.push(Output::Look),
        }
    }

    fn probed(&mut self, service: ServiceId, met: Met, now_ms: u64, out: &mut Vec<Output>) {
        match met {
            Met::Answered => {
                if self.over.contains(&service) {
                    return;
                }
                if self.service.as_ref() != Some(&service) {
                    self.run(service, out);
                }
                self.good = self.good.saturating_add(1);
                self.missing_since = None;
            }
            Met::Refused | Met::Silent => {
                self.good = 0;
                self.missing_since.get_or_insert(now_ms);
            }
            Met::OtherRun => return,
        }
        self.words.insert(Witness::Prober, (met, now_ms));
    }

    /// Only words on the present run count: the others are late.
    fn told_by(&mut self, by: Witness, service: &ServiceId, met: Met, now_ms: u64, out: &mut Vec<Output>) {
        if met == Met::OtherRun {
            out.push(Output::Look);
            return;
        }
        if self.service.as_ref() != Some(service) {
            return;
        }
        match met {
            Met::Answered => self.sign_ms = now_ms,
            Met::Refused | Met::Silent | Met::OtherRun => out.push(Output::Look),
        }
        self.others_ms = now_ms;
        if self.words.len() >= WITNESSES_MAX && !self.words.contains_key(&by) {
            let of_others = self.words.iter().filter(|(who, _)| **who != Witness::Prober);
            if let Some(oldest) = of_others.min_by_key(|(_, (_, at))| *at).map(|(who, _)| who.clone()) {
                self.words.remove(&oldest);
            }
        }
        self.words.insert(by, (met, now_ms));
    }

    fn told(&mut self, state: NodeState, service: Option<ServiceId>) {
        if self.judges || service.as_ref().is_some_and(|service| self.over.contains(service)) {
            return;
        }
        if let Some(service) = service
            && self.service.as_ref() != Some(&service)
        {
            self.next_run(service);
        }
        if state != self.state {
            self.returned = state == NodeState::Joining && self.state == NodeState::Down;
            self.stale = self.returned;
            self.state = state;
        }
        if matches!(state, NodeState::Up | NodeState::Suspect) {
            (self.beaten, self.checked) = (true, true);
        }
    }

    fn next_run(&mut self, service: ServiceId) {
        if let Some(before) = self.service.replace(service) {
            if self.over.len() >= OVER_MAX {
                self.over.pop_front();
            }
            self.over.push_back(before);
        }
        self.words.clear();
        (self.good, self.missing_since) = (0, None);
        (self.checked, self.stale, self.returned) = (false, false, false);
    }

    /// A run that was not known: a restart, or the first one. Nothing is left on it of before.
    fn run(&mut self, service: ServiceId, out: &mut Vec<Output>) {
        self.next_run(service.clone());
        out.push(Output::Run(service));
        out.push(Output::Look);
        if self.judges && self.state != NodeState::Joining {
            self.change(NodeState::Joining, Cause::Restarted, out);
        } else if self.state == NodeState::Down {
            // Another prober said that of the run before.
            self.state = NodeState::Joining;
        }
    }

    fn change(&mut self, to: NodeState, cause: Cause, out: &mut Vec<Output>) {
        out.push(Output::Changed { from: self.state, to, cause });
        self.state = to;
    }

    fn settle(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.words.retain(|_, (_, at)| now_ms.saturating_sub(*at) < WORD_MS);
        match self.state {
            NodeState::Joining => {
                if let Some(cause) = self.doomed(now_ms) {
                    self.change(NodeState::Down, cause, out);
                } else {
                    self.join(now_ms, out);
                }
            }
            NodeState::Up | NodeState::Suspect => {
                if let Some(cause) = self.doomed(now_ms) {
                    self.change(NodeState::Down, cause, out);
                } else if self.missed(now_ms) {
                    if self.state == NodeState::Up {
                        self.change(NodeState::Suspect, Cause::Missed, out);
                        out.push(Output::Look);
                    }
                    self.ask(now_ms, out);
                } else if self.state == NodeState::Suspect && self.good >= GOOD {
                    self.change(NodeState::Up, Cause::Answers, out);
                }
            }
            NodeState::Down => {
                if self.good > 0 {
                    (self.good, self.returned, self.stale) = (0, true, true);
                    self.change(NodeState::Joining, Cause::Back, out);
                    self.clear(now_ms, out);
                }
            }
        }
    }

    fn join(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let needed = if self.returned { GOOD } else { 1 };
        if self.missing_since.is_some() {
            if self.service.is_some() {
                self.ask(now_ms, out);
            }
        } else if self.good >= needed && self.stale {
            self.clear(now_ms, out);
        } else if self.good >= needed && self.beaten && self.checked {
            self.change(NodeState::Up, Cause::Answers, out);
        }
    }

    fn ask(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if now_ms.saturating_sub(self.asked_ms) >= ASK_MS {
            self.asked_ms = now_ms;
            out.push(Output::Ask);
        }
    }

    fn clear(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if now_ms.saturating_sub(self.cleared_ms) >= CLEAR_MS {
            self.cleared_ms = now_ms;
            out.push(Output::Clear);
        }
    }

    fn own(&self) -> Option<(Met, u64)> {
        self.words.get(&Witness::Prober).copied()
    }

    fn others(&self) -> impl Iterator<Item = Met> {
        self.words.iter().filter(|(who, _)| **who != Witness::Prober).map(|(_, (met, _))| *met)
    }

    /// Whether a witness misses it, and the prober does not know better.
    fn missed(&self, now_ms: u64) -> bool {
        let known_well = match self.own() {
            Some((Met::Refused | Met::Silent, _)) => return true,
            Some((Met::Answered | Met::OtherRun, at)) => now_ms.saturating_sub(at) < FRESH_MS,
            None => false,
        };
        !known_well && self.others().any(|met| matches!(met, Met::Refused | Met::Silent))
    }

    /// Whether it is gone. Never without the prober's own word; never on one word while another witness is about.
    fn doomed(&self, now_ms: u64) -> Option<Cause> {
        self.service.as_ref()?;
        let own = match self.own()? {
            (met @ (Met::Refused | Met::Silent), _) => met,
            (Met::Answered | Met::OtherRun, _) => return None,
        };
        if own == Met::Refused && self.others().any(|met| met == Met::Refused) {
            return Some(Cause::TwoRefused);
        }
        let since = |at: u64| now_ms.saturating_sub(at);
        if since(self.sign_ms) < VETO_MS {
            return None;
        }
        if self.others().any(|met| matches!(met, Met::Refused | Met::Silent)) {
            return Some(Cause::TwoMissed);
        }
        let long = self.missing_since.is_some_and(|at| since(at) >= ALONE_MS);
        (long && since(self.sign_ms) >= ALONE_MS && since(self.others_ms) >= ALONE_MS).then_some(Cause::Silence)
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
