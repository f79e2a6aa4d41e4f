//! What a stream hears, does and answers.

use proto::{NodeId, ServiceId, SessionId, TokenId, fleet::Placement, handle::Handle, session::Role};
use std::{sync::Arc, time::Duration};

/// Time since the actor started. A plain number, so that tests can write it down.
pub type Mono = Duration;
/// Names one question, to be used again in its answer.
pub type AskId = u64;

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
        /// And so is everybody who watched it: its node was lost, or the stream moved.
        viewers_too: bool,
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
    /// A node does not answer this edge: whether the stream is still there must be asked.
    Doubt(NodeId),
    /// A token was revoked: whom it let in must go.
    Revoked(TokenId),
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
    Opened(NewSession),
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

/// A session that a node accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// What it does.
    pub role: Role,
    /// Where it runs.
    pub at: Arc<Placement>,
    /// What let it in, if that can be revoked.
    pub pass: Option<Box<Pass>>,
}

/// A token that let a session in, and what ending the session takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// The token.
    pub jti: TokenId,
    /// The session as its node knows it; `None` for one that ends with this edge's relay of it.
    pub handle: Option<Handle>,
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
    /// These sessions are gone with their node, or with their stream's move.
    Lost(Vec<SessionId>),
    /// End these, at their node where they have a handle.
    Expel(Vec<(SessionId, Option<Handle>)>),
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
    /// Whether the session was confirmed to run within [`super::CONFIRM_EVERY`].
    Session {
        /// It was.
        confirmed: bool,
    },
}
