//! Every port of a cluster on one machine, and the arithmetic behind them.
//!
//! A cluster's ports are the defaults below plus one shift (`--port-base`), so several clusters can run side by side.

use std::{
    fmt,
    net::{Ipv4Addr, TcpListener, UdpSocket},
};

/// Most control-api processes: their ports stay below Caddy's.
pub const CONTROLS_MAX: u16 = 8;
/// Most edges; see [`CONTROLS_MAX`].
pub const EDGES_MAX: u16 = 8;
/// Most media nodes; WebRTC ports of more would meet HTTP ports (18000 + 80 = 18080).
pub const NODES_MAX: u16 = 64;
/// Largest shift: Redis, the highest default, still fits below 65,536.
pub const SHIFT_MAX: u16 = u16::MAX - REDIS;

const CADDY: u16 = 8880;
const HOOKS: u16 = 8881;
const CONTROL: u16 = 8081;
const EDGE_HTTP: u16 = 8082;
const EDGE_RTMP: u16 = 1935;
const EDGE_SRT: u16 = 10080;
const EDGE_RTC: u16 = 8000;
const NODE_RTMP: u16 = 19350;
const NODE_API: u16 = 19850;
const NODE_HTTP: u16 = 18080;
const NODE_RTC: u16 = 18000;
const NODE_SRT: u16 = 20080;
const NODE_METRICS: u16 = 19950;
const PROMETHEUS: u16 = 9090;
const GRAFANA: u16 = 3000;
const POSTGRES: u16 = 54320;
const REDIS: u16 = 63790;
/// Between the HTTP ports of two controls, and of two edges.
const SERVICE_STEP: u16 = 100;

/// How many of each there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// control-api processes, 1 to [`CONTROLS_MAX`].
    pub controls: u16,
    /// edge-gateway processes, 1 to [`EDGES_MAX`].
    pub edges: u16,
    /// Media nodes, 1 to [`NODES_MAX`].
    pub nodes: u16,
}

impl Default for Shape {
    fn default() -> Self {
        Self { controls: 2, edges: 2, nodes: 2 }
    }
}

/// What is wrong with the ports asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// A count is outside its range.
    #[error("--{flag} {got} is not possible: 1 to {limit}")]
    Count {
        /// Which option.
        flag: &'static str,
        /// What was asked for.
        got: u16,
        /// The largest count.
        limit: u16,
    },
    /// The shift is too large.
    #[error("--port-base {0} is not possible: 0 to {SHIFT_MAX}")]
    Shift(u16),
    /// Somebody else listens there.
    #[error(
        "port {port} ({what}) is taken: end what listens there (`ss -lnp sport = :{port}`), or run with another --port-base, for example --port-base {other}"
    )]
    Taken {
        /// The port and its transport.
        port: u16,
        /// Who would have it.
        what: String,
        /// A shift that is free right now.
        other: u16,
    },
    /// Every shift that was tried meets somebody.
    #[error("no --port-base from 0 to {SHIFT_MAX} has all its ports free")]
    NoneFree,
}

/// Transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One port and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// TCP or UDP.
    pub transport: Transport,
    /// Who, in words.
    pub what: String,
}

/// The ports of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    shift: u16,
}

impl Ports {
    /// The defaults moved up by `shift`.
    ///
    /// # Errors
    /// [`PortError::Shift`] above [`SHIFT_MAX`].
    pub fn new(shift: u16) -> Result<Self, PortError> {
        if shift > SHIFT_MAX { Err(PortError::Shift(shift)) } else { Ok(Self { shift }) }
    }

    /// What `--port-base` was.
    #[must_use]
    pub fn shift(self) -> u16 {
        self.shift
    }

    /// Caddy, the one address for browsers and tools.
    #[must_use]
    pub fn caddy(self) -> u16 {
        CADDY + self.shift
    }

    /// Where media nodes send hooks and heartbeats; Caddy again.
    #[must_use]
    pub fn hooks(self) -> u16 {
        HOOKS + self.shift
    }

    /// HTTP of control-api `i`.
    #[must_use]
    pub fn control(self, i: u16) -> u16 {
        CONTROL + self.shift + i * SERVICE_STEP
    }

    /// HTTP of edge `i`.
    #[must_use]
    pub fn edge_http(self, i: u16) -> u16 {
        EDGE_HTTP + self.shift + i * SERVICE_STEP
    }

    /// RTMP of edge `i`.
    #[must_use]
    pub fn edge_rtmp(self, i: u16) -> u16 {
        EDGE_RTMP + self.shift + i
    }

    /// SRT of edge `i`, UDP.
    #[must_use]
    pub fn edge_srt(self, i: u16) -> u16 {
        EDGE_SRT + self.shift + i
    }

    /// WebRTC of edge `i`, UDP (and TCP for ICE-TCP).
    #[must_use]
    pub fn edge_rtc(self, i: u16) -> u16 {
        EDGE_RTC + self.shift + i
    }

    /// RTMP of node `k`.
    #[must_use]
    pub fn node_rtmp(self, k: u16) -> u16 {
        NODE_RTMP + self.shift + k
    }

    /// HTTP API of node `k`, also its WHIP and WHEP.
    #[must_use]
    pub fn node_api(self, k: u16) -> u16 {
        NODE_API + self.shift + k
    }

    /// HLS and HTTP-FLV of node `k`.
    #[must_use]
    pub fn node_http(self, k: u16) -> u16 {
        NODE_HTTP + self.shift + k
    }

    /// WebRTC of node `k`, UDP.
    #[must_use]
    pub fn node_rtc(self, k: u16) -> u16 {
        NODE_RTC + self.shift + k
    }

    /// SRT of node `k`, UDP.
    #[must_use]
    pub fn node_srt(self, k: u16) -> u16 {
        NODE_SRT + self.shift + k
    }

    /// Metrics of node `k`, where it is SRS (the built-in one has them beside its API).
    #[must_use]
    pub fn node_metrics(self, k: u16) -> u16 {
        NODE_METRICS + self.shift + k
    }

    /// Prometheus, with `--observe`.
    #[must_use]
    pub fn prometheus(self) -> u16 {
        PROMETHEUS + self.shift
    }

    /// Grafana, with `--observe` and where it is installed.
    #[must_use]
    pub fn grafana(self) -> u16 {
        GRAFANA + self.shift
    }

    /// PostgreSQL.
    #[must_use]
    pub fn postgres(self) -> u16 {
        POSTGRES + self.shift
    }

    /// Redis.
    #[must_use]
    pub fn redis(self) -> u16 {
        REDIS + self.shift
    }

    /// The stores and the media nodes.
    #[must_use]
    pub fn of_deps(self, shape: Shape) -> Vec<Port> {
        let mut all = vec![tcp(self.postgres(), "PostgreSQL"), tcp(self.redis(), "Redis")];
        for k in 0..shape.nodes {
            all.push(tcp(self.node_rtmp(k), format!("node-{k} RTMP")));
            all.push(tcp(self.node_api(k), format!("node-{k} API")));
            all.push(tcp(self.node_http(k), format!("node-{k} HTTP")));
            all.push(tcp(self.node_metrics(k), format!("node-{k} metrics")));
            all.push(udp(self.node_rtc(k), format!("node-{k} WebRTC")));
            all.push(udp(self.node_srt(k), format!("node-{k} SRT")));
        }
        all
    }

    /// All ports of a whole cluster.
    #[must_use]
    pub fn of_all(self, shape: Shape) -> Vec<Port> {
        let mut all = vec![tcp(self.caddy(), "Caddy"), tcp(self.hooks(), "Caddy for hooks")];
        all.extend((0..shape.controls).map(|i| tcp(self.control(i), format!("control-{i}"))));
        for i in 0..shape.edges {
            all.push(tcp(self.edge_http(i), format!("edge-{i} HTTP")));
            all.push(tcp(self.edge_rtmp(i), format!("edge-{i} RTMP")));
            all.push(udp(self.edge_srt(i), format!("edge-{i} SRT")));
            all.push(udp(self.edge_rtc(i), format!("edge-{i} WebRTC")));
            all.push(tcp(self.edge_rtc(i), format!("edge-{i} WebRTC over TCP")));
        }
        all.extend(self.of_deps(shape));
        all
    }
}

impl Shape {
    /// Checks the counts.
    ///
    /// # Errors
    /// [`PortError::Count`] for the first count outside its range.
    pub fn check(self) -> Result<Self, PortError> {
        let counts = [
            ("control", self.controls, CONTROLS_MAX),
            ("edge", self.edges, EDGES_MAX),
            ("nodes", self.nodes, NODES_MAX),
        ];
        for (flag, got, limit) in counts {
            if got == 0 || got > limit {
                return Err(PortError::Count { flag, got, limit });
            }
        }
        Ok(self)
    }
}

/// The first of `ports` that cannot be bound now. A child may still lose a race for it; its own log then says so.
#[must_use]
pub fn first_taken(ports: &[Port]) -> Option<&Port> {
    ports.iter().find(|port| !port.is_free())
}

/// The lowest shift, in steps of `step`, whose ports are all free now.
///
/// # Errors
/// [`PortError::NoneFree`] when there is none up to [`SHIFT_MAX`].
pub fn free_shift(step: u16, ports_of: impl Fn(Ports) -> Vec<Port>) -> Result<Ports, PortError> {
    (1..=SHIFT_MAX / step.max(1))
        .map(|n| Ports { shift: n * step })
        .find(|ports| first_taken(&ports_of(*ports)).is_none())
        .ok_or(PortError::NoneFree)
}

impl Port {
    /// Whether it can be bound on every address now.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let address = (Ipv4Addr::UNSPECIFIED, self.number);
        match self.transport {
            Transport::Tcp => TcpListener::bind(address).is_ok(),
            Transport::Udp => UdpSocket::bind(address).is_ok(),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

fn tcp(number: u16, what: impl Into<String>) -> Port {
    Port { number, transport: Transport::Tcp, what: what.into() }
}

fn udp(number: u16, what: impl Into<String>) -> Port {
    Port { number, transport: Transport::Udp, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let p = Ports::new(0).unwrap();
        assert_eq!(
            (p.caddy(), p.control(0), p.control(1), p.edge_http(0), p.edge_http(1)),
            (8880, 8081, 8181, 8082, 8182)
        );
        assert_eq!((p.edge_rtmp(1), p.edge_srt(1), p.edge_rtc(1)), (1936, 10081, 8001));
        assert_eq!((p.node_rtmp(1), p.node_api(1), p.node_http(1)), (19351, 19851, 18081));
        assert_eq!((p.node_rtc(1), p.node_srt(1), p.postgres(), p.redis()), (18001, 20081, 54320, 63790));
    }

    #[test]
    fn no_two_parts_of_the_largest_cluster_meet_at_any_shift() {
        let largest = Shape { controls: CONTROLS_MAX, edges: EDGES_MAX, nodes: NODES_MAX }.check().unwrap();
        for shift in [0, 1, 999, SHIFT_MAX] {
            let ports = Ports::new(shift).unwrap();
            let mut all = ports.of_all(largest);
            all.extend([tcp(ports.prometheus(), "Prometheus"), tcp(ports.grafana(), "Grafana")]);
            let distinct: HashSet<_> = all.iter().map(|p| (p.number, p.transport)).collect();
            assert_eq!(distinct.len(), all.len(), "shift {shift}");
        }
    }

    #[test]
    fn counts_and_shifts_have_bounds() {
        let none = Shape { nodes: 0, ..Shape::default() };
        assert_eq!(none.check(), Err(PortError::Count { flag: "nodes", got: 0, limit: NODES_MAX }));
        let many = Shape { edges: EDGES_MAX + 1, ..Shape::default() };
        assert!(many.check().is_err());
        assert_eq!(Ports::new(SHIFT_MAX + 1), Err(PortError::Shift(SHIFT_MAX + 1)));
    }

    #[test]
    fn a_bound_port_is_seen_as_taken_for_its_transport_only() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = socket.local_addr().unwrap().port();
        let ports = [udp(number, "u"), tcp(number, "t")];
        assert_eq!(first_taken(&ports).map(|p| p.what.as_str()), Some("t"));
    }

    #[test]
    fn a_free_shift_steps_over_a_taken_one() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = socket.local_addr().unwrap().port();
        let ports = free_shift(10, |p| vec![tcp(if p.shift() == 10 { taken } else { 0 }, "x")]).unwrap();
        assert_eq!(ports.shift(), 20);
    }
}
