//! From what clients went through to the numbers of a row. Pure: times are given, nothing is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Time since the begin of the run.
pub type At = Duration;
/// A client's number.
pub type ClientId = usize;

/// Something that happened to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: At,
    /// To whom.
    pub client: ClientId,
    /// What.
    pub what: What,
}

/// What can happen to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A POST was answered with 201.
    Opened,
    /// Media flows.
    Flowing,
    /// The session it had is over without its doing.
    Lost,
    /// A session that was opened never carried media.
    Empty,
    /// A POST was refused or not answered.
    Refused {
        /// The HTTP status; 0 without an answer.
        status: u16,
    },
}

/// What happened to the audience in one window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses {
    /// Clients that had media at the begin.
    pub watched: usize,
    /// Those of them whose session was lost.
    pub lost: usize,
    /// Those of them whose session could not live.
    pub had_to: usize,
    /// Lost, and could have lived.
    pub needless: Vec<ClientId>,
    /// From the begin to each lost client's next 201, in rising order.
    pub reopened: Vec<Duration>,
    /// Lost and without media at the end of the window.
    pub out: Vec<ClientId>,
    /// Sessions that were opened in the window and never carried media, or lost it again.
    pub again: usize,
    /// Refusals by status.
    pub refused: BTreeMap<u16, usize>,
}

/// Counts what happened from `from` to the last event. `had_to` are the clients whose sessions could not live.
#[must_use]
pub fn losses(events: &[Event], from: At, had_to: &BTreeSet<ClientId>) -> Losses {
    let mut clients: BTreeMap<ClientId, One> = BTreeMap::new();
    let mut losses = Losses::default();
    for event in events {
        let one = clients.entry(event.client).or_default();
        if event.at < from {
            one.flowing = match event.what {
                What::Flowing => true,
                What::Lost | What::Empty => false,
                What::Opened | What::Refused { .. } => one.flowing,
            };
            one.before = one.flowing;
            continue;
        }
        match event.what {
            What::Flowing => one.flowing = true,
            What::Opened => one.opened(event.at.saturating_sub(from)),
            What::Lost if one.before && !one.lost => (one.lost, one.flowing) = (true, false),
            What::Lost | What::Empty => {
                one.flowing = false;
                losses.again += 1;
            }
            What::Refused { status } => *losses.refused.entry(status).or_default() += 1,
        }
    }
    for (client, one) in clients.into_iter().filter(|(_, one)| one.before) {
        losses.watched += 1;
        losses.had_to += usize::from(had_to.contains(&client));
        if !one.lost {
            continue;
        }
        losses.lost += 1;
        losses.reopened.extend(one.reopened);
        if !had_to.contains(&client) {
            losses.needless.push(client);
        }
        if !one.flowing {
            losses.out.push(client);
        }
    }
    losses.reopened.sort_unstable();
    losses
}

#[derive(Debug, Default)]
struct One {
    /// Media flowed at the begin of the window.
    before: bool,
    flowing: bool,
    lost: bool,
    reopened: Option<Duration>,
}

impl One {
    fn opened(&mut self, after: Duration) {
        if self.lost {
            self.reopened.get_or_insert(after);
        }
    }
}

/// One POST of a probe: a client that comes anew all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// When it was sent.
    pub sent: At,
    /// When it was answered.
    pub done: At,
    /// Whether with 201.
    pub good: bool,
}

/// The longest time in the window in which no POST came out well, from the begin or the last good answer to the next one, and whether it
/// ended. `None` without a try.
#[must_use]
pub fn longest_without(tries: &[Try], from: At, until: At) -> Option<Duration> {
    let inside = || tries.iter().filter(|one| one.done >= from && one.sent <= until);
    inside().next()?;
    // What was sent before the begin may have been decided before it.
    let good = inside().filter(|one| one.good && one.sent >= from).map(|one| one.done.min(until));
    let mut last = from;
    let mut longest = Duration::ZERO;
    for at in good.chain(std::iter::once(until)) {
        longest = longest.max(at.saturating_sub(last));
        last = last.max(at);
    }
    Some(longest)
}

/// The `percent`-th of sorted values, the nearest rank; `None` of none.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// How long a stream had two publishers, at the looks of the watcher: `seen` are the streams with two at each look, in order.
#[derive(Debug, Clone, Default)]
pub struct Doubles {
    since: BTreeMap<String, At>,
    longest: BTreeMap<String, Duration>,
}

impl Doubles {
    /// One look.
    pub fn look(&mut self, at: At, seen: &BTreeSet<String>) {
        self.since.retain(|stream, _| seen.contains(stream));
        for stream in seen {
            let since = *self.since.entry(stream.clone()).or_insert(at);
            let longest = self.longest.entry(stream.clone()).or_default();
            *longest = (*longest).max(at.saturating_sub(since));
        }
    }

    /// Streams that ever had two, each with the longest time from its first to its last look in a row.
    #[must_use]
    pub fn seen(&self) -> &BTreeMap<String, Duration> {
        &self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn event(at: u64, client: ClientId, what: What) -> Event {
        Event { at: ms(at), client, what }
    }

    #[test]
    fn losses_that_had_to_be_are_told_from_others() {
        let mut events: Vec<_> = (0..4).map(|client| event(1, client, What::Flowing)).collect();
        events.extend([
            event(100, 0, What::Lost),
            event(150, 0, What::Refused { status: 409 }),
            event(300, 1, What::Lost),
            event(400, 0, What::Opened),
            event(410, 0, What::Flowing),
            event(500, 1, What::Opened),
            event(900, 1, What::Empty),
        ]);
        let found = losses(&events, ms(50), &BTreeSet::from([0, 3]));
        assert_eq!((found.watched, found.lost, found.had_to, found.again), (4, 2, 2, 1));
        assert_eq!((found.needless, found.out), (vec![1], vec![1]));
        assert_eq!(found.reopened, [ms(350), ms(450)]);
        assert_eq!(found.refused, BTreeMap::from([(409, 1)]));
    }

    #[test]
    fn who_had_no_media_before_is_not_counted_as_lost() {
        let events =
            [event(1, 0, What::Opened), event(60, 0, What::Lost), event(1, 1, What::Flowing), event(2, 1, What::Lost)];
        let found = losses(&events, ms(50), &BTreeSet::new());
        assert_eq!((found.watched, found.lost, found.again), (0, 0, 1));
    }

    #[test]
    fn the_longest_time_without_a_good_answer_counts_the_edges_of_the_window() {
        let one = |sent, done, good| Try { sent: ms(sent), done: ms(done), good };
        let tries =
            [one(0, 10, true), one(90, 110, true), one(120, 130, true), one(400, 900, false), one(950, 960, true)];
        assert_eq!(longest_without(&tries, ms(100), ms(1_000)), Some(ms(830)));
        assert_eq!(longest_without(&tries, ms(100), ms(2_000)), Some(ms(1_040)));
        assert_eq!(longest_without(&[], ms(0), ms(1)), None);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<_> = (1..=30).map(ms).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99)), (Some(ms(15)), Some(ms(30))));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn two_publishers_are_timed_from_look_to_look() {
        let mut doubles = Doubles::default();
        let both = BTreeSet::from(["a".to_owned()]);
        doubles.look(ms(0), &both);
        doubles.look(ms(1_000), &both);
        doubles.look(ms(2_000), &BTreeSet::new());
        doubles.look(ms(3_000), &both);
        assert_eq!(doubles.seen()["a"], ms(1_000));
    }
}
