//! What edges ask of control-api under `/internal/v1`, with a bearer made from the cluster secret.

use crate::{
    fleet::{Placement, StreamCache},
    ids::{EdgeId, IdError, NodeId, ServiceId, SessionId, StreamId, TokenId},
    node::SrtPort,
    secret::{ClusterSecret, Keyring, Purpose, mac, same},
    session::{EndReason, Protocol},
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How long a reservation lasts before a hook must have confirmed it, in seconds.
pub const RESERVATION_SECONDS: u64 = 10;
/// How long an internal bearer is good, in seconds; an edge makes a new one for every call.
pub const BEARER_SECONDS: u64 = 60;
/// Most nodes an edge proposes in one reservation.
pub const PROPOSED_NODES_MAX: usize = 64;

/// What let a publisher in. Two publishers with the same one may take each other over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Credential {
    /// A stream key, by its SHA-256 in hexadecimal.
    StreamKey {
        /// SHA-256 of the key.
        hash: String,
    },
    /// A publish token.
    Token {
        /// The token.
        jti: TokenId,
    },
    /// None was asked for: the edge runs with `EDGE_AUTH=open`.
    Open,
}

/// `POST /internal/v1/claims`: reserve a stream for a publisher before anything is opened at SRS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveRequest {
    /// The stream.
    pub stream: StreamId,
    /// The session id the edge drew.
    pub session: SessionId,
    /// The asking edge.
    pub edge: EdgeId,
    /// Nodes in the order the ring gives, each with the run the edge sees; at least one, at most [`PROPOSED_NODES_MAX`].
    pub nodes: Vec<ProposedNode>,
    /// How the media will travel.
    pub protocol: Protocol,
    /// What let the publisher in.
    pub credential: Credential,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client asked to end a present publisher of the same credential or owner (`takeover=1`).
    #[serde(default)]
    pub takeover: bool,
    /// For an SRT caller: the kind of port its node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srt: Option<SrtPort>,
}

/// A node an edge is ready to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedNode {
    /// The node.
    pub node: NodeId,
    /// Its run as the edge last saw it.
    pub service: ServiceId,
}

/// Answer 200 to [`ReserveRequest`]: the stream is this session's for [`RESERVATION_SECONDS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Where to publish: one of the proposed nodes, or another one where none of them can take the stream.
    pub node: NodeId,
    /// Its run.
    pub service: ServiceId,
    /// The claim's epoch.
    pub epoch: u64,
}

/// `POST /internal/v1/claims:release`: the edge could not open the session at SRS after all. Answer 204, also when nothing was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// The stream.
    pub stream: StreamId,
    /// The session that held it.
    pub session: SessionId,
    /// The epoch of its reservation; another epoch is left alone.
    pub epoch: u64,
}

/// `POST /internal/v1/keys:verify`: is this key good? Answer 200 with [`crate::fleet::KeyCache`], or 404.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyKeyRequest {
    /// SHA-256 of the key in hexadecimal.
    pub hash: String,
}

/// Answer of `GET /internal/v1/streams/{id}`; 404 when there is no such stream.
pub type StreamAnswer = StreamCache;

/// Answer of `GET /internal/v1/route/{id}`: where a live stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAnswer {
    /// `None`: nobody publishes it.
    pub placement: Option<Placement>,
}

/// Answer of `GET /internal/v1/sessions/{id}`; 404 when there never was one or it is forgotten.
pub type SessionAnswer = crate::session::Session;

/// Sessions in each list of one [`SessionsRequest`] at most: 256 openings are about 100 KiB of JSON.
pub const SESSIONS_BATCH_MAX: usize = 256;
/// How long an edge may be unheard, in seconds, before the sessions that it carries alone are over: three of its signs of life and some.
pub const EDGE_LEASE_SECONDS: u64 = 15;
/// How often an edge names all its sessions again, in seconds.
pub const SESSIONS_ALIVE_SECONDS: u64 = 30;

/// `POST /internal/v1/sessions`: sessions that only the asking edge knows (HLS). They last as long as its lease. Answer 200 with [`SessionsAnswer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsRequest {
    /// The asking edge.
    pub edge: EdgeId,
    /// They began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opened: Vec<EdgeSession>,
    /// They ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<EndedSession>,
    /// They still run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alive: Vec<SessionId>,
}

/// A session that an edge opened by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSession {
    /// Its id.
    pub id: SessionId,
    /// The stream it plays.
    pub stream: StreamId,
    /// How its media travels.
    pub protocol: Protocol,
    /// The node its stream was on.
    pub node: NodeId,
    /// That node's run.
    pub service: ServiceId,
    /// The epoch of the placement.
    pub epoch: u64,
    /// The client's address.
    pub client: IpAddr,
    /// What let it in.
    pub credential: Credential,
    /// Unix milliseconds of its first request.
    pub opened_ms: u64,
}

/// A session that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSession {
    /// Which one.
    pub id: SessionId,
    /// Why.
    pub reason: EndReason,
}

/// What control-api knows of the sessions in a [`SessionsRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsAnswer {
    /// Said to run, and not in the table: open them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<SessionId>,
    /// Said to run or opened, and over: the client is to be refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedSession>,
    /// Opened, and open at another edge, whose it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<SessionId>,
}

/// Makes the bearer of one internal call: `{edge}.{expiry, unix seconds}.{mac, hexadecimal}`.
#[must_use]
pub fn bearer(secret: &ClusterSecret, edge: &EdgeId, now_unix: u64) -> String {
    let expires = now_unix.saturating_add(BEARER_SECONDS);
    format!("{edge}.{expires}.{}", HEXLOWER.encode(&tag(secret, edge, expires)))
}

/// Why a bearer is not an edge's of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// Not `{edge}.{expiry}.{mac}`.
    #[error("not an internal bearer")]
    Malformed,
    /// Made with another secret.
    #[error("the internal bearer is not of this cluster")]
    Mac,
    /// Its time is over, or is too far in the future to be honest.
    #[error("the internal bearer has expired: do the clocks agree?")]
    Expired,
}

impl From<IdError> for BearerError {
    fn from(_: IdError) -> Self {
        Self::Malformed
    }
}

/// Reads a bearer and says which edge it is. Clocks may differ by [`BEARER_SECONDS`].
///
/// # Errors
/// [`BearerError`]: answer 401.
pub fn open_bearer(text: &str, keys: &Keyring, now_unix: u64) -> Result<EdgeId, BearerError> {
    let mut parts = text.splitn(3, '.');
    let edge = EdgeId::parse(parts.next().unwrap_or_default())?;
    let expires: u64 = parts.next().and_then(|t| t.parse().ok()).ok_or(BearerError::Malformed)?;
    let given = parts.next().and_then(|t| HEXLOWER.decode(t.as_bytes()).ok()).ok_or(BearerError::Malformed)?;
    if !keys.all().any(|secret| same(&tag(secret, &edge, expires), &given)) {
        return Err(BearerError::Mac);
    }
    let latest = now_unix.saturating_add(BEARER_SECONDS.saturating_mul(2));
    let oldest = now_unix.saturating_sub(BEARER_SECONDS);
    if expires < oldest || expires > latest { Err(BearerError::Expired) } else { Ok(edge) }
}

fn tag(secret: &ClusterSecret, edge: &EdgeId, expires: u64) -> [u8; 32] {
    mac(&secret.key(Purpose::Internal), &[edge.as_str().as_bytes(), &expires.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_names_its_edge_for_a_minute() {
        let keys = Keyring { current: ClusterSecret::from_setting("a"), previous: None };
        let edge = EdgeId::parse("edge-1").unwrap();
        let text = bearer(&keys.current, &edge, 1000);
        assert_eq!(open_bearer(&text, &keys, 1000), Ok(edge));
        assert_eq!(open_bearer(&text, &keys, 1121), Err(BearerError::Expired));
        assert_eq!(open_bearer(&text.replace("edge-1", "edge-2"), &keys, 1000), Err(BearerError::Mac));
        assert_eq!(open_bearer("edge-1", &keys, 1000), Err(BearerError::Malformed));
        let other = Keyring { current: ClusterSecret::from_setting("b"), previous: None };
        assert_eq!(open_bearer(&text, &other, 1000), Err(BearerError::Mac));
    }
}
