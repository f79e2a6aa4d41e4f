//! Trickle fragments.

use super::vector;
use proto::wire::sdp::{FRAGMENT_BYTES_MAX, FragmentError, Intent, TrickleFragment};

/// The ufrag of the offers in `rules/`.
const KNOWN: &str = "EsAw";

fn read(name: &str) -> TrickleFragment {
    TrickleFragment::parse(&vector(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn w24_a_malformed_fragment_is_refused() {
    let refusal = |bytes: &[u8]| TrickleFragment::parse(bytes).unwrap_err();
    assert_eq!(refusal(b"garbage"), FragmentError::Line { line: 1 });
    assert_eq!(refusal(b""), FragmentError::Line { line: 1 });
    assert_eq!(refusal(b"[{\"candidate\":\"\"}]"), FragmentError::Line { line: 1 });
    assert_eq!(refusal(b"\xff=x"), FragmentError::NotText);
    assert_eq!(refusal(b"a=mid:0\r\n"), FragmentError::Empty);
    assert_eq!(refusal(b"a=candidate:1 1 udp\r\n"), FragmentError::Candidate { line: 1 });
    assert_eq!(refusal(b"a=ice-ufrag:abc\r\n"), FragmentError::Credentials);
    assert_eq!(refusal(b"a=ice-ufrag:abcd\r\na=ice-ufrag:dcba\r\n"), FragmentError::Credentials);
    let long = vec![b'a'; FRAGMENT_BYTES_MAX + 1];
    assert!(matches!(refusal(&long), FragmentError::TooLong { .. }));
}

#[test]
fn w30_candidates_are_read() {
    let fragment = read("rules/trickle.frag");
    assert_eq!(fragment.candidates(), ["192.0.2.1:61764".parse().unwrap()]);
    assert!(fragment.is_end());
    assert_eq!(fragment.dropped(), 0);
}

#[test]
fn w31_odd_candidates_are_dropped_silently() {
    let fragment = read("rules/trickle-odd.frag");
    assert_eq!((fragment.candidates().len(), fragment.dropped()), (0, 3));
    assert_eq!(fragment.intent(KNOWN), Intent::Trickle);
}

#[test]
fn w32_the_media_line_is_not_compared_and_credentials_stand_at_either_level() {
    for name in ["rules/trickle.frag", "rules/trickle-mline.frag"] {
        let fragment = read(name);
        assert_eq!(fragment.ufrag(), Some(KNOWN), "{name}");
        assert_eq!(fragment.password(), Some("P2uYro0UCOQ4zxjKXaWCBui1"), "{name}");
    }
}

#[test]
fn w33_known_credentials_mean_trickle() {
    assert_eq!(read("rules/trickle.frag").intent(KNOWN), Intent::Trickle);
    // Without credentials nothing was changed.
    let bare = TrickleFragment::parse(b"a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\n").unwrap();
    assert_eq!(bare.intent(KNOWN), Intent::Trickle);
}

#[test]
fn w25_w34_other_credentials_mean_a_restart() {
    assert_eq!(read("rules/restart.frag").intent(KNOWN), Intent::Restart);
}

#[test]
fn an_empty_candidate_is_passed_over() {
    // Firefox ends gathering with an empty candidate, which MediaMTX's page writes as an attribute without a name.
    assert!(TrickleFragment::parse(b"a=ice-ufrag:EsAw\r\na=\r\n").is_ok());
}
