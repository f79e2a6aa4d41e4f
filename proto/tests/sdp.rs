//! Session descriptions against captured and hand-written ones (`vectors/sdp/README.md`). Tests that carry out a line of the WHIP or WHEP
//! check-list begin with its number (W: RFC 9725, P: WHEP draft).

use proto::{
    session::Role,
    wire::sdp::{Answer, AnswerError, AnswerOptions, Candidates, Offer, SdpError},
};
use std::path::Path;

#[path = "sdp/answer.rs"]
mod answer;
#[path = "sdp/offer.rs"]
mod offer;
#[path = "sdp/properties.rs"]
mod properties;
#[path = "sdp/srs.rs"]
mod srs;
#[path = "sdp/trickle.rs"]
mod trickle;
#[path = "sdp/upstream.rs"]
mod upstream;

/// The bytes of a vector.
fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sdp").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A vector as text, edited.
fn edited(name: &str, edits: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::from_utf8(vector(name)).expect("vectors are text");
    for (from, to) in edits {
        assert!(text.contains(from), "{name} has no {from:?}");
        text = text.replace(from, to);
    }
    text.into_bytes()
}

fn publish(bytes: &[u8]) -> Result<Offer, SdpError> {
    Offer::inspect(bytes, Role::Publish)
}

fn play(bytes: &[u8]) -> Result<Offer, SdpError> {
    Offer::inspect(bytes, Role::Play)
}

fn options() -> AnswerOptions {
    AnswerOptions { candidates: Candidates::Keep, msid: "cam1".to_owned() }
}

fn repair(offer: &Offer, answer: &[u8]) -> Result<String, AnswerError> {
    Answer::read(answer)?.repair(offer, &options())
}

/// Lines that begin with `start`.
fn lines<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(start)).collect()
}

/// Cuts a description into its session part and its sections.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.split_inclusive("\r\n") {
        if line.starts_with("m=") {
            parts.push(String::new());
        }
        parts.last_mut().expect("never empty").push_str(line);
    }
    parts
}

/// The text without the sections of one medium.
fn without(text: &str, media: &str) -> String {
    let start = format!("m={media} ");
    parts(text).into_iter().filter(|part| !part.starts_with(&start)).collect()
}
