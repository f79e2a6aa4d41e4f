//! The document of all nodes: each prober's word on its own nodes, everybody else's left as it is.

use proto::{
    ControlId, NodeId,
    fleet::NodeInfo,
    node::{Member, Membership, NodeAddresses},
    secret::sha256_hex,
};
use std::net::{IpAddr, SocketAddr};

/// The membership after this process said what it judges, or `None` when that is what `last` says already.
///
/// `ours` are the nodes this process judges; `is_ours` also knows those that are not enrolled any more, which are left out then. `known` is the
/// newest version this process has seen anywhere.
#[must_use]
pub fn compose(
    last: &Membership,
    ours: Vec<Member>,
    is_ours: impl Fn(&NodeId) -> bool,
    known: u64,
    now_ms: u64,
) -> Option<Membership> {
    let mut members: Vec<Member> = last.members.iter().filter(|member| !is_ours(&member.id)).cloned().collect();
    members.extend(ours);
    members.sort_by(|a, b| a.id.cmp(&b.id));
    if members == last.members && last.version >= known && last.version > 0 {
        return None;
    }
    Some(Membership { version: last.version.max(known).saturating_add(1).max(now_ms), members })
}

/// Which of the control nodes that are alive probes a node: everybody who sees the same ones says the same, and when one goes only its own nodes
/// find another.
#[must_use]
pub fn probers<'a>(controls: impl IntoIterator<Item = &'a ControlId>, node: &NodeId) -> Vec<&'a ControlId> {
    let mut order: Vec<(String, &ControlId)> =
        controls.into_iter().map(|control| (sha256_hex(format!("{control}/{node}").as_bytes()), control)).collect();
    order.sort();
    order.into_iter().map(|(_, control)| control).collect()
}

/// Where a node is by what its heartbeat says; `None` when that does not tell where its API is.
///
/// SRS reports the addresses it is bound to. A wildcard says nothing, so then the address it reports for itself counts (`SRS_DEVICE_IP`).
#[must_use]
pub fn addresses(info: &NodeInfo) -> Option<NodeAddresses> {
    Some(NodeAddresses {
        api: endpoint(info, "api", "")?,
        http: endpoint(info, "http", ""),
        rtmp: endpoint(info, "rtmp", ""),
        srt: endpoint(info, "srt", "udp://"),
        rtc: endpoint(info, "rtc", "udp://"),
    })
}

fn endpoint(info: &NodeInfo, of: &str, scheme: &str) -> Option<String> {
    let bare = info.endpoints.get(of)?.iter().find_map(|text| match text.split_once("://") {
        None => Some(text.as_str()),
        Some((_, rest)) => text.starts_with(scheme).then_some(rest).filter(|_| !scheme.is_empty()),
    })?;
    let (host, port) = match bare.parse::<u16>() {
        Ok(port) => (None, port),
        Err(_) => {
            let bound: SocketAddr = bare.parse().ok()?;
            (Some(bound.ip()).filter(|ip| !ip.is_unspecified()), bound.port())
        }
    };
    let host = host.or_else(|| info.ip.parse::<IpAddr>().ok())?;
    (port != 0).then(|| SocketAddr::new(host, port).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{ServiceId, node::NodeState};

    fn member(id: &str, state: NodeState) -> Member {
        Member {
            id: NodeId::parse(id).unwrap(),
            service: None,
            state,
            draining: false,
            weight: 1,
            zone: None,
            at: NodeAddresses::default(),
            public: Vec::new(),
            limits: proto::node::NodeLimits::default(),
        }
    }

    #[test]
    fn each_prober_says_its_own() {
        let last = Membership {
            version: 7,
            members: vec![
                member("a", NodeState::Up),
                member("b", NodeState::Up),
                member("gone", NodeState::Up),
                member("z", NodeState::Up),
            ],
        };
        let ours = || vec![member("c", NodeState::Joining), member("b", NodeState::Down)];
        let is_ours = |id: &NodeId| ["b", "c", "gone"].contains(&id.as_str());
        let next = compose(&last, ours(), is_ours, 7, 5).unwrap();
        assert_eq!(next.version, 8);
        let ids: Vec<_> = next.members.iter().map(|m| (m.id.as_str(), m.state)).collect();
        assert_eq!(
            ids,
            [("a", NodeState::Up), ("b", NodeState::Down), ("c", NodeState::Joining), ("z", NodeState::Up)]
        );
        assert_eq!(compose(&next, ours(), is_ours, 8, 9), None, "nothing new");
        assert_eq!(compose(&next, ours(), is_ours, 20, 9).unwrap().version, 21, "Redis is behind what was decided");
        assert_eq!(compose(&Membership::default(), Vec::new(), is_ours, 0, 99).unwrap().version, 99);
    }

    #[test]
    fn probers_are_the_same_for_all_and_only_those_of_a_lost_control_move() {
        let controls: Vec<ControlId> = (0..4).map(|n| ControlId::parse(&format!("c{n}")).unwrap()).collect();
        let mut share = [0_usize; 4];
        for n in 0..400 {
            let node = NodeId::parse(&format!("n{n}")).unwrap();
            let all = probers(&controls, &node);
            assert_eq!(all, probers(controls.iter().rev(), &node));
            let rest = probers(controls.iter().filter(|c| *c != all[0]), &node);
            assert_eq!(rest, all[1..]);
            share[controls.iter().position(|c| c == all[0]).unwrap()] += 1;
        }
        assert!(share.iter().all(|n| (60..=140).contains(n)), "{share:?}");
    }

    #[test]
    fn a_heartbeat_tells_every_address() {
        let list = |items: &[&str]| items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let mut info = NodeInfo {
            id: NodeId::parse("n1").unwrap(),
            service: ServiceId::parse("s1").unwrap(),
            version: String::new(),
            ip: "192.0.2.2".into(),
            endpoints: [
                ("api".to_owned(), list(&["127.0.0.1:21985"])),
                ("http".to_owned(), list(&["8080"])),
                ("rtmp".to_owned(), list(&["0.0.0.0:1935"])),
                ("srt".to_owned(), list(&["udp://0.0.0.0:10080"])),
                ("rtc".to_owned(), list(&["tcp://0.0.0.0:8001", "udp://0.0.0.0:8000"])),
            ]
            .into(),
            cpu: 0.0,
            memory_kib: 0,
            uptime_s: 1,
            clients: 0,
            traffic_bytes: 0,
            bandwidth_kbps: 0,
            seen_at_ms: 1,
        };
        let at = addresses(&info).unwrap();
        assert_eq!(at.api, "127.0.0.1:21985");
        let rest = [at.http, at.rtmp, at.srt, at.rtc].map(Option::unwrap);
        assert_eq!(rest, ["192.0.2.2:8080", "192.0.2.2:1935", "192.0.2.2:10080", "192.0.2.2:8000"]);
        info.endpoints.insert("api".into(), list(&["evil/..:1"]));
        assert_eq!(addresses(&info), None);
    }
}
