//! `http_hooks`: one body for every action, as SRS 5 to 7 post it.
//!
//! Every field but `action` and `client_id` is optional in the form, because SRS leaves out what it does not have (`stream_id`) and names some
//! things twice (`server_id` here, `server` in heartbeats). What a hook *must* have for its action is asked of the accessors.

use crate::{
    ids::{ClientId, IdError, NodeId, ServiceId, StreamId},
    session::Protocol,
    srs::param::Param,
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// Largest hook or heartbeat body that is read, in bytes. SRS sends under 4 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The application every stream lives under.
pub const APP: &str = "live";
const DEFAULT_VHOST: &str = "__defaultVhost__";
const EXTENSIONS: [&str; 4] = [".m3u8", ".flv", ".ts", ".aac"];

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// An RTMP or SRT client connected.
    OnConnect,
    /// An RTMP or SRT client is gone; names no stream.
    OnClose,
    /// A publisher asks.
    OnPublish,
    /// A publisher is gone, or was refused, or never was (docs/srs.md).
    OnUnpublish,
    /// A player asks.
    OnPlay,
    /// A player is gone.
    OnStop,
    /// A recording file is complete.
    OnDvr,
    /// An HLS segment is complete.
    OnHls,
    /// Asks where to forward a stream to.
    OnForward,
}

impl Action {
    /// The word used in metrics and logs: SRS's own.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnConnect => "on_connect",
            Self::OnClose => "on_close",
            Self::OnPublish => "on_publish",
            Self::OnUnpublish => "on_unpublish",
            Self::OnPlay => "on_play",
            Self::OnStop => "on_stop",
            Self::OnDvr => "on_dvr",
            Self::OnHls => "on_hls",
            Self::OnForward => "on_forward",
        }
    }
}

/// A hook as posted. Its `Debug` form leaves out what may hold a secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Hook {
    /// What happened.
    pub action: Action,
    /// The client as this run of SRS calls it.
    pub client_id: String,
    /// The node.
    #[serde(alias = "server", default)]
    pub server_id: String,
    /// Its run.
    #[serde(alias = "service", default)]
    pub service_id: String,
    /// The client's address; spoofable for HTTP-based protocols on an open node.
    #[serde(default)]
    pub ip: String,
    /// The virtual host; for FLV and HLS whatever the client wrote.
    #[serde(default)]
    pub vhost: String,
    /// The application.
    #[serde(default)]
    pub app: String,
    /// The stream, with its extension for HLS and some FLV hooks.
    #[serde(default)]
    pub stream: String,
    /// What stands behind the stream name.
    #[serde(default)]
    pub param: String,
    /// Empty for WHIP and WHEP.
    #[serde(default, rename = "tcUrl")]
    pub tc_url: String,
    /// `/app/stream` without extension, with the vhost in front unless it is the default one.
    #[serde(default)]
    pub stream_url: String,
    /// SRS's id of the stream's statistics entry; absent when there is none.
    #[serde(default)]
    pub stream_id: Option<String>,
    /// Bytes sent to the client (`on_close`).
    #[serde(default)]
    pub send_bytes: Option<u64>,
    /// Bytes received from the client (`on_close`).
    #[serde(default)]
    pub recv_bytes: Option<u64>,
    /// Seconds (`on_hls`).
    #[serde(default)]
    pub duration: Option<f64>,
    /// Path of the file (`on_dvr`, `on_hls`).
    #[serde(default)]
    pub file: Option<String>,
    /// Number of the segment (`on_hls`).
    #[serde(default)]
    pub seq_no: Option<u64>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("action", &self.action)
            .field("client_id", &self.client_id)
            .field("server_id", &self.server_id)
            .field("service_id", &self.service_id)
            .field("app", &self.app)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// Why a hook cannot be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Its node, run or client is not an id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Another application than [`APP`].
    #[error("streams live under app `{APP}`")]
    App,
    /// Another virtual host than the default one.
    #[error("only the default vhost is served")]
    Vhost,
    /// `stream_url` names another stream than `stream`: a dotted or otherwise aliased name.
    #[error("the stream's name has an alias in SRS")]
    Alias,
}

impl Hook {
    /// The node, its run and the client: the key of everything a hook is about.
    ///
    /// # Errors
    /// [`HookError::Id`] if one of them is not an id.
    pub fn origin(&self) -> Result<(NodeId, ServiceId, ClientId), HookError> {
        let node = NodeId::parse(&self.server_id)?;
        let service = ServiceId::parse(&self.service_id)?;
        Ok((node, service, ClientId::parse(&self.client_id)?))
    }

    /// The stream a hook is about, by one canonical name.
    ///
    /// # Errors
    /// [`HookError`] for names that SRS would let collide with another stream's: refuse the client.
    pub fn stream(&self) -> Result<StreamId, HookError> {
        if self.app != APP {
            return Err(HookError::App);
        }
        if !self.vhost.is_empty() && self.vhost != DEFAULT_VHOST {
            return Err(HookError::Vhost);
        }
        let bare = EXTENSIONS.into_iter().find_map(|e| self.stream.strip_suffix(e)).unwrap_or(&self.stream);
        let stream = StreamId::parse(bare)?;
        let url = self.stream_url.strip_prefix('/').and_then(|u| u.strip_prefix(APP)).and_then(|u| u.strip_prefix('/'));
        match url {
            Some(name) if name == stream.as_str() => Ok(stream),
            None if self.stream_url.is_empty() => Ok(stream),
            Some(_) | None => Err(HookError::Alias),
        }
    }

    /// What stands behind the stream name.
    #[must_use]
    pub fn param(&self) -> Param<'_> {
        Param::new(&self.param)
    }

    /// The client's address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.ip.parse().ok()
    }

    /// How the media travels, by what SRS tells of each protocol: WebRTC has no tcUrl (or `webrtc:`), SRT `srt:`, HLS the extension and an
    /// `http:` tcUrl, FLV an `rtmp:` tcUrl whose host is a vhost name and no `on_connect` before it.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        if self.tc_url.is_empty() || self.tc_url.starts_with("webrtc:") {
            Protocol::Webrtc
        } else if self.tc_url.starts_with("srt:") {
            Protocol::Srt
        } else if self.tc_url.starts_with("http:") || self.stream.ends_with(".m3u8") {
            Protocol::Hls
        } else if self.action == Action::OnPlay && self.tc_url.starts_with("rtmp://__defaultVhost__/") {
            Protocol::HttpFlv
        } else {
            Protocol::Rtmp
        }
    }

    /// Whether a refusal leaves a session behind in SRS that holds the stream's name and must be kicked: WHIP and its JSON form.
    #[must_use]
    pub fn refusal_needs_kick(&self) -> bool {
        self.action == Action::OnPublish && self.protocol() == Protocol::Webrtc
    }
}
