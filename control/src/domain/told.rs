//! Where a node says it is, and whether that may be believed.

use super::enrolment::Enrolment;
use proto::{
    fleet::NodeInfo,
    node::{ENDPOINT_LEN_MAX, NodeAddresses, parse_endpoint},
    srs::heartbeat::Heartbeat,
};
use std::net::{IpAddr, SocketAddr};

/// Endpoints of one kind in a heartbeat.
const ENDPOINTS_MAX: usize = 16;
/// Longest version.
const VERSION_BYTES_MAX: usize = 32;
/// More CPUs than one process can use: SRS reports 1 for each that is busy.
const CPU_MAX: f64 = 1_024.0;
/// More memory than a machine has: 1 PiB in KiB.
const MEMORY_KIB_MAX: u64 = 1 << 40;
/// A hundred years.
const UPTIME_SECONDS_MAX: u64 = 100 * 366 * 86_400;
/// More connections than one process can have.
const CLIENTS_MAX: u64 = 10_000_000;

/// What became of a heartbeat; a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken in.
    Accepted,
    /// The body does not read.
    Malformed,
    /// The node named another node.
    Name,
    /// A number out of its range.
    Numbers,
    /// An address that is not the node's.
    Address,
    /// More than a node may send.
    TooMany,
    /// A body longer than a heartbeat is, or one that came too slowly.
    Body,
}

impl Verdict {
    /// The word used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Malformed => "malformed",
            Self::Name => "name",
            Self::Numbers => "numbers",
            Self::Address => "address",
            Self::TooMany => "too_many",
            Self::Body => "body",
        }
    }
}

/// Why a heartbeat is not taken in, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// For the metric.
    pub verdict: Verdict,
    /// What is wrong and what to do.
    pub why: String,
}

fn unfit<T>(verdict: Verdict, why: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit { verdict, why: why.into() })
}

/// Reads SRS's forms of an endpoint: `1935`, `ip:1935`, `[v6]:1935`, `udp://ip:port`, `tcp://ip:port`. No address: it is bound to all of them.
///
/// Source: srs-facts.md 3.
fn endpoint(text: &str) -> Option<(Option<IpAddr>, u16)> {
    if text.len() > ENDPOINT_LEN_MAX {
        return None;
    }
    let bare = text.strip_prefix("udp://").or_else(|| text.strip_prefix("tcp://")).unwrap_or(text);
    let (bound, port) = match bare.parse::<u16>() {
        Ok(port) => (None, port),
        Err(_) => {
            let bound: SocketAddr = bare.parse().ok()?;
            (Some(bound.ip()).filter(|ip| !ip.is_unspecified()), bound.port())
        }
    };
    (port != 0).then_some((bound, port))
}

/// The addresses that follow from a heartbeat; `None` when it names no API that can be reached.
///
/// SRS reports what each port is bound to. A port bound to all addresses is reached where the API is bound; if that is bound to all as well, at
/// the address the node reports for itself (`SRS_DEVICE_IP`).
#[must_use]
pub fn addresses(info: &NodeInfo) -> Option<NodeAddresses> {
    let first = |kind: &str| {
        let list = info.endpoints.get(kind)?;
        // SRT and WebRTC are reached over UDP; WebRTC over TCP is no address of its own.
        endpoint(list.iter().find(|text| !text.starts_with("tcp://"))?)
    };
    let api = first("api")?;
    let host = api.0.or_else(|| info.ip.parse().ok())?;
    let at = |(bound, port): (Option<IpAddr>, u16)| SocketAddr::new(bound.unwrap_or(host), port).to_string();
    let of = |kind| first(kind).map(at);
    Some(NodeAddresses {
        api: at(api),
        http: of("http"),
        rtmp: of("rtmp"),
        srt: of("srt"),
        rtc: of("rtc"),
        srt_encrypted: false,
    })
}

/// Checks a heartbeat against what is enrolled. A node without enrolled addresses must be within `allowed`.
///
/// # Errors
/// [`Unfit`].
pub fn fits(
    node: &Enrolment,
    beat: &Heartbeat,
    info: &NodeInfo,
    allowed: impl Fn(IpAddr) -> bool,
) -> Result<(), Unfit> {
    numbers(beat)?;
    for (kind, list) in &info.endpoints {
        if list.len() > ENDPOINTS_MAX || list.iter().any(|text| endpoint(text).is_none()) {
            return unfit(Verdict::Numbers, format!("`{kind}` must be at most 16 of `port` or `ip:port`"));
        }
    }
    let Some(at) = &node.at else { return within(info, allowed) };
    let enrolled = [
        ("api", Some(&at.api)),
        ("http", at.http.as_ref()),
        ("rtmp", at.rtmp.as_ref()),
        ("srt", at.srt.as_ref()),
        ("rtc", at.rtc.as_ref()),
    ];
    for (kind, enrolled) in enrolled {
        let (Some(enrolled), Some(told)) = (enrolled, info.endpoints.get(kind)) else { continue };
        if !told.iter().filter_map(|text| endpoint(text)).any(|told| may_be(told, enrolled)) {
            let why = format!(
                "`{kind}` is enrolled at {enrolled}, and the node says another; change it with PATCH /v1/nodes"
            );
            return unfit(Verdict::Address, why);
        }
    }
    Ok(())
}

/// A port bound to all addresses may be mapped to any other; only a numeric address can be compared with one that is bound.
fn may_be((bound, port): (Option<IpAddr>, u16), enrolled: &str) -> bool {
    let Some((host, enrolled_port)) = parse_endpoint(enrolled) else { return false };
    match (bound, host.parse::<IpAddr>()) {
        (None, _) | (_, Err(_)) => true,
        (Some(bound), Ok(host)) => bound.to_canonical() == host.to_canonical() && port == enrolled_port,
    }
}

fn within(info: &NodeInfo, allowed: impl Fn(IpAddr) -> bool) -> Result<(), Unfit> {
    let Some(at) = addresses(info) else { return Ok(()) };
    let all = [Some(&at.api), at.http.as_ref(), at.rtmp.as_ref(), at.srt.as_ref(), at.rtc.as_ref()];
    for text in all.into_iter().flatten() {
        if !text.parse::<SocketAddr>().is_ok_and(|at| allowed(at.ip())) {
            let why = format!("{text} is not within NODES_CIDR; enrol the node's addresses or widen NODES_CIDR");
            return unfit(Verdict::Address, why);
        }
    }
    Ok(())
}

fn numbers(beat: &Heartbeat) -> Result<(), Unfit> {
    let wrong = |why: &str| unfit(Verdict::Numbers, why);
    if !(beat.ip.is_empty() || beat.ip.parse::<IpAddr>().is_ok()) {
        return wrong("`ip` is no address; set SRS_DEVICE_IP");
    }
    let Some(summaries) = &beat.summaries else { return Ok(()) };
    let (process, system) = (&summaries.data.process, &summaries.data.system);
    if process.version.len() > VERSION_BYTES_MAX || !process.version.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong("`version` is none");
    }
    if !(0.0..=CPU_MAX).contains(&process.cpu_percent) {
        return wrong("`self.cpu_percent` is out of range");
    }
    if process.mem_kbyte > MEMORY_KIB_MAX || process.srs_uptime > UPTIME_SECONDS_MAX || system.conn_srs > CLIENTS_MAX {
        return wrong("`mem_kbyte`, `srs_uptime` or `conn_srs` is out of range");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use time::OffsetDateTime;

    fn beat(more: &Value) -> Heartbeat {
        let mut body = json!({ "server": "n1", "service": "s1", "ip": "192.0.2.2", "api": ["1985"],
            "summaries": { "data": { "self": { "version": "5.0.216", "cpu_percent": 0.5 }, "system": {} } } });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    fn at(more: &Value) -> Option<NodeAddresses> {
        addresses(&beat(more).info(0).unwrap())
    }

    fn verdict(enrolled: Option<&str>, more: &Value) -> Option<Verdict> {
        let mut node = Enrolment::bare(proto::NodeId::parse("n1").unwrap(), "secret", OffsetDateTime::UNIX_EPOCH);
        node.at = enrolled.map(|api| NodeAddresses { api: api.to_owned(), ..NodeAddresses::default() });
        let beat = beat(more);
        let test_net = |ip: IpAddr| ip.to_string().starts_with("192.0.2.") || ip.is_loopback();
        fits(&node, &beat, &beat.info(0).unwrap(), test_net).err().map(|unfit| unfit.verdict)
    }

    #[test]
    fn a_port_bound_to_all_is_reached_where_the_api_is() {
        let one = at(
            &json!({ "api": ["127.0.0.1:21985"], "rtmp": ["127.0.0.1:1935"], "rtc": ["tcp://0.0.0.0:8001", "udp://0.0.0.0:8000"] }),
        );
        let one = one.unwrap();
        assert_eq!((one.api.as_str(), one.rtmp.as_deref()), ("127.0.0.1:21985", Some("127.0.0.1:1935")));
        assert_eq!((one.rtc.as_deref(), one.srt), (Some("127.0.0.1:8000"), None));
        assert_eq!(at(&json!({})).unwrap().api, "192.0.2.2:1985");
        assert_eq!(at(&json!({ "api": ["[::]:1985"], "ip": "2001:db8::1" })).unwrap().api, "[2001:db8::1]:1985");
        for (api, ip) in [("1985", ""), ("x", "192.0.2.2"), ("0", "192.0.2.2"), ("evil/..:1", "192.0.2.2")] {
            assert_eq!(at(&json!({ "api": [api], "ip": ip })), None, "{api} {ip}");
        }
        assert_eq!(at(&json!({ "api": [] })), None);
    }

    #[test]
    fn a_node_without_enrolled_addresses_stays_within_the_networks() {
        assert_eq!(verdict(None, &json!({})), None);
        assert_eq!(verdict(None, &json!({ "api": [] })), None, "nothing is said, the dial-back says so");
        assert_eq!(verdict(None, &json!({ "ip": "203.0.113.1" })), Some(Verdict::Address));
        assert_eq!(verdict(None, &json!({ "api": ["203.0.113.1:1985"] })), Some(Verdict::Address));
        assert_eq!(verdict(None, &json!({ "rtc": ["udp://203.0.113.1:8000"] })), Some(Verdict::Address));
    }

    #[test]
    fn an_enrolled_address_is_only_confirmed() {
        let enrolled = Some("192.0.2.5:1985");
        assert_eq!(verdict(enrolled, &json!({ "ip": "203.0.113.1" })), None, "a container's own address says nothing");
        assert_eq!(verdict(enrolled, &json!({ "api": ["192.0.2.5:1985"] })), None);
        assert_eq!(verdict(enrolled, &json!({ "api": ["2985"] })), None, "a mapped port: the dial-back decides");
        assert_eq!(verdict(enrolled, &json!({ "api": ["192.0.2.6:1985"] })), Some(Verdict::Address));
        assert_eq!(verdict(enrolled, &json!({ "api": ["192.0.2.5:1986"] })), Some(Verdict::Address));
        assert_eq!(verdict(Some("srs-0.srs:1985"), &json!({ "api": ["192.0.2.6:1985"] })), None);
    }

    #[test]
    fn numbers_have_ranges() {
        let process = |json: Value| json!({ "summaries": { "data": { "self": json } } });
        for bad in [
            json!({ "rtmp": ["70000"] }),
            json!({ "rtmp": ["0"] }),
            json!({ "srt": ["udp://nowhere:1"] }),
            json!({ "http": vec!["1"; 17] }),
            json!({ "ip": "not an address" }),
            process(json!({ "cpu_percent": -0.1 })),
            process(json!({ "cpu_percent": 1e300 })),
            process(json!({ "mem_kbyte": u64::MAX })),
            process(json!({ "srs_uptime": u64::MAX })),
            process(json!({ "version": "5\\n" .repeat(20) })),
            process(json!({ "version": "5.0 evil" })),
            json!({ "summaries": { "data": { "system": { "conn_srs": u64::MAX } } } }),
        ] {
            assert_eq!(verdict(None, &bad), Some(Verdict::Numbers), "{bad}");
        }
        assert_eq!(verdict(None, &process(json!({ "cpu_percent": 31.5, "srs_uptime": 86_400 }))), None);
    }

    proptest! {
        #[test]
        fn no_endpoint_panics(text: String) {
            if let Some((_, port)) = endpoint(&text) {
                prop_assert!(port != 0);
            }
        }
    }
}
