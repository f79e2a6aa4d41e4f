//! Rules of one stream at one edge. No sockets, no clock, no tasks: time, news and answers are inputs.

use proto::{NodeId, ServiceId, SessionId, fleet::Placement, session::Role};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Time since the actor started. A plain number, so that tests can write it down.
pub type Mono = Duration;
/// Names one question, to be used again in its answer.
pub type AskId = u64;

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

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The deadline of the last [`Output::Wait`] passed.
    Timeout,
    /// The stream is live there: by news, or by an answer that came along.
    Live(Arc<Placement>),
    /// The publisher of this epoch is gone.
    Ended {
        /// Which epoch.
        epoch: u64,
    },
    /// The answer to [`Output::Lookup`]: live, nobody, or no answer.
    Looked(Result<Option<Arc<Placement>>, ()>),
    /// A node has another run now, or none.
    Node {
        /// Which node.
        node: NodeId,
        /// Its run.
        service: Option<ServiceId>,
    },
    /// Whether news arrives.
    News {
        /// It does.
        healthy: bool,
    },
    /// A viewer wants to know where the stream is.
    Ask(AskId),
    /// A publisher wants to try.
    Attempt(AskId, SessionId),
    /// Its attempt is over, well or not.
    AttemptOver(SessionId),
    /// Is this session known, and confirmed lately?
    AskSession(AskId, SessionId),
    /// A node accepted a session.
    Opened(SessionId, Role),
    /// A session ended.
    Closed(SessionId),
    /// The answer to [`Output::Confirm`].
    Confirmed {
        /// These still run.
        alive: Vec<SessionId>,
        /// These have ended.
        gone: Vec<SessionId>,
    },
}

/// What the shell must do, in order; [`Output::Wait`] is always last unless [`Output::End`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Answer a question.
    Answer(AskId, Answer),
    /// Readers may see this until then.
    Show(Option<Arc<Placement>>, Mono),
    /// Ask Redis or control-api where the stream is.
    Lookup,
    /// Ask whether these sessions still run.
    Confirm(Vec<SessionId>),
    /// Sessions held now, for the gauge.
    Sessions(usize),
    /// Nothing is left: end.
    End,
    /// Nothing more until an input, or this instant.
    Wait(Mono),
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The stream is live there.
    Live(Arc<Placement>),
    /// Nobody publishes it.
    Absent,
    /// Nobody could say.
    Unknown,
    /// The publisher may try.
    Go,
    /// Another local publisher is trying, or too many are waiting.
    Busy,
    /// Whether the session was confirmed to run within [`CONFIRM_EVERY`].
    Session {
        /// It was.
        confirmed: bool,
    },
}

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

#[derive(Debug, Clone, Copy)]
struct Held {
    /// Seconds since the actor's start.
    confirmed: u32,
    role: Role,
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
            Input::Ended { epoch } => self.ended(now, epoch),
            Input::Looked(answer) => self.looked(now, answer, out),
            Input::Node { node, service } => self.node(&node, service.as_ref()),
            Input::News { healthy } => {
                self.news = healthy;
                out.push(self.show());
            }
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
            Input::Opened(session, role) => {
                self.interest = now;
                if self.sessions.len() < SESSIONS_MAX {
                    self.sessions.insert(session, Held { confirmed: seconds(now), role });
                }
            }
            Input::Closed(session) => self.close(now, session),
            Input::Confirmed { alive, gone } => {
                self.confirming = false;
                let answered = !alive.is_empty() || !gone.is_empty();
                self.confirm_at = if answered { now } else { now + CONFIRM_AGAIN };
                for session in alive {
                    if let Some(held) = self.sessions.get_mut(&session) {
                        held.confirmed = seconds(now);
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
        self.place = Where::Live { at: placement, checked: now };
    }

    fn ended(&mut self, now: Mono, epoch: u64) {
        if matches!(&self.place, Where::Live { at, .. } if at.epoch <= epoch) {
            self.place = Where::Absent { checked: now };
        }
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

    fn node(&mut self, node: &NodeId, service: Option<&ServiceId>) {
        if matches!(&self.place, Where::Live { at, .. } if at.node == *node && Some(&at.service) != service) {
            self.place = Where::Unknown;
            self.sessions.clear();
        }
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

/// Whether a session went unconfirmed for too long.
fn due(held: &Held, now: Mono) -> bool {
    u64::from(held.confirmed) + CONFIRM_EVERY.as_secs() <= now.as_secs()
}

fn seconds(now: Mono) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
