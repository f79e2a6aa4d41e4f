//! Every Redis key and channel, made here and nowhere else, under the prefix `ks:`.
//!
//! One command touches one key, so Redis Cluster works; where a script touches two, they share a hash tag (`{..}`).

use crate::ids::{ControlId, EdgeId, NodeId, SessionId, StreamId, TokenId};
use std::net::IpAddr;

/// [`crate::secret::PublishedSecrets`] as JSON; no expiry. Written by control-api at start and every 10 s.
pub const SECRETS: &str = "ks:secrets";
/// Says that Redis holds what control-api put there; absent after a flush or restart without persistence, which starts a rebuild.
pub const FILLED: &str = "ks:filled";
/// Hash of control id → [`crate::fleet::ControlInfo`] JSON with its own `seen_at`.
pub const CONTROLS: &str = "ks:controls";
/// Hash of edge id → [`crate::fleet::EdgeInfo`] JSON with its own `seen_at`.
pub const EDGES: &str = "ks:edges";
/// Hash of node id → [`crate::fleet::NodeInfo`] JSON as last confirmed by a heartbeat or hook.
pub const NODES: &str = "ks:nodes";
/// Hash of node id → `{service} {unix ms}`: the last hook that a control node heard which is not the node's prober, written once a second at most.
pub const NODE_SIGNS: &str = "ks:node-signs";
/// Sorted set of revoked token ids, score = the token's own expiry in unix seconds: the edges' replica is read from here.
pub const REVOKED: &str = "ks:revoked";
/// Channel of [`crate::event::Told`] JSON.
pub const EVENTS: &str = "ks:events";
/// Number of the last message on [`EVENTS`].
///
/// Redis itself gives the numbers, so all processes count alike: whoever sees one left out, or reads a number here that it has not heard, has
/// missed news and reads everything again.
pub const EVENTS_NUMBER: &str = "ks:events-number";
/// [`crate::node::Membership`] JSON; no expiry. Written only over the version it was made from.
pub const MEMBERS: &str = "ks:members";
/// Channel between control nodes: the rows of `nodes` changed, read them again. The message says nothing more.
pub const ENROLMENTS: &str = "ks:enrolments";
/// Channel of the gossip of control nodes.
pub const GOSSIP: &str = "ks:gossip";
/// Stream (capped) of history rows waiting for Postgres.
pub const HISTORY_QUEUE: &str = "ks:history";
/// Entries kept in [`HISTORY_QUEUE`] at most.
pub const HISTORY_QUEUE_MAX: u64 = 100_000;

/// List of [`crate::journal::JournalEntry`] JSON that control-api accepted while Postgres was away, oldest first, at most
/// [`crate::journal::ENTRIES_MAX`].
pub const JOURNAL: &str = "ks:journal";

/// `"1"` while the token is valid and unused, the session id once a single-use token was taken; expires with the token.
#[must_use]
pub fn token(jti: &TokenId) -> String {
    format!("ks:jti:{jti}")
}

/// [`crate::fleet::StreamCache`] JSON: visibility and owner, for admission; expires after [`STREAM_TTL_SECONDS`].
#[must_use]
pub fn stream(stream: &StreamId) -> String {
    format!("ks:stream:{stream}")
}

/// How long a [`stream`] entry is believed, in seconds; changes are also told on [`EVENTS`] and the key is overwritten at once.
pub const STREAM_TTL_SECONDS: u64 = 60;

/// [`crate::fleet::Placement`] JSON of a live stream; absent when nobody publishes.
#[must_use]
pub fn placement(stream: &StreamId) -> String {
    format!("ks:place:{stream}")
}

/// `SCAN` pattern of all [`placement`] keys: what an edge reads whole at its start.
pub const PLACEMENTS_PATTERN: &str = "ks:place:*";

/// [`crate::fleet::KeyCache`] JSON of a valid stream key by its SHA-256 in hexadecimal; expires with the key or after [`STREAM_TTL_SECONDS`].
#[must_use]
pub fn stream_key(hash: &str) -> String {
    format!("ks:key:{hash}")
}

/// [`crate::session::Session`] JSON; kept for [`CLOSED_SESSION_TTL_SECONDS`] after the end.
#[must_use]
pub fn session(session: &SessionId) -> String {
    format!("ks:sess:{session}")
}

/// How long a closed session stays readable, in seconds.
pub const CLOSED_SESSION_TTL_SECONDS: u64 = 600;

/// Hash of `{service}/{client}` → `{bytes} {unix ms}`: since when a publisher's byte count stands still. Expires when nobody watches.
#[must_use]
pub fn node_watch(node: &NodeId) -> String {
    format!("ks:watch:{node}")
}

/// Marks a node whose silence was told already, until it is heard again.
#[must_use]
pub fn node_down(node: &NodeId) -> String {
    format!("ks:node-down:{node}")
}

/// State of one rate limit for one address.
#[must_use]
pub fn limit_by_address(name: &str, address: IpAddr) -> String {
    format!("ks:limit:{name}:{address}")
}

/// State of one rate limit for one account or token.
#[must_use]
pub fn limit_by_id(name: &str, id: &str) -> String {
    format!("ks:limit:{name}:id:{id}")
}

/// The answer given to an `Idempotency-Key`, per user.
#[must_use]
pub fn idempotency(user: &str, key_hash: &str) -> String {
    format!("ks:idem:{user}:{key_hash}")
}

/// Leases that make one control node do a periodic job.
#[must_use]
pub fn lease(job: &str) -> String {
    format!("ks:lease:{job}")
}

/// The private channel of one control node (answers of the gossip).
#[must_use]
pub fn control_channel(control: &ControlId) -> String {
    format!("ks:to-control:{control}")
}

/// The private channel of one edge.
#[must_use]
pub fn edge_channel(edge: &EdgeId) -> String {
    format!("ks:to-edge:{edge}")
}

/// Hash of session id → [`crate::traffic::Sample`]: what one edge carried of each session that passes through it.
///
/// Only samples that changed are written, and the hash expires [`TRAFFIC_TTL_SECONDS`] after the last.
#[must_use]
pub fn traffic(edge: &EdgeId) -> String {
    format!("ks:traffic:{edge}")
}

/// How long an edge's [`traffic`] is kept after its last write, in seconds.
pub const TRAFFIC_TTL_SECONDS: u64 = 60;

/// Says that an edge served an HLS session that another edge opened, so that the other does not take it for gone.
#[must_use]
pub fn hls_seen(session: &SessionId) -> String {
    format!("ks:hls-seen:{session}")
}
