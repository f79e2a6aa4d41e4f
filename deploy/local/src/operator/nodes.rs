//! `keystone nodes …`.

use super::{
    door::{Door, DoorError},
    read::{age, ago, number, pretty, text},
    table::Table,
};
use crate::{cli::AddNode, say};
use serde_json::{Map, Value, json};
use std::{process::ExitCode, time::Duration};

/// Nodes read at most.
const NODES_MAX: usize = 10_000;
/// Between two lines of a drain.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The table of nodes, also for `keystone status`.
pub(crate) fn node_table(nodes: &[Value], now_ms: u64) -> Table {
    let mut table =
        Table::new(&["node", "state", "streams", "sessions", "weight", "zone", "version", "seen", "address", "note"]);
    for node in nodes {
        table.row(vec![
            text(node, &["/id"]),
            state(node),
            text(node, &["/streams"]),
            text(node, &["/sessions"]),
            text(node, &["/weight"]),
            text(node, &["/zone"]),
            text(node, &["/info/version", "/version"]),
            age(node, &["/info/seen_at_ms", "/seen_at_ms"], now_ms),
            text(node, &["/at/api", "/info/endpoints/api"]),
            failed_checks(node),
        ]);
    }
    table
}

/// What it was found lacking when it came.
fn failed_checks(node: &Value) -> String {
    let failed = node["checks"].as_array().into_iter().flatten().filter(|check| check["ok"] == false);
    failed
        .map(|check| format!("{}: {}", text(check, &["/check"]), text(check, &["/why"])))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Its state, with what stands beside it.
fn state(node: &Value) -> String {
    let word = text(node, &["/state"]);
    let beside = if node["draining"] == true || !node["drain"].is_null() {
        ", draining"
    } else if node["cordoned"] == true {
        ", cordoned"
    } else {
        ""
    };
    format!("{word}{beside}")
}

pub(crate) async fn list(door: &mut Door, json: bool) -> Result<(), DoorError> {
    let (nodes, _) = door.all("/v1/nodes", NODES_MAX).await?;
    if json {
        say::out(&pretty(&Value::Array(nodes)));
    } else {
        node_table(&nodes, kit::clock::unix_ms()).lines().iter().for_each(|line| say::out(line));
    }
    Ok(())
}

pub(crate) async fn show(door: &mut Door, node: &str, json: bool) -> Result<(), DoorError> {
    let answer = door.get(&format!("/v1/nodes/{node}")).await?;
    if json {
        say::out(&pretty(&answer));
    } else {
        details(&answer).iter().for_each(|line| say::out(line));
    }
    Ok(())
}

/// Every field of a node on its own line, `a.b` for what is nested.
fn details(node: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    flatten("", node, &mut fields);
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    fields.into_iter().map(|(name, value)| format!("{name:width$}  {value}")).collect()
}

fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            let under = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
            map.iter().for_each(|(key, value)| flatten(&under(key), value, fields));
        }
        Value::Null => {}
        Value::Array(items) if items.iter().all(Value::is_object) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(&format!("{name}.{at}"), item, fields));
        }
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            fields.push((name.to_owned(), text(value, &[""])));
        }
    }
}

pub(crate) async fn add(door: &mut Door, add: &AddNode) -> Result<(), DoorError> {
    let made = door.post("/v1/nodes", &body_of(add)).await?;
    say::note(&format!("{} is enrolled. Its secret, shown only now:", add.node));
    secret(&made);
    Ok(())
}

/// The secret alone on standard output, for scripts; beside it what goes into `srs.conf`.
fn secret(made: &Value) {
    say::out(&text(made, &["/secret"]));
    let lines = text(made, &["/srs_conf"]);
    say::note(&format!("and what goes into srs.conf:\n\n{lines}"));
}

fn body_of(add: &AddNode) -> Value {
    let others = [("api", &add.api), ("http", &add.http), ("rtmp", &add.rtmp), ("srt", &add.srt), ("rtc", &add.rtc)];
    let mut at: Map<_, _> =
        others.into_iter().filter_map(|(name, at)| Some((name.to_owned(), json!(at.as_ref()?)))).collect();
    if add.srt_encrypted {
        at.insert("srt_encrypted".to_owned(), json!(true));
    }
    let mut body = Map::from_iter([("id".to_owned(), json!(add.node))]);
    if !at.is_empty() {
        body.insert("at".to_owned(), Value::Object(at));
    }
    if let Some(hooks_to) = &add.hooks_to {
        body.insert("hooks_to".to_owned(), json!(hooks_to));
    }
    if let Some(weight) = add.weight {
        body.insert("weight".to_owned(), json!(weight));
    }
    if let Some(zone) = &add.zone {
        body.insert("zone".to_owned(), json!(zone));
    }
    if !add.public.is_empty() {
        body.insert("public".to_owned(), json!(add.public));
    }
    Value::Object(body)
}

/// The query of a command that would be refused without `--force`.
fn forced(force: bool) -> &'static str {
    if force { "?force=1" } else { "" }
}

pub(crate) async fn cordon(door: &mut Door, node: &str, force: bool) -> Result<(), DoorError> {
    door.post(&format!("/v1/nodes/{node}:cordon{}", forced(force)), &json!({})).await?;
    say::out(&format!(
        "{node} takes no new streams; those it has stay (`keystone nodes undrain {node}` takes this back)"
    ));
    Ok(())
}

pub(crate) async fn undrain(door: &mut Door, node: &str) -> Result<(), DoorError> {
    door.post(&format!("/v1/nodes/{node}:undrain"), &json!({})).await?;
    say::out(&format!("{node} takes streams again"));
    Ok(())
}

pub(crate) async fn remove(door: &mut Door, node: &str, force: bool) -> Result<(), DoorError> {
    door.delete(&format!("/v1/nodes/{node}{}", forced(force))).await?;
    say::out(&format!("{node} is no longer enrolled; its secret is void"));
    Ok(())
}

pub(crate) async fn rotate(door: &mut Door, node: &str, overlap: Option<Duration>) -> Result<(), DoorError> {
    let body = overlap.map_or_else(|| json!({}), |overlap| json!({"overlap_seconds": overlap.as_secs()}));
    let made = door.post(&format!("/v1/nodes/{node}:rotate-secret"), &body).await?;
    let until = text(&made, &["/previous_valid_until"]);
    say::note(&format!("The new secret of {node}, shown only now; the old one is good until {until}:"));
    secret(&made);
    Ok(())
}

/// Drains, and shows what remains until nothing does or Ctrl-C. The drain goes on either way.
pub(crate) async fn drain(
    door: &mut Door,
    node: &str,
    deadline: Option<Duration>,
    wait: bool,
    force: bool,
) -> Result<ExitCode, DoorError> {
    let body = deadline.map_or_else(|| json!({}), |deadline| json!({"deadline_seconds": deadline.as_secs()}));
    door.post(&format!("/v1/nodes/{node}:drain{}", forced(force)), &body).await?;
    let advice = format!("`keystone nodes undrain {node}` takes it back");
    if !wait {
        say::out(&format!("{node} is draining; {advice}"));
        return Ok(ExitCode::SUCCESS);
    }
    say::note(&format!("{node} is draining; Ctrl-C leaves it draining, {advice}"));
    let follow = follow(door, node);
    tokio::select! {
        done = follow => done.map(|()| ExitCode::SUCCESS),
        _ = tokio::signal::ctrl_c() => {
            say::note(&format!("{node} goes on draining; {advice}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn follow(door: &mut Door, node: &str) -> Result<(), DoorError> {
    let mut last = String::new();
    loop {
        let now = door.get(&format!("/v1/nodes/{node}")).await?;
        let left = Left::of(&now);
        let line = left.line(kit::clock::unix_ms());
        if line != last {
            say::out(&line);
            last = line;
        }
        if left.nothing() {
            say::out(&format!("{node} is empty"));
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is still on a draining node.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    streams: u64,
    sessions: u64,
    /// By role and protocol.
    by_protocol: Vec<(String, u64)>,
    deadline_ms: Option<u64>,
}

impl Left {
    fn of(node: &Value) -> Self {
        let of = |role: &'static str| {
            let counts = node.pointer(&format!("/drain/remaining/{role}")).and_then(Value::as_object);
            let counts = counts.into_iter().flatten().filter_map(|(name, count)| Some((name, count.as_u64()?)));
            counts.map(|(name, count)| (format!("{role} {name}"), count)).collect::<Vec<_>>()
        };
        let by = [of("publish"), of("play")].concat();
        Self {
            streams: number(node, &["/streams"]).unwrap_or(0),
            sessions: number(node, &["/sessions"]).unwrap_or(0),
            by_protocol: by.into_iter().filter(|(_, count)| *count > 0).collect(),
            deadline_ms: number(node, &["/drain/deadline_ms"]),
        }
    }

    fn nothing(&self) -> bool {
        self.streams == 0 && self.sessions == 0 && self.by_protocol.is_empty()
    }

    fn line(&self, now_ms: u64) -> String {
        let by = self.by_protocol.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
        let by = if by.is_empty() { String::new() } else { format!(" ({by})") };
        let until = self.deadline_ms.map(|at| format!("; the rest is ended in {}", ago(at.saturating_sub(now_ms))));
        format!("{} streams, {} sessions left{by}{}", self.streams, self.sessions, until.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_tells_what_is_left_and_until_when() {
        let node = json!({"id": "n", "streams": 2, "sessions": 9, "drain": {"deadline_ms": 31_000, "remaining": {"publish": {"srt": 2}, "play": {"webrtc": 7, "hls": 0}}}});
        let left = Left::of(&node);
        assert!(!left.nothing());
        let line = left.line(1_000);
        assert_eq!(line, "2 streams, 9 sessions left (publish srt 2, play webrtc 7); the rest is ended in 30s");
        assert!(Left::of(&json!({"id": "n", "streams": 0, "sessions": 0})).nothing());
    }

    #[test]
    fn an_enrolment_says_only_what_was_given() {
        let add = AddNode {
            node: "n1".into(),
            api: Some("10.0.0.5:1985".into()),
            rtmp: Some("10.0.0.5:1935".into()),
            weight: Some(2),
            ..AddNode::default()
        };
        let body = json!({"id": "n1", "at": {"api": "10.0.0.5:1985", "rtmp": "10.0.0.5:1935"}, "weight": 2});
        assert_eq!(body_of(&add), body);
        let by_heartbeat = AddNode { node: "n1".into(), hooks_to: Some("10.0.0.4:8082".into()), ..AddNode::default() };
        assert_eq!(body_of(&by_heartbeat), json!({"id": "n1", "hooks_to": "10.0.0.4:8082"}));
    }

    #[test]
    fn what_stands_beside_a_state_is_shown() {
        assert_eq!(state(&json!({"state": "up"})), "up");
        let checks =
            json!({"checks": [{"check": "api", "ok": true}, {"check": "rtmp", "ok": false, "why": "refused"}]});
        assert_eq!(failed_checks(&checks), "rtmp: refused");
        assert_eq!(state(&json!({"state": "up", "draining": true})), "up, draining");
        let lines = details(&json!({"id": "n", "info": {"cpu": 0.5}, "warnings": []}));
        assert_eq!(lines, ["id        n", "info.cpu  0.5"]);
    }
}
