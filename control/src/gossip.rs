//! The live session table of this process, the same on every control node (crate `gossip`).
//!
//! [`table`] is what hooks and readers use, [`task`] talks to the other control nodes over Redis, `told` is what Redis keeps of single sessions.

pub mod table;
pub mod task;
mod told;

pub use table::GossipSessions;
