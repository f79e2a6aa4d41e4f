//! `keystone route STREAM`: why a stream is where it is, or where it would go.

use super::{
    read::{age, text},
    table::Table,
};
use serde_json::Value;

/// The answer of `GET /v1/streams/{id}/route?explain=1` for people.
pub(crate) fn lines(stream: &str, explained: &Value) -> Vec<String> {
    let live = explained.get("placement").filter(|placement| !placement.is_null());
    let mut lines = Vec::new();
    match live {
        Some(placement) => {
            let now = kit::clock::unix_ms();
            lines.push(format!(
                "{stream} is on {} (epoch {}, for {})",
                text(placement, &["/node"]),
                text(placement, &["/epoch"]),
                age(placement, &["/since_ms"], now)
            ));
        }
        None => lines
            .push(format!("{stream} is not live; it would go to {}", text(explained, &["/choice", "/would", "/node"]))),
    }
    lines.push(String::new());
    let head = ["order", "node", "state", "weight", "streams", "bound", "chosen", "why"];
    let mut table = Table::new(&head);
    let nodes = explained.get("candidates").or_else(|| explained.get("nodes")).and_then(Value::as_array);
    for (at, node) in nodes.into_iter().flatten().enumerate() {
        let mut cells = vec![(at + 1).to_string()];
        let columns: [&[&str]; 7] = [
            &["/node", "/id"],
            &["/state", "/health"],
            &["/weight"],
            &["/streams", "/load"],
            &["/bound"],
            &["/chosen"],
            &["/why", "/passed_over", "/reason"],
        ];
        cells.extend(columns.map(|pointers| text(node, pointers)));
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
        let answer = json!({"placement": null, "choice": "node-1", "candidates": [
            {"node": "node-0", "state": "down", "weight": 1, "streams": 0, "bound": 2, "chosen": false, "why": "down"},
            {"node": "node-1", "state": "up", "weight": 1, "streams": 0, "bound": 2, "chosen": true}]});
        let text = lines("cam1", &answer).join("\n");
        assert!(text.contains("cam1 is not live; it would go to node-1"), "{text}");
        assert!(text.contains("1  node-0  down"), "{text}");
        let live = json!({"placement": {"node": "node-2", "epoch": 4, "since_ms": 1}});
        assert!(lines("cam1", &live).join("\n").starts_with("cam1 is on node-2 (epoch 4, for "));
    }
}
