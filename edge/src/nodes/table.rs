//! What is known of each node: what the membership says, what `SRS_UPSTREAM` says, and what this edge met itself. Pure: news, answers and silences
//! come in as values.

mod node;

use crate::config::Upstream;
use node::{Node, Own};
use placement::{MEMBERS_MAX, Member, Ring, RingError, State};
use proto::{
    NodeId, ServiceId,
    node::{Membership, Met, SrtPort},
    srs::api::Versions,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use url::Url;

/// Answers that may fail in a row before this edge counts a node as down.
const SILENCES_MAX: u32 = 2;

/// A node to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its id.
    pub id: NodeId,
    /// Its API origin.
    pub api: Url,
    /// Where its media ports are, each `host:port`; `None` for one it does not have.
    pub at: Endpoints,
    /// Its run, once it is known.
    pub service: Option<ServiceId>,
    /// As far as is known here, it answers.
    pub up: bool,
    /// The cluster says that it is gone, and with it all it carried.
    pub lost: bool,
    /// The cluster says that one witness misses it.
    pub suspect: bool,
}

/// Where a node's media ports are, each `host:port` as `connect` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    /// HLS and HTTP-FLV (TCP).
    pub http: Option<Arc<str>>,
    /// RTMP (TCP).
    pub rtmp: Option<Arc<str>>,
    /// SRT (UDP).
    pub srt: Option<Arc<str>>,
    /// WebRTC (UDP).
    pub rtc: Option<Arc<str>>,
    /// Its SRT port has a passphrase.
    pub srt_encrypted: bool,
}

impl Endpoints {
    /// What kind of SRT port it has, if any.
    #[must_use]
    pub const fn srt_port(&self) -> Option<SrtPort> {
        match (&self.srt, self.srt_encrypted) {
            (None, _) => None,
            (Some(_), false) => Some(SrtPort::Plain),
            (Some(_), true) => Some(SrtPort::Encrypted),
        }
    }
}

/// What an answer changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The node.
    pub id: NodeId,
    /// Its run.
    pub service: ServiceId,
    /// The run before, which is gone with all its sessions.
    pub before: Option<ServiceId>,
    /// It counted as down, or was never heard.
    pub came_up: bool,
}

/// What a membership changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is down, or no longer enrolled: everything it carried is gone.
    Lost(NodeId),
    /// It has another run: everything on the one before is gone.
    Restarted(NodeId, ServiceId),
    /// One witness misses it: have a look.
    Suspect(NodeId),
}

/// Why an answering node is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    /// `code` is not 0, or id or run are none.
    #[error("does not say who it is")]
    Nameless,
    /// It says another `server_id` than `SRS_UPSTREAM` or its enrolment.
    #[error("calls itself {said}, it was expected to be {configured}")]
    OtherId {
        /// Its own word.
        said: NodeId,
        /// The setting's.
        configured: NodeId,
    },
    /// Another entry of `SRS_UPSTREAM` has the same id.
    #[error("has the id {id} of another node: give each SRS its own server_id")]
    SameId {
        /// The id.
        id: NodeId,
    },
}

#[derive(Debug, Clone)]
struct Fixed {
    upstream: Upstream,
    id: Option<NodeId>,
}

/// All nodes by id, and their ring. One that is down stays on the ring, so that no other node's streams change their order because of it.
#[derive(Debug, Clone)]
pub struct NodeTable {
    fixed: Vec<Fixed>,
    nodes: BTreeMap<NodeId, Node>,
    version: u64,
    ring: Ring,
}

impl NodeTable {
    /// Nothing is known yet, besides what `SRS_UPSTREAM` names.
    ///
    /// # Panics
    /// Never: what the setting's grammar lets through fits a ring.
    #[must_use]
    pub fn new(upstreams: &[Upstream]) -> Self {
        let fixed: Vec<Fixed> =
            upstreams.iter().map(|upstream| Fixed { id: upstream.id.clone(), upstream: upstream.clone() }).collect();
        let nodes: BTreeMap<_, _> =
            fixed.iter().filter_map(|one| Some((one.id.clone()?, Node::fixed(&one.upstream)))).collect();
        // At most 64 nodes of weight 100 make 1,024,000 points, and ids are distinct by the setting's grammar.
        let ring = build(&nodes).expect("SRS_UPSTREAM's limits fit a ring");
        Self { fixed, nodes, version: 0, ring }
    }

    /// The ring, with each node's present state.
    #[must_use]
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Version of the last membership; 0 before the first.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Origins of the nodes of `SRS_UPSTREAM` to be asked who they are, by position: all but those that failed and are looked at anyway.
    #[must_use]
    pub fn to_poll(&self) -> Vec<(usize, Url)> {
        let fails = |id: &NodeId| self.nodes.get(id).is_some_and(|node| node.own == Own::Fails);
        let asked = self.fixed.iter().enumerate().filter(|(_, one)| !one.id.as_ref().is_some_and(fails));
        asked.map(|(index, one)| (index, one.upstream.api.clone())).collect()
    }

    /// The id of a node of `SRS_UPSTREAM`, once it is known.
    #[must_use]
    pub fn fixed_id(&self, index: usize) -> Option<NodeId> {
        self.fixed.get(index).and_then(|one| one.id.clone())
    }

    /// Nodes that take or keep streams, and nodes there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let nameless = self.fixed.iter().filter(|one| one.id.is_none()).count();
        let up = self.nodes.values().filter(|node| !matches!(node.state(), State::Down | State::Joining)).count();
        (up, self.nodes.len().saturating_add(nameless))
    }

    /// A node by its id, if it has an address.
    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<NodeAddress> {
        let node = self.nodes.get(id)?;
        Some(NodeAddress {
            id: id.clone(),
            api: node.api.clone()?,
            at: node.endpoints.clone(),
            service: node.service.clone(),
            up: !node.fails() && !node.lost(),
            lost: node.lost(),
            suspect: node.told() == Some(State::Suspect),
        })
    }

    /// Nodes that take or keep streams.
    #[must_use]
    pub fn in_use(&self) -> Vec<NodeAddress> {
        self.nodes.keys().filter_map(|id| self.get(id)).filter(|node| node.up).collect()
    }

    /// All nodes that have an address.
    #[must_use]
    pub fn addresses(&self) -> Vec<NodeAddress> {
        self.nodes.keys().filter_map(|id| self.get(id)).collect()
    }

    /// The nodes that cannot take an SRT caller of this kind.
    #[must_use]
    pub fn unfit(&self, wanted: Option<SrtPort>) -> Vec<NodeId> {
        let Some(wanted) = wanted else { return Vec::new() };
        let unfit = |node: &Node| node.endpoints.srt_port() != Some(wanted);
        self.nodes.iter().filter(|(_, node)| unfit(node)).map(|(id, _)| id.clone()).collect()
    }

    /// Whether any node has a port for this kind of SRT caller.
    #[must_use]
    pub fn has_srt_port(&self, wanted: SrtPort) -> bool {
        self.nodes.values().any(|node| node.endpoints.srt_port() == Some(wanted))
    }

    /// Whether the cluster knows the node: only then is it told what was met there.
    #[must_use]
    pub fn is_member(&self, id: &NodeId) -> bool {
        self.nodes.get(id).is_some_and(|node| node.told.is_some())
    }

    /// Whether this edge had a bad experience with a node that was not made good since.
    #[must_use]
    pub fn in_trouble(&self, id: &NodeId) -> bool {
        self.nodes.get(id).is_some_and(|node| node.own == Own::Fails || node.silences > 0)
    }

    /// The node for a stream when nobody can be asked: where it was last, else the ring's home, by the membership alone, so that all edges that
    /// know the same membership choose the same node. `None` when there is none, or when it fails here: another edge may still reach it, so
    /// taking the next one could make two publishers.
    #[must_use]
    pub fn home(&self, stream: &[u8], last: Option<&NodeId>) -> Option<(NodeId, ServiceId)> {
        let told = |id: &NodeId| self.nodes.get(id).map(|node| node.told().unwrap_or(State::Up));
        let last = last.filter(|id| matches!(told(id), Some(State::Up | State::Suspect)));
        let first = |wanted| self.ring.owners(stream).map(|member| &member.id).find(|id| told(id) == Some(wanted));
        let id = last.or_else(|| first(State::Up)).or_else(|| first(State::Suspect))?;
        let node = self.nodes.get(id).filter(|node| !node.fails() && node.api.is_some())?;
        Some((id.clone(), node.service.clone()?))
    }

    /// Takes a membership, unless it is not newer than the last.
    ///
    /// # Errors
    /// It does not fit a ring; the table stays as it was.
    pub fn learn(&mut self, membership: &Membership) -> Result<Vec<Change>, RingError> {
        if membership.version <= self.version {
            return Ok(Vec::new());
        }
        if membership.members.len() > MEMBERS_MAX {
            return Err(RingError::TooManyMembers { got: membership.members.len(), limit: MEMBERS_MAX });
        }
        let mut nodes = self.nodes.clone();
        let mut changes = Vec::new();
        let named: BTreeSet<&NodeId> = membership.members.iter().map(|member| &member.id).collect();
        for told in &membership.members {
            let node = nodes.entry(told.id.clone()).or_insert_with(Node::member_of_cluster);
            changes.extend(node.learn(told));
        }
        nodes.retain(|id, node| {
            let stays = named.contains(id) || node.fixed;
            if !named.contains(id) {
                node.told = None;
            }
            if !stays {
                changes.push(Change::Lost(id.clone()));
            }
            stays
        });
        self.ring = build(&nodes)?;
        self.nodes = nodes;
        self.version = membership.version;
        Ok(changes)
    }

    /// Notes a bad experience with a node: true when it counts as down here from now on and did not before. One refused connection is enough,
    /// one silence is not.
    pub fn fails(&mut self, id: &NodeId, met: Met) -> bool {
        let Some(node) = self.nodes.get_mut(id) else { return false };
        node.silences = node.silences.saturating_add(1);
        if met != Met::Refused && node.silences < SILENCES_MAX {
            return false;
        }
        let (was, answered) = (std::mem::replace(&mut node.own, Own::Fails), !node.fixed || node.service.is_some());
        let state = node.state();
        self.ring.set_state(id, state);
        was != Own::Fails && answered
    }

    /// Notes that a node answered under a run.
    pub fn answers(&mut self, id: &NodeId, service: &ServiceId) -> Option<Heard> {
        let node = self.nodes.get_mut(id)?;
        let before = node.service.replace(service.clone()).filter(|old| old != service);
        let came_up = node.fails();
        node.own = Own::Answers;
        node.silences = 0;
        let state = node.state();
        self.ring.set_state(id, state);
        Some(Heard { id: id.clone(), service: service.clone(), before, came_up })
    }

    /// Takes the answer of a node of `SRS_UPSTREAM`.
    ///
    /// # Errors
    /// [`Down`]: it answers and is still not used.
    pub fn heard(&mut self, index: usize, versions: &Versions) -> Result<Heard, Down> {
        let (id, service) = match self.check(index, versions) {
            Ok(names) => names,
            Err(why) => {
                if let Some(id) = self.fixed_id(index) {
                    self.fails(&id, Met::Refused);
                }
                return Err(why);
            }
        };
        let Some(one) = self.fixed.get_mut(index) else { return Err(Down::Nameless) };
        let old = one.id.replace(id.clone());
        if old.as_ref() != Some(&id) {
            let told = self.nodes.remove(&id).and_then(|node| node.told);
            self.nodes.insert(id.clone(), Node::fixed(&one.upstream).with(told));
            if let Some(old) = old {
                self.nodes.remove(&old);
            }
            if let Ok(ring) = build(&self.nodes) {
                self.ring = ring;
            }
        }
        self.answers(&id, &service).ok_or(Down::Nameless)
    }

    fn check(&self, index: usize, versions: &Versions) -> Result<(NodeId, ServiceId), Down> {
        let (said, service) = names(versions).ok_or(Down::Nameless)?;
        for (other, one) in self.fixed.iter().enumerate() {
            if other == index {
                if let Some(configured) = &one.upstream.id
                    && *configured != said
                {
                    return Err(Down::OtherId { said, configured: configured.clone() });
                }
            } else if one.id.as_ref() == Some(&said) {
                return Err(Down::SameId { id: said });
            }
        }
        Ok((said, service))
    }
}

/// Who a node says it is.
#[must_use]
pub(super) fn names(versions: &Versions) -> Option<(NodeId, ServiceId)> {
    let good = versions.head.code == 0;
    let names = (NodeId::parse(&versions.head.server).ok()?, ServiceId::parse(&versions.head.service).ok()?);
    good.then_some(names)
}

fn build(nodes: &BTreeMap<NodeId, Node>) -> Result<Ring, RingError> {
    let members: Vec<Member> = nodes.iter().map(|(id, node)| node.member(id)).collect();
    Ring::build(&members)
}

#[cfg(test)]
mod tests;
