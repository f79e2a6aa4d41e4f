//! The live session table, the same on every control node: a pure state machine around a table that merges.
//!
//! [`Core`] is one control node. What it is told at first hand goes in by [`Core::open`], [`Core::close`], [`Core::close_client`] and
//! [`Core::lost`]; what other nodes say by [`Core::message`]; time by [`Core::tick`], the state of the channel by [`Core::channel_up`] and
//! [`Core::channel_down`]. What comes out is read by [`Core::outputs`] after each of them: messages to publish, notices, wishes to compare with
//! the media nodes. There is no clock, socket or randomness in here.
//!
//! # The merge
//! An entry is a connection ([`Key`]). Its state is the highest of all changes to it, in this order: how often its run was lost (`era`); how often
//! the connection began anew (`turn`); ended before open; how often it was adopted (`term`); who numbered the change, and its number. So the same
//! changes in any order, any number of times, make the same table, an end that comes before its beginning wins, and what was ended once is never
//! open again by an old message. The loss of a run is one change that ends all its entries.
//!
//! # Repair
//! Every node numbers its changes ([`Origin`]). A receiver remembers up to which number it has all of each origin, tells that every 2 s, and asks
//! whoever has more for the range. Any node can answer for any origin, from its table: it sends what still stands of the range. What does not stand any
//! more was overtaken by another change, which the asker has or asks for in turn. A snapshot is the same question from number 0.
//!
//! # Death
//! Ends are remembered for 10 min. A node that heard nothing for 9 min drops what others told it, takes a snapshot, and keeps its own entries
//! unsure until its shell has compared them with the media nodes ([`Output::Reconcile`]; [`Core::open`] confirms, [`Core::close`] ends). The entries of a
//! node that is silent for 15 s, or said goodbye, are numbered anew by the living node with the lowest id, with a higher term; if the
//! silent one comes back it finds them to be another's. A node whose own channel is down judges nobody.
//!
//! ```
//! use gossip::{Core, Keys, Now, Origin, Output};
//! # use proto::{*, secret::*, session::*};
//! let keys = Keys::new(&Keyring { current: ClusterSecret::from_setting("test"), previous: None });
//! let mut now = Now { mono_ms: 0, unix_ms: 1_700_000_000_000 };
//! let node = |name: &str| {
//!     let me = Origin { control: ControlId::parse(name).unwrap(), incarnation: 1 };
//!     let mut core = Core::new(me, keys.clone(), 7, now);
//!     core.channel_up(now);
//!     core
//! };
//! let (mut a, mut b) = (node("c-a"), node("c-b"));
//! # let session = Session { id: SessionId::from_bytes([1; 16]), stream: StreamId::parse("cam").unwrap(), role: Role::Play, protocol: Protocol::Rtmp,
//! #   node: NodeId::parse("n0").unwrap(), service: ServiceId::parse("run1").unwrap(), client_id: ClientId::parse("abc").unwrap(), edge: None, ip: None,
//! #   epoch: 1, broadcast: None, opened_at: time::OffsetDateTime::UNIX_EPOCH, closed_at: None, reason: None };
//! # let known = Known { session, owner: None, credential: None };
//! a.open(now, &known);
//! now.mono_ms += 10;
//! a.tick(now);
//! for output in a.outputs() {
//!     if let Output::Publish(bytes) = output {
//!         b.message(now, &bytes).unwrap();
//!     }
//! }
//! assert_eq!(b.viewers(&known.session.stream), 1);
//! assert_eq!(a.digest(), b.digest());
//! ```
//!
//! The channel must bring a node its own messages back too, as Redis does: that is how it knows that its subscription lives.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod adopt;
mod census;
mod codec;
mod core;
mod entry;
mod error;
mod intern;
mod key;
pub mod limits;
mod local;
mod merge;
mod origin;
mod repair;
mod slab;
mod slot;
mod table;
mod view;
mod wire;

pub use codec::{FORMAT, Keys};
pub use core::{Core, Event, Now, Output, Why};
pub use error::Error;
pub use key::{Key, Run};
pub use local::Opened;
pub use origin::Origin;
pub use view::{Filter, OnNode, Size};
