//! The claim statements do what the claim rules say: both are run side by side over random steps.

use super::{
    edge::new_session,
    helpers::{Database, Test},
};
use control::{
    domain::claims::{self as rules, Ask, Claim, Confirm, Holder, Owner, State, Verdict},
    store::pg::claims::{self, Fence, Publisher, Which},
};
use kit::pg::Pg;
use proto::{
    BroadcastId, ClientId, NodeId, ServiceId, SessionId, StreamId,
    internal::Credential,
    session::{EndReason, Protocol},
};
use secrecy::SecretString;

/// Draws numbers from a seed, so that a failing run can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn owner(client: u64) -> Owner {
    Owner {
        node: NodeId::parse("n1").unwrap(),
        service: ServiceId::parse("run1").unwrap(),
        client: ClientId::parse(&format!("c{client}")).unwrap(),
    }
}

struct Run<'a> {
    pg: &'a Pg,
    database: &'a Database,
    stream: StreamId,
    sessions: Vec<SessionId>,
    dice: Dice,
}

impl Run<'_> {
    async fn present(&self) -> (Option<Claim>, u64) {
        // Asking with a fence that matches nothing changes nothing unless the stream is free; so read by another way: a confirm that fits nobody.
        let said =
            claims::confirm(self.pg, &self.stream, new_session(), 0, &owner(99), broadcast(), false).await.unwrap();
        (said.claim, said.now_ms)
    }

    async fn ask(&mut self) {
        let (before, now_ms) = self.present().await;
        let session = self.sessions[usize::try_from(self.dice.roll(3)).unwrap()];
        let credential = Credential::StreamKey { hash: format!("{:064}", self.dice.roll(2)) };
        let from = owner(self.dice.roll(3));
        let publisher = Publisher {
            stream: &self.stream,
            session,
            node: &from.node,
            service: &from.service,
            protocol: Protocol::Webrtc,
            credential: &credential,
            ip: None,
            edge: None,
        };
        let ask = Ask { session, credential: credential.clone(), takeover: self.dice.roll(2) == 0 };
        let verdict = rules::ask(before.as_ref(), now_ms, &ask, Holder::Silent);
        let fence = match verdict {
            Verdict::TakeOver { from } => {
                let live = matches!(before, Some(Claim { state: State::Live { .. }, .. }));
                Some(Fence { epoch: from, live })
            }
            Verdict::Granted { .. } | Verdict::Look | Verdict::Busy { .. } => None,
        };
        let said = claims::reserve(self.pg, &publisher, fence, None).await.unwrap().unwrap();
        let live_already =
            matches!(&before, Some(Claim { state: State::Live { session: s, .. }, .. }) if *s == session);
        let wanted = match verdict {
            Verdict::Granted { .. } if live_already => None,
            Verdict::Granted { epoch } => Some(epoch),
            Verdict::TakeOver { from } => Some(from + 1),
            Verdict::Look | Verdict::Busy { .. } => None,
        };
        assert_eq!(said.taken.map(|taken| taken.epoch), wanted, "{before:?} {ask:?}");
    }

    async fn confirm(&mut self) {
        let (before, _) = self.present().await;
        let session = self.sessions[usize::try_from(self.dice.roll(3)).unwrap()];
        let epoch = before.as_ref().map_or(0, |claim| claim.epoch).saturating_sub(self.dice.roll(2));
        let from = owner(self.dice.roll(3));
        let pg = self.pg;
        let said = claims::confirm(pg, &self.stream, session, epoch, &from, broadcast(), false).await.unwrap();
        let wanted = match rules::confirm(before.as_ref(), session, epoch, &from) {
            Confirm::Live { epoch } => Some(epoch),
            Confirm::Again | Confirm::Refused(_) => None,
        };
        assert_eq!(said.epoch, wanted, "{before:?} {session} {epoch} {from:?}");
    }

    async fn end(&mut self) {
        let (before, _) = self.present().await;
        let from = owner(self.dice.roll(3));
        let which = Which::Connection(&from, Some(&self.stream));
        let ended = claims::end(self.pg, which, EndReason::ClientLeft).await.unwrap();
        let wanted = before.as_ref().is_some_and(|claim| rules::ends(claim, &from));
        assert_eq!(!ended.is_empty(), wanted, "{before:?} {from:?}");
    }

    async fn give_up(&mut self) {
        let (before, _) = self.present().await;
        let session = self.sessions[usize::try_from(self.dice.roll(3)).unwrap()];
        let epoch = before.as_ref().map_or(0, |claim| claim.epoch);
        let done = claims::give_up(self.pg, &self.stream, session, epoch).await.unwrap();
        assert_eq!(done, before.as_ref().is_some_and(|claim| rules::gives_up(claim, session, epoch)), "{before:?}");
    }

    async fn run_out(&mut self) {
        self.database.run("UPDATE claims SET reserved_until = now() - interval '1 ms' WHERE state = 'reserved'").await;
        if self.dice.roll(2) == 0 {
            claims::expire(self.pg).await.unwrap();
        }
    }
}

fn broadcast() -> BroadcastId {
    BroadcastId::from_uuid(new_session().uuid())
}

#[actix_web::test]
async fn statements_and_rules_agree_step_by_step() {
    let test = Test::start().await;
    let owner = test.control.user("owner").await;
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(test.control.stream(&owner, "public").await.stream.id);
    }
    let Test { control, database, redis: _redis } = test;
    // Its job that frees reservations would step in between.
    control.stop().await;
    let pg = Pg::new(&SecretString::from(database.url.clone()), 2).unwrap();
    for (seed, stream) in (1..).zip(streams) {
        let sessions = (0..3).map(|_| new_session()).collect();
        let mut run = Run { pg: &pg, database: &database, stream, sessions, dice: Dice(seed) };
        let mut epoch = 0;
        for _ in 0..60 {
            match run.dice.roll(8) {
                0..=2 => run.ask().await,
                3 | 4 => run.confirm().await,
                5 | 6 => run.end().await,
                _ if run.dice.roll(2) == 0 => run.give_up().await,
                _ => run.run_out().await,
            }
            let now = run.present().await.0.map_or(0, |claim| claim.epoch);
            assert!(now >= epoch, "seed {seed}: the epoch fell from {epoch} to {now}");
            epoch = now;
        }
        assert!(epoch > 3, "seed {seed} went nowhere");
    }
    database.drop_it().await;
}
