//! The heartbeat body: the same facts as hooks, under other names (`server`, `service`), plus load and endpoints.

use crate::{
    fleet::NodeInfo,
    ids::{IdError, NodeId, ServiceId},
};
use serde::Deserialize;

/// A heartbeat as posted.
#[derive(Debug, Clone, Deserialize)]
pub struct Heartbeat {
    /// The operator's name for the device; we expect the node id there too.
    #[serde(default)]
    pub device_id: String,
    /// The node.
    #[serde(alias = "server_id")]
    pub server: String,
    /// Its run.
    #[serde(alias = "service_id")]
    pub service: String,
    /// Its own idea of its address.
    #[serde(default)]
    pub ip: String,
    /// Load, when `summaries on`.
    #[serde(default)]
    pub summaries: Option<Summaries>,
    /// Endpoints, when `ports on`.
    #[serde(default)]
    pub rtmp: Vec<String>,
    /// HTTP server endpoints.
    #[serde(default)]
    pub http: Vec<String>,
    /// HTTP API endpoints.
    #[serde(default)]
    pub api: Vec<String>,
    /// SRT endpoints.
    #[serde(default)]
    pub srt: Vec<String>,
    /// WebRTC endpoints.
    #[serde(default)]
    pub rtc: Vec<String>,
}

/// The wrapper SRS puts around its load figures.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Summaries {
    /// The figures.
    #[serde(default)]
    pub data: SummaryData,
}

/// Load figures, also the `data` of `GET /api/v1/summaries`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SummaryData {
    /// The process.
    #[serde(rename = "self", default)]
    pub process: ProcessSummary,
    /// The machine.
    #[serde(default)]
    pub system: SystemSummary,
}

/// The SRS process.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ProcessSummary {
    /// `5.0.216`.
    #[serde(default)]
    pub version: String,
    /// Resident memory, KiB.
    #[serde(default)]
    pub mem_kbyte: u64,
    /// 0 to 1 per core.
    #[serde(default)]
    pub cpu_percent: f64,
    /// Seconds since start.
    #[serde(default)]
    pub srs_uptime: u64,
}

/// The machine SRS runs on.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SystemSummary {
    /// 0 to 1.
    #[serde(default)]
    pub cpu_percent: f64,
    /// One-minute load average.
    #[serde(default)]
    pub load_1m: f64,
    /// SRS connections.
    #[serde(default)]
    pub conn_srs: u64,
    /// Bytes SRS has received.
    #[serde(default)]
    pub srs_recv_bytes: u64,
    /// Bytes SRS has sent.
    #[serde(default)]
    pub srs_send_bytes: u64,
}

impl Heartbeat {
    /// What is kept of it.
    ///
    /// # Errors
    /// If node or run is not an id.
    pub fn info(&self, seen_at_ms: u64) -> Result<NodeInfo, IdError> {
        let SummaryData { process, system } = self.summaries.as_ref().map(|s| s.data.clone()).unwrap_or_default();
        let lists =
            [("rtmp", &self.rtmp), ("http", &self.http), ("api", &self.api), ("srt", &self.srt), ("rtc", &self.rtc)];
        Ok(NodeInfo {
            id: NodeId::parse(&self.server)?,
            service: ServiceId::parse(&self.service)?,
            version: process.version,
            ip: self.ip.clone(),
            endpoints: lists
                .into_iter()
                .filter(|(_, l)| !l.is_empty())
                .map(|(n, l)| (n.to_owned(), l.clone()))
                .collect(),
            cpu: process.cpu_percent,
            memory_kib: process.mem_kbyte,
            uptime_s: process.srs_uptime,
            clients: u32::try_from(system.conn_srs).unwrap_or(u32::MAX),
            traffic_bytes: system.srs_recv_bytes.saturating_add(system.srs_send_bytes),
            bandwidth_kbps: 0,
            seen_at_ms,
        })
    }
}
