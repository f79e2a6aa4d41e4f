//! The table, for a terminal and as `docs/hostile.md`. Pure.

use super::{
    Outcome,
    row::{GROWTH_MAX, HEAD, LONGEST_MAX, LOST_MAX_PER_MILLE, Row, STALL_MAX},
};
use crate::chaos::seconds;

const TOP: &str = "# What an attacked edge costs the streams beside

Made by `make hostile`: two live streams through one edge, which is attacked in one way after the other. What a viewer would notice fails the run.

";

/// One row for a terminal.
pub(crate) fn lines(row: &Row) -> Vec<String> {
    let width = HEAD.iter().map(|head| head.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<_> = HEAD.iter().zip(row.cells()).map(|(head, cell)| format!("{head:width$}  {cell}")).collect();
    lines.extend(row.broken().into_iter().map(|why| format!("NOTICED: {why}")));
    lines.push(String::new());
    lines
}

/// The page.
pub(crate) fn markdown(outcome: &Outcome) -> String {
    let mut page = TOP.to_owned();
    let looked = seconds(outcome.lasts);
    page.push_str(&format!(
        "One edge in front of {}; {looked} each, on one machine with the attacker.\n\n",
        outcome.media
    ));
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    page.push_str(&line(&HEAD.map(str::to_owned)));
    page.push_str(&line(&HEAD.map(|_| "---".to_owned())));
    outcome.rows.iter().for_each(|row| page.push_str(&line(&row.cells())));
    page.push_str("\n## What a viewer or an operator would have noticed\n\n");
    let broken: Vec<_> =
        outcome.rows.iter().flat_map(|row| row.broken().into_iter().map(move |why| (row, why))).collect();
    if broken.is_empty() {
        page.push_str("Nothing.\n");
    }
    broken.iter().for_each(|(row, why)| page.push_str(&format!("- {}: {why}\n", row.title)));
    page.push_str(&format!(
        "\n## How to read it\n\n\
         - **WebRTC** is a stream of 30 pictures a second by WHIP in and WHEP out, **FLV** one by RTMP in and HTTP-FLV out, both through the edge under attack. A gap is the time\n  \
           between two whole pictures at the viewer; **jitter** the mean distance of a gap from the middle one; **lost** are breaks in the numbering of RTP packets that no\n  \
           retransmission mended, of so many pictures.\n\
         - A viewer notices a gap of more than {} ms or more than {LOST_MAX_PER_MILLE} pictures of 1,000 lost; an operator an edge that takes more than {} MiB more than before.\n\
         - Floods aim at 50,000 datagrams a second, from 64 addresses; the table has what was sent. Half-open connections say one byte and wait. **One byte a second** are 150 RTMP handshakes and 50 HTTP\n  \
           requests. Chunk sizes of 2^31 and 2^31 - 1 and nested objects come 50 times a second on new connections. **4 GiB announced** are 20 RTMP connections that each begin\n  \
           256 messages of 16 MiB, and 20 requests with a body of 4 GiB.\n\
         - A run in which the measuring process itself stood still for more than {} ms says little, and fails too.\n",
        LONGEST_MAX.as_millis(),
        GROWTH_MAX >> 20,
        STALL_MAX.as_millis()
    ));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_page_has_a_row_for_each_attack_and_says_what_was_noticed() {
        let rows = vec![Row { title: "none".into(), ..Row::default() }, Row { title: "drip".into(), ..Row::default() }];
        let page = markdown(&Outcome { rows, media: "SRS 5.0.216".into(), lasts: Duration::from_secs(10) });
        assert!(page.contains("| none |") && page.contains("- drip: WebRTC ended"), "{page}");
    }
}
