//! The pure modules of control-api, compiled from their own files: the very rules that run, without stores and sockets around them.

#[path = "../../../control/src/domain/claims.rs"]
pub mod claims;
#[path = "../../../control/src/domain/health.rs"]
pub mod health;
#[path = "../../../control/src/domain/members.rs"]
pub mod members;
#[path = "../../../control/src/domain/nodes.rs"]
pub mod nodes;
#[path = "../../../control/src/domain/placing.rs"]
pub mod placing;
