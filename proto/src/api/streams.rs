//! Streams, their keys, tokens, addresses and history.
use crate::{
    ids::{BroadcastId, NodeId, SessionId, StreamId, TokenId, UserId},
    session::{EndReason, Protocol, Role},
    stream::Visibility,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use time::OffsetDateTime;

/// `POST /v1/streams`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateStream {
    /// 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub title: String,
    /// Who may play it; `private` when absent.
    #[serde(default)]
    pub visibility: Visibility,
}

/// `PATCH /v1/streams/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateStream {
    /// 1 to 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 120)]
    pub title: Option<String>,
    /// Who may play it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// A stream.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stream {
    /// Id; the name in every URL.
    pub id: StreamId,
    /// Title.
    pub title: String,
    /// Who may play it.
    pub visibility: Visibility,
    /// Its owner.
    pub owner: UserId,
    /// The owner's display name.
    pub owner_name: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Present while somebody publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

/// A stream being published.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Live {
    /// The node it is on.
    pub node: NodeId,
    /// Grows with every publisher and move.
    pub epoch: u64,
    /// How the publisher's media arrives.
    pub protocol: Protocol,
    /// The publisher's session.
    pub session: SessionId,
    /// Viewers now.
    pub viewers: u64,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// Answer of `POST /v1/streams`: the only time its key is shown.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NewStream {
    /// The stream.
    pub stream: Stream,
    /// Its stream key. Keep it: it is stored only as a hash.
    pub stream_key: String,
}

/// `POST /v1/streams/{id}:rotate-key`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Seconds for which the old key goes on working, 0 to 604800; 0 when absent, and a publisher on the old key is then ended.
    #[serde(default)]
    #[schema(maximum = 604_800)]
    pub overlap_seconds: u32,
}

/// Answer of `:rotate-key`.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RotatedKey {
    /// The new key, shown only now.
    pub stream_key: String,
    /// When the old key ends.
    #[serde(with = "time::serde::rfc3339")]
    pub previous_valid_until: OffsetDateTime,
}

/// `POST /v1/streams/{id}/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it allows.
    pub action: Role,
    /// Seconds it lives, 1 to 2592000; 3600 when absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub ttl_seconds: Option<u64>,
    /// Good for one admission.
    #[serde(default)]
    pub single_use: bool,
    /// Good from this address only.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub ip: Option<IpAddr>,
}

/// A token as listed.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it allows.
    pub action: Role,
    /// Good for one admission.
    pub single_use: bool,
    /// Good from this address only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ip: Option<IpAddr>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was revoked.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<OffsetDateTime>,
}

/// Answer of `POST .../tokens`: the only time the token itself is shown.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedToken {
    /// Goes into `Authorization: Bearer`, or behind a URL as `?token=`.
    pub token: String,
    /// What is listed of it.
    #[serde(flatten)]
    pub info: Token,
}

/// `GET /v1/streams/{id}/ingest`: where to publish. `{key}` stands for the stream key or a publish token.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ingest {
    /// WHIP; the key or token goes into `Authorization: Bearer`.
    pub whip: String,
    /// RTMP server, the first of an encoder's two fields.
    pub rtmp_server: String,
    /// RTMP stream key field: `{id}?token={key}`.
    pub rtmp_stream_key: String,
    /// SRT with its stream id.
    pub srt: String,
}

/// `GET /v1/streams/{id}/playback`: where to watch. A private stream wants `?token=` or a Bearer besides.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Playback {
    /// WHEP.
    pub whep: String,
    /// HLS playlist.
    pub hls: String,
    /// HTTP-FLV.
    pub http_flv: String,
}

/// One publish from start to end.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Broadcast {
    /// Id.
    pub id: BroadcastId,
    /// Its stream.
    pub stream: StreamId,
    /// The node it was on.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: u64,
    /// How the media arrived.
    pub protocol: Protocol,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it ended; absent while it runs.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<OffsetDateTime>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
    /// Most viewers at once, as sampled.
    pub peak_viewers: u64,
}

/// One point of a stream's history, `GET /v1/streams/{id}/history`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sample {
    /// When it was taken.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Viewers.
    pub viewers: u64,
    /// From the publisher, kilobits a second over the last 30 s.
    pub kbps_in: i64,
    /// To the viewers together, kilobits a second over the last 30 s.
    pub kbps_out: i64,
}

hide!(NewStream, RotatedKey, IssuedToken);
