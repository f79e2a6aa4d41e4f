//! What is asked of a node's ports before it joins, and what answers prove that the right one listens.

use super::nodes::{VersionVerdict, version};
use proto::{NodeId, ServiceId, api::NodeCheck, srs::api::Head};

/// Bytes of an RTMP client's first message: C0 and C1.
pub const RTMP_HELLO_BYTES: usize = 1 + 1536;
/// RTMP's version byte.
const RTMP_VERSION: u8 = 3;
/// Bytes of an SRT induction: a header of 16 and a handshake of 48.
pub const SRT_HELLO_BYTES: usize = 64;
/// In an SRT listener's answer to an induction.
const SRT_MAGIC: u16 = 0x4A17;
/// RFC 8489, 5.
const STUN_COOKIE: u32 = 0x2112_A442;
/// Who a STUN request of ours says it is; no session has this name, and SRS answers only the names it knows.
const STUN_NAME: &[u8; 16] = b"keystone:dialing";

/// Makes one entry of what was tried.
#[must_use]
pub fn check(what: &str, answer: Result<&str, String>) -> NodeCheck {
    let (ok, why) = match answer {
        Ok(note) => (true, note.to_owned()),
        Err(why) => (false, why),
    };
    NodeCheck { check: what.to_owned(), ok, why }
}

/// Judges what the API says of itself against what the heartbeat said.
///
/// # Errors
/// For the operator: what differs.
pub fn api_says(head: &Head, node: &NodeId, service: &ServiceId) -> Result<(), String> {
    if head.code != 0 {
        return Err(format!("it answers code {}", head.code));
    }
    if head.server != node.as_str() {
        return Err(format!("another node answers there: {}", head.server.escape_debug()));
    }
    if head.service != service.as_str() {
        return Err(format!(
            "another run answers there than the one that sends heartbeats: {}",
            head.service.escape_debug()
        ));
    }
    Ok(())
}

/// Judges the version.
#[must_use]
pub fn version_check(text: &str, allow_unknown: bool) -> NodeCheck {
    let (verdict, lines) = version(text, allow_unknown);
    match verdict {
        VersionVerdict::Refuse => check("version", Err(lines.join("; "))),
        VersionVerdict::Fine | VersionVerdict::Warn => check("version", Ok(text)),
    }
}

/// C0 and C1.
#[must_use]
pub fn rtmp_hello() -> [u8; RTMP_HELLO_BYTES] {
    let mut hello = [0; RTMP_HELLO_BYTES];
    hello[0] = RTMP_VERSION;
    hello
}

/// Judges S0.
///
/// # Errors
/// For the operator.
pub fn rtmp_answers(first: u8) -> Result<(), String> {
    if first == RTMP_VERSION { Ok(()) } else { Err("what listens there does not speak RTMP".to_owned()) }
}

/// An SRT caller's induction. Source: draft-sharabayko-srt, 3.2.1 and 4.3.1.1.
#[must_use]
pub fn srt_hello(socket: u32) -> [u8; SRT_HELLO_BYTES] {
    let words: [u32; 16] = [
        0x8000_0000, // control packet, handshake
        0,
        0,
        0,
        4,           // handshake version of an induction
        0x0000_0002, // no encryption; the extension field of an induction
        0,
        1_500,
        8_192,
        1, // induction
        socket,
        0,
        0x7F00_0001,
        0,
        0,
        0,
    ];
    let mut hello = [0; SRT_HELLO_BYTES];
    for (at, word) in hello.chunks_exact_mut(4).zip(words) {
        at.copy_from_slice(&word.to_be_bytes());
    }
    hello
}

/// Judges the answer to [`srt_hello`].
///
/// # Errors
/// For the operator.
pub fn srt_answers(answer: &[u8], socket: u32) -> Result<(), String> {
    let word = |at: usize| {
        answer.get(at..at.saturating_add(4)).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    };
    let fits = answer.len() >= SRT_HELLO_BYTES
        && word(0) == Some(0x8000_0000)
        && word(12) == Some(socket)
        && word(20).is_some_and(|word| word & 0xFFFF == u32::from(SRT_MAGIC))
        && word(36) == Some(1);
    if fits { Ok(()) } else { Err("what listens there does not speak SRT".to_owned()) }
}

/// A STUN binding request of somebody that no node knows.
#[must_use]
pub fn stun_hello(transaction: &[u8; 12]) -> Vec<u8> {
    let mut hello = vec![0, 1, 0, 20];
    hello.extend(STUN_COOKIE.to_be_bytes());
    hello.extend(transaction);
    // USERNAME, 16 bytes.
    hello.extend([0, 6, 0, 16]);
    hello.extend(STUN_NAME);
    hello
}

/// Judges the answer to [`stun_hello`]: a success or an error of the same transaction.
///
/// # Errors
/// For the operator.
pub fn stun_answers(answer: &[u8], transaction: &[u8; 12]) -> Result<(), String> {
    let kind = answer.get(..2);
    let known = kind == Some(&[1, 1]) || kind == Some(&[1, 0x11]);
    if known && answer.get(8..20) == Some(transaction) {
        Ok(())
    } else {
        Err("what listens there does not speak STUN".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From SRS 5.0.216 to an induction of socket 0x12345678.
    const SRT_ANSWER: &str = "8000000000000000003aa906123456780000000500004a1700000000000005dc00002000000000011234567834ac8ed00100007f000000000000000000000000";

    #[test]
    fn an_srt_listener_is_told_from_others() {
        let answer = data_encoding::HEXLOWER.decode(SRT_ANSWER.as_bytes()).unwrap();
        assert_eq!(srt_answers(&answer, 0x1234_5678), Ok(()));
        assert!(srt_answers(&answer, 1).is_err(), "an answer to somebody else");
        assert!(srt_answers(&answer[..63], 0x1234_5678).is_err());
        assert!(srt_answers(&srt_hello(0x1234_5678), 0x1234_5678).is_err(), "an echo");
    }

    #[test]
    fn a_stun_server_is_told_from_others() {
        let transaction = [7; 12];
        let hello = stun_hello(&transaction);
        assert_eq!((hello.len(), &hello[..2]), (40, &[0, 1][..]));
        let mut answer = hello.clone();
        assert!(stun_answers(&answer, &transaction).is_err(), "an echo");
        answer[0] = 1;
        answer[1] = 1;
        assert_eq!(stun_answers(&answer, &transaction), Ok(()));
        assert!(stun_answers(&answer, &[8; 12]).is_err());
    }

    #[test]
    fn the_api_must_be_of_the_node_and_run_that_sends_heartbeats() {
        let (node, run) = (NodeId::parse("n1").unwrap(), ServiceId::parse("s1").unwrap());
        let head = |code, server: &str, service: &str| Head {
            code,
            server: server.into(),
            service: service.into(),
            pid: String::new(),
        };
        assert_eq!(api_says(&head(0, "n1", "s1"), &node, &run), Ok(()));
        for head in [head(1, "n1", "s1"), head(0, "n2", "s1"), head(0, "n1", "s2"), head(0, "", "")] {
            assert!(api_says(&head, &node, &run).is_err(), "{head:?}");
        }
    }

    #[test]
    fn a_version_that_is_refused_keeps_a_node_out() {
        assert!(version_check("5.0.216", false).ok && version_check("", false).ok);
        assert!(!version_check("5.0.199", true).ok, "known to be bad");
        assert!(!version_check("9.0.1", false).ok && version_check("9.0.1", true).ok);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer: Vec<u8>) {
            prop_assert!(srt_answers(&answer, 1).is_err() || answer.len() >= SRT_HELLO_BYTES);
            prop_assert!(stun_answers(&answer, &[1; 12]).is_err() || answer.len() >= 20);
        }
    }
}
