//! A seeded simulation of a cluster: control nodes, edges, media nodes, Postgres and Redis on one thread in virtual time.
//!
//! What decides is the real thing: the claim rules, the health of nodes, the membership and the placing of control-api, the session table that
//! gossips, the ring, the edge's replica. What is around them is this crate: the stores, the network, SRS, the clients, and the shells, which are
//! written after the real ones. docs/simulation.md says what is modelled and what is not.
//!
//! The same seed gives the same run, step by step. [`run`] runs one.

#[path = "../../../control/src/health/controls.rs"]
pub mod controls;
/// The pure modules of control-api, compiled from their own files (`domain` is a link to their folder): the very rules that run, without stores and
/// sockets around them.
pub mod domain {
    pub mod claims;
    pub mod health;
    pub mod members;
    pub mod nodes;
    pub mod placing;
}
#[path = "../../../edge/src/replica/homes.rs"]
pub mod homes;
#[path = "../../../edge/src/replica/placements.rs"]
pub mod placements;

mod check;
mod clients;
mod control;
mod dice;
mod edge;
mod exec;
mod faults;
mod forward;
mod net;
mod pg;
mod redis;
mod run;
mod srs;
mod world;

pub use run::{Outcome, run, run_all, run_many};

/// A rule that is broken on purpose, to see that the checks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Broken {
    /// None.
    #[default]
    Nothing,
    /// A stream that nobody publishes begins with its first epoch again.
    EpochForgotten,
    /// A claim does not look at the bound.
    NoBound,
    /// The end of any connection frees the stream it names.
    AnybodyEnds,
    /// The prober alone calls a node down.
    OneWitness,
    /// A control node whose channel is down thinks that it is not, and adopts.
    AdoptWhileDown,
    /// An end that comes before its beginning is forgotten, and nobody compares the table with the nodes.
    ForgetEarlyClose,
    /// An edge does not look at the numbers of news, and reads the placements once.
    RawNews,
}

impl Broken {
    /// Every one that must be caught.
    pub const ALL: [Self; 7] = [
        Self::EpochForgotten,
        Self::NoBound,
        Self::AnybodyEnds,
        Self::OneWitness,
        Self::AdoptWhileDown,
        Self::ForgetEarlyClose,
        Self::RawNews,
    ];
}
