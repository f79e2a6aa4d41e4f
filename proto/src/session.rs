//! Sessions: one publisher or one viewer, whatever the protocol.

use crate::{
    ids::{BroadcastId, ClientId, EdgeId, NodeId, ServiceId, SessionId, StreamId, UserId},
    internal::Credential,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use time::OffsetDateTime;

/// What a session does with its stream; also what a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends media.
    Publish,
    /// Receives media.
    Play,
}

impl Role {
    /// The word used in URLs, tokens, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }
}

/// How a session's media travels between client and cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// WebRTC, signalled by WHIP, WHEP or SRS's JSON form.
    Webrtc,
    /// RTMP or RTMPS.
    Rtmp,
    /// SRT.
    Srt,
    /// HLS playlists and segments.
    Hls,
    /// FLV over an endless HTTP answer.
    HttpFlv,
}

impl Protocol {
    /// The word used in URLs, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webrtc => "webrtc",
            Self::Rtmp => "rtmp",
            Self::Srt => "srt",
            Self::Hls => "hls",
            Self::HttpFlv => "http_flv",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The client left, or its media stopped and SRS timed it out.
    ClientLeft,
    /// Somebody with the right to do so ended it.
    Kicked,
    /// The same publisher came back and took the stream over.
    TakenOver,
    /// The token or key that admitted it was revoked, or the stream was deleted.
    Revoked,
    /// Its node restarted or was lost.
    NodeLost,
    /// Its stream moved to another node.
    StreamMoved,
    /// It was found gone when the cluster compared its table with SRS.
    Reconciled,
}

impl EndReason {
    /// Whether it says that the client is not wanted, and not only that somebody lost sight of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Kicked | Self::Revoked | Self::TakenOver => true,
            Self::ClientLeft | Self::NodeLost | Self::StreamMoved | Self::Reconciled => false,
        }
    }
}

/// A session as control-api knows it and shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// Its id, drawn by the edge that admitted it, or by control-api for a client that reached SRS directly.
    pub id: SessionId,
    /// The stream it publishes or plays.
    pub stream: StreamId,
    /// What it does.
    pub role: Role,
    /// How its media travels.
    pub protocol: Protocol,
    /// The node that carries it.
    pub node: NodeId,
    /// That node's run; a session never outlives it.
    pub service: ServiceId,
    /// The node's own name for it, the handle for a kick.
    pub client_id: ClientId,
    /// The edge that admitted it; `None` for a client that reached SRS directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeId>,
    /// The client's address; shown to the stream's owner and to admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ip: Option<IpAddr>,
    /// The placement epoch it was opened under (publishers).
    #[serde(default)]
    pub epoch: u64,
    /// The broadcast it belongs to, for publishers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<BroadcastId>,
    /// When its first hook arrived.
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    /// When it ended; `None` while it runs.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<OffsetDateTime>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
}

impl Session {
    /// Whether only its edge knows it: no media node has a client for it.
    #[must_use]
    pub const fn is_edges_own(&self) -> bool {
        matches!(self.protocol, Protocol::Hls) && self.edge.is_some()
    }
}

/// A session with what only control-api needs to know of it. Its JSON reads as a [`Session`] too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// Its stream's owner.
    #[serde(default)]
    pub owner: Option<UserId>,
    /// What let it in, if that was told: an edge does not tell what let a viewer in.
    #[serde(default)]
    pub credential: Option<Credential>,
}
