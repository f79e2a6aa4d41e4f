//! Where each stream was last, kept in memory: what decides while Postgres is away, and which claim stays when two of one stream met.
//!
//! [`Homes`] is all of it: it is told of claims ([`Homes::learn`], [`Homes::ended`], [`Homes::reconciled`]), and while Postgres is away it gives
//! streams out itself ([`Homes::reserve`], [`Homes::confirm`], [`Homes::direct`], [`Homes::end`]) by one rule: a stream goes to its last known
//! home, else to the first node of the ring that is fit. Every control node follows it, so they agree as far as they know the same; where they do
//! not, [`stays`] settles it afterwards.

use super::{
    claims::{Ask, Owner, RETRY_AFTER_SECONDS, Refusal},
    hooks::session_id,
};
use proto::{
    BroadcastId, NodeId, ServiceId, SessionId, StreamId, UserId,
    internal::{Credential, ProposedNode, RESERVATION_SECONDS},
    secret::sha256,
};
use std::collections::{BTreeSet, HashMap};

/// Streams remembered by one process; the longest unheard are forgotten first. About 300 bytes each.
pub const HOMES_MAX: usize = 100_000;

/// Who has a stream, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Nobody. The last publisher may publish again on its own connection.
    Free {
        /// Its session and connection, if its end was an ordinary one.
        last: Option<(SessionId, Owner)>,
    },
    /// A session that an edge admitted.
    Reserved {
        /// Which.
        session: SessionId,
        /// Unix milliseconds after which anybody may have it.
        until_ms: u64,
    },
    /// A publisher.
    Live {
        /// Its session.
        session: SessionId,
        /// Its connection.
        from: Owner,
    },
}

/// A stream's last home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The node.
    pub node: NodeId,
    /// Its run then.
    pub service: ServiceId,
    /// The highest epoch known.
    pub epoch: u64,
    /// Who has it.
    pub hold: Hold,
    /// What let the last publisher in.
    pub credential: Option<Credential>,
    /// The stream's owner, where it is known.
    pub owner: Option<UserId>,
}

/// What becomes of a publisher that asks while Postgres is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisional {
    /// It may publish there, under this epoch.
    Granted {
        /// Where.
        at: ProposedNode,
        /// One above what was known.
        epoch: u64,
    },
    /// Somebody else has it.
    Busy {
        /// Seconds after which asking again makes sense.
        retry_after: u64,
    },
    /// No node is fit.
    Nowhere,
}

/// The last homes.
#[derive(Debug)]
pub struct Homes {
    homes: HashMap<StreamId, (Home, u64)>,
    /// By the number at which each was last heard.
    order: BTreeSet<(u64, StreamId)>,
    next: u64,
    max: usize,
}

impl Default for Homes {
    fn default() -> Self {
        Self::new(HOMES_MAX)
    }
}

impl Homes {
    /// Nothing is known.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { homes: HashMap::new(), order: BTreeSet::new(), next: 0, max }
    }

    /// What is known of a stream.
    #[must_use]
    pub fn get(&self, stream: &StreamId) -> Option<&Home> {
        self.homes.get(stream).map(|(home, _)| home)
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.homes.len()
    }

    /// Nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.homes.is_empty()
    }

    fn put(&mut self, stream: &StreamId, home: Home) {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        if let Some((_, was)) = self.homes.insert(stream.clone(), (home, number)) {
            self.order.remove(&(was, stream.clone()));
        }
        self.order.insert((number, stream.clone()));
        while self.homes.len() > self.max {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.homes.remove(&oldest);
        }
    }

    /// A claim was seen; an older epoch than the known one tells nothing new.
    pub fn learn(&mut self, stream: &StreamId, mut home: Home) {
        if let Some(known) = self.get(stream) {
            if known.epoch > home.epoch {
                return;
            }
            home.credential = home.credential.or_else(|| known.credential.clone());
            home.owner = home.owner.or(known.owner);
        }
        self.put(stream, home);
    }

    /// The publisher of this epoch, or an older one, is gone.
    pub fn ended(&mut self, stream: &StreamId, epoch: u64) {
        if let Some((home, _)) = self.homes.get_mut(stream)
            && home.epoch <= epoch
        {
            home.epoch = epoch;
            home.hold = Hold::Free { last: None };
        }
    }

    /// Every live claim, as Postgres listed them. Who is known as live since before and is not in it, is gone; `known_before` are the streams
    /// that [`Homes::live`] gave before Postgres was asked.
    pub fn reconciled(&mut self, live: Vec<(StreamId, Home)>, known_before: &[(StreamId, u64)]) {
        let listed: HashMap<&StreamId, ()> = live.iter().map(|(stream, _)| (stream, ())).collect();
        let gone: Vec<_> = known_before.iter().filter(|(stream, _)| !listed.contains_key(stream)).cloned().collect();
        for (stream, epoch) in gone {
            self.ended(&stream, epoch);
        }
        for (stream, home) in live {
            self.learn(&stream, home);
        }
    }

    /// The streams known as live, each with its epoch.
    #[must_use]
    pub fn live(&self) -> Vec<(StreamId, u64)> {
        let live = self.homes.iter().filter(|(_, (home, _))| matches!(home.hold, Hold::Live { .. }));
        live.map(|(stream, (home, _))| (stream.clone(), home.epoch)).collect()
    }

    /// Where a publisher would go: the last home if it is `fit` under the run it had, else the ring's.
    fn at(
        &self,
        stream: &StreamId,
        ring: Option<&ProposedNode>,
        fit: &impl Fn(&ProposedNode) -> bool,
    ) -> Option<ProposedNode> {
        let last = self.get(stream).map(|home| ProposedNode { node: home.node.clone(), service: home.service.clone() });
        last.filter(fit).or_else(|| ring.cloned())
    }

    fn epoch(&self, stream: &StreamId) -> u64 {
        self.get(stream).map_or(0, |home| home.epoch)
    }

    /// Promises a stream to a session. `ring` is the first node of the ring's order that is fit.
    pub fn reserve(
        &mut self,
        stream: &StreamId,
        ask: &Ask,
        ring: Option<&ProposedNode>,
        fit: impl Fn(&ProposedNode) -> bool,
        now_ms: u64,
    ) -> Provisional {
        if let Some(home) = self.get(stream) {
            let granted = || Provisional::Granted {
                at: ProposedNode { node: home.node.clone(), service: home.service.clone() },
                epoch: home.epoch,
            };
            match &home.hold {
                Hold::Free { .. } => {}
                Hold::Reserved { session, .. } | Hold::Live { session, .. } if *session == ask.session => {
                    return granted();
                }
                Hold::Reserved { until_ms, .. } if *until_ms <= now_ms => {}
                Hold::Reserved { until_ms, .. } => {
                    let retry_after = until_ms.saturating_sub(now_ms).div_ceil(1000).max(1);
                    return Provisional::Busy { retry_after };
                }
                // On a run that is over nobody is live. Nobody is taken over meanwhile: the kick could not be written down.
                Hold::Live { .. } if !fit(&ProposedNode { node: home.node.clone(), service: home.service.clone() }) => {
                }
                Hold::Live { .. } => return Provisional::Busy { retry_after: RETRY_AFTER_SECONDS },
            }
        }
        let Some(at) = self.at(stream, ring, &fit) else { return Provisional::Nowhere };
        let epoch = self.epoch(stream).saturating_add(1);
        let until_ms = now_ms.saturating_add(RESERVATION_SECONDS.saturating_mul(1000));
        let home = Home {
            node: at.node.clone(),
            service: at.service.clone(),
            epoch,
            hold: Hold::Reserved { session: ask.session, until_ms },
            credential: Some(ask.credential.clone()),
            owner: self.get(stream).and_then(|home| home.owner),
        };
        self.put(stream, home);
        Provisional::Granted { at, epoch }
    }

    /// Takes a publisher in whose verified ticket names `session` and `epoch`. Another control node may have reserved, so a session that is not
    /// known here counts when its epoch is above the known one; `late` says that the ticket's time is over. Gives back the claim's epoch.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn confirm(
        &mut self,
        stream: &StreamId,
        session: SessionId,
        epoch: u64,
        from: &Owner,
        late: bool,
    ) -> Result<u64, Refusal> {
        let known = self.epoch(stream);
        let epoch = match self.get(stream).map(|home| &home.hold) {
            Some(Hold::Live { session: s, from: f }) if *s == session => {
                return if f == from { Ok(known) } else { Err(Refusal::OtherClient) };
            }
            // The same connection again.
            Some(Hold::Free { last: Some((s, f)) }) if *s == session => {
                if f != from {
                    return Err(Refusal::OtherClient);
                }
                known.saturating_add(1)
            }
            _ if late => return Err(Refusal::NotReserved),
            Some(Hold::Reserved { session: s, .. }) if *s == session => known,
            Some(_) if epoch <= known => return Err(Refusal::NotReserved),
            Some(Hold::Live { .. } | Hold::Reserved { .. } | Hold::Free { .. }) | None => epoch,
        };
        self.take(stream, session, from, epoch, None);
        Ok(epoch)
    }

    /// Takes in a publisher that reached its node directly, at the stream's home only. Gives back its session and epoch.
    ///
    /// # Errors
    /// [`Refusal::Elsewhere`] at another node, [`Refusal::NotReserved`] while somebody else has it.
    pub fn direct(
        &mut self,
        stream: &StreamId,
        ask: &Ask,
        from: &Owner,
        ring: Option<&ProposedNode>,
        fit: impl Fn(&ProposedNode) -> bool,
        now_ms: u64,
    ) -> Result<(SessionId, u64), Refusal> {
        if let Some(Home { hold: Hold::Live { session, from: holder }, epoch, .. }) = self.get(stream)
            && holder == from
        {
            return Ok((*session, *epoch));
        }
        if self.at(stream, ring, &fit).is_none_or(|at| at.node != from.node || at.service != from.service) {
            return Err(Refusal::Elsewhere);
        }
        match self.reserve(stream, ask, ring, fit, now_ms) {
            Provisional::Granted { epoch, .. } => {
                self.take(stream, ask.session, from, epoch, Some(ask.credential.clone()));
                Ok((ask.session, epoch))
            }
            Provisional::Busy { .. } | Provisional::Nowhere => Err(Refusal::NotReserved),
        }
    }

    fn take(
        &mut self,
        stream: &StreamId,
        session: SessionId,
        from: &Owner,
        epoch: u64,
        credential: Option<Credential>,
    ) {
        let hold = Hold::Live { session, from: from.clone() };
        let (node, service) = (from.node.clone(), from.service.clone());
        self.learn(stream, Home { node, service, epoch, hold, credential, owner: None });
    }

    /// The connection's publisher is gone; the streams it had, with the sessions and epochs that ended.
    pub fn end(&mut self, from: &Owner, stream: Option<&StreamId>) -> Vec<(StreamId, SessionId, u64)> {
        let held = |home: &Home| match &home.hold {
            Hold::Live { session, from: holder } if holder == from => Some(*session),
            Hold::Live { .. } | Hold::Reserved { .. } | Hold::Free { .. } => None,
        };
        let found: Vec<(StreamId, SessionId, u64)> = match stream {
            Some(stream) => {
                let one = self.get(stream).and_then(|home| Some((stream.clone(), held(home)?, home.epoch)));
                one.into_iter().collect()
            }
            None => {
                let all = self.homes.iter();
                all.filter_map(|(stream, (home, _))| Some((stream.clone(), held(home)?, home.epoch))).collect()
            }
        };
        for (ended, session, _) in &found {
            if let Some((home, _)) = self.homes.get_mut(ended) {
                // A close without a stream is the end of the connection: it comes back as another one.
                home.hold = Hold::Free { last: stream.map(|_| (*session, from.clone())) };
            }
        }
        found
    }
}

/// Of two publishers of one stream the older stays. Times are unix milliseconds of their publish hooks; of two equal ones the claim that Postgres
/// has stays, since it was told already.
#[must_use]
pub const fn stays(claimed_ms: u64, journaled_ms: u64) -> bool {
    claimed_ms <= journaled_ms
}

/// The session of a publisher that reached its node directly while Postgres was away: the same however often its hook is handed in.
#[must_use]
pub fn session_of(from: &Owner, at_ms: u64) -> SessionId {
    drawn("session", from, "", at_ms)
}

/// The broadcast that a journaled publish hook begins: the same however often it is handed in, so that a second time is known as such.
#[must_use]
pub fn broadcast_of(from: &Owner, stream: &StreamId, at_ms: u64) -> BroadcastId {
    BroadcastId::from_uuid(drawn("broadcast", from, stream.as_str(), at_ms).uuid())
}

fn drawn(what: &str, from: &Owner, stream: &str, at_ms: u64) -> SessionId {
    // No id holds a line break.
    let text = format!("{what}\n{}\n{}\n{}\n{stream}\n{at_ms}", from.node, from.service, from.client);
    let [a, b, c, d, e, f, g, h, i, j, ..] = sha256(text.as_bytes());
    session_id(at_ms, [a, b, c, d, e, f, g, h, i, j])
}

#[cfg(test)]
#[path = "homes_tests.rs"]
mod tests;
