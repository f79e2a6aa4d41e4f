//! Bodies of the REST API under `/v1`. Requests refuse unknown fields; answers may grow.

mod account;
mod cluster;
mod page;
mod streams;

pub use account::{AccessToken, Login, Refresh, Register, User, UserRole};
pub use cluster::{AuditEntry, Node};
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Page};
pub use streams::{
    Broadcast, CreateStream, CreateToken, Ingest, IssuedToken, Live, NewStream, Playback, RotateKey, RotatedKey,
    Sample, Stream, Token, UpdateStream,
};
