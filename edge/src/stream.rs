//! Streams this edge deals with: one actor each, which holds the stream's placement and the sessions opened here.
//!
//! An actor starts with the first admitted request for its stream and ends itself when nobody has asked for it for a while and no session
//! is left. Media never passes through it.

mod actor;
pub mod core;
mod handle;
mod lookup;
mod registry;

pub use handle::{PublishTurn, Seen, StreamError, StreamHandle};
pub use lookup::Lookup;
pub use registry::Registry;

#[cfg(test)]
mod tests;
