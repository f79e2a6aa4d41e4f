//! Addresses: whose a request comes from, when proxies stand in between, and which one is this machine's.

use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    str::FromStr,
};

/// The address this machine sends from, found without sending anything; loopback on a machine without a network.
#[must_use]
pub fn own_address() -> IpAddr {
    // TEST-NET-1: routed like any public address, never answered.
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    route.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// Addresses, as a list of networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Loopback.
    #[must_use]
    pub fn loopback() -> Self {
        Self::of(&[([127, 0, 0, 0], 8)], &[([0, 0, 0, 0, 0, 0, 0, 1], 128)])
    }

    /// Loopback and the ranges that are routed inside one network only (RFC 1918, RFC 4193).
    #[must_use]
    pub fn private() -> Self {
        let v4 = [([127, 0, 0, 0], 8), ([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
        Self::of(&v4, &[([0, 0, 0, 0, 0, 0, 0, 1], 128), ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7)])
    }

    fn of(v4: &[([u8; 4], u8)], v6: &[([u16; 8], u8)]) -> Self {
        let v4 = v4.iter().map(|(ip, bits)| IpNet::new_assert(IpAddr::from(*ip), *bits));
        Self(v4.chain(v6.iter().map(|(ip, bits)| IpNet::new_assert(IpAddr::from(*ip), *bits))).collect())
    }

    /// Whether `address` is in one of them; an IPv4 address in IPv6's clothes counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let nets = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        nets.map(|part| part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|_| "must be a comma list of addresses or networks like 10.0.0.0/8")
    }
}

/// The proxies whose word about the client is taken, `TRUSTED_PROXIES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Networks);

impl Default for TrustedProxies {
    /// Loopback.
    fn default() -> Self {
        Self(Networks::loopback())
    }
}

impl TrustedProxies {
    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// The client's address: the last `X-Forwarded-For` entry that no trusted proxy wrote about another trusted proxy.
    ///
    /// `peer` is the TCP peer. Entries are read from the right, because everything left of the first untrusted address was written by
    /// strangers. Text that is not an address ends the walk.
    #[must_use]
    pub fn client<'a>(&self, peer: IpAddr, forwarded_for: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.contains(client) {
            return client;
        }
        for entry in forwarded_for.rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = address_of(entry.trim()) else { break };
            client = address;
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address_of(text: &str) -> Option<IpAddr> {
    let address = IpAddr::from_str(text).ok().or_else(|| std::net::SocketAddr::from_str(text).ok().map(|a| a.ip()))?;
    Some(address.to_canonical())
}

impl FromStr for TrustedProxies {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn strangers_cannot_choose_their_address() {
        let proxies: TrustedProxies = "10.0.0.0/8, 192.0.2.9".parse().unwrap();
        assert_eq!(proxies.client(ip("203.0.113.5"), ["1.1.1.1"].into_iter()), ip("203.0.113.5"), "peer is no proxy");
        assert_eq!(proxies.client(ip("10.0.0.1"), ["1.1.1.1, 203.0.113.5"].into_iter()), ip("203.0.113.5"));
        assert_eq!(proxies.client(ip("10.0.0.1"), ["1.1.1.1, 203.0.113.5, 192.0.2.9"].into_iter()), ip("203.0.113.5"));
        assert_eq!(proxies.client(ip("10.0.0.1"), ["6.6.6.6", "203.0.113.5:4711"].into_iter()), ip("203.0.113.5"));
        assert_eq!(proxies.client(ip("10.0.0.1"), ["nonsense"].into_iter()), ip("10.0.0.1"));
        assert_eq!(proxies.client(ip("10.0.0.1"), [].into_iter()), ip("10.0.0.1"));
    }

    #[test]
    fn private_networks_are_not_where_clouds_serve_credentials() {
        let own = Networks::private();
        for inside in ["127.0.0.1", "10.9.8.7", "172.31.0.1", "192.168.1.1", "::1", "fd00::5", "::ffff:10.0.0.1"] {
            assert!(own.contains(ip(inside)), "{inside}");
        }
        for outside in ["169.254.169.254", "192.0.2.1", "172.32.0.1", "fe80::1", "2001:db8::1", "0.0.0.0"] {
            assert!(!own.contains(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn loopback_is_trusted_by_default_in_every_form() {
        let proxies = TrustedProxies::default();
        assert!(proxies.contains(ip("127.0.0.1")) && proxies.contains(ip("127.9.9.9")));
        assert!(proxies.contains(ip("::1")) && proxies.contains(ip("::ffff:127.0.0.1")));
        assert!(!proxies.contains(ip("128.0.0.1")));
    }

    #[test]
    fn private_is_what_no_stranger_can_have() {
        let private = Networks::private();
        for inside in [
            "127.0.0.1",
            "10.255.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(private.contains(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "172.32.0.1", "192.169.0.1", "203.0.113.5", "2001:db8::1", "::ffff:203.0.113.5"] {
            assert!(!private.contains(ip(outside)), "{outside}");
        }
        assert!("10.0.0.0/40".parse::<Networks>().is_err());
    }
}
