use super::*;
use crate::wire::rtmp::{
    CHUNK_SIZE_FIRST,
    chunk::{Encoder, Reader},
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// A receiver that checks what it is sent as a media node would.
struct Receiver {
    reader: Reader,
    waiting: Vec<u8>,
    got: Vec<Message>,
}

impl Receiver {
    fn new() -> Self {
        Self { reader: Reader::new(crate::wire::rtmp::MESSAGE_LEN_MAX), waiting: Vec::new(), got: Vec::new() }
    }

    fn send(&mut self, input: &[u8], out: &Out) {
        for piece in &out.pieces {
            match piece {
                Piece::Passed(range) => self.waiting.extend_from_slice(&input[range.clone()]),
                Piece::Made(range) => self.waiting.extend_from_slice(&out.made[range.clone()]),
            }
        }
        loop {
            let (used, message) = self.reader.next(&self.waiting).expect("a receiver can follow");
            self.waiting.drain(..used);
            match message {
                Some(message) => self.got.push(message),
                None => break,
            }
        }
    }

    /// All but the protocol's own.
    fn media(&self) -> Vec<Message> {
        self.got.iter().filter(|m| m.header.kind > kind::BANDWIDTH).cloned().collect()
    }
}

fn message(csid: u32, timestamp: u32, kind: u8, payload: Vec<u8>) -> Message {
    let len = u32::try_from(payload.len()).unwrap();
    Message { header: Header { csid, timestamp, len, kind, stream: 1 }, payload }
}

/// Any messages: media, commands among it, and changes of the chunk size.
fn traffic() -> impl Strategy<Value = Vec<Message>> {
    let kinds = prop_oneof![
        4 => Just(kind::VIDEO), 4 => Just(kind::AUDIO), 1 => Just(kind::DATA), 1 => Just(kind::COMMAND),
        1 => Just(kind::CHUNK_SIZE), 1 => Just(kind::ACK), 1 => Just(kind::USER_CONTROL),
    ];
    let step = prop_oneof![0_u32..50, 0x00FF_FFF0..0x0100_0010_u32, Just(u32::MAX)];
    let one = (3_u32..8, step, kinds, prop::collection::vec(any::<u8>(), 0..900), 128_u32..800);
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let mut at = 0_u32;
        all.into_iter()
            .map(|(csid, step, kind, payload, size)| {
                at = at.wrapping_add(step);
                match kind {
                    kind::CHUNK_SIZE => message(2, 0, kind, size.to_be_bytes().to_vec()),
                    kind::ACK => message(2, 0, kind, vec![0, 0, 0, 1]),
                    kind::USER_CONTROL => message(2, 0, kind, vec![0, 0, 0, 0, 0, 1]),
                    _ => message(csid, at, kind, payload),
                }
            })
            .collect()
    })
}

/// What a sender makes of it.
fn sent(messages: &[Message]) -> Vec<u8> {
    let (mut encoder, mut bytes) = (Encoder::default(), Vec::new());
    for message in messages {
        encoder.push(message.header, &message.payload, &mut bytes);
        if message.header.kind == kind::CHUNK_SIZE {
            encoder.set_chunk_size(message::number(&message.payload).unwrap());
        }
    }
    bytes
}

/// Relays `bytes` in pieces; returns the receiver, what was taken out, and how many bytes passed as they were.
fn relayed(bytes: &[u8], piece: usize, injected: usize) -> (Receiver, Vec<Message>, usize) {
    let mut relay = Relay::new(Decoder::default(), CHUNK_SIZE_FIRST);
    let (mut receiver, mut out) = (Receiver::new(), Out::default());
    let (mut taken, mut waiting, mut passed) = (Vec::new(), Vec::new(), 0);
    for (at, part) in bytes.chunks(piece).enumerate() {
        waiting.extend_from_slice(part);
        if injected > 0 && at % injected == 0 {
            relay.inject(message::header(2, kind::ACK, 0, &[0; 4]), vec![0; 4]);
        }
        loop {
            let used = relay.push(&waiting, SECOND, &mut out).expect("a sender that does no wrong");
            receiver.send(&waiting, &out);
            passed += out.pieces.iter().map(|p| if let Piece::Passed(r) = p { r.len() } else { 0 }).sum::<usize>();
            waiting.drain(..used);
            match out.taken.take() {
                Some(message) => taken.push(message),
                None => break,
            }
        }
    }
    assert!(waiting.is_empty(), "everything was used");
    (receiver, taken, passed)
}

proptest! {
    #[test]
    fn the_receiver_gets_what_was_sent(messages in traffic(), piece in 1_usize..700, injected in 0_usize..4) {
        let (receiver, taken, _) = relayed(&sent(&messages), piece, injected);
        let media: Vec<Message> =
            messages.iter().filter(|m| m.header.kind > kind::BANDWIDTH && m.header.kind != kind::COMMAND).cloned().collect();
        prop_assert_eq!(receiver.media(), media);
        let out: Vec<Message> =
            messages.iter().filter(|m| matches!(m.header.kind, kind::COMMAND | kind::ACK)).cloned().collect();
        prop_assert_eq!(taken, out);
        let controls = |all: &[Message]| all.iter().filter(|m| m.header.kind == kind::USER_CONTROL).count();
        prop_assert_eq!(controls(&receiver.got), controls(&messages));
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..500), piece in 1_usize..100) {
        let mut relay = Relay::new(Decoder::default(), CHUNK_SIZE_FIRST);
        let (mut out, mut waiting) = (Out::default(), Vec::new());
        for part in bytes.chunks(piece) {
            waiting.extend_from_slice(part);
            match relay.push(&waiting, SECOND, &mut out) {
                Ok(used) => drop(waiting.drain(..used)),
                Err(_) => break,
            }
        }
    }
}

#[test]
fn media_passes_as_it_is() {
    let mut messages = vec![message(2, 0, kind::CHUNK_SIZE, 60_000_u32.to_be_bytes().to_vec())];
    for frame in 0..200 {
        messages.push(message(6, frame * 40, kind::VIDEO, vec![0x27; 5000]));
        messages.push(message(4, frame * 40, kind::AUDIO, vec![0xAF; 300]));
    }
    let bytes = sent(&messages);
    let (receiver, _, passed) = relayed(&bytes, 65_536, 0);
    assert_eq!(receiver.media().len(), 400);
    assert_eq!(passed, bytes.len() - 16, "all but the chunk size, which is said in our words");
}

#[test]
fn messages_interleaved_when_one_is_taken_out() {
    // A command's chunks between those of a video message.
    let (video, command) = (vec![0x17_u8; 200], vec![2_u8; 200]);
    let (v, c) = (message(6, 40, kind::VIDEO, video.clone()), message(3, 0, kind::COMMAND, command.clone()));
    let mut bytes = Vec::new();
    push_head(&v.header, false, &mut bytes);
    bytes.extend_from_slice(&video[..128]);
    push_head(&c.header, false, &mut bytes);
    bytes.extend_from_slice(&command[..128]);
    push_head(&v.header, true, &mut bytes);
    bytes.extend_from_slice(&video[128..]);
    push_head(&c.header, true, &mut bytes);
    bytes.extend_from_slice(&command[128..]);
    let (receiver, taken, _) = relayed(&bytes, 5, 1);
    assert_eq!((receiver.media(), taken), (vec![v], vec![c]));
}

#[test]
fn a_message_of_ours_waits_for_its_place() {
    let mut relay = Relay::new(Decoder::default(), CHUNK_SIZE_FIRST);
    let (mut receiver, mut out) = (Receiver::new(), Out::default());
    let video = message(6, 0, kind::VIDEO, vec![0x17; 100]);
    let bytes = sent(std::slice::from_ref(&video));
    let (first, second) = bytes.split_at(50);
    relay.push(first, SECOND, &mut out).unwrap();
    receiver.send(first, &out);
    assert!(relay.inject(message::header(5, kind::COMMAND, 1, &[5]), vec![5]));
    relay.push(second, SECOND, &mut out).unwrap();
    receiver.send(second, &out);
    assert_eq!(receiver.got.iter().map(|m| m.header.kind).collect::<Vec<_>>(), [kind::VIDEO, kind::COMMAND]);
    for _ in 0..WAITING_MAX {
        assert!(relay.inject(message::header(5, kind::COMMAND, 1, &[5]), vec![5]));
    }
    assert!(!relay.inject(message::header(5, kind::COMMAND, 1, &[5]), vec![5]), "what waits is bounded");
}

#[test]
fn a_slow_receiver_gets_whole_messages_from_a_key_frame_on() {
    let mut relay = Relay::new(Decoder::default(), CHUNK_SIZE_FIRST);
    let (mut receiver, mut out) = (Receiver::new(), Out::default());
    let (mut encoder, mut dropped) = (Encoder::default(), 0);
    let mut frame = |at: u32, key: bool, now: Duration, lag: Option<Lag>| {
        let mut bytes = Vec::new();
        let first = if key { 0x17 } else { 0x27 };
        let video = message(6, at, kind::VIDEO, [vec![first, 1], vec![0; 300]].concat());
        encoder.push(video.header, &video.payload, &mut bytes);
        if let Some(lag) = lag {
            relay.behind(lag, now);
        }
        assert_eq!(relay.push(&bytes, now, &mut out), Ok(bytes.len()));
        receiver.send(&bytes, &out);
        dropped += out.dropped;
    };
    frame(0, true, SECOND, None);
    frame(40, false, SECOND, Some(Lag::None));
    for at in 1..20 {
        frame(40 + at * 40, at == 10, SECOND * 8, Some(Lag::Waited));
    }
    frame(6900, true, SECOND * 8, Some(Lag::Waited));
    frame(6940, false, SECOND * 8, None);
    let stamps: Vec<u32> = receiver.media().iter().map(|m| m.header.timestamp).collect();
    assert_eq!(stamps, [0, 40, 6900, 6940]);
    assert_eq!(dropped, 19);
}

#[test]
fn an_abort_reaches_a_receiver_that_has_a_part() {
    let mut bytes = Vec::new();
    push_head(&message(6, 0, kind::VIDEO, vec![0; 300]).header, false, &mut bytes);
    bytes.extend_from_slice(&[0; 128]);
    message::push_number(kind::ABORT, 6, &mut bytes);
    message::push_number(kind::ABORT, 9, &mut bytes);
    let next = message(6, 7, kind::VIDEO, vec![9]);
    push_message(&next.header, &next.payload, 128, &mut bytes);
    let (receiver, taken, _) = relayed(&bytes, 11, 0);
    assert_eq!(receiver.media(), [next]);
    assert_eq!(receiver.got.len(), 2, "one abort is enough");
    assert!(taken.is_empty());
}

#[test]
fn hostile_heads_end_it() {
    let error =
        |bytes: &[u8]| Relay::new(Decoder::default(), 128).push(bytes, SECOND, &mut Out::default()).unwrap_err();
    let mut command = Vec::new();
    push_head(&message::header(3, kind::COMMAND, 0, &[0; COMMAND_LEN_MAX as usize + 1]), false, &mut command);
    assert!(matches!(error(&command), ChunkError::MessageLen { .. }));
    let mut size = Vec::new();
    message::push_number(kind::CHUNK_SIZE, 1 << 31, &mut size);
    assert_eq!(error(&size), ChunkError::ChunkSize(1 << 31));
}
