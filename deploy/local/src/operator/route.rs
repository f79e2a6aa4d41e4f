//! `keystone route STREAM`: why a stream is where it is, or where it would go.

use super::{
    read::{ago, number, text},
    table::Table,
};
use serde_json::Value;

/// The answer of `GET /v1/streams/{id}/route?explain=1` for people.
pub(crate) fn lines(stream: &str, explained: &Value) -> Vec<String> {
    let live = explained.get("placement").filter(|placement| !placement.is_null());
    let first = match (live, explained["choice"].as_str()) {
        (Some(placement), _) => {
            let age = number(placement, &["/age_ms"]).map_or_else(|| "-".to_owned(), ago);
            let (node, epoch) = (text(placement, &["/node"]), text(placement, &["/epoch"]));
            format!("{stream} is on {node}: epoch {epoch}, by {}, for {age}", text(placement, &["/protocol"]))
        }
        (None, Some(choice)) => format!("{stream} is not live; it would go to {choice}"),
        (None, None) => format!("{stream} is not live, and no node would take it: {}", text(explained, &["/refusal"])),
    };
    let mut lines = vec![first];
    lines.extend(explained["why"].as_str().map(str::to_owned));
    lines.push(String::new());
    let mut table = Table::new(&[
        "order", "node", "state", "weight", "streams", "bound", "clients", "kbit/s", "heard", "verdict", "why",
    ]);
    for node in explained["nodes"].as_array().into_iter().flatten() {
        let home = if node["home"] == true { "home, " } else { "" };
        let cell = |pointer: &str| text(node, &[pointer]);
        let mut cells: Vec<_> =
            ["/order", "/node", "/state", "/weight", "/streams", "/bound", "/clients", "/kbps"].map(cell).to_vec();
        cells.push(number(node, &["/heard_ms_ago"]).map_or_else(|| "-".to_owned(), ago));
        cells.push(format!("{home}{}", cell("/verdict").replace('_', " ")));
        cells.push(cell("/why"));
        table.row(cells);
    }
    lines.extend(table.lines());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dry_run_names_the_node_it_would_take_and_why_others_were_passed_over() {
        let answer = json!({"placement": null, "choice": "node-1", "why": "node-1: the first in order that is up", "nodes": [
            {"node": "node-0", "order": 1, "state": "down", "weight": 1, "streams": 0, "clients": 0, "kbps": 0, "verdict": "passed_over", "why": "down"},
            {"node": "node-1", "order": 2, "state": "up", "weight": 1, "streams": 0, "bound": 2, "clients": 3, "kbps": 9, "heard_ms_ago": 400,
                "verdict": "chosen"}]});
        let text = lines("cam1", &answer).join("\n");
        assert!(text.starts_with("cam1 is not live; it would go to node-1\nnode-1: the first"), "{text}");
        assert!(text.contains("passed over  down") && text.contains("0.4s"), "{text}");
    }

    #[test]
    fn a_live_stream_is_where_it_is() {
        let live = json!({"placement": {"node": "node-2", "epoch": 4, "protocol": "rtmp", "age_ms": 61_000}});
        assert_eq!(lines("cam1", &live)[0], "cam1 is on node-2: epoch 4, by rtmp, for 61s");
        let nowhere = json!({"placement": null, "refusal": "every node is down"});
        assert!(lines("cam1", &nowhere)[0].ends_with("no node would take it: every node is down"));
    }
}
