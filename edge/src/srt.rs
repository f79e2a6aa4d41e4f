//! SRT: callers on one UDP port, each led to its stream's node.
//!
//! Some threads of their own, each with a socket on the port (the kernel keeps a caller at one of them), a runtime and the callers that arrive there
//! ([`shard`]): nothing is shared and nothing is locked on a datagram's way. What comes from callers is passed on by the shard's one loop, what comes
//! from nodes by a task a caller ([`conn`]), which sleeps in between. Either way a burst costs one `recvmmsg` and one `sendmsg`: the kernel joins
//! datagrams of one sender (GRO) and takes them joined (GSO).
//!
//! What is said by whom and when is decided in [`proto::wire::srt`]; here are sockets, time, admission and counters. Media is neither read nor
//! copied more than into the thread's buffer and out of it.

mod batch;
mod caller;
mod conn;
mod listener;
mod refusal;
mod seats;
mod shard;

pub use listener::Listener;
pub use refusal::reason;
pub use seats::{CALLERS_MAX, CALLERS_PER_ADDRESS_MAX};
