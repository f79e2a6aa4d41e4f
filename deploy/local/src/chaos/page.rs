//! The table, for a terminal and as `docs/chaos.md`. Pure.

use super::{
    Outcome, Settings,
    row::{HEAD, Kind, Row, seconds},
    tally::percentile,
};
use std::{collections::BTreeMap, time::Duration};

/// One row for a terminal, one line a column, and what was broken.
pub(crate) fn lines(row: &Row) -> Vec<String> {
    let width = HEAD.iter().map(|head| head.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<_> = HEAD.iter().zip(row.cells()).map(|(head, cell)| format!("{head:width$}  {cell}")).collect();
    lines.push(format!("{:width$}  {}", "answers to probes", answers(&row.answers)));
    lines.push(format!("{:width$}  {}", "refusals of the audience", answers(&row.losses.refused)));
    lines.push(format!("{:width$}  {}", "201 without media", row.losses.again));
    lines.extend(row.broken().into_iter().map(|why| format!("BROKEN: {why}")));
    lines.push(String::new());
    lines
}

/// The last lines of a run.
pub(crate) fn sum(outcome: &Outcome) -> Vec<String> {
    let broken: usize = outcome.rows.iter().map(|row| row.broken().len()).sum();
    let mut lines = repeated(&outcome.rows);
    lines.push(format!(
        "{} faults with {} clients on {}, {} in all: {broken} promises broken",
        outcome.rows.len(),
        outcome.seated,
        outcome.media,
        seconds(outcome.took)
    ));
    lines
}

/// Median and 99th percentile of what was done more than once.
fn repeated(rows: &[Row]) -> Vec<String> {
    let mut kinds: BTreeMap<Kind, Vec<&Row>> = BTreeMap::new();
    rows.iter().filter(|row| row.failed.is_none()).for_each(|row| kinds.entry(row.kind).or_default().push(row));
    let several = kinds.into_iter().filter(|(_, rows)| rows.len() > 1);
    several
        .map(|(kind, rows)| {
            let of = |what: fn(&Row) -> Option<Duration>| {
                let mut all: Vec<_> = rows.iter().filter_map(|row| what(row)).collect();
                all.sort_unstable();
                let show = |percent| percentile(&all, percent).map_or_else(|| "-".to_owned(), seconds);
                format!("{} / {}", show(50), show(99))
            };
            format!(
                "{} × {}, median / p99: detected {}, first lost client's next good POST {}, last {}",
                rows.len(),
                kind.title(),
                of(|row| row.detect),
                of(|row| row.losses.reopened.first().copied()),
                of(|row| row.losses.reopened.last().copied())
            )
        })
        .collect()
}

fn answers(by_status: &BTreeMap<u16, usize>) -> String {
    let word = |status: u16| if status == 0 { "none".to_owned() } else { status.to_string() };
    let all: Vec<_> = by_status.iter().map(|(status, count)| format!("{}: {count}", word(*status))).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

const TOP: &str = "# What a broken cluster costs

Made by `make chaos`: a whole cluster on one machine with an audience, broken in one way after the other. A broken promise fails the run.

";

const HOW: &str = "
## How to read it

- **Clients** are WebRTC sessions of `keystone`'s own client over Caddy and the edges, each with its own ICE, DTLS and SRTP; a publisher sends one keyframe of 64 × 64
  pixels a second. Who hears nothing for 3 s gives the session up, DELETEs it and POSTs again after 0.2 to 0.4 s, then 0.4 to 0.8 s, at most 2 s.
- **lost** are sessions that had media before the fault and lost it; **had to be** are those on the media node that was killed or
  drained, and with an edge those whose media it relays, or whose publisher's.
- **detected**: until every living control-api shows a node as down or draining; a process as gone from its list; Redis as away (`/readyz`).
- **publisher gap**, **viewer gap**: two more clients POST four times a second all the time, one on streams of its own, one on streams that the fault does not touch;
  this is the longest time in which none of these came out well.
- **lost: next POST**: from the fault to the next 201 of a client that lost its session, 3 s of which is its own patience.
- **tables equal**: `GET /v1/sessions` of every living control-api against each other and against `/api/v1/clients` of every living node; from the fault, or
  from the end of one that ends by itself (Redis, PostgreSQL, cut, the drain's deadline).
- **two publishers**: streams that two clients published at once at some look and at another right behind it, one look a second over all nodes; more than 5 s in a row breaks a promise.
- **stall**: how late the clients' own process was at worst. Over 1 s the machine had too much to do and the row says little; that too fails the run.
- A control-api is **cut off** by SIGSTOP and SIGCONT: it needs no right to change the network, its connections stay open and answer nothing, and afterwards it
  believes what it believed before, which is worse than a cut cable.
";

/// The page.
pub(crate) fn markdown(settings: &Settings, outcome: &Outcome) -> String {
    let shape = settings.shape;
    let mut page = TOP.to_owned();
    page.push_str(&format!(
        "{} control-api, {} edges, {} media nodes ({}), {} publishers and {} viewers, of whom {} had media before the first fault; {} in all.\n\n",
        shape.controls,
        shape.edges,
        shape.nodes,
        outcome.media,
        settings.publishers,
        settings.viewers,
        outcome.seated,
        seconds(outcome.took)
    ));
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    page.push_str(&line(&HEAD.map(str::to_owned)));
    page.push_str(&line(&HEAD.map(|_| "---".to_owned())));
    outcome.rows.iter().for_each(|row| page.push_str(&line(&row.cells())));
    let broken: Vec<_> =
        outcome.rows.iter().flat_map(|row| row.broken().into_iter().map(move |why| (row, why))).collect();
    page.push_str("\n## Broken promises\n\n");
    if broken.is_empty() {
        page.push_str("None.\n");
    }
    for (row, why) in broken {
        page.push_str(&format!("- {}: {why}\n", row.kind.title()));
    }
    page.push_str(HOW);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Shape;

    fn outcome() -> Outcome {
        let row = |detect| Row {
            detect: Some(Duration::from_millis(detect)),
            failed: None,
            ..Row::failed(Kind::Node, "node-1".into(), String::new())
        };
        Outcome {
            rows: vec![row(900), row(1_200)],
            media: "SRS 5.0.216".into(),
            seated: 3,
            took: Duration::from_secs(9),
        }
    }

    #[test]
    fn a_page_has_a_row_for_each_fault_and_names_what_broke() {
        let settings = Settings {
            shape: Shape { controls: 3, edges: 3, nodes: 4 },
            publishers: 1,
            viewers: 2,
            media: None,
            faults: vec![Kind::Node; 2],
            redis_away: Duration::from_secs(60),
            data: "/d".into(),
        };
        let page = markdown(&settings, &outcome());
        assert_eq!(page.matches("| kill -9 a node | node-1 |").count(), 2, "{page}");
        assert!(
            page.contains("- kill -9 a node: longest time without a good POST of a new publisher: not seen"),
            "{page}"
        );
    }

    #[test]
    fn what_is_repeated_has_a_median() {
        let text = sum(&outcome()).join("\n");
        assert_eq!(lines(&outcome().rows[0]).iter().filter(|line| line.starts_with("BROKEN")).count(), 2);
        assert!(text.contains("2 × kill -9 a node, median / p99: detected 0.90 s / 1.20 s"), "{text}");
    }
}
