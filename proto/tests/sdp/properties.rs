//! What holds for any bytes.

use super::{
    options, parts, play, publish,
    srs::{self, Srs},
    vector,
};
use proptest::prelude::*;
use proto::{
    session::Role,
    wire::sdp::{ANSWER_BYTES_MAX, Answer, Offer, SdpError, TrickleFragment},
};

const OFFERS: [&str; 8] = [
    "rules/pub.sdp",
    "rules/play.sdp",
    "rules/play-dc.sdp",
    "rules/pub-sendrecv.sdp",
    "chromium/pub.sdp",
    "chromium/play-dc.sdp",
    "srs/whip.offer.sdp",
    "srs/whep.offer.sdp",
];

/// Everything there is to do with one text.
fn drive(bytes: &[u8], role: Role, answer: &[u8]) -> Result<(), TestCaseError> {
    drop(TrickleFragment::parse(bytes));
    drop(Answer::read(bytes));
    match Offer::inspect(bytes, role) {
        Err(error) => prop_assert!([400, 422].contains(&error.status_hint()) && !error.to_string().is_empty()),
        Ok(offer) => {
            let upstream = offer.for_upstream();
            prop_assert_eq!(srs::reads(&upstream, role), Srs::Reads);
            let again = Offer::inspect(upstream.as_bytes(), role);
            prop_assert_eq!(
                again.map(|offer| offer.for_upstream()),
                Ok::<_, SdpError>(upstream.clone()),
                "strip twice"
            );
            if let Ok(text) = Answer::read(answer).and_then(|answer| answer.repair(&offer, &options())) {
                prop_assert_eq!(parts(&text).len(), offer.mids().len() + 1);
                let mids = text.lines().filter_map(|line| line.strip_prefix("a=mid:"));
                prop_assert!(mids.eq(offer.mids().flatten()), "order");
                prop_assert!(text.len() <= ANSWER_BYTES_MAX);
                prop_assert!(!text.contains("a=setup:actpass"));
            }
        }
    }
    Ok(())
}

/// Lines taken out, doubled, swapped and spoilt.
fn damage(text: &str, edits: &[(prop::sample::Index, u8, prop::sample::Index)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (at, what, other) in edits {
        let (at, other) = (at.index(lines.len()), other.index(lines.len()));
        match what % 6 {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => {
                let cut = lines[at].len() * usize::from(*what) / 256;
                lines[at].truncate(cut);
            }
            4 => lines[at].push_str(" 7"),
            _ => lines[at] = lines[at].replace(['0', '1'], "2"),
        }
    }
    lines.join("\r\n")
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drive(&bytes, Role::Publish, &bytes)?;
    }

    #[test]
    fn any_lines_are_answered_without_panic(lines in prop::collection::vec("[a-z]=[ -~]{0,40}", 0..60)) {
        let text = format!("v=0\r\n{}", lines.join("\r\n"));
        drive(text.as_bytes(), Role::Play, text.as_bytes())?;
    }

    #[test]
    fn damaged_offers_and_answers_keep_every_promise(
        which in 0..OFFERS.len(),
        publisher: bool,
        offer_edits in prop::collection::vec(any::<(prop::sample::Index, u8, prop::sample::Index)>(), 0..4),
        answer_edits in prop::collection::vec(any::<(prop::sample::Index, u8, prop::sample::Index)>(), 0..3),
    ) {
        let (role, answer) = if publisher { (Role::Publish, "srs/whip.answer.sdp") } else { (Role::Play, "srs/whep.answer.sdp") };
        let offer = damage(&String::from_utf8_lossy(&vector(OFFERS[which])), &offer_edits);
        let answer = damage(&String::from_utf8_lossy(&vector(answer)), &answer_edits);
        drive(offer.as_bytes(), role, answer.as_bytes())?;
    }
}

#[test]
fn stripping_twice_is_stripping_once() {
    for name in OFFERS {
        for inspect in [publish, play] {
            let Ok(offer) = inspect(&vector(name)) else { continue };
            let once = offer.for_upstream();
            assert_eq!(inspect(once.as_bytes()).unwrap().for_upstream(), once, "{name}");
        }
    }
}
