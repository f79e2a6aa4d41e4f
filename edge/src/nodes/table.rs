//! What is known of each node. Pure: answers and silences come in as values.

use crate::config::Upstream;
use placement::{Member, Ring, State, Weight, Zone};
use proto::{NodeId, ServiceId, srs::api::Versions};
use url::Url;

/// Answers that may fail in a row before a node counts as down.
const SILENCES_MAX: u32 = 2;

/// A node to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its id.
    pub id: NodeId,
    /// Its API origin.
    pub api: Url,
    /// Its run, once it has answered.
    pub service: Option<ServiceId>,
    /// It answers.
    pub up: bool,
}

/// What an answer changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The node.
    pub id: NodeId,
    /// Its run.
    pub service: ServiceId,
    /// It had another run before, which is gone with all its sessions.
    pub restarted: bool,
    /// It counted as down, or was never heard.
    pub came_up: bool,
}

/// Why an answering node is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    /// `code` is not 0, or id or run are none.
    #[error("does not say who it is")]
    Nameless,
    /// It says another `server_id` than `SRS_UPSTREAM`.
    #[error("calls itself {said}, SRS_UPSTREAM says {configured}")]
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
struct Entry {
    upstream: Upstream,
    id: Option<NodeId>,
    service: Option<ServiceId>,
    silences: u32,
    up: bool,
}

/// All nodes, in the order of the setting, and the ring of those whose id is known. One that is down stays on the ring, so that no other
/// node's streams change their order because of it.
#[derive(Debug, Clone)]
pub struct NodeTable {
    entries: Vec<Entry>,
    ring: Ring,
}

impl NodeTable {
    /// Nothing is known of them yet, besides ids that the setting names.
    #[must_use]
    pub fn new(upstreams: &[Upstream]) -> Self {
        let entry = |upstream: &Upstream| Entry {
            id: upstream.id.clone(),
            upstream: upstream.clone(),
            service: None,
            silences: 0,
            up: false,
        };
        let entries: Vec<Entry> = upstreams.iter().map(entry).collect();
        let ring = ring_of(&entries);
        Self { entries, ring }
    }

    /// The ring, with each node's present state.
    #[must_use]
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Notes whether a node answers, on the ring too.
    fn set_up(&mut self, index: usize, up: bool) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.up = up;
        if let Some(id) = &entry.id {
            self.ring.set_state(id, state(up));
        }
    }

    /// API origins by position.
    #[must_use]
    pub fn apis(&self) -> Vec<Url> {
        self.entries.iter().map(|entry| entry.upstream.api.clone()).collect()
    }

    /// Every node whose id is known.
    pub fn all(&self) -> impl Iterator<Item = NodeAddress> {
        self.entries.iter().filter_map(address)
    }

    /// Nodes that answer, and nodes there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.entries.iter().filter(|entry| entry.up).count(), self.entries.len())
    }

    /// A node by its id.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<NodeAddress> {
        self.entries.iter().find(|entry| entry.id.as_ref() == Some(node)).and_then(address)
    }

    /// A node refused a connection.
    pub fn unreachable(&mut self, node: &NodeId) {
        if let Some(index) = self.entries.iter().position(|entry| entry.id.as_ref() == Some(node)) {
            self.set_up(index, false);
        }
    }

    /// A node did not answer; true when it counts as down from now on and did not before.
    #[must_use]
    pub fn silent(&mut self, index: usize) -> bool {
        let Some(entry) = self.entries.get_mut(index) else { return false };
        entry.silences = entry.silences.saturating_add(1);
        let went_down = entry.up && entry.silences >= SILENCES_MAX;
        if went_down {
            self.set_up(index, false);
        }
        went_down
    }

    /// Takes a node's answer.
    ///
    /// # Errors
    /// [`Down`]: it answers and is still not used.
    pub fn heard(&mut self, index: usize, versions: &Versions) -> Result<Heard, Down> {
        let (id, service) = match self.check(index, versions) {
            Ok(names) => names,
            Err(why) => {
                self.set_up(index, false);
                return Err(why);
            }
        };
        let Some(entry) = self.entries.get_mut(index) else { return Err(Down::Nameless) };
        let restarted = entry.service.as_ref().is_some_and(|old| *old != service);
        let came_up = !entry.up;
        let renamed = entry.id.replace(id.clone()).as_ref() != Some(&id);
        entry.service = Some(service.clone());
        entry.silences = 0;
        self.set_up(index, true);
        if renamed {
            self.ring = ring_of(&self.entries);
        }
        Ok(Heard { id, service, restarted, came_up })
    }

    fn check(&self, index: usize, versions: &Versions) -> Result<(NodeId, ServiceId), Down> {
        let ids = (NodeId::parse(&versions.head.server), ServiceId::parse(&versions.head.service));
        let (Ok(said), Ok(service), 0) = (ids.0, ids.1, versions.head.code) else { return Err(Down::Nameless) };
        for (other, entry) in self.entries.iter().enumerate() {
            if other == index {
                if let Some(configured) = &entry.upstream.id
                    && *configured != said
                {
                    return Err(Down::OtherId { said, configured: configured.clone() });
                }
            } else if entry.id.as_ref() == Some(&said) {
                return Err(Down::SameId { id: said });
            }
        }
        Ok((said, service))
    }
}

const fn state(up: bool) -> State {
    if up { State::Up } else { State::Down }
}

fn ring_of(entries: &[Entry]) -> Ring {
    let member = |entry: &Entry| {
        let weight = Weight::new(entry.upstream.weight.into()).unwrap_or(Weight::ONE);
        let zone = entry.upstream.zone.as_deref().map(|name| Zone(name.into()));
        Some(Member { weight, zone, state: state(entry.up), ..Member::new(entry.id.clone()?) })
    };
    let members: Vec<Member> = entries.iter().filter_map(member).collect();
    // At most 64 nodes of weight 100 make 1,024,000 points, and ids are distinct by `check` and the setting's grammar.
    Ring::build(&members).expect("SRS_UPSTREAM's limits fit a ring")
}

fn address(entry: &Entry) -> Option<NodeAddress> {
    Some(NodeAddress {
        id: entry.id.clone()?,
        api: entry.upstream.api.clone(),
        service: entry.service.clone(),
        up: entry.up,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::srs::api::{Head, Version};

    fn says(server: &str, service: &str) -> Versions {
        let head = Head { code: 0, server: server.into(), service: service.into(), pid: String::new() };
        Versions { head, data: Version::default() }
    }

    fn upstream(port: u16, id: Option<&str>) -> Upstream {
        Upstream {
            api: format!("http://127.0.0.1:{port}").parse().unwrap(),
            id: id.map(|id| NodeId::parse(id).unwrap()),
            weight: 1,
            zone: None,
            endpoints: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn ids_are_learnt_and_restarts_noticed() {
        let mut table = NodeTable::new(&[upstream(1, None), upstream(2, None)]);
        assert_eq!(table.all().count(), 0);
        let heard = table.heard(0, &says("n1", "run1")).unwrap();
        assert!(heard.came_up && !heard.restarted);
        assert!(!table.heard(0, &says("n1", "run1")).unwrap().restarted);
        assert!(table.heard(0, &says("n1", "run2")).unwrap().restarted);
        assert_eq!(table.get(&heard.id).unwrap().service.unwrap().as_str(), "run2");
        assert!(matches!(table.heard(1, &says("n1", "run3")), Err(Down::SameId { .. })));
        assert_eq!(table.counts(), (1, 2));
    }

    #[test]
    fn a_node_with_another_name_is_not_used() {
        let mut table = NodeTable::new(&[upstream(1, Some("n1"))]);
        assert!(matches!(table.heard(0, &says("vid-9", "run1")), Err(Down::OtherId { .. })));
        assert_eq!(table.heard(0, &says("", "run1")), Err(Down::Nameless));
        assert!(!table.all().next().unwrap().up);
    }

    #[test]
    fn two_silences_or_one_refused_connection_take_a_node_out() {
        let mut table = NodeTable::new(&[upstream(1, None)]);
        let id = table.heard(0, &says("n1", "run1")).unwrap().id;
        assert!(!table.silent(0) && table.silent(0) && !table.silent(0), "told once");
        assert!(table.heard(0, &says("n1", "run1")).unwrap().came_up);
        table.unreachable(&id);
        assert!(!table.get(&id).unwrap().up);
    }
}
