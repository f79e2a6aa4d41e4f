//! Hooks that were answered here and that no control-api knows of yet, in their order.

use super::bound::Client;
use proto::journal::{BATCH_MAX, ENTRIES_MAX, JournalEntry};
use std::collections::{HashMap, VecDeque};

/// Bytes of bodies kept at most. A hook of SRS has about 600, so [`ENTRIES_MAX`] is reached first unless a node writes long ones.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of bodies handed in at once at most.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;

#[derive(Debug)]
struct Line {
    number: u64,
    client: Client,
    entry: JournalEntry,
}

/// The journal of one process.
#[derive(Debug, Default)]
pub struct Journal {
    lines: VecDeque<Line>,
    clients: HashMap<Client, usize>,
    bytes: usize,
    next: u64,
}

/// The oldest entries, and the number of the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In order; never empty.
    pub entries: Vec<JournalEntry>,
    last: u64,
}

impl Journal {
    /// Appends; says how many of the oldest had to go to make room.
    pub fn push(&mut self, client: Client, entry: JournalEntry) -> usize {
        let mut dropped = 0;
        while self.lines.len() >= ENTRIES_MAX || (self.bytes + entry.body.len() > BYTES_MAX && !self.lines.is_empty()) {
            self.pop();
            dropped += 1;
        }
        self.bytes += entry.body.len();
        *self.clients.entry(client.clone()).or_default() += 1;
        self.lines.push_back(Line { number: self.next, client, entry });
        self.next += 1;
        dropped
    }

    fn pop(&mut self) {
        let Some(line) = self.lines.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(line.entry.body.len());
        if let Some(count) = self.clients.get_mut(&line.client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&line.client);
            }
        }
    }

    /// Entries kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a client has an entry here: what it tells next must come after it.
    #[must_use]
    pub fn has(&self, client: &Client) -> bool {
        self.clients.contains_key(client)
    }

    /// The oldest entries, at most `limit` and never more than [`BATCH_MAX`]; `None` when there is none.
    #[must_use]
    pub fn batch(&self, limit: usize) -> Option<Batch> {
        let mut batch = Batch { entries: Vec::new(), last: 0 };
        let mut bytes = 0_usize;
        for line in self.lines.iter().take(limit.clamp(1, BATCH_MAX)) {
            bytes += line.entry.body.len();
            if bytes > BATCH_BYTES_MAX && !batch.entries.is_empty() {
                break;
            }
            batch.entries.push(line.entry.clone());
            batch.last = line.number;
        }
        (!batch.entries.is_empty()).then_some(batch)
    }

    /// A batch was taken: its entries are dropped, those of them that are still here.
    pub fn taken(&mut self, batch: &Batch) {
        while self.lines.front().is_some_and(|line| line.number <= batch.last) {
            self.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::bound::tests::client, *};
    use proptest::prelude::*;

    fn entry(at_ms: u64, bytes: usize) -> JournalEntry {
        JournalEntry { node: client("a").node, body: "x".repeat(bytes), at_ms }
    }

    fn times(batch: &Batch) -> Vec<u64> {
        batch.entries.iter().map(|entry| entry.at_ms).collect()
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut journal = Journal::default();
        let all = u64::try_from(ENTRIES_MAX).unwrap() + 3;
        let dropped: usize = (0..all).map(|at| journal.push(client("a"), entry(at, 1))).sum();
        assert_eq!((journal.len(), dropped), (ENTRIES_MAX, 3));
        assert_eq!(times(&journal.batch(2).unwrap()), [3, 4]);
    }

    #[test]
    fn long_bodies_are_bounded_by_bytes() {
        let mut journal = Journal::default();
        let each = 1024 * 1024;
        (0..70).for_each(|at| {
            journal.push(client("a"), entry(at, each));
        });
        assert_eq!((journal.len(), journal.bytes), (64, BYTES_MAX));
        assert_eq!(journal.batch(BATCH_MAX).unwrap().entries.len(), 1, "one too long for a batch goes alone");
    }

    #[test]
    fn what_came_while_a_batch_was_out_stays() {
        let mut journal = Journal::default();
        (0..3).for_each(|at| {
            journal.push(client("a"), entry(at, 1));
        });
        let out = journal.batch(2).unwrap();
        journal.push(client("b"), entry(3, 1));
        journal.taken(&out);
        assert_eq!(times(&journal.batch(BATCH_MAX).unwrap()), [2, 3]);
        journal.taken(&out);
        assert_eq!(journal.len(), 2, "taken twice is taken once");
        assert!(journal.has(&client("a")) && journal.has(&client("b")));
        let out = journal.batch(1).unwrap();
        journal.taken(&out);
        assert!(!journal.has(&client("a")));
    }

    proptest! {
        #[test]
        fn everything_is_handed_in_once_and_in_order(steps in proptest::collection::vec((0_usize..5, 0_usize..9), 1..40)) {
            let (mut journal, mut told, mut heard) = (Journal::default(), 0_u64, Vec::new());
            for (come, limit) in steps {
                for _ in 0..come {
                    journal.push(client("a"), entry(told, 1));
                    told += 1;
                }
                if let Some(batch) = journal.batch(limit) {
                    heard.extend(times(&batch));
                    journal.taken(&batch);
                }
            }
            while let Some(batch) = journal.batch(BATCH_MAX) {
                heard.extend(times(&batch));
                journal.taken(&batch);
            }
            prop_assert_eq!(heard, (0..told).collect::<Vec<_>>());
            prop_assert!(journal.clients.is_empty() && journal.bytes == 0);
        }
    }
}
