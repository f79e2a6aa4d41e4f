//! Every bound and period of the gossip, with its arithmetic.

/// Longest message, in bytes, its seal included.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// What one entry can take at most in a message, in bytes: ten names of at most 65 bytes would be 650, and numbers and flags about 200 more.
pub const ENTRY_BYTES_MAX: usize = 1024;
/// Processes that a node knows of at most: every control node of the last 20 min. More than that is no cluster of ours.
pub const ORIGINS_MAX: usize = 4_096;
/// Lines of a vector in one message: 38 bytes each, so that 1,024 are well under [`MESSAGE_BYTES_MAX`].
pub const VECTOR_LINES_MAX: usize = 1_024;
/// Ranges wanted by one message.
pub const WANTS_MAX: usize = 512;
/// Messages that answer one want: about 8 × 700 entries, after which the asker asks on.
pub const ANSWER_MESSAGES_MAX: usize = 8;
/// Wants of one peer that are answered in one second; an asker has one under way at a time, so only a broken one asks more often.
pub const WANTS_A_SECOND_MAX: u32 = 1_000;
/// Highest number of a delta: 10,000 a second for 28,000 years.
pub const SEQ_MAX: u64 = 1 << 53;
/// Ranges beyond a hole that are remembered per process; what comes further is asked for again.
pub const RANGES_MAX: usize = 64;
/// Tombstones kept at most: 5,000 closes a second for 400 s; the oldest go first beyond that.
pub const TOMBSTONES_MAX: usize = 2_000_000;
/// Sessions read by one list at most, whatever the caller asks for.
pub const LIST_MAX: usize = 100_000;

/// Changes wait this long for others before they are sent, in milliseconds.
pub const FLUSH_MS: u64 = 5;
/// Changes that are sent without waiting.
pub const FLUSH_ENTRIES: u64 = 400;
/// Between two vectors of one node, in milliseconds.
pub const BEACON_MS: u64 = 2_000;
/// A vector that was asked for is sent at most this often, in milliseconds.
pub const BEACON_ASKED_MS: u64 = 100;
/// How long a message may be late before what it left out is asked for, in milliseconds.
pub const GAP_WAIT_MS: u64 = 50;
/// How long an answer may take, in milliseconds, before another peer is asked.
pub const ANSWER_WAIT_MS: u64 = 1_000;
/// A peer that did not answer is asked last for so long, in milliseconds.
pub const AVOID_MS: u64 = 3_000;
/// A node that was not heard for so long is dead, in milliseconds: seven vectors.
pub const DEAD_MS: u64 = 15_000;
/// Channel silence that means our own subscription is dead, in milliseconds: our own vectors come back to us too.
pub const SILENT_MS: u64 = 5_000;
/// Entries adopted in one tick.
pub const ADOPT_BATCH: usize = 500;
/// How long a close is remembered, in milliseconds (design: 10 min).
pub const TOMBSTONE_MS: u64 = 600_000;
/// A node that heard nothing for so long drops its replica, in milliseconds: a minute less than closes are remembered, which the repair takes.
pub const CUT_OFF_MS: u64 = 540_000;
/// A process that has no entry left is forgotten when it was not heard for so long, in milliseconds: twice as long as closes are remembered.
pub const FORGET_MS: u64 = 1_200_000;
/// A process that peers still speak of is remembered for so long, in milliseconds: fifteen vectors.
pub const MENTION_MS: u64 = 30_000;
/// A message whose clock is further from ours is refused, in milliseconds: older ones could be replayed, newer ones come from a broken clock.
pub const CLOCK_SKEW_MAX_MS: u64 = 300_000;
/// A node that no peer answers is alone after so long, in milliseconds.
pub const ALONE_MS: u64 = 1_500;
/// A new node counts as ready after so long whatever is missing, in milliseconds.
pub const JOIN_MAX_MS: u64 = 10_000;
/// Tombstones and forgotten names looked at in one tick.
pub const PRUNE_BATCH: usize = 4_096;
/// How long the loss of a run is remembered, in milliseconds: a day, after which a run that comes back is a wonder.
pub const LOST_MS: u64 = 86_400_000;
/// Between two looks for control nodes and runs to forget, in milliseconds.
pub const TIDY_MS: u64 = 1_000;
