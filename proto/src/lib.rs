//! Everything two Keystone processes say to each other, and the pure parsers of what others say to them.
//!
//! No sockets, clocks, randomness or environment: bytes and times come in as values. Both services and the operator's commands use these
//! types, so a field exists once.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod api;
pub mod event;
pub mod fleet;
pub mod handle;
pub mod ice;
pub mod ids;
pub mod internal;
pub mod journal;
pub mod keys;
pub mod node;
pub mod secret;
pub mod session;
pub mod srs;
pub mod stream;
pub mod stream_key;
pub mod ticket;
pub mod token;
pub mod traffic;
pub mod viewer;
pub mod wire;

pub use ids::{BroadcastId, ClientId, ControlId, EdgeId, NodeId, ServiceId, SessionId, StreamId, TokenId, UserId};
