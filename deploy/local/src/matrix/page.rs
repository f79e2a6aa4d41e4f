//! The table, for a terminal and as `docs/matrix.md`. Pure.

use super::{
    Outcome,
    cell::{Expect, FRAMES_MIN, Round, Seen, Sink, Source},
    clients::WATCH_SECONDS,
};
use crate::chaos::seconds;

const TOP: &str = "# Who can publish and who can play

Made by `make matrix`: every kind of publisher through one edge, every kind of player through the other. A cell that is not as it should be fails the run.

";

/// The page.
pub(crate) fn markdown(outcome: &Outcome) -> String {
    let mut page = TOP.to_owned();
    page.push_str(&format!(
        "{}, 3 media nodes, 2 edges, 2 control-api; {} in all. A cell shows decoded pictures + packets of sound of about {WATCH_SECONDS} s.\n\n",
        outcome.media,
        seconds(outcome.took)
    ));
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = ["Publisher", "Node"].into_iter().chain(Sink::ALL.map(Sink::title));
    page.push_str(&line(head.map(str::to_owned).collect()));
    page.push_str(&line(vec!["---".to_owned(); Sink::ALL.len() + 2]));
    for round in &outcome.rounds {
        page.push_str(&line(row(round)));
    }
    page.push_str("\n## Refused\n\nSRS plays over SRT only what came by SRT. The edge says so with SRT's code, which ffmpeg keeps to itself:\n\n");
    let mut refused = false;
    for cell in outcome.rounds.iter().flat_map(|round| &round.cells) {
        if let (Expect::Refused(_), Seen::Refused(code, why)) = (cell.source.expect(cell.sink), &cell.seen) {
            let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
            page.push_str(&format!(
                "- {} → {}: {code}; ffmpeg prints `{why}`\n",
                cell.source.title(),
                cell.sink.title()
            ));
            refused = true;
        }
    }
    if !refused {
        page.push_str("(nothing of this kind was tried)\n");
    }
    list(&mut page, "Skipped", skipped(&outcome.rounds));
    list(&mut page, "Not as it should be", wrong(&outcome.rounds));
    page.push_str(&format!(
        "\n## How to read it\n\n\
         - A cell is right with at least {} pictures and {} packets of sound, and when `GET /v1/sessions` shows, while it plays, exactly one session of the player's protocol,\n  \
           on the node that `GET /v1/streams/{{id}}/route` names for the stream. The publisher's own session is checked in the same way.\n\
         - ffmpeg, ffprobe and GStreamer are those of the machine; where nothing else is said, WHIP and WHEP are `keystone`'s own client, which counts\n  \
           pictures that parse. Chromium publishes its fake camera, 20 pictures a second; aiortc counts what it decodes in {WATCH_SECONDS} s. More clients, GStreamer's WHIP among them: `bench/clients`.\n\
         - Encrypted SRT runs on a cluster of its own, whose nodes all have the passphrase.\n",
        FRAMES_MIN.0, FRAMES_MIN.1
    ));
    page
}

fn list(page: &mut String, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        page.push_str(&format!("\n## {title}\n\n"));
        lines.iter().for_each(|line| page.push_str(&format!("- {line}\n")));
    }
}

fn row(round: &Round) -> Vec<String> {
    let of = |sink: Sink| {
        let cell = round.cells.iter().find(|cell| cell.sink == sink);
        cell.map_or_else(|| if round.skipped.is_some() { "skipped" } else { "–" }.to_owned(), super::cell::Cell::text)
    };
    let node = round.node.clone().unwrap_or_else(|| "–".to_owned());
    [round.source.title().to_owned(), node].into_iter().chain(Sink::ALL.map(of)).collect()
}

/// What was not tried.
pub(crate) fn skipped(rounds: &[Round]) -> Vec<String> {
    let why = |round: &Round| Some(format!("{}: {}", round.source.title(), round.skipped.as_ref()?));
    rounds.iter().filter_map(why).collect()
}

/// What is not as it should be.
pub(crate) fn wrong(rounds: &[Round]) -> Vec<String> {
    rounds.iter().flat_map(Round::wrong).collect()
}

/// One publisher for a terminal.
pub(crate) fn lines(round: &Round) -> Vec<String> {
    let cells = row(round);
    let width = Source::ALL.iter().map(|source| source.title().len()).max().unwrap_or(0);
    let mut text = String::new();
    for (cell, width) in cells.iter().zip([width, 8].into_iter().chain([13; Sink::ALL.len()])) {
        text.push_str(&format!("{cell:width$}  "));
    }
    let mut lines = vec![text.trim_end().to_owned()];
    lines.extend(round.wrong().into_iter().map(|why| format!("  WRONG: {why}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::cell::Cell;
    use std::time::Duration;

    #[test]
    fn a_page_has_a_row_for_each_publisher_and_lists_what_is_refused_skipped_and_wrong() {
        let cell = |sink, seen| Cell { source: Source::Rtmp, sink, seen, session_on: vec!["node-2".into()] };
        let played = Round {
            node: Some("node-2".into()),
            session_on: vec!["node-2".into()],
            failed: None,
            cells: vec![
                cell(Sink::Hls, Seen::Frames { video: 120, audio: 190 }),
                cell(Sink::Srt, Seen::Refused(Some(1415), "not found".into())),
                cell(Sink::Rtmp, Seen::Failed("no answer".into())),
            ],
            ..Round::failed(Source::Rtmp, String::new())
        };
        let rounds = vec![played, Round::skipped(Source::RtmpGstreamer, "no gst-launch-1.0")];
        let page = markdown(&Outcome { rounds, media: "SRS 5.0.216".into(), took: Duration::from_secs(100) });
        assert!(page.contains("| RTMP, ffmpeg | node-2 | – | – | – | failed | refused, 1415 | 120 + 190 |"), "{page}");
        assert!(page.contains("- RTMP, ffmpeg → SRT: 1415; ffmpeg prints `not found`"), "{page}");
        assert!(page.contains("- RTMP, GStreamer: no gst-launch-1.0"), "{page}");
        assert!(page.contains("- RTMP, ffmpeg → RTMP: no answer"), "{page}");
    }
}
