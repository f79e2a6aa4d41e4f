//! Everything there is: processes, stores, what is cut, and the record of what happened.

use crate::{
    Broken,
    control::Control,
    dice::Dice,
    edge::Edge,
    net::Proc,
    pg::Pg,
    redis::Redis,
    srs::{Hook, Node},
};
use proto::{NodeId, ServiceId, SessionId, StreamId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Lines of a trace that are kept: the last ones.
const TRACE_MAX: usize = 400;
/// How long a witness's word may count, and the time a verdict takes to be carried out.
const MISSING_COUNTS_MS: u64 = 10_000;
/// A witness is one that was in touch for so long: what a node is given before it is called silent, and some seconds.
const WITNESS_COUNTS_MS: u64 = 20_000;
/// Unix milliseconds at the beginning of every seed.
pub(crate) const EPOCH_MS: u64 = 1_767_225_600_000;

/// The world.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) broken: Broken,
    /// The incarnation of each process, and whether it is up.
    lives: BTreeMap<Proc, (u32, bool)>,
    cuts: BTreeSet<(Proc, Proc)>,
    pub(crate) slow_percent: u64,
    pub(crate) lost_percent: u64,
    pub(crate) twice_percent: u64,
    pub(crate) controls: Vec<Control>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) weights: BTreeMap<NodeId, u8>,
    /// Nodes that take no new streams.
    pub(crate) draining: BTreeSet<NodeId>,
    pub(crate) pg: Pg,
    pub(crate) redis: Redis,
    /// Hooks that no control-api has taken yet, in order.
    pub(crate) journal: Vec<(usize, Hook)>,
    pub(crate) streams: Vec<StreamId>,
    /// Number of the last client of any node.
    pub(crate) clients: u32,
    /// Something that the checks look at changed.
    pub(crate) dirty: bool,
    /// Clients come and go; ends before the last quiet.
    pub(crate) busy: bool,
    pub(crate) seen: BTreeMap<&'static str, u64>,
    trace: VecDeque<String>,
    pub(crate) traced: bool,
    pub(crate) failure: Option<String>,
    /// The last moment at which Postgres was away for anybody, and that at which each process was cut off from or lost to another.
    pub(crate) pg_away_ms: Option<u64>,
    pub(crate) cut_ms: BTreeMap<Proc, u64>,
    /// The last moment at which anything was cut.
    pub(crate) fault_ms: u64,
    missing_ms: BTreeMap<(Proc, Proc), u64>,
    pub(crate) now: u64,
}

impl World {
    pub(crate) fn new(seed: u64, broken: Broken, traced: bool) -> Self {
        Self {
            dice: Dice::new(seed),
            broken,
            lives: BTreeMap::new(),
            cuts: BTreeSet::new(),
            slow_percent: 0,
            lost_percent: 0,
            twice_percent: 0,
            controls: Vec::new(),
            edges: Vec::new(),
            nodes: Vec::new(),
            weights: BTreeMap::new(),
            draining: BTreeSet::new(),
            pg: Pg {
                forgets_epochs: broken == Broken::EpochForgotten,
                no_bound: broken == Broken::NoBound,
                anybody_ends: broken == Broken::AnybodyEnds,
                ..Pg::default()
            },
            redis: Redis::default(),
            journal: Vec::new(),
            streams: Vec::new(),
            clients: 0,
            dirty: false,
            busy: true,
            seen: BTreeMap::new(),
            trace: VecDeque::new(),
            traced,
            failure: None,
            pg_away_ms: None,
            cut_ms: BTreeMap::new(),
            fault_ms: 0,
            missing_ms: BTreeMap::new(),
            now: 0,
        }
    }

    /// The incarnation of a process that is up. Stores and clients have one life.
    pub(crate) fn life(&self, of: Proc) -> Option<u32> {
        match of {
            Proc::Out | Proc::Pg | Proc::Redis => Some(0),
            Proc::C(_) | Proc::E(_) | Proc::N(_) => {
                self.lives.get(&of).filter(|(_, up)| *up).map(|(incarnation, _)| *incarnation)
            }
        }
    }

    /// Begins a process's next life; its number.
    pub(crate) fn begin(&mut self, of: Proc) -> u32 {
        let life = self.lives.entry(of).or_insert((0, false));
        *life = (life.0 + 1, true);
        life.0
    }

    pub(crate) fn end(&mut self, of: Proc) {
        if let Some(life) = self.lives.get_mut(&of) {
            life.1 = false;
        }
    }

    /// Processes that are up.
    pub(crate) fn processes(&self) -> Vec<Proc> {
        self.lives.iter().filter(|(_, (_, up))| *up).map(|(proc, _)| *proc).collect()
    }

    pub(crate) fn cut(&mut self, a: Proc, b: Proc) {
        self.cuts.insert((a.min(b), a.max(b)));
    }

    pub(crate) fn join(&mut self, a: Proc, b: Proc) {
        self.cuts.remove(&(a.min(b), a.max(b)));
    }

    /// Whether bytes get from one to the other.
    pub(crate) fn linked(&self, a: Proc, b: Proc) -> bool {
        !self.cuts.contains(&(a.min(b), a.max(b))) && !self.is_off(a) && !self.is_off(b)
    }

    /// A store is away for everybody.
    fn is_off(&self, of: Proc) -> bool {
        matches!(of, Proc::Pg | Proc::Redis) && self.cuts.contains(&(Proc::Out, of))
    }

    /// Whether a process reaches a store.
    pub(crate) fn reaches(&self, from: Proc, store: Proc) -> bool {
        self.linked(from, store)
    }

    /// Counts that something happened.
    pub(crate) fn seen(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Writes a line into the trace.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.traced {
            if self.trace.len() >= TRACE_MAX {
                self.trace.pop_front();
            }
            let line = format!("{:>7} {}", self.now, line());
            self.trace.push_back(line);
        }
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.note(|| format!("BROKEN {why}"));
        if self.failure.is_none() {
            self.failure = Some(format!("at {} ms: {why}", self.now));
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.drain(..).collect()
    }

    /// Ends every cut and every wear of the channel.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.draining.clear();
        (self.lost_percent, self.twice_percent, self.slow_percent) = (0, 0, 0);
    }

    /// Notes who is cut off from whom right now, so that the checks know it a while longer.
    pub(crate) fn remember_cuts(&mut self) {
        if self.cuts.is_empty() {
            return;
        }
        let now = self.now;
        self.fault_ms = now;
        for (a, b) in &self.cuts {
            if *b == Proc::Pg {
                self.pg_away_ms = Some(now);
            }
            match (a, b) {
                (Proc::C(_) | Proc::E(_), Proc::N(_)) => {
                    self.missing_ms.insert((*b, *a), now);
                    self.cut_ms.insert(*b, now);
                }
                (Proc::Out | Proc::C(_), Proc::Redis) => {
                    self.missing_ms.insert((Proc::Redis, *a), now);
                }
                (Proc::Out | Proc::C(_) | Proc::E(_) | Proc::N(_) | Proc::Pg | Proc::Redis, _) => {}
            }
        }
    }

    /// Processes that could not reach a node at some moment of the last seconds.
    pub(crate) fn recently_missing(&self, n: usize) -> usize {
        let of_node = self.missing_ms.iter().filter(|((node, _), _)| *node == Proc::N(n));
        of_node.filter(|(_, at)| self.now.saturating_sub(**at) <= MISSING_COUNTS_MS).count()
    }

    /// Whether a control-api could have spoken for a node all the while: up, in touch with it and with Redis.
    pub(crate) fn has_witness(&self, n: usize) -> bool {
        let lately = |key: (Proc, Proc)| {
            self.missing_ms.get(&key).is_some_and(|at| self.now.saturating_sub(*at) <= WITNESS_COUNTS_MS)
        };
        (0..self.controls.len()).any(|c| {
            let me = Proc::C(c);
            let long = self.now.saturating_sub(self.controls[c].began) > WITNESS_COUNTS_MS;
            let apart = lately((Proc::N(n), me)) || lately((Proc::Redis, me)) || lately((Proc::Redis, Proc::Out));
            self.life(me).is_some() && long && !apart
        })
    }

    /// An edge as the load balancer picks one.
    pub(crate) fn any_edge(&mut self) -> usize {
        let up: Vec<usize> = (0..self.edges.len()).filter(|e| self.life(Proc::E(*e)).is_some()).collect();
        if up.is_empty() { 0 } else { up[self.dice.index(up.len())] }
    }

    /// A node by its name.
    pub(crate) fn node_index(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == *id)
    }

    /// Whether a client of a run is still connected.
    pub(crate) fn is_connected(&self, n: usize, service: &ServiceId, client: u32) -> bool {
        self.life(Proc::N(n)).is_some()
            && self.nodes.get(n).is_some_and(|node| node.service == *service && node.clients.contains_key(&client))
    }

    pub(crate) fn session_id(&mut self) -> SessionId {
        let mut bytes = self.dice.bytes16();
        let now = (EPOCH_MS + self.now).to_be_bytes();
        bytes[..6].copy_from_slice(&now[2..]);
        SessionId::from_bytes(bytes)
    }
}
