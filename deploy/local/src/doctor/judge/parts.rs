//! The parts of the cluster: media nodes, control-api, edges.

use super::{Finding, fail, ok, skipped, warn};
use crate::doctor::facts::{Facts, Node, Service};
use std::collections::BTreeSet;

/// Heartbeats come every 2 s.
pub(super) const HEARTBEAT_FAIL_MS: i64 = 10_000;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let remedy = "is control-api up (KEYSTONE_API), and KEYSTONE_TOKEN an administrator's?";
    let mut found = match super::answered("nodes", facts.nodes.as_ref(), "control-api was not asked", remedy) {
        Ok(nodes) => nodes_of(nodes),
        Err(finding) => vec![finding, skipped("srs-version", "the nodes are not known")],
    };
    match super::answered("services", facts.services.as_ref(), "control-api was not asked", remedy) {
        Ok(services) => found.extend(services_of(services)),
        Err(finding) => found.push(finding),
    }
    if facts.setting("EDGE_AUTH") == Some("open") {
        found.push(warn("auth", "EDGE_AUTH=open: everybody publishes and plays every stream", "remove it"));
    }
    found
}

fn nodes_of(nodes: &[Node]) -> Vec<Finding> {
    let mut found = Vec::new();
    if !nodes.iter().any(|node| node.state == "up" && !node.cordoned) {
        found.push(fail("nodes", "no node takes streams", "start or undrain one: keystone nodes list"));
    }
    for node in nodes {
        let id = &node.id;
        match (node.state.as_str(), node.silent_ms) {
            ("up", Some(ms)) if ms <= HEARTBEAT_FAIL_MS => {}
            ("up", ms) => found.push(fail(
                "nodes",
                format!("{id}: its last heartbeat is {} s old", ms.map_or(-1, |ms| ms / 1000)),
                "is the heartbeat's address in its srs.conf right and reachable?",
            )),
            ("down", _) => found.push(fail(
                "nodes",
                format!("{id} is down"),
                format!("start it; for good: keystone nodes remove {id}"),
            )),
            (state, _) => {
                let failed: Vec<String> =
                    node.failed.iter().map(|(name, detail)| format!("{name}: {detail}")).collect();
                let why = if failed.is_empty() { String::new() } else { format!(" ({})", failed.join("; ")) };
                found.push(warn("nodes", format!("{id} is {state}{why}"), format!("keystone nodes show {id}")));
            }
        }
    }
    if found.is_empty() {
        found.push(ok("nodes", format!("{} up, heartbeats fresh", nodes.len())));
    }
    found.push(version(nodes));
    found
}

fn version(nodes: &[Node]) -> Finding {
    let known: BTreeSet<&str> = nodes.iter().map(|node| node.version.as_str()).filter(|v| !v.is_empty()).collect();
    if known.is_empty() {
        return skipped("srs-version", "no node said its version");
    }
    let refused = nodes.iter().find(|node| node.failed.iter().any(|(name, _)| name == "version"));
    if let Some(node) = refused {
        return fail(
            "srs-version",
            format!("{} runs {}, which is not taken", node.id, node.version),
            "5.0.200 or later, 6 or 7 (docs/srs.md)",
        );
    }
    let listed = known.iter().copied().collect::<Vec<_>>().join(", ");
    let warnings: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.warnings).collect();
    if warnings.is_empty() {
        return ok("srs-version", format!("{listed}: no known faults"));
    }
    // Known and dealt with: accepted, and said.
    ok("srs-version", format!("{listed}, taken; {} known faults, see keystone nodes show", warnings.len()))
}

fn services_of(services: &[Service]) -> Vec<Finding> {
    let mut found = Vec::new();
    for kind in ["control", "edge"] {
        let count = services.iter().filter(|service| service.kind == kind).count();
        match count {
            0 => found.push(fail("services", format!("no {kind} is alive"), "start one")),
            1 => found.push(warn(
                "services",
                format!("only one {kind}: nothing takes over when it goes"),
                "run two or more in production",
            )),
            _ => {}
        }
    }
    for service in services {
        for (path, answer) in &service.answers {
            let told = match answer {
                Ok(200) => continue,
                Ok(status) => format!("{} at {}{path}: {status}", service.id, service.url),
                Err(why) => format!("{} at {}{path}: {why}", service.id, service.url),
            };
            found.push(fail("services", told, "its log says why; /readyz names each dependency"));
        }
    }
    let versions: BTreeSet<&str> = services.iter().map(|service| service.version.as_str()).collect();
    if versions.len() > 1 {
        let listed = versions.iter().copied().collect::<Vec<_>>().join(", ");
        found.push(warn("services", format!("versions differ: {listed}"), "finish the upgrade"));
    }
    if found.is_empty() {
        found.push(ok("services", format!("{} answer /healthz, /readyz and /metrics", services.len())));
    }
    found
}
