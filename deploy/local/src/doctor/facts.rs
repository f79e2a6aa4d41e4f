//! Everything that was found out, before anybody judges it.

use super::srs_conf::HookLines;
use std::collections::BTreeMap;

/// An answer, or why there is none.
pub type Answer<T> = Result<T, String>;

/// What was found out of a cluster.
#[derive(Debug, Default)]
pub struct Facts {
    /// Settings of the services, by name; an empty value is an absent one.
    pub settings: BTreeMap<String, String>,
    /// Where they came from, in words.
    pub settings_from: String,
    /// The database.
    pub postgres: Option<Answer<Postgres>>,
    /// The other store.
    pub redis: Option<Answer<Redis>>,
    /// Media nodes as control-api lists them.
    pub nodes: Option<Answer<Vec<Node>>>,
    /// Both services' processes.
    pub services: Option<Answer<Vec<Service>>>,
    /// Configurations of media nodes that are on this machine, by file.
    pub srs_confs: Vec<(String, HookLines)>,
    /// Public origins that were asked over HTTPS: what came of it.
    pub tls: Vec<(String, Answer<Certificate>)>,
    /// Public paths: URL, what is wanted, what came.
    pub paths: Vec<Path>,
    /// Public ports: what came of knocking.
    pub ports: Vec<Port>,
    /// This machine's clock against others', milliseconds that they are ahead.
    pub clocks: Vec<(String, i64)>,
    /// Folders: path, bytes free, bytes in all.
    pub disks: Vec<(String, u64, u64)>,
    /// Unix seconds at which all this was gathered.
    pub now: i64,
}

impl Facts {
    /// A setting that is there and not empty.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// What Postgres said.
#[derive(Debug, Clone, Default)]
pub struct Postgres {
    /// Highest migration applied; `None` when there is no history of them.
    pub migration: Option<i32>,
    /// The connection is encrypted.
    pub tls: bool,
    /// It is on this machine.
    pub local: bool,
}

/// What Redis said.
#[derive(Debug, Clone, Default)]
pub struct Redis {
    /// It writes every change down.
    pub aof: bool,
    /// It writes snapshots: seconds since the last good one.
    pub last_save_seconds: Option<u64>,
    /// `maxmemory-policy`.
    pub policy: String,
    /// `maxmemory`, bytes; 0 is none.
    pub maxmemory: u64,
    /// `role`.
    pub role: String,
    /// It is on this machine.
    pub local: bool,
    /// The connection is encrypted.
    pub tls: bool,
}

/// A media node as control-api lists it.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// `up` and so on.
    pub state: String,
    /// Its SRS version.
    pub version: String,
    /// Known faults of it.
    pub warnings: Vec<String>,
    /// Milliseconds since its last heartbeat.
    pub silent_ms: Option<i64>,
    /// Checks that failed: name and detail.
    pub failed: Vec<(String, String)>,
    /// It takes no new streams, as somebody wished.
    pub cordoned: bool,
    /// Addresses that its heartbeat or enrolment names.
    pub addresses: Vec<String>,
}

/// A process of a service.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// `control` or `edge`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// Its version.
    pub version: String,
    /// Statuses of `/healthz`, `/readyz`, `/metrics`, or why none came.
    pub answers: Vec<(&'static str, Answer<u16>)>,
}

/// The certificate that a public address showed, verified.
#[derive(Debug, Clone, Copy)]
pub struct Certificate {
    /// Unix seconds of its end.
    pub not_after: i64,
}

/// A public path that was asked.
#[derive(Debug, Clone)]
pub struct Path {
    /// What for.
    pub what: &'static str,
    /// The URL.
    pub url: String,
    /// Statuses that are well.
    pub wanted: &'static [u16],
    /// What came.
    pub got: Answer<u16>,
}

/// A port that was knocked at.
#[derive(Debug, Clone)]
pub struct Port {
    /// What it is.
    pub what: String,
    /// Where, with the transport.
    pub at: String,
    /// Whether it must be open; else it must be closed.
    pub open: bool,
    /// What came: `Ok(true)` it took us, `Ok(false)` it was refused, an error when nothing is known.
    pub got: Answer<bool>,
}
