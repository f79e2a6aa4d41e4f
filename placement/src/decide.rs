//! One stream, one node, and why.
//!
//! The bound is that of consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016): no node gets a stream that lifts
//! it above 1.25 times its weighted mean, rounded up. Mean and weights are taken over the nodes that can take the stream at all, the new
//! stream included, so the bounds add up to more than there are streams and one of those nodes is always below its own: the bound alone
//! never refuses anybody.

use crate::{
    member::{Load, Member, Resource, State, Zone},
    ring::Ring,
};
use proto::NodeId;
use std::{collections::BTreeMap, fmt};

/// How far above its mean a node may go, in per cent of the mean.
pub const BOUND_PERCENT: u32 = 125;

/// What a decision has to heed besides the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy<'a> {
    /// Bound in per cent of a node's weighted mean. Less than 100 counts as 100, below which there would not be room for all.
    pub bound_percent: u32,
    /// Nodes of this zone first, others only if none of it can take the stream.
    pub zone: Option<&'a Zone>,
    /// Nodes that have just failed and are not to be tried again.
    pub exclude: &'a [NodeId],
    /// Nodes that cannot take what is to be published, whatever room they have.
    pub unfit: &'a [NodeId],
}

impl Default for Policy<'_> {
    fn default() -> Self {
        Self { bound_percent: BOUND_PERCENT, zone: None, exclude: &[], unfit: &[] }
    }
}

/// What was against a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It takes no new streams in this state.
    State(State),
    /// The caller excluded it.
    Excluded,
    /// It cannot take what is to be published.
    Unfit,
    /// It has reached a limit.
    Full {
        /// Of what.
        resource: Resource,
        /// What is used.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// It stands in another zone than the one preferred.
    OtherZone,
    /// One more stream would lift it above its bound.
    Bound {
        /// Streams it has.
        streams: u32,
        /// Streams it may have.
        bound: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => write!(f, "is {}", state.as_str()),
            Self::Excluded => f.write_str("has just been tried"),
            Self::Unfit => f.write_str(
                "has no SRT port for this publisher: with a passphrase for encrypted ones, without for others",
            ),
            Self::Full { resource, used, limit } => write!(f, "is full: {used} of {limit} {}", resource.as_str()),
            Self::OtherZone => f.write_str("is in another zone"),
            Self::Bound { streams, bound } => write!(f, "has {streams} of the {bound} streams that are its share"),
        }
    }
}

/// A node that comes before the chosen one and was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The node.
    pub node: NodeId,
    /// What was against it.
    pub reason: Reason,
}

/// Why no node was chosen. Each node's own reason is in [`Decision::passed_over`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There are no nodes.
    #[error("there are no media nodes")]
    NoNodes,
    /// No node is up.
    #[error("no media node is up")]
    NoneUp,
    /// Nodes are up, and full.
    #[error("every media node that is up is full")]
    AllFull,
    /// Nodes are up, and none can take what is to be published.
    #[error("no media node that is up can take this publisher")]
    AllUnfit,
    /// Nodes are up, and all were tried.
    #[error("every media node that is up has just been tried")]
    AllTried,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The nodes that may take the stream, in the order to try them; the first is the choice. Empty if there is none.
    pub candidates: Vec<NodeId>,
    /// The nodes that come before the choice in the ring's order, all nodes if there is no choice.
    pub passed_over: Vec<PassedOver>,
    /// The choice's bound in streams.
    pub bound: Option<u64>,
    /// The nodes whose streams and weights make the mean: those that can take the stream at all. Empty if there is no choice.
    pub among: Vec<NodeId>,
    /// Why there is no choice.
    pub refusal: Option<Refusal>,
}

impl Decision {
    /// The node to take.
    #[must_use]
    pub fn chosen(&self) -> Option<&NodeId> {
        self.candidates.first()
    }
}

/// What became of one node in a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The one to take.
    Chosen,
    /// Would be tried next.
    Candidate,
    /// Not to be taken.
    PassedOver(Reason),
}

/// A node of [`explain()`]'s list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The node.
    pub node: NodeId,
    /// What became of it.
    pub verdict: Verdict,
    /// Streams it may have; only for a node that the choice was made among.
    pub bound: Option<u64>,
}

/// A decision under way: the nodes in the key's order, and those of them that it is made among.
struct View<'a> {
    order: Vec<&'a Member>,
    loads: &'a BTreeMap<NodeId, Load>,
    policy: &'a Policy<'a>,
    among: Option<Among>,
}

/// The first of the tiers that has an open node.
struct Among {
    tier: fn(&Member, &Policy<'_>) -> bool,
    /// Streams of its open nodes together, the new one included.
    streams: u64,
    /// Their weights together.
    weights: u64,
}

/// Preferred zone, any zone, suspect nodes: each is looked at only if the one before has no open node.
const TIERS: [fn(&Member, &Policy<'_>) -> bool; 3] = [
    |member, policy| member.state == State::Up && in_zone(member, policy),
    |member, _| member.state == State::Up,
    |member, _| member.state == State::Suspect,
];

impl<'a> View<'a> {
    fn new(ring: &'a Ring, loads: &'a BTreeMap<NodeId, Load>, key: &[u8], policy: &'a Policy<'a>) -> Self {
        let mut view = View { order: ring.owners(key).collect(), loads, policy, among: None };
        view.among = TIERS.into_iter().find_map(|tier| view.open_of(tier));
        view
    }

    fn load(&self, member: &Member) -> Load {
        self.loads.get(&member.id).copied().unwrap_or_default()
    }

    fn open_of(&self, tier: fn(&Member, &Policy<'_>) -> bool) -> Option<Among> {
        let mut open = self.order.iter().filter(|member| self.is_open(tier, member)).peekable();
        open.peek()?;
        let (streams, weights) = open.fold((1_u64, 0_u64), |(streams, weights), member| {
            let (load, weight) = (self.load(member).streams, member.weight.get());
            (streams.saturating_add(load.into()), weights.saturating_add(weight.into()))
        });
        Some(Among { tier, streams, weights })
    }

    fn is_open(&self, tier: fn(&Member, &Policy<'_>) -> bool, member: &Member) -> bool {
        tier(member, self.policy) && closed(member, &self.load(member), self.policy).is_none()
    }

    /// A node's bound, if the choice is made among others with it, and what keeps it from taking the stream.
    fn judge(&self, member: &Member) -> (Option<u64>, Option<Reason>) {
        let load = self.load(member);
        let Some(among) = &self.among else {
            return (None, Some(against(member, &load, self.policy).unwrap_or(Reason::State(member.state))));
        };
        if !(among.tier)(member, self.policy) {
            return (None, Some(against(member, &load, self.policy).unwrap_or(Reason::OtherZone)));
        }
        if let Some(reason) = closed(member, &load, self.policy) {
            return (None, Some(reason));
        }
        let bound = bound(self.policy.bound_percent, among.streams, member.weight.get(), among.weights);
        let over = u64::from(load.streams) >= bound;
        (Some(bound), over.then_some(Reason::Bound { streams: load.streams, bound }))
    }
}

/// Chooses the node for a stream, and says why.
///
/// It is, of the nodes that are up, not excluded, not full and in the preferred zone, the first in the ring's order that stays under its
/// bound. If there are no such nodes, then of those in other zones; then of the suspect ones.
///
/// `loads` are the streams each node has been given, by claims; a node that is missing there has none.
#[must_use]
pub fn decide(ring: &Ring, loads: &BTreeMap<NodeId, Load>, key: &[u8], policy: &Policy<'_>) -> Decision {
    let view = View::new(ring, loads, key, policy);
    let mut decision =
        Decision { candidates: Vec::new(), passed_over: Vec::new(), bound: None, among: Vec::new(), refusal: None };
    for member in &view.order {
        let (bound, reason) = view.judge(member);
        if bound.is_some() {
            decision.among.push(member.id.clone());
        }
        match reason {
            None => {
                decision.bound = decision.bound.or(bound);
                decision.candidates.push(member.id.clone());
            }
            Some(reason) if decision.candidates.is_empty() => {
                decision.passed_over.push(PassedOver { node: member.id.clone(), reason });
            }
            Some(_) => {}
        }
    }
    if view.among.is_none() {
        decision.refusal = Some(refusal(&decision.passed_over));
    }
    decision
}

/// The same decision as [`decide()`], told of every node in the ring's order, those behind the choice too.
#[must_use]
pub fn explain(ring: &Ring, loads: &BTreeMap<NodeId, Load>, key: &[u8], policy: &Policy<'_>) -> Vec<Judged> {
    let view = View::new(ring, loads, key, policy);
    let mut chosen = false;
    let judge = |member: &&Member| {
        let (bound, reason) = view.judge(member);
        let verdict = match reason {
            Some(reason) => Verdict::PassedOver(reason),
            None if chosen => Verdict::Candidate,
            None => Verdict::Chosen,
        };
        chosen |= verdict == Verdict::Chosen;
        Judged { node: member.id.clone(), verdict, bound }
    };
    view.order.iter().map(judge).collect()
}

fn in_zone(member: &Member, policy: &Policy<'_>) -> bool {
    policy.zone.is_none_or(|zone| member.zone.as_ref() == Some(zone))
}

/// What keeps a node in a fit state from taking any stream.
fn closed(member: &Member, load: &Load, policy: &Policy<'_>) -> Option<Reason> {
    if policy.exclude.contains(&member.id) {
        return Some(Reason::Excluded);
    }
    if policy.unfit.contains(&member.id) {
        return Some(Reason::Unfit);
    }
    member.limits.exhausted(load).map(|(resource, used, limit)| Reason::Full { resource, used, limit })
}

/// What is against a node besides zone and bound.
fn against(member: &Member, load: &Load, policy: &Policy<'_>) -> Option<Reason> {
    match member.state {
        State::Up => closed(member, load, policy),
        State::Joining | State::Suspect | State::Draining | State::Down => Some(Reason::State(member.state)),
    }
}

/// ⌈percent × streams × weight ÷ (100 × weights)⌉, at least 1.
fn bound(percent: u32, streams: u64, weight: u8, weights: u64) -> u64 {
    let share = u128::from(percent.max(100)).saturating_mul(streams.into()).saturating_mul(weight.into());
    let whole = u128::from(weights.max(1)).saturating_mul(100);
    u64::try_from(share.div_ceil(whole)).unwrap_or(u64::MAX)
}

fn refusal(passed_over: &[PassedOver]) -> Refusal {
    let any = |of: fn(&Reason) -> bool| passed_over.iter().any(|passed| of(&passed.reason));
    match () {
        () if passed_over.is_empty() => Refusal::NoNodes,
        () if any(|reason| matches!(reason, Reason::Full { .. })) => Refusal::AllFull,
        () if any(|reason| matches!(reason, Reason::Excluded)) => Refusal::AllTried,
        () if any(|reason| matches!(reason, Reason::Unfit)) => Refusal::AllUnfit,
        () => Refusal::NoneUp,
    }
}
