//! SRT: packets, handshakes, stream ids, and a caller's machine between two sides that send anything.

use super::any;
use proto::wire::srt::{
    Handshake, Packet, StreamRequest, canonical, conclude,
    session::{Input, Output, Session},
};
use std::time::Duration;

const SID: &str = "#!::r=live/x,m=publish,kst=T";

/// The header of a packet.
pub(crate) fn packet(data: &[u8]) {
    if let Ok(packet) = Packet::read(data) {
        assert!(data.len() >= 16 && !(packet.is_shutdown() && packet.is_handshake()));
    }
}

/// A handshake, and what is written from it.
pub(crate) fn handshake(data: &[u8]) {
    let Ok(read) = Handshake::read(data) else { return };
    any((read.stream_id(), read.encrypted()));
    if let Ok(written) = conclude(&read, 7, SID) {
        let again = Handshake::read(&written).expect("what is written reads");
        assert_eq!(again.stream_id().ok().flatten().as_deref(), Some(SID));
        assert_eq!((again.cookie, again.socket, again.kind), (7, read.socket, read.kind));
    }
}

/// A stream id.
pub(crate) fn stream_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(read) = StreamRequest::parse(text) else { return };
    let again = StreamRequest::parse(&canonical(&read.stream, read.role, "T")).expect("a canonical one reads");
    assert_eq!((again.stream, again.role), (read.stream, read.role));
}

/// A whole session: a conclusion, then datagrams of both sides. The first byte of each says whose it is and how long it is.
pub(crate) fn session(data: &[u8]) {
    let (head, mut rest) = data.split_at(data.len().min(120));
    let Ok(mut session) = Session::new(Duration::ZERO, head) else { return };
    let (mut now, mut out, mut ended) = (Duration::ZERO, Vec::new(), 0);
    session.handle(now, Input::Dial(SID), &mut out);
    while let Some((step, tail)) = rest.split_first() {
        now += Duration::from_millis(50);
        let (datagram, tail) = tail.split_at(tail.len().min(usize::from(step >> 1)));
        rest = tail;
        out.clear();
        let input = if step & 1 == 0 { Input::Caller(datagram) } else { Input::Node(datagram) };
        session.handle(now, if datagram.is_empty() { Input::Tick } else { input }, &mut out);
        if out.contains(&Output::Opened) {
            session.handle(now, Input::Accept, &mut out);
        }
        ended += out.iter().filter(|output| matches!(output, Output::Ended(_))).count();
        assert!(out.len() <= 3 && ended <= 1);
    }
}
