//! Which media node a stream belongs on: a consistent-hash ring with weights, and a decision that says why.
//!
//! Pure: same members, same answer, in every process and every release (`tests/ring_golden.rs` holds the owners of known keys).
//! [`Ring`] orders the nodes for a key; [`decide()`] walks that order and takes the first node that is up, has room and stays under the
//! bound, telling for each node it passes over what was against it.
//!
//! A node that is down stays on the ring and is passed over: its streams find their next owner, nobody else's stream moves, and they
//! come home when it is back.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod decide;
mod member;
mod ring;

pub use decide::{BOUND_PERCENT, Decision, Judged, PassedOver, Policy, Reason, Refusal, Verdict, decide, explain};
pub use member::{Limits, Load, Member, Resource, State, WEIGHT_MAX, Weight, WeightError, Zone};
pub use ring::{MEMBERS_MAX, Owners, POINTS_MAX, POINTS_PER_WEIGHT, Ring, RingError};
