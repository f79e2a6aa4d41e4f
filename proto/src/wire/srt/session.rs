//! One caller on its way through the relay, from its conclusion on.
//!
//! The machine leads the handshake with the node in the caller's name, then says of each datagram whether it passes. It never starts anew: a
//! conclusion that comes again is sent on again, and one that comes again after a refusal hears the same refusal. The node's answer is held until
//! the cluster knows the session ([`Input::Accept`]): a caller that was let in can be found by everybody. When the session is over it stays a moment and tells the caller so again on every sign of life, because a shutdown may be lost like any other datagram.

use super::{
    handshake::{HANDSHAKE_BYTES, Handshake, HandshakeError, Kind, conclude, rejection},
    packet::{Packet, shutdown},
};
use std::time::Duration;

/// Time since the process began.
pub type Mono = Duration;

/// How long a caller waits for admission and placement before it is forgotten; libsrt gives up after 3 s.
pub const DECIDE_MAX: Duration = Duration::from_secs(6);
/// How often a handshake towards a node is repeated.
pub const RESEND: Duration = Duration::from_millis(200);
/// How long a node has for the whole handshake: another one can still be tried before the caller gives up.
pub const NODE_ANSWERS_WITHIN: Duration = Duration::from_millis(1_200);
/// How long either side may be silent: the default of SRS; both send keep-alives every second.
pub const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a refusal or an end is repeated to a caller that goes on.
pub const LINGER: Duration = Duration::from_secs(3);

/// What happens to a caller.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// It sent a datagram.
    Caller(&'a [u8]),
    /// The node sent a datagram.
    Node(&'a [u8]),
    /// It is admitted and a socket towards a node is there: lead the handshake, with this stream id.
    Dial(&'a str),
    /// It is refused, for a reason of [`super::reject`].
    Refuse(u32),
    /// The session the node accepted is known: the caller may have the node's answer.
    Accept,
    /// The node's machine says that nothing listens there.
    NodeGone,
    /// Its session is over by news: kicked, revoked, moved, or its node is lost.
    End,
    /// The time of [`Session::next_at`] has come.
    Tick,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The caller said so.
    CallerLeft,
    /// The caller was silent for [`IDLE_MAX`].
    CallerSilent,
    /// The node said so.
    NodeEnded,
    /// The node was silent for [`IDLE_MAX`].
    NodeSilent,
    /// Nothing listens at the node any more.
    NodeGone,
    /// [`Input::End`].
    Cut,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Pass the datagram of the input to the other side.
    Forward,
    /// Send to the caller.
    ToCaller(Vec<u8>),
    /// Send to the node.
    ToNode(Vec<u8>),
    /// The node accepted: its answer is held until [`Input::Accept`].
    Opened,
    /// The node refused: dial another, or refuse with the same reason.
    NodeRefused(u32),
    /// The node did not answer: dial another, or refuse.
    NodeSilent,
    /// Nothing listens at the node: dial another, or refuse.
    NodeGone,
    /// The session is over. The socket towards the node is no longer needed.
    Ended(Ended),
    /// Forget the caller.
    Done,
}

enum State {
    /// Waits for [`Input::Dial`] or [`Input::Refuse`].
    Deciding { until: Mono },
    /// The induction went to the node.
    Inducing { stream_id: String, again_at: Mono, until: Mono },
    /// The conclusion went to the node.
    Concluding { conclusion: Vec<u8>, again_at: Mono, until: Mono },
    /// Datagrams pass. The conclusion is kept until the caller is seen to have its answer, which is held until it may.
    Open { server: u32, conclusion: Option<Vec<u8>>, held: Option<Vec<u8>>, caller_at: Mono, node_at: Mono },
    /// Every sign of life is answered with this.
    Over { answer: Vec<u8>, until: Mono },
}

/// The machine of one caller.
pub struct Session {
    socket: u32,
    /// The caller's conclusion, as it came.
    asked: Vec<u8>,
    state: State,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Session {
    /// Begins with a caller's conclusion whose cookie was good.
    ///
    /// # Errors
    /// It is no handshake.
    pub fn new(now: Mono, conclusion: &[u8]) -> Result<Self, HandshakeError> {
        let socket = Handshake::read(conclusion)?.socket;
        let until = now.saturating_add(DECIDE_MAX);
        Ok(Self { socket, asked: conclusion.to_vec(), state: State::Deciding { until } })
    }

    /// The caller's socket id.
    #[must_use]
    pub const fn socket(&self) -> u32 {
        self.socket
    }

    /// The node's socket id, while the session is open.
    #[must_use]
    pub const fn server(&self) -> Option<u32> {
        match &self.state {
            State::Open { server, .. } => Some(*server),
            State::Deciding { .. } | State::Inducing { .. } | State::Concluding { .. } | State::Over { .. } => None,
        }
    }

    /// When to call with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn next_at(&self) -> Mono {
        match &self.state {
            State::Deciding { until } | State::Over { until, .. } => *until,
            State::Inducing { again_at, until, .. } | State::Concluding { again_at, until, .. } => {
                (*again_at).min(*until)
            }
            State::Open { caller_at, node_at, .. } => (*caller_at).min(*node_at).saturating_add(IDLE_MAX),
        }
    }

    /// Takes one step. What is to be done is put behind what `out` holds.
    pub fn handle(&mut self, now: Mono, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Caller(datagram) => self.caller(now, datagram, out),
            Input::Node(datagram) => self.node(now, datagram, out),
            Input::Dial(stream_id) => self.dial(now, stream_id, out),
            Input::Refuse(reason) => self.refuse(now, reason, out),
            Input::Accept => self.accept(out),
            Input::NodeGone => self.gone(now, out),
            Input::End => self.end(now, out),
            Input::Tick => self.tick(now, out),
        }
    }

    fn caller(&mut self, now: Mono, datagram: &[u8], out: &mut Vec<Output>) {
        let Ok(packet) = Packet::read(datagram) else { return };
        match &mut self.state {
            State::Open { held: Some(_), .. } => {}
            State::Open { server, conclusion, caller_at, .. } => {
                if packet.destination() == *server {
                    *caller_at = now;
                    *conclusion = None;
                    out.push(Output::Forward);
                    if packet.is_shutdown() {
                        self.over(now, Ended::CallerLeft, out);
                    }
                } else if let Some(conclusion) = conclusion
                    && packet.is_handshake()
                {
                    // The node's answer was lost on the way; it gives it again.
                    out.push(Output::ToNode(conclusion.clone()));
                }
            }
            State::Inducing { again_at, .. } if packet.is_handshake() => {
                *again_at = now.saturating_add(RESEND);
                out.extend(self.induction().map(Output::ToNode));
            }
            State::Concluding { conclusion, again_at, .. } if packet.is_handshake() => {
                *again_at = now.saturating_add(RESEND);
                out.push(Output::ToNode(conclusion.clone()));
            }
            State::Over { answer, .. } if !packet.is_shutdown() => out.push(Output::ToCaller(answer.clone())),
            State::Deciding { .. } | State::Inducing { .. } | State::Concluding { .. } | State::Over { .. } => {}
        }
    }

    fn node(&mut self, now: Mono, datagram: &[u8], out: &mut Vec<Output>) {
        let Ok(packet) = Packet::read(datagram) else { return };
        if packet.destination() != self.socket {
            return;
        }
        match &mut self.state {
            State::Open { node_at, held, .. } => {
                *node_at = now;
                if held.is_some() && packet.is_handshake() {
                    return;
                }
                out.push(Output::Forward);
                if packet.is_shutdown() {
                    self.over(now, Ended::NodeEnded, out);
                }
            }
            State::Inducing { .. } | State::Concluding { .. } => self.node_shakes(now, datagram, out),
            State::Deciding { .. } | State::Over { .. } => {}
        }
    }

    fn node_shakes(&mut self, now: Mono, datagram: &[u8], out: &mut Vec<Output>) {
        let Ok(handshake) = Handshake::read(datagram) else { return };
        match (&mut self.state, handshake.kind) {
            (State::Inducing { stream_id, until, .. }, Kind::Induction) => {
                let written =
                    Handshake::read(&self.asked).and_then(|asked| conclude(&asked, handshake.cookie, stream_id));
                let Ok(conclusion) = written else { return self.undecided(now, Output::NodeSilent, out) };
                out.push(Output::ToNode(conclusion.clone()));
                self.state = State::Concluding { conclusion, again_at: now.saturating_add(RESEND), until: *until };
            }
            (State::Concluding { conclusion, .. }, Kind::Conclusion) => {
                let conclusion = Some(std::mem::take(conclusion));
                let held = Some(datagram.to_vec());
                self.state = State::Open { server: handshake.socket, conclusion, held, caller_at: now, node_at: now };
                out.push(Output::Opened);
            }
            (State::Inducing { .. } | State::Concluding { .. }, Kind::Rejection(reason)) => {
                self.undecided(now, Output::NodeRefused(reason), out);
            }
            _ => {}
        }
    }

    /// The caller's induction as it would have been: the conclusion without extensions and cookie.
    fn induction(&self) -> Option<Vec<u8>> {
        let asked: &[u8; HANDSHAKE_BYTES] = self.asked.first_chunk()?;
        let mut out = asked.to_vec();
        let fields: [(usize, &[u8]); 4] =
            [(16, &4_u32.to_be_bytes()), (20, &[0, 0, 0, 2]), (36, &1_u32.to_be_bytes()), (44, &[0; 4])];
        for (at, bytes) in fields {
            out.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
        }
        Some(out)
    }

    fn dial(&mut self, now: Mono, stream_id: &str, out: &mut Vec<Output>) {
        if !matches!(self.state, State::Deciding { .. }) {
            return;
        }
        out.extend(self.induction().map(Output::ToNode));
        self.state = State::Inducing {
            stream_id: stream_id.to_owned(),
            again_at: now.saturating_add(RESEND),
            until: now.saturating_add(NODE_ANSWERS_WITHIN),
        };
    }

    fn refuse(&mut self, now: Mono, reason: u32, out: &mut Vec<Output>) {
        if matches!(self.state, State::Over { .. } | State::Open { .. }) {
            return;
        }
        let answer = self.rejection(reason);
        out.push(Output::ToCaller(answer.clone()));
        self.state = State::Over { answer, until: now.saturating_add(LINGER) };
    }

    fn rejection(&self, reason: u32) -> Vec<u8> {
        Handshake::read(&self.asked).map(|asked| rejection(&asked, reason).to_vec()).unwrap_or_default()
    }

    fn accept(&mut self, out: &mut Vec<Output>) {
        if let State::Open { held, .. } = &mut self.state {
            out.extend(held.take().map(Output::ToCaller));
        }
    }

    /// What tells the caller that it is over: a refusal, as long as it was not let in.
    fn farewell(&self) -> Vec<u8> {
        if let State::Open { held: Some(_), .. } = self.state {
            return self.rejection(super::reject::DOWN);
        }
        shutdown(self.socket, 0).to_vec()
    }

    fn gone(&mut self, now: Mono, out: &mut Vec<Output>) {
        match self.state {
            State::Open { .. } => self.both_told(now, Ended::NodeGone, out),
            State::Inducing { .. } | State::Concluding { .. } => self.undecided(now, Output::NodeGone, out),
            State::Deciding { .. } | State::Over { .. } => {}
        }
    }

    /// Ends an open session for both sides.
    fn both_told(&mut self, now: Mono, why: Ended, out: &mut Vec<Output>) {
        out.extend(self.server().map(|server| Output::ToNode(shutdown(server, 0).to_vec())));
        out.push(Output::ToCaller(self.farewell()));
        self.over(now, why, out);
    }

    fn end(&mut self, now: Mono, out: &mut Vec<Output>) {
        match &self.state {
            State::Open { .. } => self.both_told(now, Ended::Cut, out),
            State::Deciding { .. } | State::Inducing { .. } | State::Concluding { .. } => {
                self.refuse(now, super::reject::DOWN, out);
                out.push(Output::Ended(Ended::Cut));
            }
            State::Over { .. } => {}
        }
    }

    fn over(&mut self, now: Mono, why: Ended, out: &mut Vec<Output>) {
        out.push(Output::Ended(why));
        let answer = self.farewell();
        self.state = State::Over { answer, until: now.saturating_add(LINGER) };
    }

    /// The node was of no use: somebody has to decide anew.
    fn undecided(&mut self, now: Mono, why: Output, out: &mut Vec<Output>) {
        self.state = State::Deciding { until: now.saturating_add(DECIDE_MAX) };
        out.push(why);
    }

    fn tick(&mut self, now: Mono, out: &mut Vec<Output>) {
        match &mut self.state {
            State::Deciding { until } | State::Over { until, .. } if *until <= now => out.push(Output::Done),
            State::Inducing { until, .. } | State::Concluding { until, .. } if *until <= now => {
                self.undecided(now, Output::NodeSilent, out);
            }
            State::Inducing { again_at, .. } if *again_at <= now => {
                *again_at = now.saturating_add(RESEND);
                out.extend(self.induction().map(Output::ToNode));
            }
            State::Concluding { conclusion, again_at, .. } if *again_at <= now => {
                *again_at = now.saturating_add(RESEND);
                out.push(Output::ToNode(conclusion.clone()));
            }
            State::Open { caller_at, node_at, .. } => {
                let quiet = |since: Mono| since.saturating_add(IDLE_MAX) <= now;
                let why = match (quiet(*caller_at), quiet(*node_at)) {
                    (true, _) => Ended::CallerSilent,
                    (false, true) => Ended::NodeSilent,
                    (false, false) => return,
                };
                self.both_told(now, why, out);
            }
            State::Deciding { .. } | State::Inducing { .. } | State::Concluding { .. } | State::Over { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
