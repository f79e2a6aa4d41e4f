//! The door to a stream's actor: bounded over all clones, and honest about a full or ended one.

use super::core::{Answer, Input, Mono, NewSession};
use proto::{SessionId, StreamId, fleet::Placement};
use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Commands waiting at one stream's door at most.
pub(super) const DOOR: usize = 1_024;
/// How long a question waits: a look-up asks Redis (0.5 s) and control-api (1 s).
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why a stream did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Its door is full, or it did not answer in time.
    #[error("the stream is busy")]
    Busy,
    /// Its actor has ended; the registry has or makes another.
    #[error("the stream's actor has ended")]
    Gone,
}

/// What a reader sees without asking.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Live there.
    Live(Arc<Placement>),
    /// Nobody publishes.
    Absent,
}

#[derive(Debug)]
pub(super) enum Command {
    Tell(Input),
    Ask(Question, oneshot::Sender<Answer>),
}

#[derive(Debug)]
pub(super) enum Question {
    Where,
    Attempt(SessionId),
    Session(SessionId),
}

/// What the actor shows to readers on other threads.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stream: StreamId,
    started: Instant,
    ended: AtomicBool,
    shown: RwLock<(Option<Arc<Placement>>, Mono)>,
}

impl Shared {
    pub(super) fn new(stream: StreamId) -> Self {
        Self { stream, started: Instant::now(), ended: AtomicBool::new(false), shown: RwLock::new((None, Mono::ZERO)) }
    }

    pub(super) fn now(&self) -> Mono {
        self.started.elapsed()
    }

    pub(super) fn show(&self, placement: Option<Arc<Placement>>, until: Mono) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = (placement, until);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// Clonable address of one stream's actor.
#[derive(Debug, Clone)]
pub struct StreamHandle {
    door: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

impl StreamHandle {
    pub(super) fn new(stream: StreamId) -> (Self, Arc<Shared>, mpsc::Receiver<Command>) {
        let (door, commands) = mpsc::channel(DOOR);
        let shared = Arc::new(Shared::new(stream));
        (Self { door, shared: shared.clone() }, shared, commands)
    }

    /// Whether the actor is over.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire) || self.door.is_closed()
    }

    /// What is known without asking; `None` when that is nothing or too old. Costs no message: a thousand viewers read it side by side.
    #[must_use]
    pub fn peek(&self) -> Option<Seen> {
        let shown = self.shared.shown.read().unwrap_or_else(PoisonError::into_inner);
        if self.ended() || self.shared.now() >= shown.1 {
            return None;
        }
        Some(shown.0.clone().map_or(Seen::Absent, Seen::Live))
    }

    /// Where the stream is; asks Redis and control-api once for all who wait.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn place(&self) -> Result<Option<Seen>, StreamError> {
        match self.ask(Question::Where).await? {
            Answer::Live(placement) => Ok(Some(Seen::Live(placement))),
            Answer::Absent => Ok(Some(Seen::Absent)),
            Answer::Busy => Err(StreamError::Busy),
            Answer::Unknown | Answer::Go | Answer::Session { .. } => Ok(None),
        }
    }

    /// Takes the turn of one local publisher; given back when the guard is dropped. `None`: another one is trying.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn publish_turn(&self, session: SessionId) -> Result<Option<PublishTurn>, StreamError> {
        // Made before the question, so that a caller that goes away while waiting gives the turn back.
        let turn = PublishTurn { handle: self.clone(), session };
        let answer = self.ask(Question::Attempt(session)).await?;
        Ok((answer == Answer::Go).then_some(turn))
    }

    /// Whether a session was opened here and confirmed lately.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn confirmed(&self, session: SessionId) -> Result<bool, StreamError> {
        Ok(self.ask(Question::Session(session)).await? == Answer::Session { confirmed: true })
    }

    /// Notes an accepted session, waiting for room at the door.
    pub async fn opened(&self, session: NewSession) {
        let id = session.id;
        let told = self.door.send(Command::Tell(Input::Opened(session)));
        if !matches!(tokio::time::timeout(ANSWER_WITHIN, told).await, Ok(Ok(()))) {
            tracing::debug!(session.id = %id, "a session is not held by its stream's actor; Redis knows it");
        }
    }

    /// Tells something. When there is no room, what readers see is voided instead, so that they ask.
    pub fn tell(&self, input: Input) {
        if self.door.try_send(Command::Tell(input)).is_err() {
            self.shared.show(None, Mono::ZERO);
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, StreamError> {
        let (reply, answer) = oneshot::channel();
        self.door.try_send(Command::Ask(question, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StreamError::Busy,
            mpsc::error::TrySendError::Closed(_) => StreamError::Gone,
        })?;
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => answer.map_err(|_| StreamError::Gone),
            Err(_) => Err(StreamError::Busy),
        }
    }
}

/// The turn of one local publisher. Dropped: the next one may try.
#[derive(Debug)]
pub struct PublishTurn {
    handle: StreamHandle,
    session: SessionId,
}

impl Drop for PublishTurn {
    fn drop(&mut self) {
        // A full door loses this; the turn then ends by itself with its reservation.
        self.handle.tell(Input::AttemptOver(self.session));
    }
}
