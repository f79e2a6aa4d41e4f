//! SRT against captured handshakes (`vectors/srt/README.md`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proto::{
    StreamId,
    session::Role,
    wire::srt::{
        ExtensionKind, Handshake, Kind, StreamRequest, canonical, conclude, induction_reply, reject,
        session::{Input, Output, Session},
    },
};
use std::{path::Path, time::Duration};

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/srt/{name}.hex"));
    let text: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// What the captured rewriting put in place of the callers' stream ids.
fn rewritten(stream: &str) -> String {
    canonical(&StreamId::parse(stream).unwrap(), Role::Publish, &"T".repeat(200))
}

#[test]
fn captured_conclusions_read() {
    let bytes = vector("conclusion");
    let read = Handshake::read(&bytes).unwrap();
    assert_eq!((read.kind, read.version, read.destination), (Kind::Conclusion, 5, 0));
    let text = read.stream_id().unwrap().unwrap();
    assert_eq!(text, "#!::r=live/cam,m=publish,token=a=b");
    let request = StreamRequest::parse(&text).unwrap();
    assert_eq!((request.role, request.credential.as_deref()), (Role::Publish, Some("a=b")));
    assert!(!read.encrypted().unwrap());
    let bytes = vector("encrypted-conclusion");
    let read = Handshake::read(&bytes).unwrap();
    assert!(read.encrypted().unwrap());
    assert_eq!(read.stream_id().unwrap().unwrap(), "#!::r=live/enc,m=publish,key=x");
}

#[test]
fn rewriting_makes_the_bytes_that_srs_accepted() {
    for (asked, answer, accepted, stream) in [
        ("conclusion", "induction-answer", "conclusion-rewritten", "cam"),
        ("encrypted-conclusion", "", "encrypted-conclusion-rewritten", "enc"),
    ] {
        let (asked, accepted) = (vector(asked), vector(accepted));
        let cookie = if answer.is_empty() {
            Handshake::read(&accepted).unwrap().cookie
        } else {
            Handshake::read(&vector(answer)).unwrap().cookie
        };
        let written = conclude(&Handshake::read(&asked).unwrap(), cookie, &rewritten(stream)).unwrap();
        assert_eq!(written, accepted);
        let kinds = |bytes: &[u8]| -> Vec<ExtensionKind> {
            let mut kinds: Vec<_> = Handshake::read(bytes).unwrap().extensions().map(|e| e.unwrap().kind).collect();
            kinds.sort_by_key(|kind| format!("{kind:?}"));
            kinds
        };
        assert_eq!(kinds(&written), kinds(&asked), "nothing else is added or lost");
    }
}

#[test]
fn an_induction_is_answered_as_srs_answers_but_for_the_cookie() {
    let (asked, answer) = (vector("induction"), vector("induction-answer"));
    let theirs = Handshake::read(&answer).unwrap();
    let mut ours = induction_reply(&Handshake::read(&asked).unwrap(), theirs.cookie);
    // The time since each side began.
    ours[8..12].copy_from_slice(&answer[8..12]);
    assert_eq!(ours.as_slice(), answer);
}

#[test]
fn the_machine_leads_a_captured_call() {
    let ms = Duration::from_millis;
    let (mut session, mut out) = (Session::new(ms(0), &vector("conclusion")).unwrap(), Vec::new());
    session.handle(ms(1), Input::Dial(&rewritten("cam")), &mut out);
    let [Output::ToNode(induction)] = &out[..] else { panic!("{out:?}") };
    let captured = vector("induction");
    assert_eq!((&induction[..8], &induction[16..]), (&captured[..8], &captured[16..]), "as if the caller had sent it");
    out.clear();
    session.handle(ms(2), Input::Node(&vector("induction-answer")), &mut out);
    assert_eq!(out, [Output::ToNode(vector("conclusion-rewritten"))]);
    out.clear();
    session.handle(ms(3), Input::Node(&vector("conclusion-answer")), &mut out);
    assert_eq!(out, [Output::Opened]);
    out.clear();
    session.handle(ms(4), Input::Accept, &mut out);
    assert_eq!(out, [Output::ToCaller(vector("conclusion-answer"))]);
    assert_eq!(session.server(), Some(Handshake::read(&vector("conclusion-answer")).unwrap().socket));
}

#[test]
fn a_captured_refusal_is_told_apart() {
    let bytes = vector("refused-unsecure");
    assert_eq!(Handshake::read(&bytes).unwrap().kind, Kind::Rejection(reject::UNSECURE));
}
