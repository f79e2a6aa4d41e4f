//! HLS media playlists of a media node (RFC 8216): read with limits, checked, and written again under the cluster's own names and numbers.
//!
//! A node counts its segments from its own start, so the same name and number may mean different media after a restart or on another
//! node. What viewers see is made of (epoch, the node's number), which only grows and is the same at every edge:
//!
//! | | node | viewers |
//! |---|---|---|
//! | segment | `{stream}-{rest}` | `{stream}.{epoch}.{rest}`: a name means one piece of media for ever, and may be cached for ever |
//! | media sequence | n | `epoch << 26 \| n` |
//! | discontinuity sequence | d, or none | `epoch << 8 \| d`, and one more unless the list begins with a discontinuity |
//!
//! A stream id has no dot, so a name reads back in one way.

mod names;
mod parse;
mod render;

pub use names::{NAME_LEN_MAX, NodeName, SegmentKind, SegmentName};
pub use parse::{Error, PLAYLIST_BYTES_MAX, Playlist, SEGMENTS_MAX, Segment};
pub use render::{View, master, media_sequence};
