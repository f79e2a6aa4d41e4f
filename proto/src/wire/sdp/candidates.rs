//! Candidates of the edge's own.

use super::{CANDIDATES_MAX, error::AnswerError};
use std::net::SocketAddr;

/// Where the client is told to send its packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// Where the node says: no relay.
    Keep,
    /// To these instead.
    Replace(Vec<Host>),
}

/// An address where packets are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Address and port.
    pub at: SocketAddr,
    /// How they get there.
    pub over: Over,
}

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Over {
    /// As datagrams.
    Udp,
    /// On a connection that the client opens (RFC 6544).
    Tcp,
}

impl Host {
    /// Its `a=candidate` line as the `index`th of a list.
    ///
    /// The priority is RFC 8445's (section 5.1.2.1): type preference 126, or 90 on TCP as browsers have it, whose local preference begins with the
    /// direction (RFC 6544 section 4.2); the rest of the local preference tells candidates apart.
    fn line(&self, index: u32) -> String {
        let (ip, port) = (self.at.ip(), self.at.port());
        let (kind, local, name, end) = match self.over {
            Over::Udp => (126_u32, 0xffff_u32.saturating_sub(index), "udp", ""),
            Over::Tcp => (90, (4_u32 << 13) | 0x1fff_u32.saturating_sub(index), "tcp", " tcptype passive"),
        };
        let priority = (kind << 24) | (local << 8) | 255;
        format!("a=candidate:{index} 1 {name} {priority} {ip} {port} typ host{end}")
    }
}

/// The `a=candidate` lines of these, an IPv4 UDP host first: `FFmpeg` uses no other.
pub(super) fn lines(hosts: &[Host]) -> Result<Vec<String>, AnswerError> {
    let unusable = hosts.iter().any(|host| host.at.port() == 0 || host.at.ip().is_unspecified());
    if unusable || hosts.is_empty() || hosts.len() > CANDIDATES_MAX {
        return Err(AnswerError::Candidates);
    }
    let mut ranked = hosts.to_vec();
    ranked.sort_by_key(|host| (host.over, host.at.is_ipv6()));
    Ok((0..).zip(&ranked).map(|(index, host)| host.line(index)).collect())
}
