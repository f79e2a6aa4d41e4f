//! RTMP: the handshake, chunks and what a relay makes of them, AMF0, and both ends of a session; PROXY headers in front.

use super::any;
use proto::{
    session::Role,
    wire::{
        proxy,
        rtmp::{
            CHUNK_SIZE_FIRST, MESSAGE_LEN_MAX, amf0,
            chunk::{Decoder, Message, Reader},
            handshake::{self, Accept, NOISE_LEN, VERSION},
            message::kind,
            relay::{Out, Piece, Relay},
            session::{Client, Connect, Plan, Server},
        },
    },
};
use std::time::Duration;

const NOISE: [u8; NOISE_LEN] = [7; NOISE_LEN];

/// Either side's, in two pieces or one: what is used is the same.
pub(crate) fn handshake(data: &[u8]) {
    let mut out = Vec::new();
    any(proxy::read(data));
    any(handshake::answer(data, &mut out));
    let whole = Accept::default().receive(data, &NOISE, &mut Vec::new());
    let (mut accept, half) = (Accept::default(), data.len() / 2);
    let first = accept.receive(&data[..half], &NOISE, &mut out);
    if let (Ok(whole), Ok(first)) = (whole, first) {
        let second = accept.receive(&data[first..], &NOISE, &mut out).expect("the version was checked");
        assert_eq!(whole, first + second);
    }
}

/// What a receiver behind a relay gets is what a receiver in its place would have got, as far as it is media.
pub(crate) fn chunk(data: &[u8]) {
    let Ok(direct) = messages(data) else {
        any(relayed(data));
        return;
    };
    // A relay also refuses long commands and a chunk size that finds no place, which is not the reader's to refuse.
    if let Some(bytes) = relayed(data) {
        let behind = messages(&bytes).expect("a relay writes what can be read");
        let media = |all: Vec<Message>| all.into_iter().filter(|m| passes(m.header.kind)).collect::<Vec<_>>();
        assert_eq!(media(behind), media(direct));
    }
}

fn passes(kind: u8) -> bool {
    !matches!(kind, 1..=6 | kind::COMMAND | kind::COMMAND_AMF3)
}

fn messages(data: &[u8]) -> Result<Vec<Message>, ()> {
    let (mut reader, mut rest, mut all) = (Reader::new(MESSAGE_LEN_MAX), data, Vec::new());
    loop {
        let (used, message) = reader.next(rest).map_err(|_| ())?;
        rest = &rest[used..];
        match message {
            Some(message) => all.push(message),
            None => return Ok(all),
        }
    }
}

/// The bytes a receiver is sent, `None` where the relay ends.
fn relayed(data: &[u8]) -> Option<Vec<u8>> {
    let mut relay = Relay::new(Decoder::default(), CHUNK_SIZE_FIRST);
    let (mut out, mut sent, mut rest) = (Out::default(), Vec::new(), data);
    loop {
        let used = relay.push(rest, Duration::ZERO, &mut out).ok()?;
        for piece in &out.pieces {
            sent.extend_from_slice(match piece {
                Piece::Passed(range) => &rest[range.clone()],
                Piece::Made(range) => &out.made[range.clone()],
            });
        }
        rest = &rest[used..];
        if out.taken.is_none() {
            return Some(sent);
        }
    }
}

/// What reads is written to what reads the same. A number that is none equals nothing, so bytes are compared.
pub(crate) fn amf0(data: &[u8]) {
    let Ok(values) = amf0::read_all(data) else { return };
    let written = |values: &[amf0::Value]| {
        let mut out = Vec::new();
        values.iter().for_each(|value| value.push(&mut out));
        out
    };
    let once = written(&values);
    if let Ok(again) = amf0::read_all(&once) {
        assert_eq!(written(&again), once);
    }
}

/// Whatever comes after a handshake, both ends go on or stop.
pub(crate) fn session(data: &[u8]) {
    let mut shaken = vec![VERSION];
    shaken.resize(1 + 2 * handshake::BLOCK_LEN, 0);
    let bytes = [shaken.as_slice(), data].concat();
    let mut out = Vec::new();
    any(Server::new(Box::new(NOISE)).receive(&bytes, &mut out));
    for role in [Role::Publish, Role::Play] {
        let plan = Plan { role, name: "cam".to_owned(), connect: Connect::default() };
        any(Client::new(plan, &NOISE, &mut out).receive(&bytes, &mut out));
    }
}
