//! What must not be used again for a while, because somebody may still send to it.

use super::{Mono, QUARANTINE};
use std::collections::VecDeque;

/// Upstream sockets of ended sessions, oldest first. Their ports are held until SRS has forgotten them.
#[derive(Debug)]
pub struct Quarantine<T> {
    held: VecDeque<(Mono, T)>,
}

impl<T> Default for Quarantine<T> {
    fn default() -> Self {
        Self { held: VecDeque::new() }
    }
}

impl<T> Quarantine<T> {
    /// Holds it from now on.
    pub fn put(&mut self, now: Mono, what: T) {
        self.held.push_back((now + QUARANTINE, what));
    }

    /// One whose time is over.
    pub fn release(&mut self, now: Mono) -> Option<T> {
        let due = self.held.front().is_some_and(|(until, _)| now >= *until);
        if due { self.held.pop_front().map(|(_, what)| what) } else { None }
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
