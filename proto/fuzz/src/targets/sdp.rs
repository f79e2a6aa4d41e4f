//! Offers, answers and trickle fragments.

use super::any;
use proto::{
    session::Role,
    wire::sdp::{ANSWER_BYTES_MAX, Answer, AnswerOptions, Candidates, Offer, TrickleFragment},
};
use std::sync::LazyLock;

const OFFER: &[u8] = include_bytes!("../../../tests/vectors/sdp/srs/whip.offer.sdp");
const ANSWER: &[u8] = include_bytes!("../../../tests/vectors/sdp/srs/whip.answer.sdp");

static ASKED: LazyLock<Offer> = LazyLock::new(|| Offer::inspect(OFFER, Role::Publish).expect("a captured offer"));
static GIVEN: LazyLock<Answer> = LazyLock::new(|| Answer::read(ANSWER).expect("a captured answer"));

fn options() -> AnswerOptions {
    AnswerOptions { candidates: Candidates::Keep, msid: "cam1".to_owned() }
}

/// An offer that is taken can be written for the node, and what is written is taken again and written the same.
pub(crate) fn offer(data: &[u8]) {
    for role in [Role::Publish, Role::Play] {
        match Offer::inspect(data, role) {
            Err(error) => assert!(matches!(error.status_hint(), 400 | 422)),
            Ok(offer) => {
                let upstream = offer.for_upstream();
                let again = Offer::inspect(upstream.as_bytes(), role).expect("our own text is taken");
                assert_eq!(again.for_upstream(), upstream);
                any(GIVEN.repair(&offer, &options()));
            }
        }
    }
}

/// A node's answer becomes one for the client, bounded.
pub(crate) fn answer(data: &[u8]) {
    let Ok(answer) = Answer::read(data) else { return };
    if let Ok(text) = answer.repair(&ASKED, &options()) {
        assert!(text.len() <= ANSWER_BYTES_MAX);
        assert!(!text.contains("a=setup:actpass"));
    }
}

/// A fragment is read, and what it means is asked.
pub(crate) fn fragment(data: &[u8]) {
    if let Ok(fragment) = TrickleFragment::parse(data) {
        any((fragment.intent("abcd"), fragment.password().map(str::len), fragment.dropped()));
        assert!(fragment.candidates().len() <= data.len());
    }
}
