//! Public addresses agree with each other and lead where they should; hooks are numeric; media can be reached; what is private is closed.

use super::{Finding, Verdict, fail, finding, ok, skipped, warn};
use crate::doctor::facts::Facts;
use std::net::IpAddr;
use url::{Host, Url};

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![urls(facts), cors(facts)];
    found.extend(paths(facts));
    found.extend(hooks(facts));
    found.push(candidate(facts));
    found.extend(ports(facts));
    found
}

fn host(facts: &Facts, name: &str) -> Option<Result<(Url, String), Finding>> {
    let value = facts.setting(name)?;
    let wrong = || fail("urls", format!("{name} is no address"), "write it like the example in deploy/.env.example");
    let parsed = Url::parse(value).ok().and_then(|url| Some((url.clone(), url.host_str()?.to_owned())));
    Some(parsed.ok_or_else(wrong))
}

/// Loopback, as a name or a number.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn urls(facts: &Facts) -> Finding {
    let Some(edge) = host(facts, "EDGE_BASE_URL") else {
        return warn(
            "urls",
            "EDGE_BASE_URL is not set: session URLs and players' addresses are made from each request's Host",
            "set it to the public origin, e.g. https://keystone.example.com",
        );
    };
    let (edge, edge_host) = match edge {
        Ok(parsed) => parsed,
        Err(finding) => return finding,
    };
    if edge.scheme() != "https" && !is_here(&edge_host) {
        let remedy = "give Caddy a domain (KEYSTONE_DOMAIN); browsers give no camera to pages without TLS";
        return fail("urls", format!("EDGE_BASE_URL is {}, not https", edge.scheme()), remedy);
    }
    for (name, schemes) in
        [("HLS_BASE_URL", ["http", "https"]), ("RTMP_BASE_URL", ["rtmp", "rtmps"]), ("SRT_BASE_URL", ["srt", "srt"])]
    {
        match host(facts, name) {
            None => {}
            Some(Err(finding)) => return finding,
            Some(Ok((url, _))) if !schemes.contains(&url.scheme()) => {
                return fail(
                    "urls",
                    format!("{name} begins with {}", url.scheme()),
                    format!("it begins with {}", schemes[0]),
                );
            }
            Some(Ok((_, other))) if is_here(&other) != is_here(&edge_host) => {
                let reason =
                    format!("{name} is at {other}, EDGE_BASE_URL at {edge_host}: one of them is for this machine only");
                return fail("urls", reason, "give all of them names that clients reach");
            }
            Some(Ok((url, _))) if edge.scheme() == "https" && url.scheme() == "http" => {
                return fail("urls", format!("{name} is http, and pages over https may not load it"), "make it https");
            }
            Some(Ok(_)) => {}
        }
    }
    ok("urls", format!("public addresses agree ({edge_host})"))
}

fn cors(facts: &Facts) -> Finding {
    let Some(origins) = facts.setting("CONTROL_API_CORS_ORIGINS") else {
        return ok("cors", "only the page's own origin may call the API from a browser");
    };
    let listed: Vec<&str> = origins.split(',').map(str::trim).collect();
    if let Some(open) = listed.iter().find(|origin| **origin == "*") {
        return fail("cors", format!("{open} lets every page call the API"), "list the origins of your pages");
    }
    let edge = facts.setting("EDGE_BASE_URL").and_then(|value| Url::parse(value).ok());
    let Some(edge) = edge else { return ok("cors", format!("{} origins", listed.len())) };
    let own = edge.origin().ascii_serialization();
    let plain = listed.iter().find(|origin| {
        Url::parse(origin).is_ok_and(|url| url.scheme() == "http" && !url.host_str().is_some_and(is_here))
    });
    match (plain, listed.contains(&own.as_str())) {
        (Some(plain), _) => fail("cors", format!("{plain} is not https"), "list https origins only"),
        (None, false) if !edge.host_str().is_some_and(is_here) => fail(
            "cors",
            format!("CONTROL_API_CORS_ORIGINS does not have {own}, which EDGE_BASE_URL says the page has"),
            "add it, or correct EDGE_BASE_URL",
        ),
        (None, _) => ok("cors", format!("{} origins", listed.len())),
    }
}

fn paths(facts: &Facts) -> Vec<Finding> {
    if facts.paths.is_empty() {
        return vec![skipped("paths", "EDGE_BASE_URL is not set, so nobody knows where the front is")];
    }
    let wrong: Vec<Finding> = facts
        .paths
        .iter()
        .filter_map(|path| match &path.got {
            Ok(status) if path.wanted.contains(status) => None,
            Ok(status) => Some(fail(
                "paths",
                format!("{} answers {status} ({})", path.url, path.what),
                "use the Caddyfile of deploy/: it knows what goes where and what is private",
            )),
            Err(why) => Some(fail(
                "paths",
                format!("{}: {why} ({})", path.url, path.what),
                "is the front up, and its name right?",
            )),
        })
        .collect();
    if wrong.is_empty() {
        vec![ok("paths", format!("{} public paths lead where they should", facts.paths.len()))]
    } else {
        wrong
    }
}

fn hooks(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for (file, lines) in &facts.srs_confs {
        if let Some(why) = lines.fault() {
            found.push(fail(
                "hooks",
                format!("{file}: {why}"),
                "one numeric address for all hooks and the heartbeat: SRS resolves names on its only thread",
            ));
        }
    }
    // Heartbeats take the hooks' way, so a fresh one shows that the way is open from the node's side.
    match &facts.nodes {
        Some(Ok(nodes)) => {
            for node in nodes.iter().filter(|node| node.state != "down") {
                if node.silent_ms.is_none_or(|ms| ms > super::parts::HEARTBEAT_FAIL_MS) {
                    found.push(fail(
                        "hooks",
                        format!("{}: nothing comes from it, so its hooks cannot come either", node.id),
                        "is the address in its srs.conf reachable from it? its log says why a hook failed",
                    ));
                }
            }
            if found.is_empty() {
                let read = facts.srs_confs.len();
                found.push(ok(
                    "hooks",
                    format!("reached from {} nodes; {read} configurations read, numeric", nodes.len()),
                ));
            }
        }
        Some(Err(_)) | None if found.is_empty() => found.push(skipped("hooks", "the nodes are not known")),
        Some(Err(_)) | None => {}
    }
    found
}

fn candidate(facts: &Facts) -> Finding {
    let relay = facts.setting("WEBRTC_RELAY") != Some("off");
    let edge_here = facts.setting("EDGE_BASE_URL").and_then(|value| Url::parse(value).ok()).and_then(|url| {
        url.host().map(|host| match host {
            Host::Domain(name) => is_here(name),
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        })
    });
    let Some(listed) = facts.setting("WEBRTC_PUBLIC_ADDR").filter(|_| relay) else {
        return match (relay, edge_here) {
            (true, Some(false)) => fail(
                "candidate",
                "WEBRTC_PUBLIC_ADDR is not set: answers name the edge's listen address, which clients elsewhere cannot reach",
                "set it to the edges' public address, e.g. 203.0.113.7",
            ),
            (true, _) => ok("candidate", "edges relay, on this machine's own address"),
            (false, _) => {
                ok("candidate", "WEBRTC_RELAY=off: answers carry the nodes' own candidates (see ports and nodes)")
            }
        };
    };
    for one in listed.split(',').map(str::trim) {
        let bare = one
            .rsplit_once(':')
            .map_or(one, |(host, port)| if port.parse::<u16>().is_ok() && !host.contains(':') { host } else { one });
        let ip: Option<IpAddr> = bare.trim_matches(['[', ']']).parse().ok();
        match ip {
            None => {
                return fail(
                    "candidate",
                    format!("{one} is no address"),
                    "WEBRTC_PUBLIC_ADDR is ip or ip:port, not a name",
                );
            }
            Some(ip) if ip.is_unspecified() => {
                return fail("candidate", format!("{one} is nobody's address"), "name the public one");
            }
            Some(ip) if ip.is_loopback() && edge_here == Some(false) => {
                return fail(
                    "candidate",
                    format!("{one} is for this machine only"),
                    "name the address that clients reach",
                );
            }
            Some(IpAddr::V4(ip)) if ip.is_private() && edge_here == Some(false) => {
                return warn("candidate", format!("{one} is private"), "right only if all clients are in that network");
            }
            Some(_) => {}
        }
    }
    ok("candidate", format!("answers name {listed}"))
}

fn ports(facts: &Facts) -> Vec<Finding> {
    if facts.ports.is_empty() {
        return vec![skipped("ports", "no public address is known")];
    }
    let mut found = Vec::new();
    for port in &facts.ports {
        match (&port.got, port.open) {
            (Ok(true), true) | (Ok(false), false) => {}
            (Ok(false), true) => found.push(fail(
                "ports",
                format!("{} at {} is refused", port.what, port.at),
                "open it, or correct its public address",
            )),
            (Ok(true), false) => found.push(fail(
                "ports",
                format!("{} at {} is open to everybody", port.what, port.at),
                "do not publish it: only the edges' ports and Caddy's are public",
            )),
            (Err(why), open) => {
                let verdict = if open { Verdict::Warn } else { Verdict::Ok };
                if open {
                    found.push(finding(
                        "ports",
                        verdict,
                        format!("{} at {}: {why}", port.what, port.at),
                        "a firewall may drop it",
                    ));
                }
            }
        }
    }
    if found.is_empty() {
        found.push(ok("ports", format!("{} knocked at, open and closed as they should be", facts.ports.len())));
    }
    found
}
