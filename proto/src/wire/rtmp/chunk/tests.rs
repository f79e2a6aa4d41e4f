use super::*;
use crate::wire::rtmp::{CHUNK_SIZE_FIRST, message::kind};
use proptest::prelude::*;

fn header(csid: u32, timestamp: u32, len: u32, kind: u8, stream: u32) -> Header {
    Header { csid, timestamp, len, kind, stream }
}

/// Messages as an encoder sends them: few chunk streams, time that mostly runs on.
pub(in crate::wire::rtmp) fn messages() -> impl Strategy<Value = Vec<Message>> {
    let stamp = prop_oneof![Just(0), 1_u32..50, 0x00FF_FFF0..0x0100_0010_u32, any::<u32>()];
    let one = (
        prop_oneof![4_u32..7, Just(63), Just(64), Just(319), Just(320), Just(65_599)],
        stamp,
        prop_oneof![Just(kind::AUDIO), Just(kind::VIDEO), Just(kind::DATA)],
        prop::collection::vec(any::<u8>(), 0..600),
    );
    prop::collection::vec(one, 1..30).prop_map(|all| {
        let mut at = 0_u32;
        all.into_iter()
            .map(|(csid, step, kind, payload)| {
                at = at.wrapping_add(step);
                let len = u32::try_from(payload.len()).unwrap();
                Message { header: header(csid, at, len, kind, 1), payload }
            })
            .collect()
    })
}

pub(in crate::wire::rtmp) fn encoded(messages: &[Message], chunk_size: u32) -> Vec<u8> {
    let (mut encoder, mut bytes) = (Encoder::default(), Vec::new());
    encoder.set_chunk_size(chunk_size);
    messages.iter().for_each(|message| encoder.push(message.header, &message.payload, &mut bytes));
    bytes
}

/// Reads in pieces of `piece` bytes.
pub(in crate::wire::rtmp) fn decoded(bytes: &[u8], chunk_size: u32, piece: usize) -> Result<Vec<Message>, ChunkError> {
    let mut decoder = Decoder::default();
    decoder.set_chunk_size(chunk_size)?;
    let (mut reader, mut all, mut waiting) = (Reader::of(decoder, MESSAGE_LEN_MAX), Vec::new(), Vec::new());
    for part in bytes.chunks(piece.max(1)) {
        waiting.extend_from_slice(part);
        loop {
            let (used, message) = reader.next(&waiting)?;
            waiting.drain(..used);
            match message {
                Some(message) => all.push(message),
                None => break,
            }
        }
    }
    Ok(all)
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_any_pieces(
        messages in messages(), chunk_size in 128_u32..700, piece in 1_usize..500,
    ) {
        let bytes = encoded(&messages, chunk_size);
        prop_assert_eq!(decoded(&bytes, chunk_size, piece), Ok(messages));
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..100) {
        drop(decoded(&bytes, 128, piece));
    }
}

#[test]
fn heads_are_as_captured() {
    // ffmpeg 5.1 to SRS: SetChunkSize 60000, then a video message of 309 bytes and the next one 40 ms on.
    let mut out = Vec::new();
    push_head(&header(2, 0, 4, kind::CHUNK_SIZE, 0), false, &mut out);
    assert_eq!(data_encoding::HEXLOWER.encode(&out), "020000000000040100000000");
    let mut encoder = Encoder::default();
    encoder.set_chunk_size(60_000);
    let mut out = Vec::new();
    let mut push = |stamp, len| encoder.push(header(6, stamp, 0, kind::VIDEO, 1), &vec![0; len], &mut out);
    push(0, 5);
    push(40, 6);
    push(80, 6);
    push(120, 6);
    push(161, 6);
    let hex = "06 000000 000005 09 01000000 0000000000 46 000028 000006 09 000000000000 \
               c6 000000000000 c6 000000000000 86 000029 000000000000";
    assert_eq!(data_encoding::HEXLOWER.encode(&out), hex.replace(' ', ""));
}

#[test]
fn interleaved_messages_are_kept_apart() {
    let (video, audio) = (vec![1_u8; 200], vec![2_u8; 150]);
    let (v, a) = (header(6, 40, 200, kind::VIDEO, 1), header(4, 41, 150, kind::AUDIO, 1));
    let mut bytes = Vec::new();
    push_head(&v, false, &mut bytes);
    bytes.extend_from_slice(&video[..128]);
    push_head(&a, false, &mut bytes);
    bytes.extend_from_slice(&audio[..128]);
    push_head(&v, true, &mut bytes);
    bytes.extend_from_slice(&video[128..]);
    push_head(&a, true, &mut bytes);
    bytes.extend_from_slice(&audio[128..]);
    let expected = vec![Message { header: v, payload: video }, Message { header: a, payload: audio }];
    assert_eq!(decoded(&bytes, CHUNK_SIZE_FIRST, 7), Ok(expected));
}

#[test]
fn a_continuation_may_leave_out_the_extended_timestamp() {
    let head = header(6, 0x0123_4567, 200, kind::VIDEO, 1);
    let payload: Vec<u8> = (0..200_u8).collect();
    let mut bytes = Vec::new();
    push_head(&head, false, &mut bytes);
    bytes.extend_from_slice(&payload[..128]);
    bytes.push(0xC6);
    bytes.extend_from_slice(&payload[128..]);
    assert_eq!(decoded(&bytes, CHUNK_SIZE_FIRST, 1000), Ok(vec![Message { header: head, payload }]));
}

#[test]
fn a_new_message_of_form_three_counts_on() {
    let mut bytes = vec![0x06, 0, 0, 100, 0, 0, 1, 9, 1, 0, 0, 0, 0xAA];
    bytes.extend_from_slice(&[0xC6, 0xBB, 0x86, 0, 0, 20, 0xCC, 0xC6, 0xDD]);
    let stamps: Vec<u32> = decoded(&bytes, 128, 3).unwrap().iter().map(|m| m.header.timestamp).collect();
    assert_eq!(stamps, [100, 200, 220, 240]);
}

#[test]
fn the_limits_hold() {
    let decode = |bytes: &[u8]| decoded(bytes, 128, 1000).map(|all| all.len());
    assert_eq!(
        decode(&[0x06, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0]),
        Err(ChunkError::MessageLen { got: 0x00FF_FFFF, limit: MESSAGE_LEN_MAX })
    );
    assert_eq!(decode(&[0xC6]), Err(ChunkError::Headless { csid: 6 }));
    assert_eq!(decode(&[0x86]), Err(ChunkError::Headless { csid: 6 }));
    let size = |number: u32| {
        let mut bytes = Vec::new();
        crate::wire::rtmp::message::push_number(kind::CHUNK_SIZE, number, &mut bytes);
        decode(&bytes)
    };
    assert_eq!(size(1 << 31), Err(ChunkError::ChunkSize(1 << 31)));
    assert_eq!(size(0), Err(ChunkError::ChunkSize(0)));
    assert_eq!(size(CHUNK_SIZE_MAX), Ok(1));
    let mut many = Vec::new();
    for csid in 3..(4 + u32::try_from(CHUNK_STREAMS_MAX).unwrap()) {
        push_message(&header(csid, 0, 0, kind::DATA, 1), &[], 128, &mut many);
    }
    assert_eq!(decode(&many), Err(ChunkError::Streams));
}

#[test]
fn what_is_announced_and_not_sent_is_bounded() {
    let mut bytes = Vec::new();
    for csid in 3..9 {
        push_head(&header(csid, 0, MESSAGE_LEN_MAX, kind::VIDEO, 1), false, &mut bytes);
        bytes.extend_from_slice(&[0; 128]);
    }
    assert_eq!(decoded(&bytes, 128, 1000), Err(ChunkError::Begun { limit: BEGUN_LEN_MAX }));
    let mut bytes = Vec::new();
    push_head(&header(6, 0, 300, kind::VIDEO, 1), false, &mut bytes);
    bytes.extend_from_slice(&[0; 128]);
    push_head(&header(6, 0, 300, kind::VIDEO, 1), false, &mut bytes);
    assert_eq!(decoded(&bytes, 128, 1000), Err(ChunkError::Interrupted { csid: 6 }));
}

#[test]
fn an_aborted_message_is_gone() {
    let mut bytes = Vec::new();
    push_head(&header(6, 0, 300, kind::VIDEO, 1), false, &mut bytes);
    bytes.extend_from_slice(&[0; 128]);
    crate::wire::rtmp::message::push_number(kind::ABORT, 6, &mut bytes);
    push_message(&header(6, 5, 1, kind::VIDEO, 1), &[9], 128, &mut bytes);
    let all = decoded(&bytes, 128, 10).unwrap();
    assert_eq!(all.last().map(|m| m.payload.clone()), Some(vec![9]));
    assert_eq!(all.len(), 2, "the abort and the next message");
}
