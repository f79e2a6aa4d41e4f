//! Rules of one stream at one edge. No sockets, no clock, no tasks: time, news and answers are inputs.

mod terms;

pub use terms::{Answer, AskId, Input, Mono, NewSession, Output, Pass};

use proto::{NodeId, ServiceId, SessionId, TokenId, fleet::Placement, handle::Handle, session::Role};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// A stream with no session and no question for this long ends its actor.
pub const IDLE: Duration = Duration::from_secs(30);
/// How long a placement is believed while news arrives.
pub const FRESH_WITH_NEWS: Duration = Duration::from_secs(30);
/// How long a placement is believed while news is lost, and how long "nobody publishes" is believed at all.
pub const FRESH_WITHOUT_NEWS: Duration = Duration::from_secs(1);
/// A publisher's attempt that has not ended after this long is forgotten: its reservation has run out.
pub const ATTEMPT: Duration = Duration::from_secs(proto::internal::RESERVATION_SECONDS);
/// A session is asked about when it was not confirmed for this long: the news of its end may be lost.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(60);
/// When nobody could say, ask again after this long.
const CONFIRM_AGAIN: Duration = Duration::from_secs(5);
/// Sessions asked about in one go.
pub const CONFIRM_BATCH: usize = 256;
/// Questions waiting for one look-up at most; more are told to come back.
pub const WAITING_MAX: usize = 4_096;
/// Sessions of one stream at one edge at most.
pub const SESSIONS_MAX: usize = 100_000;

#[derive(Debug, Clone, PartialEq)]
enum Where {
    Unknown,
    Live { at: Arc<Placement>, checked: Mono },
    Absent { checked: Mono },
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    session: SessionId,
    until: Mono,
}

#[derive(Debug, Clone)]
struct Held {
    /// Seconds since the actor's start, from which on it counts as unconfirmed.
    due: u32,
    role: Role,
    /// Shared by all sessions that were opened under one placement.
    at: Arc<Placement>,
    pass: Option<Box<Pass>>,
}

/// State of one stream.
#[derive(Debug)]
pub struct StreamCore {
    place: Where,
    news: bool,
    looking: bool,
    heard_while_looking: bool,
    waiting: VecDeque<AskId>,
    attempt: Option<Attempt>,
    sessions: HashMap<SessionId, Held>,
    confirming: bool,
    confirm_at: Mono,
    interest: Mono,
}

impl StreamCore {
    /// A stream nobody asked about yet.
    #[must_use]
    pub fn new(now: Mono, news: bool) -> Self {
        Self {
            place: Where::Unknown,
            news,
            looking: false,
            heard_while_looking: false,
            waiting: VecDeque::new(),
            attempt: None,
            sessions: HashMap::new(),
            confirming: false,
            confirm_at: now + CONFIRM_EVERY,
            interest: now,
        }
    }

    /// Sessions held.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Applies one input and returns everything to do about it.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        let (place, held) = (self.place.clone(), self.sessions.len());
        self.apply(now, input, &mut out);
        if self.attempt.is_some_and(|attempt| now >= attempt.until) {
            self.attempt = None;
        }
        self.confirm(now, &mut out);
        if self.place != place {
            out.push(self.show());
        }
        if self.sessions.len() != held {
            out.push(Output::Sessions(self.sessions.len()));
        }
        if self.idle_at().is_some_and(|at| now >= at) {
            out.push(Output::End);
        } else {
            out.push(Output::Wait(self.deadline(now)));
        }
        out
    }

    fn apply(&mut self, now: Mono, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Timeout => {}
            Input::Live(placement) => self.live(now, placement, out),
            Input::Ended { epoch, viewers_too } => self.ended(now, epoch, viewers_too, out),
            Input::Looked(answer) => self.looked(now, answer, out),
            Input::Node { node, service } => self.node(&node, service.as_ref(), out),
            Input::Doubt(node) => {
                if matches!(&self.place, Where::Live { at, .. } if at.node == node) {
                    self.place = Where::Unknown;
                }
            }
            Input::Revoked(jti) => self.revoked(jti, out),
            Input::News { healthy } => self.news(now, healthy, out),
            Input::Ask(ask) => self.ask(now, ask, out),
            Input::Attempt(ask, session) => self.try_publish(now, ask, session, out),
            Input::AttemptOver(session) => {
                if self.attempt.is_some_and(|attempt| attempt.session == session) {
                    self.attempt = None;
                }
            }
            Input::AskSession(ask, session) => {
                let confirmed = self.sessions.get(&session).is_some_and(|held| !due(held, now));
                out.push(Output::Answer(ask, Answer::Session { confirmed }));
            }
            Input::Opened(session) => self.opened(now, session, out),
            Input::Closed(session) => self.close(now, session),
            Input::Confirmed { alive, gone } => {
                self.confirming = false;
                let answered = !alive.is_empty() || !gone.is_empty();
                self.confirm_at = if answered { now } else { now + CONFIRM_AGAIN };
                for session in alive {
                    if let Some(held) = self.sessions.get_mut(&session) {
                        held.due = seconds(now + CONFIRM_EVERY);
                    }
                }
                gone.into_iter().for_each(|session| self.close(now, session));
            }
        }
    }

    fn live(&mut self, now: Mono, placement: Arc<Placement>, out: &mut Vec<Output>) {
        self.heard_while_looking = self.looking;
        if let Where::Live { at, .. } = &self.place
            && at.epoch > placement.epoch
        {
            return;
        }
        let answers = self.waiting.drain(..).map(|ask| Output::Answer(ask, Answer::Live(placement.clone())));
        out.extend(answers);
        self.lose(|held| held.at.epoch < placement.epoch && !same_run(&held.at, &placement), out);
        self.place = Where::Live { at: placement, checked: now };
    }

    fn ended(&mut self, now: Mono, epoch: u64, viewers_too: bool, out: &mut Vec<Output>) {
        if matches!(&self.place, Where::Live { at, .. } if at.epoch <= epoch) {
            self.place = Where::Absent { checked: now };
        }
        if viewers_too {
            self.lose(|held| held.at.epoch <= epoch, out);
        }
    }

    /// Forgets sessions that are gone, and says so.
    fn lose(&mut self, gone: impl Fn(&Held) -> bool, out: &mut Vec<Output>) {
        let lost: Vec<SessionId> =
            self.sessions.iter().filter(|(_, held)| gone(held)).map(|(session, _)| *session).collect();
        for session in &lost {
            self.sessions.remove(session);
        }
        if !lost.is_empty() {
            out.push(Output::Lost(lost));
        }
    }

    fn news(&mut self, now: Mono, healthy: bool, out: &mut Vec<Output>) {
        // What was told in between is not known: ask again, for the stream and for its sessions.
        if healthy && !self.news {
            self.place = Where::Unknown;
            self.confirm_at = now;
            self.sessions.values_mut().for_each(|held| held.due = 0);
        }
        self.news = healthy;
        out.push(self.show());
    }

    fn opened(&mut self, now: Mono, session: NewSession, out: &mut Vec<Output>) {
        self.interest = now;
        let NewSession { id, role, at, pass } = session;
        let moved =
            matches!(&self.place, Where::Live { at: home, .. } if at.epoch < home.epoch && !same_run(&at, home));
        if moved {
            out.push(Output::Lost(vec![id]));
        } else if self.sessions.len() < SESSIONS_MAX {
            self.sessions.insert(id, Held { due: seconds(now + CONFIRM_EVERY), role, at, pass });
        }
    }

    fn revoked(&mut self, jti: TokenId, out: &mut Vec<Output>) {
        let let_in = |held: &Held| held.pass.as_ref().is_some_and(|pass| pass.jti == jti);
        let ids: Vec<SessionId> = self.sessions.iter().filter(|(_, held)| let_in(held)).map(|(id, _)| *id).collect();
        let passes = ids.into_iter().filter_map(|id| Some((id, self.sessions.remove(&id)?.pass?.handle)));
        let expelled: Vec<(SessionId, Option<Handle>)> = passes.collect();
        if !expelled.is_empty() {
            out.push(Output::Expel(expelled));
        }
    }

    /// Tokens whose revocation would end sessions here.
    #[must_use]
    pub fn passes(&self) -> BTreeSet<TokenId> {
        self.sessions.values().filter_map(|held| Some(held.pass.as_ref()?.jti)).collect()
    }

    /// Sessions that publish.
    #[must_use]
    pub fn publishers(&self) -> usize {
        self.sessions.values().filter(|held| held.role == Role::Publish).count()
    }

    fn looked(&mut self, now: Mono, answer: Result<Option<Arc<Placement>>, ()>, out: &mut Vec<Output>) {
        let heard = std::mem::take(&mut self.heard_while_looking);
        self.looking = false;
        match answer {
            Ok(Some(placement)) => self.live(now, placement, out),
            // News that came during the look-up is younger than its answer.
            Ok(None) if !heard => self.place = Where::Absent { checked: now },
            Ok(None) | Err(()) => {}
        }
        self.heard_while_looking = false;
        let answer = match &self.place {
            Where::Live { at, .. } => Answer::Live(at.clone()),
            Where::Absent { .. } => Answer::Absent,
            Where::Unknown => Answer::Unknown,
        };
        out.extend(self.waiting.drain(..).map(|ask| Output::Answer(ask, answer.clone())));
    }

    fn node(&mut self, node: &NodeId, service: Option<&ServiceId>, out: &mut Vec<Output>) {
        let gone = |at: &Placement| at.node == *node && Some(&at.service) != service;
        if matches!(&self.place, Where::Live { at, .. } if gone(at)) {
            self.place = Where::Unknown;
        }
        self.lose(|held| gone(&held.at), out);
    }

    fn ask(&mut self, now: Mono, ask: AskId, out: &mut Vec<Output>) {
        self.interest = now;
        if now < self.fresh_until() {
            match &self.place {
                Where::Live { at, .. } => return out.push(Output::Answer(ask, Answer::Live(at.clone()))),
                Where::Absent { .. } => return out.push(Output::Answer(ask, Answer::Absent)),
                Where::Unknown => {}
            }
        }
        if self.waiting.len() >= WAITING_MAX {
            return out.push(Output::Answer(ask, Answer::Busy));
        }
        self.waiting.push_back(ask);
        if !self.looking {
            self.looking = true;
            self.heard_while_looking = false;
            out.push(Output::Lookup);
        }
    }

    fn try_publish(&mut self, now: Mono, ask: AskId, session: SessionId, out: &mut Vec<Output>) {
        self.interest = now;
        let taken = self.attempt.is_some_and(|attempt| now < attempt.until && attempt.session != session);
        if !taken {
            self.attempt = Some(Attempt { session, until: now + ATTEMPT });
        }
        out.push(Output::Answer(ask, if taken { Answer::Busy } else { Answer::Go }));
    }

    fn close(&mut self, now: Mono, session: SessionId) {
        let held = self.sessions.remove(&session);
        let publishes = matches!(&self.place, Where::Live { at, .. } if at.session == session);
        if publishes && held.is_some_and(|held| held.role == Role::Publish) {
            self.place = Where::Absent { checked: now };
        }
    }

    fn confirm(&mut self, now: Mono, out: &mut Vec<Output>) {
        if self.confirming || now < self.confirm_at {
            return;
        }
        let late = self.sessions.iter().filter(|(_, held)| due(held, now)).map(|(id, _)| *id);
        let late: Vec<SessionId> = late.take(CONFIRM_BATCH).collect();
        if late.is_empty() {
            self.confirm_at = now + CONFIRM_EVERY;
        } else {
            self.confirming = true;
            out.push(Output::Confirm(late));
        }
    }

    fn fresh_until(&self) -> Mono {
        match &self.place {
            Where::Unknown => Mono::ZERO,
            Where::Live { checked, .. } => *checked + if self.news { FRESH_WITH_NEWS } else { FRESH_WITHOUT_NEWS },
            Where::Absent { checked } => *checked + FRESH_WITHOUT_NEWS,
        }
    }

    fn show(&self) -> Output {
        match &self.place {
            Where::Live { at, .. } => Output::Show(Some(at.clone()), self.fresh_until()),
            Where::Unknown | Where::Absent { .. } => Output::Show(None, self.fresh_until()),
        }
    }

    /// When the actor may end, if nothing more happens.
    fn idle_at(&self) -> Option<Mono> {
        let quiet = self.sessions.is_empty() && self.waiting.is_empty() && self.attempt.is_none() && !self.looking;
        quiet.then(|| self.interest + IDLE)
    }

    fn deadline(&self, now: Mono) -> Mono {
        let attempt = self.attempt.map(|attempt| attempt.until);
        let confirm = (!self.sessions.is_empty() && !self.confirming).then_some(self.confirm_at);
        [self.idle_at(), attempt, confirm].into_iter().flatten().min().unwrap_or(now + IDLE)
    }
}

fn same_run(one: &Placement, other: &Placement) -> bool {
    one.node == other.node && one.service == other.service
}

/// Whether a session went unconfirmed for too long.
fn due(held: &Held, now: Mono) -> bool {
    u64::from(held.due) <= now.as_secs()
}

fn seconds(now: Mono) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
