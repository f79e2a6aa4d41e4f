//! The state machine of one control node: changes and messages in, messages and notices out. Time is an input.

use crate::{
    codec::{self, Beacon, Body, Keys, PartsWriter},
    error::Error,
    limits::{
        ALONE_MS, BEACON_ASKED_MS, BEACON_MS, CLOCK_SKEW_MAX_MS, CUT_OFF_MS, FLUSH_ENTRIES, FLUSH_MS, JOIN_MAX_MS,
        PRUNE_BATCH, SILENT_MS, VECTOR_LINES_MAX,
    },
    merge::{At, Effect},
    origin::{Have, Origin},
    repair::{Peer, Pull},
    slot::Stamp,
    table::Table,
};
use proto::{ControlId, NodeId, SessionId, session::EndReason};
use std::collections::BTreeMap;

/// A moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some start; never goes back. All periods are measured on it.
    pub mono_ms: u64,
    /// Unix milliseconds of the wall clock. Only stamps of messages are compared with it.
    pub unix_ms: u64,
}

/// What the shell has to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Publish to all control nodes (`keys::GOSSIP`), this one included.
    Publish(Vec<u8>),
    /// Send to one control node (`keys::control_channel`).
    Send {
        /// Whom.
        to: ControlId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A session was opened.
    Opened {
        /// Which one.
        session: SessionId,
        /// This node did it; else it was heard of.
        here: bool,
    },
    /// A session ended.
    Closed {
        /// Which one.
        session: SessionId,
        /// Why.
        reason: EndReason,
        /// This node did it; else it was heard of.
        here: bool,
        /// This node vouched for it until now: it knows the session best, and may have to tell others of its end.
        ours: bool,
    },
    /// Compare the table with what these media nodes say, soon: some of their sessions may be gone, or missing.
    Reconcile {
        /// Which ones.
        nodes: Vec<NodeId>,
        /// Why.
        why: Why,
    },
    /// Something to count and to log.
    Event(Event),
}

/// Why a comparison is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Entries of a control node that died were adopted: it may have known more than it told.
    Adopted,
    /// This node was cut off for long: others may have forgotten what ended meanwhile.
    CutOff,
    /// A peer that has heard the same has another table. Both compare theirs, and make the changes that are missing anew.
    Diverged,
}

/// What happened to the gossip itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Changes of a peer were applied.
    Applied {
        /// How many.
        changes: usize,
        /// How old the message was, in milliseconds, by the two wall clocks.
        lag_ms: u64,
    },
    /// Something was missed and is asked for.
    Asked {
        /// Ranges asked for.
        ranges: usize,
        /// Nothing was known before: the answer is a snapshot.
        snapshot: bool,
    },
    /// A peer was answered.
    Answered {
        /// Messages sent.
        messages: usize,
    },
    /// A peer did not answer in time.
    Unanswered,
    /// Entries of a dead control node are this node's now.
    Adopted {
        /// Whose.
        from: ControlId,
        /// How many.
        entries: usize,
    },
    /// The replica was dropped after a long cut.
    Dropped {
        /// Entries dropped.
        entries: usize,
    },
    /// A peer that has heard the same has another table: a change died with all that knew it, after it had kept another one from being passed on.
    Diverged {
        /// Which one.
        peer: ControlId,
    },
    /// The table is whole, or nobody has more.
    Ready,
}

/// Whether the channel carries anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Down,
    Up { since_ms: u64 },
}

/// The live session table of one control node.
#[derive(Debug)]
pub struct Core {
    pub(crate) me: Origin,
    pub(crate) my: u16,
    pub(crate) keys: Keys,
    pub(crate) table: Table,
    /// Number of the last change of ours, and of the last one that was sent.
    pub(crate) issued: u64,
    flushed: u64,
    pending_ms: Option<u64>,
    pub(crate) channel: Channel,
    pub(crate) heard_ms: u64,
    beacon_ms: Option<u64>,
    beacon_asked: bool,
    pub(crate) peers: BTreeMap<ControlId, Peer>,
    pub(crate) pull: Option<Pull>,
    pub(crate) pulls: u64,
    pub(crate) behind_ms: Option<u64>,
    started_ms: u64,
    joined_ms: Option<u64>,
    pub(crate) ready: bool,
    alone: bool,
    pub(crate) out: Vec<Output>,
    pub(crate) adopted: Vec<NodeId>,
    pub(crate) tidied_ms: u64,
}

impl Core {
    /// An empty table of a control node that begins now. `seed` makes the hashes of this process its own; any number will do in a test.
    #[must_use]
    pub fn new(me: Origin, keys: Keys, seed: u64, now: Now) -> Self {
        let mut table = Table::new(seed);
        let my = table.origins.take(&me).unwrap_or_default();
        Self {
            me,
            my,
            keys,
            table,
            issued: 0,
            flushed: 0,
            pending_ms: None,
            channel: Channel::Down,
            heard_ms: now.mono_ms,
            beacon_ms: None,
            beacon_asked: false,
            peers: BTreeMap::new(),
            pull: None,
            pulls: 0,
            behind_ms: None,
            started_ms: now.mono_ms,
            joined_ms: None,
            ready: false,
            alone: false,
            out: Vec::new(),
            adopted: Vec::new(),
            tidied_ms: now.mono_ms,
        }
    }

    /// Seals and opens with other secrets from now on.
    pub fn rekey(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// What is to be done, since the last call.
    pub fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// The table is as whole as it gets: a peer's was taken over, or there is no peer that answers.
    #[must_use]
    pub const fn ready(&self) -> bool {
        self.ready
    }

    /// The next number of ours.
    pub(crate) fn next(&mut self, now: Now, term: u16) -> Stamp {
        self.issued = self.issued.saturating_add(1);
        let issued = self.issued;
        if let Some(mine) = self.table.origins.get_mut(self.my) {
            mine.seen.add(issued.saturating_sub(1), issued);
        }
        self.pending_ms.get_or_insert(now.mono_ms);
        Stamp { seq: issued, origin: self.my, term }
    }

    pub(crate) fn told(&mut self, effects: Vec<Effect>, here: bool) {
        let my = self.my;
        self.out.extend(effects.into_iter().map(|effect| match effect {
            Effect::Opened(session) => Output::Opened { session, here },
            Effect::Closed(session, reason, of) => Output::Closed { session, reason, here, ours: of == my },
        }));
    }

    /// The channel carries messages from now on: subscribed, and published to.
    pub fn channel_up(&mut self, now: Now) {
        self.channel = Channel::Up { since_ms: now.mono_ms };
        self.joined_ms.get_or_insert(now.mono_ms);
        self.send_beacon(now, true, false);
    }

    /// There is no other control node as far as the shell can tell, so nobody needs to be waited for.
    pub const fn alone(&mut self) {
        self.alone = true;
    }

    /// The channel is lost.
    pub fn channel_down(&mut self, _now: Now) {
        self.channel = Channel::Down;
        self.pull = None;
    }

    /// This process ends: what is not sent yet is sent, and others are told, so that they need not wait to adopt its entries.
    pub fn leave(&mut self, now: Now) {
        self.send_beacon(now, false, true);
    }

    /// Time passes. Call it when [`Core::due`] says so, or more often.
    pub fn tick(&mut self, now: Now) {
        let waited = self.pending_ms.map_or(0, |since| now.mono_ms.saturating_sub(since));
        if self.pending_ms.is_some()
            && (waited >= FLUSH_MS || self.issued.saturating_sub(self.flushed) >= FLUSH_ENTRIES)
        {
            self.flush(now);
        }
        let since_beacon = self.beacon_ms.map_or(u64::MAX, |at| now.mono_ms.saturating_sub(at));
        if since_beacon >= BEACON_MS || (self.beacon_asked && since_beacon >= BEACON_ASKED_MS) {
            self.send_beacon(now, !self.ready, false);
        }
        self.table.prune(now.mono_ms, PRUNE_BATCH);
        self.repair(now);
        self.adopt(now);
        self.forget(now);
        self.join(now);
    }

    /// When [`Core::tick`] has something to do again, in [`Now::mono_ms`].
    #[must_use]
    pub fn due(&self, now: Now) -> u64 {
        let flush = self.pending_ms.map(|since| since.saturating_add(FLUSH_MS));
        let asked = self.beacon_asked.then(|| now.mono_ms.saturating_add(BEACON_ASKED_MS / 2));
        let repair = (self.behind_ms.is_some() || !self.adopted.is_empty()).then(|| now.mono_ms.saturating_add(10));
        let idle = now.mono_ms.saturating_add(100);
        [flush, asked, repair].into_iter().flatten().fold(idle, u64::min)
    }

    /// Sends what changed here since the last time.
    fn flush(&mut self, now: Now) {
        self.pending_ms = None;
        if self.channel == Channel::Down {
            // Whoever was cut off asks for it by its vector.
            self.flushed = self.issued;
            return;
        }
        while self.flushed < self.issued {
            let mut writer = PartsWriter::new(now.unix_ms);
            let after = self.flushed;
            self.flushed = self.write_section(&mut writer, self.my, after, self.issued, now);
            self.out.push(Output::Publish(writer.seal(&self.keys, &self.me, None, (0, false))));
        }
    }

    /// Writes what still stands of a range, until the message is full; up to which number it went.
    pub(crate) fn write_section(&self, writer: &mut PartsWriter, origin: u16, after: u64, to: u64, now: Now) -> u64 {
        let Some(state) = self.table.origins.get(origin) else { return to };
        let mut upto = to;
        writer.begin(after);
        let at = At { mono_ms: now.mono_ms };
        for (seq, what) in state.index.range(after.saturating_add(1)..=to) {
            if !writer.has_room() {
                upto = seq.saturating_sub(1);
                break;
            }
            if let Some(value) = self.table.value(*what, at) {
                writer.entry(*seq, &value);
            }
        }
        writer.end(&state.name, after, upto);
        upto
    }

    pub(crate) fn send_beacon(&mut self, now: Now, asks: bool, leaves: bool) {
        if self.channel == Channel::Down {
            return;
        }
        // So that the vector and the sum speak of the same table.
        self.flush(now);
        self.beacon_ms = Some(now.mono_ms);
        self.beacon_asked = false;
        let mut vector: Vec<(Origin, Have)> = vec![(self.me.clone(), Have::all(self.flushed))];
        let others = self.table.origins.iter().filter(|(at, state)| *at != self.my && state.is_told(now.mono_ms));
        vector.extend(others.map(|(_, state)| (state.name.clone(), state.seen.have())).take(VECTOR_LINES_MAX - 1));
        let beacon = Beacon {
            asks,
            leaves,
            digest: self.table.digest(),
            open: u64::try_from(self.table.open_count).unwrap_or(u64::MAX),
            vector,
        };
        self.out.push(Output::Publish(codec::beacon(&self.keys, &self.me, now.unix_ms, &beacon)));
    }

    /// Takes a message in, from either channel.
    ///
    /// # Errors
    /// [`Error`]: count it by its word; nothing was changed.
    pub fn message(&mut self, now: Now, bytes: &[u8]) -> Result<(), Error> {
        let message = codec::open(&self.keys, bytes)?;
        if message.to.as_ref().is_some_and(|to| *to != self.me.control) {
            return Err(Error::NotForUs);
        }
        let off_ms = now.unix_ms.abs_diff(message.sent_ms);
        if off_ms > CLOCK_SKEW_MAX_MS {
            return Err(Error::Clock { off_ms });
        }
        self.check(&message)?;
        if now.mono_ms.saturating_sub(self.heard_ms) >= CUT_OFF_MS {
            self.drop_replica();
        }
        if let Channel::Up { since_ms } = &mut self.channel
            && now.mono_ms.saturating_sub(self.heard_ms) >= SILENT_MS
        {
            // It was dead, whatever it said; nobody is judged by what was not heard meanwhile.
            *since_ms = now.mono_ms;
        }
        self.heard_ms = now.mono_ms;
        if message.from == self.me {
            return Ok(());
        }
        let lag_ms = now.unix_ms.saturating_sub(message.sent_ms);
        match message.body {
            Body::Beacon(beacon) => {
                self.beacon_asked |= beacon.asks;
                self.hear_beacon(now, &message.from, beacon);
            }
            Body::Want { id, wants } => return self.answer(now, &message.from.control, id, &wants),
            Body::Parts { answers, last, sections } => {
                self.hear_parts(now, &message.from, (answers, last), sections, lag_ms);
            }
        }
        Ok(())
    }

    /// Whether a new node knows enough to speak for the cluster.
    fn join(&mut self, now: Now) {
        if self.ready {
            return;
        }
        let heard = self.peers.values().any(|peer| peer.beacon_ms.is_some());
        let since = self.joined_ms.unwrap_or(self.started_ms);
        let alone = !heard && (self.alone || now.mono_ms.saturating_sub(since) >= ALONE_MS);
        let whole = heard && self.pull.is_none() && self.ahead_of_us().is_none();
        if alone || whole || now.mono_ms.saturating_sub(self.started_ms) >= JOIN_MAX_MS {
            self.ready = true;
            self.out.push(Output::Event(Event::Ready));
        }
    }
}
