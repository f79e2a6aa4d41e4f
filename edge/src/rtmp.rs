//! RTMP at the edge: publishers and players on 1935, with TLS on a port of its own.
//!
//! `listener` accepts and bounds, `conn` is one connection's life: hear what the client wants, have it granted, open it at the stream's node as
//! a client of that node, and tell success only when the node has. Then `pump` carries bytes both ways. What is on the wire is
//! [`proto::wire::rtmp`]'s; docs/rtmp.md says what is taken and what is answered.
//!
//! A connection is a task on one of a few threads, each with a runtime of its own: the two sockets of a relay wake one task on one thread.

mod buffers;
mod close;
mod conn;
mod gate;
mod listener;
mod node;
mod pump;
mod refusal;
mod socket;
mod threads;

pub use listener::{Bound, Rtmp};

use std::time::Duration;

/// Connections at once, in all. Each is two sockets.
const CONNECTIONS_MAX: usize = 20_000;
/// Connections at once that have not said what they want yet, in all.
const HALF_OPEN_MAX: usize = 4_000;
/// Connections at once from one address: a venue behind one NAT.
const PER_ADDRESS_MAX: usize = 500;
/// Connections from one address that have not said what they want yet.
const HALF_OPEN_PER_ADDRESS_MAX: usize = 50;
/// How long a client gets for its handshake, TLS and PROXY header included.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How long it gets from there to its wish, and after a stream it has ended to the next.
const WISH_WITHIN: Duration = Duration::from_secs(10);
/// How long a peer may take none of the bytes it asked for.
const STALLED_MAX: Duration = Duration::from_secs(10);
/// Bytes a client may send before it was told that it may: what encoders pipeline.
const EARLY_BYTES_MAX: usize = 16 * 1024;
