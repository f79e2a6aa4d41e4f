//! Why a message is refused. A refused message changes nothing.

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than any of ours.
    #[error("the message has {got} bytes, at most {limit} are read")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// It ends in the middle, or its parts do not fit together.
    #[error("the message is damaged")]
    Damaged,
    /// Its seal was not made with the cluster's secret. Check that all control nodes read the same Postgres, or have the same `EDGE_SECRET`.
    #[error("the message was not sealed by this cluster")]
    Stranger,
    /// Its sender is older than any we can read. Update it.
    #[error("the message is of format {got}, older than can be read")]
    TooOld {
        /// Its format.
        got: u8,
    },
    /// Its sender is newer, and says that we cannot read it. Update this node.
    #[error("the message needs a reader of format {needs}")]
    TooNew {
        /// The format a reader must know.
        needs: u8,
    },
    /// Of a kind that this version does not know.
    #[error("the message is of kind {kind}, which is not known")]
    UnknownKind {
        /// Its kind.
        kind: u8,
    },
    /// It was made long ago, or its sender's clock is wrong. Check the clocks.
    #[error("the message is {off_ms} ms off our clock")]
    Clock {
        /// How far, in milliseconds.
        off_ms: u64,
    },
    /// It speaks of changes that nobody can have made yet.
    #[error("the message tells of changes from the future")]
    Future,
    /// It speaks for somebody else, or of more processes than a cluster has.
    #[error("the message tells what its sender cannot know")]
    NotTheirs,
    /// It is for another control node.
    #[error("the message is for another node")]
    NotForUs,
    /// Its sender asks more often than it could use.
    #[error("the sender asks too often")]
    TooOften,
}

impl Error {
    /// All of them by the word that metrics use.
    pub const WORDS: [&'static str; 11] = [
        "too_long",
        "damaged",
        "stranger",
        "too_old",
        "too_new",
        "unknown_kind",
        "clock",
        "future",
        "not_theirs",
        "not_for_us",
        "too_often",
    ];

    /// The word for metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Damaged => "damaged",
            Self::Stranger => "stranger",
            Self::TooOld { .. } => "too_old",
            Self::TooNew { .. } => "too_new",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::Clock { .. } => "clock",
            Self::Future => "future",
            Self::NotTheirs => "not_theirs",
            Self::NotForUs => "not_for_us",
            Self::TooOften => "too_often",
        }
    }
}
