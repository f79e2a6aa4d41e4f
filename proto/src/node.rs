//! Media nodes as the whole cluster sees them: who is enrolled, where they are, what they are right now.

use crate::ids::{NodeId, ServiceId};
use serde::{Deserialize, Serialize};

/// A node's life. Draining stands beside it ([`Member::draining`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Enrolled; not yet checked, or back and not yet rid of stale claims.
    Joining,
    /// Takes streams.
    Up,
    /// One witness misses it; takes a stream only if no node is up.
    Suspect,
    /// Gone, and with it all it carried.
    Down,
}

impl NodeState {
    /// The word used in the API, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// Where a node is reached from inside the cluster, each `host:port` ([`parse_endpoint`]).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeAddresses {
    /// Its HTTP API, with WHIP and WHEP.
    pub api: String,
    /// Its HTTP server: HLS and HTTP-FLV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// RTMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtmp: Option<String>,
    /// SRT (UDP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srt: Option<String>,
    /// WebRTC (UDP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtc: Option<String>,
    /// Its SRT port has a passphrase: it takes encrypted callers only, and one without takes none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub srt_encrypted: bool,
}

impl NodeAddresses {
    /// What kind of SRT port it has, if any.
    #[must_use]
    pub const fn srt_port(&self) -> Option<SrtPort> {
        match (&self.srt, self.srt_encrypted) {
            (None, _) => None,
            (Some(_), false) => Some(SrtPort::Plain),
            (Some(_), true) => Some(SrtPort::Encrypted),
        }
    }
}

/// Which callers an SRT port takes. SRS has one passphrase for a whole process, so a port takes one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SrtPort {
    /// Those without a passphrase.
    Plain,
    /// Those with one.
    Encrypted,
}

/// Longest `host:port`: a DNS name of 253 characters and a port.
pub const ENDPOINT_LEN_MAX: usize = 260;

/// Splits `host:port`, `[v6]:port` included; `None` for anything else, port 0 too.
#[must_use]
pub fn parse_endpoint(text: &str) -> Option<(&str, u16)> {
    if text.len() > ENDPOINT_LEN_MAX {
        return None;
    }
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let fits = host.starts_with('[') || (!bare.is_empty() && bare.bytes().all(named));
    fits.then_some((bare, port))
}

/// What a node may carry at most; absent is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeLimits {
    /// Streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<u32>,
    /// Clients, publishers and viewers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<u32>,
    /// What it sends and receives together, kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_kbps: Option<u64>,
}

/// One media node of [`Membership`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its run; absent until it was heard. Another one than before: everything it carried is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// What it is.
    pub state: NodeState,
    /// It keeps the streams it has and takes no more.
    #[serde(default)]
    pub draining: bool,
    /// Its share of the streams, 1 to 100.
    pub weight: u8,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Where processes of the cluster reach it.
    pub at: NodeAddresses,
    /// Addresses clients may reach it at directly (`WEBRTC_RELAY=off`), as the operator gave them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public: Vec<String>,
    /// What it may carry.
    #[serde(default)]
    pub limits: NodeLimits,
}

/// All enrolled media nodes, as one document at [`crate::keys::MEMBERS`]: every process reads the same ring from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Membership {
    /// Grows with every change, also over a flush of Redis (it starts from unix milliseconds).
    pub version: u64,
    /// The nodes, by id.
    pub members: Vec<Member>,
}

/// What an edge met at a node, `POST /internal/v1/nodes/{node}:report`. Told when a node that answered stops doing so, and again each second while
/// it does not; answer 204.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The run the edge talked to.
    pub service: ServiceId,
    /// What it met.
    pub met: Met,
}

/// `POST /internal/v1/nodes/{node}:look`: another control-api is asked to look at a node once. Answer 200 with [`NodeReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookRequest {
    /// The run that is missed.
    pub service: ServiceId,
}

/// How a node behaved towards a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    /// It answered, under the run that was expected.
    Answered,
    /// The connection was refused: nothing listens, the process is gone.
    Refused,
    /// No answer in time, or a connection that broke.
    Silent,
    /// It answered under another run: what it carried is gone.
    OtherRun,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_from_before_passphrases_are_plain_and_stay_as_they_were() {
        let old = r#"{"api":"h:1985","srt":"h:10080"}"#;
        let at: NodeAddresses = serde_json::from_str(old).unwrap();
        assert_eq!(at.srt_port(), Some(SrtPort::Plain));
        assert_eq!(serde_json::to_string(&at).unwrap(), old);
        let with = NodeAddresses { srt_encrypted: true, ..at };
        assert_eq!(with.srt_port(), Some(SrtPort::Encrypted));
        assert_eq!(NodeAddresses { srt: None, ..with }.srt_port(), None);
    }

    #[test]
    fn endpoints_are_a_host_and_a_port() {
        assert_eq!(parse_endpoint("10.0.0.5:1985"), Some(("10.0.0.5", 1985)));
        assert_eq!(parse_endpoint("[2001:db8::1]:80"), Some(("2001:db8::1", 80)));
        assert_eq!(parse_endpoint("srs-0.srs.media:1935"), Some(("srs-0.srs.media", 1935)));
        let long = format!("{}:1", "a".repeat(ENDPOINT_LEN_MAX));
        for bad in
            ["", ":80", "h", "h:0", "h:70000", "h:80/x", "u@h:1", "[::1]", "2001:db8::1:80", "[x]:1", long.as_str()]
        {
            assert_eq!(parse_endpoint(bad), None, "{bad}");
        }
    }
}
