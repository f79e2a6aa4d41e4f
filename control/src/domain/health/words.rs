//! What is told to a machine, and what comes out of it.

use proto::{
    ControlId, EdgeId, ServiceId,
    node::{Met, NodeState},
};

/// Who met the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Witness {
    /// This control node, probing it.
    Prober,
    /// Another control node, asked to look.
    Control(ControlId),
    /// An edge.
    Edge(EdgeId),
}

/// What is told to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A heartbeat of this run.
    Beat(ServiceId),
    /// Word of a heartbeat that another control node heard, maybe a while ago.
    Heard(ServiceId),
    /// A hook of this run; of another run it is a late one and tells nothing.
    Hook(ServiceId),
    /// What a witness met of this run. The prober names the run that answered.
    Word(Witness, ServiceId, Met),
    /// Whether the dial-back of its ports, its secret and its version are in order.
    Checked(bool),
    /// Whether clients that own nothing (any more) are left on it.
    Stale(bool),
    /// What its prober, another control node, judged.
    Told(NodeState, Option<ServiceId>),
    /// The control node itself hears nobody: what it misses proves nothing, and its silence begins anew when it hears again.
    Deaf,
    /// Time went by.
    Tick,
}

/// Why a state changed; the word of metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It answers, and nothing is against it.
    Answers,
    /// One witness misses it.
    Missed,
    /// Two witnesses were refused the connection.
    TwoRefused,
    /// Two witnesses miss it, and no sign of life stands against them.
    TwoMissed,
    /// Nobody heard anything for [`super::ALONE_MS`].
    Silence,
    /// Another run answers.
    Restarted,
    /// It answers again after it was down.
    Back,
}

impl Cause {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Missed => "missed",
            Self::TwoRefused => "two_refused",
            Self::TwoMissed => "two_missed",
            Self::Silence => "silence",
            Self::Restarted => "restarted",
            Self::Back => "back",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The state is another one.
    Changed {
        /// The one before.
        from: NodeState,
        /// The new one.
        to: NodeState,
        /// Why.
        cause: Cause,
    },
    /// This run is the present one: what other runs carried is gone.
    Run(ServiceId),
    /// The prober should look at once.
    Look,
    /// Another control node should be asked.
    Ask,
    /// What it still carries should be looked at, and ended where it owns nothing.
    Clear,
}
