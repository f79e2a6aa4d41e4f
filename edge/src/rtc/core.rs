//! Rules of the relay. No sockets, no clock: datagrams, addresses and times come in as values.
//!
//! A [`Gate`] decides about each datagram from outside: first by its source address, then, for an ICE check, by the ufrag in it. [`Paths`] are one
//! session's client as the relay sees it: the addresses that proved themselves by a signed check, and which of them media goes to.
//! [`Quarantine`] holds what a media node may still send to.

mod budget;
mod gate;
mod paths;
mod quarantine;

pub use budget::{Bucket, Budget};
pub(super) use gate::judge;
pub use gate::{Check, Drop, Gate, Look};
pub use paths::{Checked, PATHS_MAX, Path, Paths, Peer};
pub use quarantine::Quarantine;

use std::time::Duration;

/// Time since the relay started. A plain number, so that tests can write it down.
pub type Mono = Duration;

/// A session whose client sent nothing for this long is over: SRS gives it up 30 to 35 s after the last packet.
pub const IDLE: Duration = Duration::from_secs(30);
/// How long SRS may keep a source address mapped to a session that has ended. No port is used again before.
pub const QUARANTINE: Duration = Duration::from_secs(36);

#[cfg(test)]
mod tests;
