//! `keystone status`: what the cluster says of itself, part by part. A part that does not answer says so and the others are shown all the same.

use super::{
    door::{Door, DoorError},
    nodes::node_table,
    read::{age, number, text},
    table::Table,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Sessions read at most; the API gives 200 at a time.
const SESSIONS_MAX: usize = 10_000;
/// Rows of the table of streams at most.
const STREAMS_SHOWN: usize = 50;

/// One list, or why it is not there.
type Part = Result<Vec<Value>, DoorError>;

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    nodes: Part,
    edges: Part,
    controls: Part,
    sessions: Part,
    /// There are more sessions than were read.
    more: bool,
}

impl Seen {
    /// Asks for all parts, one after the other.
    pub(crate) async fn look(door: &mut Door) -> Self {
        let list = |result: Result<(Vec<Value>, bool), DoorError>| result.map(|(items, _)| items);
        let nodes = list(door.all("/v1/nodes", SESSIONS_MAX).await);
        let edges = list(door.all("/v1/edges", SESSIONS_MAX).await);
        let controls = list(door.all("/v1/controls", SESSIONS_MAX).await);
        let (sessions, more) = match door.all("/v1/sessions?limit=200", SESSIONS_MAX).await {
            Ok((items, more)) => (Ok(items), more),
            Err(error) => (Err(error), false),
        };
        Self { nodes, edges, controls, sessions, more }
    }

    /// Whether every part answered.
    pub(crate) fn whole(&self) -> bool {
        [&self.nodes, &self.edges, &self.controls, &self.sessions].iter().all(|part| part.is_ok())
    }

    /// One JSON object; a part that did not answer is an object with its `error`.
    pub(crate) fn json(&self) -> String {
        let part = |part: &Part| match part {
            Ok(items) => Value::Array(items.clone()),
            Err(error) => json!({"error": error.to_string()}),
        };
        let streams = self.sessions.as_deref().map(streams).unwrap_or_default();
        let streams = streams.into_iter().map(|(id, stream)| stream.json(&id)).collect::<Vec<_>>();
        let all = [
            ("nodes", part(&self.nodes)),
            ("edges", part(&self.edges)),
            ("controls", part(&self.controls)),
            ("streams", Value::Array(streams)),
            ("sessions", part(&self.sessions)),
        ];
        let all: Map<String, Value> = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        super::read::pretty(&Value::Object(all))
    }

    /// The tables, with at most `shown` sessions.
    pub(crate) fn lines(&self, now_ms: u64, shown: usize) -> Vec<String> {
        let mut lines = Vec::new();
        section(&mut lines, "nodes", &self.nodes, |nodes| node_table(nodes, now_ms));
        section(&mut lines, "edges", &self.edges, |edges| {
            processes(edges, now_ms, &["edge", "address", "version", "sessions", "seen"])
        });
        section(&mut lines, "controls", &self.controls, |controls| {
            processes(controls, now_ms, &["control", "address", "version", "sessions", "seen"])
        });
        if let Ok(sessions) = &self.sessions {
            let streams = streams(sessions);
            let count = streams.len();
            lines.extend([format!("streams: {count}"), String::new()]);
            let mut table = Table::new(&["stream", "node", "protocol", "epoch", "viewers"]);
            streams.into_iter().take(STREAMS_SHOWN).for_each(|(id, stream)| table.row(stream.cells(id)));
            indent(&mut lines, &table, count.saturating_sub(STREAMS_SHOWN));
        }
        section(&mut lines, "sessions", &self.sessions, |sessions| session_table(sessions, shown));
        if let Ok(sessions) = &self.sessions {
            lines.extend(session_rest(sessions.len(), shown, self.more));
        }
        lines
    }
}

fn section(lines: &mut Vec<String>, name: &str, part: &Part, table: impl FnOnce(&[Value]) -> Table) {
    match part {
        Ok(items) => {
            lines.extend([format!("{name}: {}", items.len()), String::new()]);
            indent(lines, &table(items), 0);
        }
        Err(error) => lines.extend([format!("{name}: {error}"), String::new()]),
    }
}

fn indent(lines: &mut Vec<String>, table: &Table, left_out: usize) {
    let rows = table.lines();
    if rows.len() > 1 {
        lines.extend(rows.into_iter().map(|row| format!("  {row}")));
        if left_out > 0 {
            lines.push(format!("  … and {left_out} more"));
        }
        lines.push(String::new());
    }
}

fn processes(items: &[Value], now_ms: u64, head: &[&'static str]) -> Table {
    let mut table = Table::new(head);
    for item in items {
        table.row(vec![
            text(item, &["/id"]),
            text(item, &["/listen", "/url", "/address"]),
            text(item, &["/version"]),
            text(item, &["/sessions"]),
            age(item, &["/seen_at_ms"], now_ms),
        ]);
    }
    table
}

fn session_table(sessions: &[Value], shown: usize) -> Table {
    let mut table = Table::new(&["session", "stream", "role", "protocol", "node", "edge", "since"]);
    for session in sessions.iter().take(shown) {
        let cell = |pointer: &str| text(session, &[pointer]);
        table.row(["/id", "/stream", "/role", "/protocol", "/node", "/edge", "/opened_at"].map(cell).to_vec());
    }
    table
}

fn session_rest(count: usize, shown: usize, more: bool) -> Vec<String> {
    match (count.saturating_sub(shown), more) {
        (0, _) => Vec::new(),
        (rest, false) => vec![format!("  … and {rest} more (--sessions N, or --json)")],
        (rest, true) => vec![format!("  … and more than {rest} more; only the first {SESSIONS_MAX} were read")],
    }
}

/// A live stream as its sessions show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Stream {
    node: Option<String>,
    protocol: Option<String>,
    epoch: Option<u64>,
    publishers: u64,
    viewers: u64,
}

impl Stream {
    fn cells(self, id: String) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let epoch = or_dash(self.epoch.map(|epoch| epoch.to_string()));
        vec![id, or_dash(self.node), or_dash(self.protocol), epoch, self.viewers.to_string()]
    }

    fn json(&self, id: &str) -> Value {
        json!({"id": id, "node": self.node, "protocol": self.protocol, "epoch": self.epoch, "publishers": self.publishers,
            "viewers": self.viewers})
    }
}

/// Every stream that somebody publishes or plays.
fn streams(sessions: &[Value]) -> BTreeMap<String, Stream> {
    let mut all: BTreeMap<String, Stream> = BTreeMap::new();
    for session in sessions {
        let Some(id) = session["stream"].as_str() else { continue };
        let stream = all.entry(id.to_owned()).or_default();
        if session["role"] == "publish" {
            stream.publishers += 1;
            stream.node = session["node"].as_str().map(str::to_owned);
            stream.protocol = session["protocol"].as_str().map(str::to_owned);
            stream.epoch = number(session, &["/epoch"]);
        } else {
            stream.viewers += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let sessions = vec![
            json!({"id": "s1", "stream": "cam1", "role": "publish", "protocol": "webrtc", "node": "node-0", "epoch": 3}),
            json!({"id": "s2", "stream": "cam1", "role": "play", "protocol": "webrtc", "node": "node-0"}),
            json!({"id": "s3", "stream": "cam2", "role": "play", "protocol": "hls", "node": "node-1"}),
        ];
        Seen {
            nodes: Ok(vec![json!({"id": "node-0", "state": "up", "streams": 1, "sessions": 2})]),
            edges: Err(DoorError::Strange("redis-away: not now".into())),
            controls: Ok(Vec::new()),
            sessions: Ok(sessions),
            more: false,
        }
    }

    #[test]
    fn a_part_that_is_away_does_not_hide_the_others() {
        let seen = seen();
        assert!(!seen.whole());
        let text = seen.lines(0, 1).join("\n");
        for line in ["nodes: 1", "edges: redis-away: not now", "streams: 2", "sessions: 3", "… and 2 more (--sessions"]
        {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(text.contains("  cam1    node-0  webrtc        3        1"), "{text}");
        let json: Value = serde_json::from_str(&seen.json()).unwrap();
        assert_eq!((&json["streams"][0]["viewers"], &json["streams"][0]["publishers"]), (&json!(1), &json!(1)));
        assert_eq!(json["edges"]["error"], "redis-away: not now");
    }
}
