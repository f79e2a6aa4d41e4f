//! Answers of SRS's HTTP API that Keystone reads. SRS answers 200 with a `code`; errors are codes too.

use serde::{Deserialize, Serialize};

/// Entries asked for in one page: SRS's ids shift between pages, so everything is taken in one.
pub const PAGE_COUNT: u32 = 100_000;
/// `code` of an unknown client.
pub const CODE_CLIENT_NOT_FOUND: i64 = 2049;

/// What every answer begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// 0 is success.
    pub code: i64,
    /// The node.
    #[serde(default)]
    pub server: String,
    /// Its run.
    #[serde(default)]
    pub service: String,
    /// Its process id, as text.
    #[serde(default)]
    pub pid: String,
}

/// `GET /api/v1/versions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Versions {
    /// Code, node, run.
    #[serde(flatten)]
    pub head: Head,
    /// The version.
    #[serde(default)]
    pub data: Version,
}

/// A version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 5 in 5.0.216.
    #[serde(default)]
    pub major: u32,
    /// 0 in 5.0.216.
    #[serde(default)]
    pub minor: u32,
    /// 216 in 5.0.216.
    #[serde(default)]
    pub revision: u32,
    /// The whole.
    #[serde(default)]
    pub version: String,
}

/// `GET /api/v1/streams/`.
#[derive(Debug, Clone, Deserialize)]
pub struct Streams {
    /// Code, node, run.
    #[serde(flatten)]
    pub head: Head,
    /// Every stream that is published or waited for.
    #[serde(default)]
    pub streams: Vec<Stream>,
}

/// One stream.
#[derive(Debug, Clone, Deserialize)]
pub struct Stream {
    /// SRS's id.
    pub id: String,
    /// Its name, perhaps with an extension.
    #[serde(default)]
    pub name: String,
    /// Its application.
    #[serde(default)]
    pub app: String,
    /// `/app/name` without extension.
    #[serde(default)]
    pub url: String,
    /// Publisher and players together.
    #[serde(default)]
    pub clients: u64,
    /// Bytes sent to players.
    #[serde(default)]
    pub send_bytes: u64,
    /// Bytes received from the publisher.
    #[serde(default)]
    pub recv_bytes: u64,
    /// 30 s averages.
    #[serde(default)]
    pub kbps: Kbps,
    /// The publisher.
    #[serde(default)]
    pub publish: Publish,
    /// Unknown until media came.
    #[serde(default)]
    pub video: Option<Video>,
    /// Unknown until media came.
    #[serde(default)]
    pub audio: Option<Audio>,
}

/// Average bitrates in kilobits a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Kbps {
    /// From clients.
    #[serde(default)]
    pub recv_30s: i64,
    /// To clients.
    #[serde(default)]
    pub send_30s: i64,
}

/// Who publishes a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Publish {
    /// Media may flow.
    #[serde(default)]
    pub active: bool,
    /// The publisher's client id.
    #[serde(default)]
    pub cid: Option<String>,
}

/// A stream's video.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Video {
    /// `H264`.
    #[serde(default)]
    pub codec: String,
    /// Pixels.
    #[serde(default)]
    pub width: u32,
    /// Pixels.
    #[serde(default)]
    pub height: u32,
}

/// A stream's audio.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Audio {
    /// `AAC`.
    #[serde(default)]
    pub codec: String,
    /// Hertz.
    #[serde(default)]
    pub sample_rate: u32,
}

/// `GET /api/v1/clients/`.
#[derive(Debug, Clone, Deserialize)]
pub struct Clients {
    /// Code, node, run.
    #[serde(flatten)]
    pub head: Head,
    /// Every client, also ones a hook has yet to decide.
    #[serde(default)]
    pub clients: Vec<Client>,
}

/// One client.
#[derive(Debug, Clone, Deserialize)]
pub struct Client {
    /// The hook's `client_id`.
    pub id: String,
    /// Its address.
    #[serde(default)]
    pub ip: String,
    /// `/app/stream` without extension.
    #[serde(default)]
    pub url: String,
    /// `rtc-publish`, `rtmp-play`, ...
    #[serde(default, rename = "type")]
    pub kind: String,
    /// It publishes.
    #[serde(default)]
    pub publish: bool,
    /// Seconds since it came.
    #[serde(default)]
    pub alive: f64,
    /// Bytes sent to it.
    #[serde(default)]
    pub send_bytes: u64,
    /// Bytes received from it.
    #[serde(default)]
    pub recv_bytes: u64,
    /// 30 s averages.
    #[serde(default)]
    pub kbps: Kbps,
}
