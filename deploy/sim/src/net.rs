//! Who reaches whom, and how a call goes wrong: refused at once, or silent until its time is over, done or not.

use crate::exec::{Sim, Slot};
use std::future::Future;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Proc {
    /// The clients, and whoever breaks things.
    Out,
    /// A control-api.
    C(usize),
    /// An edge-gateway.
    E(usize),
    /// A media node.
    N(usize),
    /// Postgres.
    Pg,
    /// Redis.
    Redis,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fail {
    /// Nothing listens.
    Refused,
    /// Nothing came in time; it may have been done.
    Silent,
}

/// How long a statement or a command takes to fail when its store is away.
const STORE_FAILS_MS: u64 = 250;

impl Sim {
    fn delay(&self) -> u64 {
        let mut w = self.w();
        let slow = w.slow_percent;
        if w.dice.percent(slow) { w.dice.between(20, 150) } else { w.dice.between(1, 4) }
    }

    /// Calls a process: `work` runs there, under its life.
    pub(crate) async fn call<T: 'static>(
        &self,
        from: Proc,
        to: Proc,
        within: u64,
        work: impl Future<Output = T> + 'static,
    ) -> Result<T, Fail> {
        let until = self.now() + within;
        self.sleep(self.delay()).await;
        if !self.w().linked(from, to) {
            self.sleep(until.saturating_sub(self.now())).await;
            return Err(Fail::Silent);
        }
        if self.w().life(to).is_none() {
            return Err(Fail::Refused);
        }
        let slot = Slot::new();
        let (answer, sim) = (slot.clone(), self.clone());
        self.spawn(to, async move {
            let done = work.await;
            answer.put(&sim, done);
        });
        let Some(done) = slot.take_until(self, until).await else { return Err(Fail::Silent) };
        self.sleep(self.delay()).await;
        if !self.w().linked(from, to) || self.now() > until {
            self.sleep(until.saturating_sub(self.now())).await;
            return Err(Fail::Silent);
        }
        Ok(done)
    }

    /// One statement in Postgres: all of it at one moment, or not at all. Whoever is told that it failed cannot know which.
    pub(crate) async fn pg<T>(&self, from: Proc, work: impl FnOnce(&mut crate::pg::Pg, u64) -> T) -> Result<T, Fail> {
        self.store(from, Proc::Pg, |w, now| work(&mut w.pg, now)).await
    }

    /// One script in Redis.
    pub(crate) async fn redis<T>(
        &self,
        from: Proc,
        work: impl FnOnce(&mut crate::redis::Redis, u64) -> T,
    ) -> Result<T, Fail> {
        self.store(from, Proc::Redis, |w, now| work(&mut w.redis, now)).await
    }

    async fn store<T>(
        &self,
        from: Proc,
        to: Proc,
        work: impl FnOnce(&mut crate::world::World, u64) -> T,
    ) -> Result<T, Fail> {
        self.sleep(self.delay()).await;
        if !self.w().reaches(from, to) {
            self.sleep(STORE_FAILS_MS).await;
            return Err(Fail::Silent);
        }
        let done = work(&mut self.w(), self.now());
        self.sleep(self.delay()).await;
        if self.w().reaches(from, to) {
            Ok(done)
        } else {
            self.sleep(STORE_FAILS_MS).await;
            Err(Fail::Silent)
        }
    }
}
