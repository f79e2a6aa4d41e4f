//! Bodies of the REST API under `/v1`. Requests refuse unknown fields; answers may grow.

/// Bodies that hold a secret print as their name only.
macro_rules! hide {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

mod account;
mod cluster;
mod page;
mod route;
mod session;
mod streams;

pub use account::{
    AccessToken, ChangePassword, CreateUser, Login, NewUser, PasswordReset, Refresh, Register, Registration,
    ResetPassword, UpdateUser, User, UserRole,
};
pub use cluster::{
    AuditEntry, Drain, DrainNode, EnrolNode, NewNode, Node, NodeCheck, Remaining, RotateNodeSecret, RotatedNodeSecret,
    UpdateNode,
};
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Page};
pub use route::{Route, RouteNode, RoutePlacement, RouteVerdict};
pub use session::SessionRead;
pub use streams::{
    Broadcast, CreateStream, CreateToken, Ingest, IssuedToken, Live, NewStream, Playback, RotateKey, RotatedKey,
    Sample, Stream, Token, UpdateStream,
};
