//! Whether news was missed, by the numbers Redis gives it. Pure.
//!
//! One connection hears the messages, another reads [`proto::keys::EVENTS_NUMBER`]; so a number that was read may be of a message still on its
//! way, and is held against what was heard a moment later.

use std::cmp::Ordering;

/// What the shell must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fine,
    /// News was told that may be on its way: call [`Numbers::late`] a moment later.
    Wait,
    /// News was missed: read everything again, then call [`Numbers::restart`].
    Missed,
}

/// What was heard and read so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// The number everything was last read at; `None` before the first.
    read: Option<u64>,
    /// The number of the last message since then.
    heard: Option<u64>,
    /// A number that was read and must have been heard by the next call of [`Numbers::late`].
    awaited: Option<u64>,
}

impl Numbers {
    /// Everything is being read, and this was the number before it was.
    pub fn restart(&mut self, number: u64) {
        *self = Self { read: Some(number), heard: None, awaited: None };
    }

    /// A message came; 0 is one that was not numbered.
    pub fn message(&mut self, number: u64) -> Verdict {
        let Some(read) = self.read else { return Verdict::Fine };
        if number == 0 {
            return Verdict::Fine;
        }
        let fits = match self.heard {
            // Redis keeps the order: one that is not the next shows a gap, or a Redis that counts anew.
            Some(last) => number == last.saturating_add(1),
            // Those up to `read` may still have been on their way.
            None => number <= read.saturating_add(1),
        };
        self.heard = Some(number);
        if fits { Verdict::Fine } else { Verdict::Missed }
    }

    /// The number was read, after all messages heard so far: a lower one is of a Redis that counts anew.
    pub fn asked(&mut self, number: u64) -> Verdict {
        if self.read.is_none() {
            return Verdict::Fine;
        }
        match number.cmp(&self.last()) {
            Ordering::Less => Verdict::Missed,
            Ordering::Equal => Verdict::Fine,
            Ordering::Greater => {
                self.awaited = Some(number);
                Verdict::Wait
            }
        }
    }

    /// A moment has passed since [`Verdict::Wait`].
    pub fn late(&mut self) -> Verdict {
        match self.awaited.take() {
            Some(awaited) if self.last() < awaited => Verdict::Missed,
            Some(_) | None => Verdict::Fine,
        }
    }

    fn last(&self) -> u64 {
        self.heard.unwrap_or(0).max(self.read.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, *};
    use proptest::prelude::*;

    fn at(number: u64) -> Numbers {
        let mut numbers = Numbers::default();
        numbers.restart(number);
        numbers
    }

    #[test]
    fn messages_in_order_are_fine_and_one_left_out_is_not() {
        let mut numbers = at(10);
        assert_eq!([8, 9, 10, 11, 12].map(|n| numbers.message(n)), [Fine; 5], "the first were on their way");
        assert_eq!(numbers.message(0), Fine, "not numbered");
        assert_eq!(numbers.message(14), Missed);
        assert_eq!(at(10).message(12), Missed, "the first after the reading was lost");
        assert_eq!(at(10).message(11), Fine);
        let mut numbers = Numbers::default();
        assert_eq!(
            (numbers.message(7), numbers.message(9), numbers.asked(3)),
            (Fine, Fine, Fine),
            "nothing was read yet"
        );
    }

    #[test]
    fn a_number_that_nobody_told_is_missed_a_moment_later() {
        let mut numbers = at(10);
        assert_eq!((numbers.asked(10), numbers.late()), (Fine, Fine));
        assert_eq!(
            (numbers.asked(12), numbers.message(11), numbers.message(12), numbers.late()),
            (Wait, Fine, Fine, Fine)
        );
        assert_eq!((numbers.asked(13), numbers.late()), (Wait, Missed));
    }

    #[test]
    fn a_redis_that_counts_anew_is_noticed() {
        assert_eq!(at(10).asked(0), Missed);
        let mut numbers = at(10);
        assert_eq!((numbers.message(11), numbers.message(1)), (Fine, Missed));
    }

    proptest! {
        /// Whatever is lost is noticed at the latest with the next reading; when nothing is lost, nothing is read again.
        #[test]
        fn every_loss_is_noticed_and_only_losses(lost in proptest::collection::vec(any::<bool>(), 1..40), reads in proptest::collection::vec(any::<bool>(), 40), start in 0_u64..1000) {
            let mut numbers = at(start);
            let (mut missed, mut lost_any) = (false, false);
            for (n, (lost, read)) in (start + 1..).zip(lost.iter().zip(&reads)) {
                if *read {
                    missed |= numbers.asked(n) == Missed;
                }
                if *lost {
                    lost_any = true;
                } else {
                    missed |= numbers.message(n) == Missed;
                }
                missed |= numbers.late() == Missed;
            }
            missed |= numbers.asked(start + lost.len() as u64) == Missed;
            missed |= numbers.late() == Missed;
            prop_assert_eq!(missed, lost_any);
        }
    }
}
