//! Control nodes and the channel between them. Only what the cores do is counted as theirs: the channel is free.

use anyhow::{Context as _, bail, ensure};
use gossip::{Core, Keys, Now, Opened, Origin, Output};
use proto::{
    ClientId, ControlId, EdgeId, NodeId, ServiceId, SessionId, StreamId, UserId,
    secret::{ClusterSecret, Keyring},
    session::{EndReason, Known, Protocol, Role, Session},
};
use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    thread,
};

/// Unix milliseconds at which virtual time begins.
const START_MS: u64 = 1_790_000_000_000;
/// Sessions that a node begins in one step of filling: as many as go without waiting.
const FILL_BATCH: u64 = gossip::limits::FLUSH_ENTRIES;
const FILL_STEP_MS: u64 = gossip::limits::FLUSH_MS;
/// Viewers of a stream, media nodes, edges, accounts' sessions.
const VIEWERS: u64 = 50;
const MEDIA_NODES: u64 = 64;
const EDGES: u64 = 32;
const OF_AN_ACCOUNT: u64 = 500;

/// How messages travel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub(super) delay_ms: u64,
    /// One of so many is lost, for each receiver by itself; `None`: none.
    pub(super) lost_of: Option<u64>,
    /// Questions and answers are lost too.
    pub(super) repair_too: bool,
}

/// What it took, all nodes together.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// Bytes published, vectors included, each message once.
    pub(super) published: u64,
    /// Messages published, vectors included.
    pub(super) messages: u64,
    /// Bytes sent to one node: questions and answers.
    pub(super) repaired: u64,
    /// Messages taken in.
    pub(super) taken: u64,
    /// CPU of the cores.
    pub(super) cpu_seconds: f64,
    /// The part of it that hooks and time took, sealing included; the rest is taking messages in.
    pub(super) own_seconds: f64,
}

/// A message under way.
#[derive(Debug)]
struct Flying {
    at_ms: u64,
    to: usize,
    bytes: Arc<[u8]>,
}

/// A change that not all nodes have.
#[derive(Debug)]
struct Spreading {
    since_ms: u64,
    lacking: usize,
}

/// A control node.
#[derive(Debug)]
struct Node {
    core: Core,
    due_ms: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) wire: Wire,
    nodes: Vec<Node>,
    ms: u64,
    flying: VecDeque<Flying>,
    spreading: HashMap<SessionId, Spreading>,
    spread: Vec<u64>,
    dice: u64,
    /// Sessions made, and of those the first so many ended.
    made: u64,
    ended: u64,
    cost: Cost,
}

impl Cluster {
    /// Nodes that know nothing.
    pub(super) fn new(count: usize) -> anyhow::Result<Self> {
        let keys = Keys::new(&Keyring { current: ClusterSecret::from_setting("a bench"), previous: None });
        let mut cluster = Self {
            wire: Wire { delay_ms: 1, lost_of: None, repair_too: false },
            nodes: Vec::with_capacity(count),
            ms: 0,
            flying: VecDeque::new(),
            spreading: HashMap::new(),
            spread: Vec::new(),
            dice: 1,
            made: 0,
            ended: 0,
            cost: Cost::default(),
        };
        for (at, seed) in (0..count).zip(1..) {
            let me = Origin { control: ControlId::parse(&format!("control-{at:02}"))?, incarnation: START_MS };
            let mut core = Core::new(me, keys.clone(), seed, cluster.now());
            core.channel_up(cluster.now());
            cluster.nodes.push(Node { core, due_ms: 0 });
        }
        // Long enough to have heard each other's vectors and to be ready.
        cluster.run(3_000)?;
        ensure!(cluster.nodes.iter().all(|node| node.core.ready()), "a node is not ready");
        cluster.cost = Cost::default();
        Ok(cluster)
    }

    const fn now(&self) -> Now {
        Now { mono_ms: self.ms, unix_ms: START_MS + self.ms }
    }

    /// Begins `count` sessions, each at one of the nodes, in full messages of which none is lost; the nodes work side by side.
    pub(super) fn fill(&mut self, count: u64) -> anyhow::Result<Cost> {
        while self.made < count {
            self.ms += FILL_STEP_MS;
            let now = self.now();
            for at in 0..self.nodes.len() {
                let began = cpu_seconds();
                let node = self.nodes.get_mut(at).context("a node")?;
                let last = count.min(self.made + FILL_BATCH);
                for number in self.made..last {
                    ensure!(node.core.open(now, &session(number)?) == Opened::Open, "a session is there already");
                }
                self.made = last;
                node.core.tick(now);
                self.cost.cpu_seconds += cpu_seconds() - began;
                self.send(at)?;
            }
            self.take_side_by_side()?;
            // Nobody counts who has them: all have, after this step.
            self.spreading.clear();
            self.spread.clear();
        }
        self.run(gossip::limits::BEACON_MS)?;
        Ok(std::mem::take(&mut self.cost))
    }

    /// Every node takes in all that is under way, on as many threads as there are processors.
    fn take_side_by_side(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        let mut inboxes: Vec<Vec<Arc<[u8]>>> = self.nodes.iter().map(|_| Vec::new()).collect();
        for flying in self.flying.drain(..) {
            inboxes.get_mut(flying.to).context("a receiver")?.push(flying.bytes);
        }
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = self.nodes.len().div_ceil(threads);
        let taken: Vec<anyhow::Result<f64>> = thread::scope(|scope| {
            let parts = self.nodes.chunks_mut(share).zip(inboxes.chunks(share));
            let running: Vec<_> =
                parts.map(|(nodes, inboxes)| scope.spawn(move || take_in(nodes, inboxes, now))).collect();
            running.into_iter().map(|one| one.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
        });
        for seconds in taken {
            self.cost.cpu_seconds += seconds?;
        }
        Ok(())
    }

    /// `rate` changes a second for so long, each at any node: by turns a session begins, and the oldest one ends.
    pub(super) fn change(&mut self, rate: u64, lasts_ms: u64) -> anyhow::Result<Cost> {
        self.cost = Cost::default();
        let (began_ms, mut done) = (self.ms, 0);
        while self.ms < began_ms + lasts_ms {
            let wanted = (self.ms + 1 - began_ms) * rate / 1_000;
            while done < wanted {
                self.one_change(done.is_multiple_of(2))?;
                done += 1;
            }
            self.step()?;
        }
        Ok(std::mem::take(&mut self.cost))
    }

    fn one_change(&mut self, begins: bool) -> anyhow::Result<()> {
        let (now, count) = (self.now(), self.nodes.len());
        let at = usize::try_from(self.roll(u64::try_from(count)?))?;
        let node = self.nodes.get_mut(at).context("a node")?;
        let known = session(if begins { self.made } else { self.ended })?;
        let id = known.session.id;
        let began = cpu_seconds();
        let changed = if begins {
            node.core.open(now, &known) == Opened::Open
        } else {
            node.core.close(now, id, EndReason::ClientLeft).is_some()
        };
        let due_ms = node.core.due(now);
        let took = cpu_seconds() - began;
        self.cost.cpu_seconds += took;
        self.cost.own_seconds += took;
        ensure!(changed, "a change met something else");
        node.due_ms = node.due_ms.min(due_ms);
        if begins {
            self.made += 1;
        } else {
            self.ended += 1;
        }
        self.spreading.insert(id, Spreading { since_ms: self.ms, lacking: count - 1 });
        self.send(at)
    }

    /// A quiet time, after which every change is everywhere.
    pub(super) fn settle(&mut self, at_most_ms: u64) -> anyhow::Result<()> {
        self.run(at_most_ms)?;
        ensure!(self.spreading.is_empty(), "{} changes are not everywhere", self.spreading.len());
        Ok(())
    }

    /// How long each change took to be everywhere, in virtual milliseconds.
    pub(super) fn spread(&mut self) -> anyhow::Result<Vec<u64>> {
        ensure!(!self.spread.is_empty(), "nothing changed");
        Ok(std::mem::take(&mut self.spread))
    }

    /// All tables hold so many sessions and are equal.
    pub(super) fn check(&self, open: u64) -> anyhow::Result<()> {
        let first = self.nodes.first().context("nodes")?.core.digest();
        for (at, node) in self.nodes.iter().enumerate() {
            let size = node.core.size();
            ensure!(u64::try_from(size.open)? == open, "node {at} holds {size:?}, {open} sessions are open");
            ensure!(node.core.digest() == first, "node {at} has another table");
        }
        Ok(())
    }

    fn run(&mut self, ms: u64) -> anyhow::Result<()> {
        let end = self.ms + ms;
        while self.ms < end {
            self.step()?;
        }
        Ok(())
    }

    /// One virtual millisecond: what arrives, then what is due.
    fn step(&mut self) -> anyhow::Result<()> {
        self.ms += 1;
        let now = self.now();
        while self.flying.front().is_some_and(|flying| flying.at_ms <= self.ms) {
            let Some(Flying { to, bytes, .. }) = self.flying.pop_front() else { break };
            let node = self.nodes.get_mut(to).context("a receiver")?;
            let began = cpu_seconds();
            node.core.message(now, &bytes)?;
            let due_ms = node.core.due(now);
            self.cost.cpu_seconds += cpu_seconds() - began;
            self.cost.taken += 1;
            node.due_ms = node.due_ms.min(due_ms);
            self.send(to)?;
        }
        for at in 0..self.nodes.len() {
            let node = self.nodes.get_mut(at).context("a node")?;
            if node.due_ms > self.ms {
                continue;
            }
            let began = cpu_seconds();
            node.core.tick(now);
            node.due_ms = node.core.due(now);
            let took = cpu_seconds() - began;
            self.cost.cpu_seconds += took;
            self.cost.own_seconds += took;
            self.send(at)?;
        }
        Ok(())
    }

    /// Carries out what a node asks for.
    fn send(&mut self, from: usize) -> anyhow::Result<()> {
        let outputs = self.nodes.get_mut(from).context("a sender")?.core.outputs();
        for output in outputs {
            match output {
                Output::Publish(bytes) => {
                    self.cost.published += u64::try_from(bytes.len())?;
                    self.cost.messages += 1;
                    let bytes: Arc<[u8]> = bytes.into();
                    for to in 0..self.nodes.len() {
                        self.fly(to, Arc::clone(&bytes), true);
                    }
                }
                Output::Send { to, bytes } => {
                    self.cost.repaired += u64::try_from(bytes.len())?;
                    let to = to.as_str().rsplit('-').next().and_then(|number| number.parse().ok());
                    self.fly(to.context("a receiver")?, bytes.into(), self.wire.repair_too);
                }
                Output::Opened { session, here: false } | Output::Closed { session, here: false, .. } => {
                    self.heard(session);
                }
                Output::Event(gossip::Event::Diverged { peer }) => bail!("{from} and {peer} have different tables"),
                Output::Reconcile { .. } => bail!("{from} counts somebody as dead, or was cut off"),
                Output::Opened { .. } | Output::Closed { .. } | Output::Event(_) => {}
            }
        }
        Ok(())
    }

    fn fly(&mut self, to: usize, bytes: Arc<[u8]>, may_be_lost: bool) {
        let is_lost = may_be_lost && self.wire.lost_of.is_some_and(|of| self.roll(of) == 0);
        if !is_lost {
            // The delay is the same for all, so that the order stays that of arrival.
            self.flying.push_back(Flying { at_ms: self.ms + self.wire.delay_ms, to, bytes });
        }
    }

    fn heard(&mut self, session: SessionId) {
        let Some(change) = self.spreading.get_mut(&session) else { return };
        change.lacking = change.lacking.saturating_sub(1);
        if change.lacking == 0 {
            self.spread.push(self.ms - change.since_ms);
            self.spreading.remove(&session);
        }
    }

    /// The same numbers in every run (`SplitMix64`).
    const fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Each node takes its inbox in; CPU seconds.
fn take_in(nodes: &mut [Node], inboxes: &[Vec<Arc<[u8]>>], now: Now) -> anyhow::Result<f64> {
    let began = cpu_seconds();
    for (node, inbox) in nodes.iter_mut().zip(inboxes) {
        for bytes in inbox {
            node.core.message(now, bytes)?;
        }
        // Notices of what was opened: of no use here.
        let wishes = node.core.outputs();
        ensure!(!wishes.iter().any(|one| matches!(one, Output::Send { .. })), "something was missed");
    }
    Ok(cpu_seconds() - began)
}

/// The n-th viewer: WebRTC through an edge, as an edge and a hook tell of it.
fn session(number: u64) -> anyhow::Result<Known> {
    let opened_ms = START_MS + number / 10;
    let stream = number / VIEWERS;
    let ip = 0x0a00_0000 | u32::try_from(number & 0x00ff_ffff)?;
    let session = Session {
        id: SessionId::from_bytes(((u128::from(opened_ms) << 80) | u128::from(number)).to_be_bytes()),
        stream: StreamId::parse(&format!("stream-{stream:08x}"))?,
        role: Role::Play,
        protocol: Protocol::Webrtc,
        node: NodeId::parse(&format!("node-{}", stream % MEDIA_NODES))?,
        service: ServiceId::parse(&format!("vid-{:07x}", stream % MEDIA_NODES))?,
        client_id: ClientId::parse(&format!("{number:08x}"))?,
        edge: Some(EdgeId::parse(&format!("edge-{:08x}", number % EDGES))?),
        ip: Some(IpAddr::V4(Ipv4Addr::from_bits(ip))),
        epoch: 1,
        broadcast: None,
        opened_at: time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(opened_ms) * 1_000_000)?,
        closed_at: None,
        reason: None,
    };
    let owner = Some(UserId::from_bytes(u128::from(number / OF_AN_ACCOUNT).to_be_bytes()));
    // Kept for publishers, and for viewers of private streams that no edge vouches for.
    Ok(Known { session, owner, credential: None })
}

/// CPU time of this thread.
#[expect(clippy::cast_precision_loss, reason = "seconds since the thread began, and less than 10^9 ns")]
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
