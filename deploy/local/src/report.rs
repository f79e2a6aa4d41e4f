//! The table that `up` prints.

use crate::{
    cluster::Cluster,
    plan::{Plan, Scope, store_users},
    tools::MediaChoice,
};

/// One line per address, then how to end it.
#[must_use]
pub fn table(cluster: &Cluster) -> Vec<String> {
    let plan = cluster.plan();
    let mut rows: Vec<(String, String)> = Vec::new();
    if plan.options.scope == Scope::All {
        front(plan, &cluster.origin(), &mut rows);
    }
    nodes(plan, &mut rows);
    stores(plan, &mut rows);
    rows.push(("logs".into(), plan.data.join("log").display().to_string()));
    let width = rows.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
    rows.into_iter().map(|(what, where_)| format!("{what:width$}  {where_}")).collect()
}

fn front(plan: &Plan, origin: &str, rows: &mut Vec<(String, String)>) {
    let (ports, shape) = (plan.ports, plan.options.shape);
    rows.push(("web".into(), web(plan, origin)));
    rows.push(("API".into(), format!("{origin}/api/v1/streams   (docs: {origin}/api/docs)")));
    rows.push(("WHIP, WHEP".into(), format!("{origin}/rtc/v1/whip/STREAM   {origin}/rtc/v1/whep/STREAM")));
    for i in 0..shape.controls {
        rows.push((format!("control-{i}"), format!("http://127.0.0.1:{}", ports.control(i))));
    }
    for i in 0..shape.edges {
        let rtc = std::net::SocketAddr::new(plan.options.host, ports.edge_rtc(i));
        rows.push((format!("edge-{i}"), format!("http://127.0.0.1:{}   webrtc {rtc}", ports.edge_http(i))));
    }
    rows.push((
        "administrator".into(),
        format!("admin@keystone.local, password in {}", plan.data.join("admin.json").display()),
    ));
}

fn web(plan: &Plan, origin: &str) -> String {
    if plan.options.web_root.join("index.html").exists() {
        origin.to_owned()
    } else {
        format!("{origin}   (no page yet: run `npm --prefix web run build`)")
    }
}

fn nodes(plan: &Plan, rows: &mut Vec<(String, String)>) {
    let kind = match &plan.media {
        MediaChoice::Srs { program, version } => format!("SRS {version} ({})", program.display()),
        MediaChoice::Builtin { why } => format!("built-in, for development and tests only ({why})"),
    };
    rows.push(("media nodes".into(), kind));
    for node in &plan.nodes {
        let (p, k) = (plan.ports, node.index);
        rows.push((
            format!("  {}", node.id()),
            format!(
                "{}   rtmp {}, http {}, webrtc {}, srt {}",
                node.api_url(),
                p.node_rtmp(k),
                p.node_http(k),
                p.node_rtc(k),
                p.node_srt(k)
            ),
        ));
    }
}

fn stores(plan: &Plan, rows: &mut Vec<(String, String)>) {
    let users = store_users(plan);
    let as_whom = if users.is_empty() { String::new() } else { format!("   (as {})", users.join(", ")) };
    rows.push((
        "PostgreSQL".into(),
        format!("127.0.0.1:{}   files in {}", plan.ports.postgres(), plan.postgres.dir().display()),
    ));
    rows.push((
        "Redis".into(),
        format!("127.0.0.1:{}   files in {}{as_whom}", plan.ports.redis(), plan.redis.dir.display()),
    ));
}
