//! Which client of which node holds which session, as far as this edge saw it: a ticket is good for the first client it came with.

use proto::{
    ClientId, NodeId, ServiceId, SessionId, StreamId,
    fleet::Placement,
    session::{Protocol, Role},
};
use std::collections::{HashMap, VecDeque};

/// Clients remembered at most, about 400 bytes each; the ones met first are the first to be forgotten.
pub const BOUND_MAX: usize = 65_536;

/// A connection at a media node: node, its run, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// The node.
    pub node: NodeId,
    /// Its run.
    pub service: ServiceId,
    /// What that run calls the connection.
    pub id: ClientId,
}

/// What a client was let in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The stream.
    pub stream: StreamId,
    /// The session of its ticket.
    pub session: SessionId,
    /// Publish or play.
    pub role: Role,
    /// How the media travels.
    pub protocol: Protocol,
    /// The epoch of its ticket.
    pub epoch: u64,
    /// Unix milliseconds of its hook.
    pub since_ms: u64,
}

impl Held {
    /// Where the stream is by this publisher.
    #[must_use]
    pub fn placement(&self, client: &Client) -> Placement {
        Placement {
            stream: self.stream.clone(),
            node: client.node.clone(),
            service: client.service.clone(),
            epoch: self.epoch,
            session: self.session,
            protocol: self.protocol,
            since_ms: self.since_ms,
        }
    }
}

/// The memory.
#[derive(Debug, Default)]
pub struct Bound {
    by_client: HashMap<Client, Held>,
    by_session: HashMap<SessionId, Client>,
    /// In the order they were met; those that ended stay until they come to the front.
    order: VecDeque<SessionId>,
}

impl Bound {
    /// What a client holds.
    #[must_use]
    pub fn of(&self, client: &Client) -> Option<&Held> {
        self.by_client.get(client)
    }

    /// Who holds a session.
    #[must_use]
    pub fn client(&self, session: &SessionId) -> Option<&Client> {
        self.by_session.get(session)
    }

    /// Binds a session to its client. A client that opens another session leaves the one before.
    pub fn bind(&mut self, client: Client, held: Held) {
        if self.by_client.get(&client).is_some_and(|known| known.session == held.session) {
            return;
        }
        if !self.by_session.contains_key(&held.session) {
            self.make_room();
            self.order.push_back(held.session);
        }
        if let Some(other) = self.by_session.insert(held.session, client.clone())
            && other != client
        {
            self.by_client.remove(&other);
        }
        self.by_client.insert(client, held);
    }

    fn make_room(&mut self) {
        while self.order.len() >= BOUND_MAX {
            let Some(first) = self.order.pop_front() else { return };
            let Some(gone) = self.by_session.remove(&first) else { continue };
            if self.by_client.get(&gone).is_some_and(|held| held.session == first) {
                self.by_client.remove(&gone);
            }
        }
    }

    /// A client is gone. Its session stays bound to it, so that its ticket opens nothing for somebody else.
    pub fn release(&mut self, client: &Client) -> Option<Held> {
        self.by_client.remove(client)
    }

    /// Publishers that are here, with their placements.
    pub fn publishers(&self) -> impl Iterator<Item = (&Client, Placement)> {
        let here = self.by_client.iter().filter(|(_, held)| held.role == Role::Publish);
        here.map(|(client, held)| (client, held.placement(client)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::hooks) fn client(id: &str) -> Client {
        Client {
            node: NodeId::parse("n1").unwrap(),
            service: ServiceId::parse("run1").unwrap(),
            id: ClientId::parse(id).unwrap(),
        }
    }

    pub(in crate::hooks) fn held(number: u32) -> Held {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Held {
            stream: StreamId::parse("cam").unwrap(),
            session: SessionId::from_bytes(bytes),
            role: Role::Publish,
            protocol: Protocol::Rtmp,
            epoch: 3,
            since_ms: 5,
        }
    }

    #[test]
    fn a_session_stays_with_its_client_after_the_end() {
        let mut bound = Bound::default();
        bound.bind(client("a"), held(1));
        bound.bind(client("a"), held(1));
        assert_eq!(bound.publishers().count(), 1);
        assert_eq!(bound.release(&client("a")), Some(held(1)));
        assert_eq!((bound.of(&client("a")), bound.publishers().count()), (None, 0));
        assert_eq!(bound.client(&held(1).session), Some(&client("a")));
        bound.bind(client("a"), held(1));
        assert_eq!(
            (bound.publishers().count(), bound.order.len()),
            (1, 1),
            "an encoder may publish again on its connection"
        );
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let mut bound = Bound::default();
        let more = 10;
        let all = u32::try_from(BOUND_MAX).unwrap() + more;
        (0..all).for_each(|n| bound.bind(client(&format!("c{n}")), held(n)));
        assert_eq!(
            (bound.by_client.len(), bound.by_session.len(), bound.order.len()),
            (BOUND_MAX, BOUND_MAX, BOUND_MAX)
        );
        assert_eq!(bound.client(&held(more - 1).session), None);
        assert!(bound.client(&held(more).session).is_some());
    }
}
