//! Redis: what is kept there, and news that arrives late, twice, in another order, or not at all.

use crate::domain::claims::Watch;
use crate::{exec::Sim, net::Proc};
use proto::{
    ControlId, NodeId, ServiceId, StreamId,
    event::{Event, Told},
    fleet::Placement,
    node::Membership,
};
use std::collections::BTreeMap;

/// The keys.
#[derive(Debug, Default)]
pub(crate) struct Redis {
    pub(crate) placements: BTreeMap<StreamId, Placement>,
    pub(crate) members: Option<Membership>,
    /// When each control node last said that it lives, by its own clock.
    pub(crate) controls: BTreeMap<ControlId, u64>,
    /// Each node's last heartbeat: its run, and when, by the clock of the control node that took it.
    pub(crate) nodes: BTreeMap<NodeId, (ServiceId, u64)>,
    /// When each node was last heard by a hook, by the clock of whoever heard it.
    pub(crate) hooked: BTreeMap<NodeId, (ServiceId, u64)>,
    pub(crate) watches: BTreeMap<(ServiceId, String), Watch>,
    /// Until when each node is compared with the tables by somebody.
    pub(crate) leases: BTreeMap<String, u64>,
    /// Everything was written since the last loss.
    pub(crate) filled: bool,
    /// Number of the last news.
    pub(crate) told: u64,
}

impl Redis {
    /// Writes a placement unless a newer one is there.
    pub(crate) fn place(&mut self, placement: &Placement) {
        if self.placements.get(&placement.stream).is_none_or(|old| old.epoch <= placement.epoch) {
            self.placements.insert(placement.stream.clone(), placement.clone());
        }
    }

    /// Removes a placement unless a newer one is there.
    pub(crate) fn unplace(&mut self, stream: &StreamId, epoch: u64) {
        if self.placements.get(stream).is_some_and(|old| old.epoch <= epoch) {
            self.placements.remove(stream);
        }
    }

    /// Takes a lease, if nobody has it.
    pub(crate) fn lease(&mut self, name: &str, ms: u64, now: u64) -> bool {
        let free = self.leases.get(name).is_none_or(|until| *until <= now);
        if free {
            self.leases.insert(name.to_owned(), now + ms);
        }
        free
    }
}

/// What goes over pub/sub.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// On the channel of news.
    News(Box<Told>),
    /// On the channel of the session table, or one control node's own.
    Gossip(Vec<u8>),
}

impl Sim {
    /// Numbers news and tells it to everybody who can be reached.
    pub(crate) async fn tell(&self, from: Proc, event: Event) {
        let numbered = self.redis(from, |redis, _| {
            redis.told += 1;
            redis.told
        });
        if let Ok(n) = numbered.await {
            self.spread(&Message::News(Box::new(Told { n, event })), |proc| matches!(proc, Proc::C(_) | Proc::E(_)));
        }
    }

    /// Sends a message from Redis to those who listen. Each of them may miss it, hear it twice, or late.
    pub(crate) fn spread(&self, message: &Message, to: impl Fn(Proc) -> bool) {
        let all = self.w().processes();
        for proc in all.into_iter().filter(|proc| to(*proc)) {
            let copies = {
                let mut w = self.w();
                if !w.reaches(proc, Proc::Redis) {
                    continue;
                }
                let (lost, twice) = (w.lost_percent, w.twice_percent);
                if w.dice.percent(lost) {
                    w.seen("message lost");
                    0
                } else if w.dice.percent(twice) {
                    w.seen("message twice");
                    2
                } else {
                    1
                }
            };
            for _ in 0..copies {
                let late = {
                    let mut w = self.w();
                    let slow = w.slow_percent;
                    if w.dice.percent(slow) { w.dice.between(10, 1_500) } else { w.dice.between(1, 5) }
                };
                let (sim, message) = (self.clone(), message.clone());
                self.spawn(proc, async move {
                    sim.sleep(late).await;
                    // What was under way when the connection broke is lost with it.
                    if sim.w().reaches(proc, Proc::Redis) {
                        sim.hear(proc, message);
                    }
                });
            }
        }
    }

    fn hear(&self, proc: Proc, message: Message) {
        match (proc, message) {
            (Proc::C(c), Message::News(told)) => crate::control::news(self, c, &told),
            (Proc::C(c), Message::Gossip(bytes)) => crate::control::table::message(self, c, &bytes),
            (Proc::E(e), Message::News(told)) => crate::edge::news(self, e, &told),
            (Proc::E(_) | Proc::N(_) | Proc::Out | Proc::Pg | Proc::Redis, _) => {}
        }
    }
}
