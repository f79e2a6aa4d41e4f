//! The entries and their indexes: by connection, session, stream, run, and by who numbered the change.

use crate::{
    census::Census,
    intern::{NONE, hash_of},
    key::{Key, Run},
    limits::{TOMBSTONE_MS, TOMBSTONES_MAX},
    origin::{NO_ORIGIN, Origin, Origins},
    slab::Slab,
    slot::{Age, Heads, Life, Shared, Slot, Stamp},
};
use hashbrown::HashTable;
use proto::{
    ClientId, NodeId, SessionId,
    session::{EndReason, Known, Role},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Marks a number in [`crate::origin::OriginState::index`] that is a run's and not a slot's.
pub(crate) const RUN_BIT: u32 = 1 << 31;

/// All entries.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) slots: Slab<Slot>,
    pub(crate) shared: Shared,
    pub(crate) origins: Origins,
    keys: HashTable<u32>,
    pub(crate) open: BTreeMap<SessionId, u32>,
    closed: HashTable<u32>,
    tombstones: VecDeque<(u32, u32)>,
    seed: u64,
    digest: u64,
    pub(crate) open_count: usize,
    pub(crate) census: Census,
}

impl Table {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Slab::new(),
            shared: Shared::new(seed),
            origins: Origins::default(),
            keys: HashTable::new(),
            open: BTreeMap::new(),
            closed: HashTable::new(),
            tombstones: VecDeque::new(),
            seed,
            digest: 0,
            open_count: 0,
            census: Census::default(),
        }
    }

    fn key_hash(seed: u64, run: u32, client: &[u8]) -> u64 {
        xxh3_64_with_seed(client, seed ^ u64::from(run))
    }

    /// The slot of a connection.
    pub(crate) fn find(&self, run: &Run, client: &ClientId) -> Option<u32> {
        self.find_in(self.shared.runs.find(run)?, client)
    }

    pub(crate) fn find_in(&self, run: u32, client: &ClientId) -> Option<u32> {
        let bytes = client.as_str().as_bytes();
        let hash = Self::key_hash(self.seed, run, bytes);
        let same =
            |at: &u32| self.slots.get(*at).is_some_and(|slot| slot.run == run && slot.client.as_bytes() == bytes);
        self.keys.find(hash, same).copied()
    }

    /// The slot of a session, open or ended.
    pub(crate) fn find_session(&self, id: SessionId) -> Option<u32> {
        if let Some(at) = self.open.get(&id) {
            return Some(*at);
        }
        let hash = hash_of(id.as_bytes(), self.seed);
        self.closed.find(hash, |at| self.slots.get(*at).is_some_and(|slot| slot.session == id)).copied()
    }

    /// Adds an open session of a new connection; its run is taken already.
    pub(crate) fn insert(&mut self, known: &Known, run: u32, age: Age, stamp: Stamp) -> u32 {
        let slot = self.shared.pack(known, run, age);
        let at = self.place(slot);
        self.stamp(at, stamp);
        self.link(at);
        at
    }

    /// Adds an end that came before its beginning.
    pub(crate) fn insert_bare(
        &mut self,
        (run, client): (u32, &ClientId),
        age: Age,
        stamp: Stamp,
        (reason, closed_ms): (EndReason, u64),
        heard_ms: u64,
    ) -> u32 {
        let at = self.place(Shared::bare(client, run, age, reason, closed_ms));
        self.stamp(at, stamp);
        self.bury(at, heard_ms);
        at
    }

    fn place(&mut self, slot: Slot) -> u32 {
        let hash = Self::key_hash(self.seed, slot.run, slot.client.as_bytes());
        let at = self.slots.insert(slot);
        let (slots, seed) = (&self.slots, self.seed);
        self.keys.insert_unique(hash, at, |at| {
            slots.get(*at).map_or(0, |slot| Self::key_hash(seed, slot.run, slot.client.as_bytes()))
        });
        at
    }

    /// Puts another session in the place of an entry.
    pub(crate) fn replace(&mut self, at: u32, known: &Known, age: Age, stamp: Stamp) {
        self.leave_indexes(at);
        let Some(run) = self.slots.get(at).map(|slot| slot.run) else { return };
        self.shared.runs.hold(run);
        let mut new = self.shared.pack(known, run, age);
        if let Some(slot) = self.slots.get_mut(at) {
            new.stamp = slot.stamp;
            std::mem::swap(slot, &mut new);
        }
        self.shared.release(&new);
        self.stamp(at, stamp);
        self.link(at);
    }

    /// Says whose change the state of an entry is.
    pub(crate) fn stamp(&mut self, at: u32, stamp: Stamp) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let old = std::mem::replace(&mut slot.stamp, stamp);
        if old.origin != NO_ORIGIN {
            self.origins.unindex(old.origin, old.seq);
        }
        if stamp.origin != NO_ORIGIN {
            self.origins.index(stamp.origin, stamp.seq, at);
        }
        // An entry that nobody vouches for is not told to others, so it does not count when tables are compared.
        let (was, is) = (old.origin != NO_ORIGIN, stamp.origin != NO_ORIGIN);
        if was != is && self.is_linked(at) {
            let fingerprint = self.fingerprint(at);
            self.digest =
                if is { self.digest.wrapping_add(fingerprint) } else { self.digest.wrapping_sub(fingerprint) };
        }
    }

    fn is_linked(&self, at: u32) -> bool {
        self.slots.get(at).is_some_and(|slot| {
            let head = self.shared.streams.data(slot.stream).map_or(NONE, |heads| heads.first);
            slot.life == Life::Open && (head == at || slot.of_stream.0 != NONE)
        })
    }

    /// A number that stands for an open entry, the same in every process.
    fn fingerprint(&self, at: u32) -> u64 {
        let Some(slot) = self.slots.get(at) else { return 0 };
        let mut text = Vec::with_capacity(128);
        match self.shared.runs.name(slot.run) {
            Some(Run::Node { node, service }) => {
                text.extend_from_slice(node.as_str().as_bytes());
                text.push(b'/');
                text.extend_from_slice(service.as_str().as_bytes());
            }
            Some(Run::Edge(edge)) => text.extend_from_slice(edge.as_str().as_bytes()),
            None => {}
        }
        text.push(b'/');
        text.extend_from_slice(slot.client.as_bytes());
        text.extend_from_slice(slot.session.as_bytes());
        text.extend_from_slice(&slot.age.era.to_be_bytes());
        text.extend_from_slice(&slot.age.turn.to_be_bytes());
        xxh3_64(&text)
    }

    /// Ends an open entry, or says of an ended one whose change its end is.
    pub(crate) fn close(
        &mut self,
        at: u32,
        age: Age,
        stamp: Stamp,
        (reason, closed_ms): (EndReason, u64),
        heard_ms: u64,
    ) {
        self.leave_indexes(at);
        let Some(slot) = self.slots.get_mut(at) else { return };
        // A later turn's end came without its beginning: what is here is another session, so there is no record of the one that ended.
        let same = slot.age == age && !matches!(slot.life, Life::Bare(_));
        slot.life = if same { Life::Closed(reason) } else { Life::Bare(reason) };
        slot.age = age;
        slot.lasted_ms = u32::try_from(closed_ms.saturating_sub(slot.opened_ms)).unwrap_or(u32::MAX);
        self.stamp(at, stamp);
        self.bury(at, heard_ms);
    }

    fn bury(&mut self, at: u32, heard_ms: u64) {
        let closed_s = u32::try_from(heard_ms.checked_div(1_000).unwrap_or(0)).unwrap_or(u32::MAX);
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.closed_s = closed_s;
        if let Life::Closed(_) = slot.life {
            let hash = hash_of(slot.session.as_bytes(), self.seed);
            let (slots, seed) = (&self.slots, self.seed);
            self.closed
                .insert_unique(hash, at, |at| slots.get(*at).map_or(0, |slot| hash_of(slot.session.as_bytes(), seed)));
        }
        self.tombstones.push_back((at, closed_s));
    }

    /// Takes an entry out of the indexes of its present state.
    fn leave_indexes(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at) else { return };
        match slot.life {
            Life::Open => self.unlink(at),
            Life::Closed(_) => {
                let hash = hash_of(slot.session.as_bytes(), self.seed);
                if let Ok(found) = self.closed.find_entry(hash, |other| *other == at) {
                    found.remove();
                }
            }
            Life::Bare(_) => {}
        }
    }

    /// Forgets an entry altogether.
    pub(crate) fn remove(&mut self, at: u32) {
        self.leave_indexes(at);
        self.stamp(at, Stamp::NOBODY);
        let Some(slot) = self.slots.get(at) else { return };
        let hash = Self::key_hash(self.seed, slot.run, slot.client.as_bytes());
        if let Ok(found) = self.keys.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        if let Some(slot) = self.slots.remove(at) {
            self.shared.release(&slot);
        }
    }

    /// Forgets ends that are old enough; how many.
    pub(crate) fn prune(&mut self, now_ms: u64, limit: usize) -> usize {
        let mut count = 0_usize;
        while count < limit {
            let Some((at, closed_s)) = self.tombstones.front().copied() else { break };
            let old = u64::from(closed_s).saturating_mul(1_000).saturating_add(TOMBSTONE_MS) <= now_ms;
            if !old && self.tombstones.len() <= TOMBSTONES_MAX {
                break;
            }
            self.tombstones.pop_front();
            count = count.saturating_add(1);
            if self.slots.get(at).is_some_and(|slot| slot.life != Life::Open && slot.closed_s == closed_s) {
                self.remove(at);
            }
        }
        count
    }

    fn link(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at) else { return };
        let (run, stream, id, viewer) = (slot.run, slot.stream, slot.session, slot.role == Role::Play);
        let vouched = slot.stamp.origin != NO_ORIGIN;
        self.open.entry(id).or_insert(at);
        self.open_count = self.open_count.saturating_add(1);
        self.census.came(slot.role, slot.protocol);
        if vouched {
            self.digest = self.digest.wrapping_add(self.fingerprint(at));
        }
        let before_stream = self.shared.streams.data_mut(stream).map_or(NONE, |heads| push(heads, at, viewer));
        let before_run = self.shared.runs.data_mut(run).map_or(NONE, |run| push(&mut run.heads, at, viewer));
        if let Some(slot) = self.slots.get_mut(at) {
            slot.of_stream = (NONE, before_stream);
            slot.of_run = (NONE, before_run);
        }
        if let Some(slot) = self.slots.get_mut(before_stream) {
            slot.of_stream.0 = at;
        }
        if let Some(slot) = self.slots.get_mut(before_run) {
            slot.of_run.0 = at;
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at) else { return };
        let (run, stream, id, viewer) = (slot.run, slot.stream, slot.session, slot.role == Role::Play);
        let (of_stream, of_run) = (slot.of_stream, slot.of_run);
        self.census.went(slot.role, slot.protocol);
        if slot.stamp.origin != NO_ORIGIN {
            self.digest = self.digest.wrapping_sub(self.fingerprint(at));
        }
        if self.open.get(&id) == Some(&at) {
            self.open.remove(&id);
        }
        self.open_count = self.open_count.saturating_sub(1);
        if let Some(heads) = self.shared.streams.data_mut(stream) {
            pull(heads, at, of_stream.1, viewer);
        }
        if let Some(run) = self.shared.runs.data_mut(run) {
            pull(&mut run.heads, at, of_run.1, viewer);
        }
        if let Some(slot) = self.slots.get_mut(of_stream.0) {
            slot.of_stream.1 = of_stream.1;
        }
        if let Some(slot) = self.slots.get_mut(of_stream.1) {
            slot.of_stream.0 = of_stream.0;
        }
        if let Some(slot) = self.slots.get_mut(of_run.0) {
            slot.of_run.1 = of_run.1;
        }
        if let Some(slot) = self.slots.get_mut(of_run.1) {
            slot.of_run.0 = of_run.0;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            slot.of_stream = (NONE, NONE);
            slot.of_run = (NONE, NONE);
        }
    }

    /// Where a change stands among all changes of its entry; the highest wins everywhere.
    pub(crate) fn rank(&self, age: Age, closed: bool, stamp: Stamp) -> Rank<'_> {
        Rank { age, closed, term: stamp.term, origin: self.origins.name(stamp.origin), seq: stamp.seq }
    }

    /// The key of a slot.
    pub(crate) fn key(&self, at: u32) -> Option<Key> {
        self.shared.key(self.slots.get(at)?)
    }

    /// The session in a slot.
    pub(crate) fn known(&self, at: u32) -> Option<Known> {
        self.shared.unpack(self.slots.get(at)?)
    }

    /// A sum over all open entries that somebody vouches for: equal tables have equal ones.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Media nodes with open sessions.
    pub(crate) fn nodes_with_open(&self) -> BTreeSet<NodeId> {
        let runs = self.shared.runs.iter().filter(|(_, _, state)| state.heads.open > 0);
        runs.filter_map(|(_, run, _)| run.node().cloned()).collect()
    }

    /// The open slots of a run.
    pub(crate) fn of_run(&self, run: u32) -> impl Iterator<Item = u32> {
        let first = self.shared.runs.data(run).map_or(NONE, |run| run.heads.first);
        self.chain(first, |slot| slot.of_run.1)
    }

    /// The open slots of a stream.
    pub(crate) fn of_stream(&self, stream: u32) -> impl Iterator<Item = u32> {
        let first = self.shared.streams.data(stream).map_or(NONE, |heads| heads.first);
        self.chain(first, |slot| slot.of_stream.1)
    }

    fn chain(&self, first: u32, next: impl Fn(&Slot) -> u32) -> impl Iterator<Item = u32> {
        let mut at = first;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at)?;
            Some(std::mem::replace(&mut at, next(slot)))
        })
    }
}

/// The total order of changes to one entry.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank<'a> {
    age: Age,
    closed: bool,
    term: u16,
    origin: Option<&'a Origin>,
    seq: u64,
}

/// Puts a slot first; what was first before.
const fn push(heads: &mut Heads, at: u32, viewer: bool) -> u32 {
    heads.open = heads.open.saturating_add(1);
    heads.viewers = heads.viewers.saturating_add(viewer as u32);
    std::mem::replace(&mut heads.first, at)
}

const fn pull(heads: &mut Heads, at: u32, next: u32, viewer: bool) {
    heads.open = heads.open.saturating_sub(1);
    heads.viewers = heads.viewers.saturating_sub(viewer as u32);
    if heads.first == at {
        heads.first = next;
    }
}
