//! Rules about accounts, streams, tokens and limits: values in, decisions out. No SQL, no HTTP, no clock.

pub mod account;
pub mod claims;
pub mod dialback;
pub mod drain;
pub mod edges;
pub mod enrolment;
pub mod health;
pub mod homes;
pub mod hooks;
pub mod limit;
pub mod members;
pub mod nodes;
pub mod placing;
pub mod route;
pub mod sessions;
pub mod stream;
pub mod token;
pub mod told;

/// A value that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Invalid {
    /// Path of the value in the request's body.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}
