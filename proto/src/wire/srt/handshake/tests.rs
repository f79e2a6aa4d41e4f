use super::*;
use proptest::prelude::*;

/// A conclusion of libsrt 1.5.1 (ffmpeg 5.1), its fields as captured (`srt-handshake.json` of the captures).
fn captured(stream_id: &str) -> Vec<u8> {
    let mut out = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0];
    for word in [5_u32, 5, 0x2a2a_2a2a, 1500, 8192, 0xffff_ffff, 681_106_195, 322_376_503, 0x0100_007f, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend([0, 1, 0, 3, 0, 1, 5, 1, 0, 0, 0, 0xbf, 0, 0x78, 0, 0]);
    let words = stream_id.len().div_ceil(4);
    out.extend([0, 5, 0, u8::try_from(words).unwrap()]);
    for word in stream_id.as_bytes().chunks(4) {
        let mut word = word.to_vec();
        word.resize(4, 0);
        word.reverse();
        out.extend(word);
    }
    out
}

#[test]
fn a_captured_conclusion_reads() {
    let bytes = captured("#!::h=cdn.example.com,r=live/rsrt1,m=publish,token=RT");
    let read = Handshake::read(&bytes).unwrap();
    assert_eq!((read.version, read.kind, read.destination), (5, Kind::Conclusion, 0));
    assert_eq!((read.socket, read.cookie), (681_106_195, 322_376_503));
    assert_eq!(read.stream_id().unwrap().unwrap(), "#!::h=cdn.example.com,r=live/rsrt1,m=publish,token=RT");
    assert!(!read.encrypted().unwrap());
    let kinds: Vec<_> = read.extensions().map(|one| one.unwrap().kind).collect();
    assert_eq!(kinds, [ExtensionKind::Request, ExtensionKind::StreamId]);
}

#[test]
fn the_answer_to_an_induction_is_what_libsrt_listeners_send() {
    let mut bytes = captured("");
    bytes.truncate(HANDSHAKE_BYTES);
    bytes[36..40].copy_from_slice(&1_u32.to_be_bytes());
    bytes[16..24].copy_from_slice(&[0, 0, 0, 4, 0, 0, 0, 2]);
    let reply = induction_reply(&Handshake::read(&bytes).unwrap(), 0xc00c_1e00);
    let read = Handshake::read(&reply).unwrap();
    assert_eq!((read.destination, read.socket, read.version), (681_106_195, 681_106_195, 5));
    assert_eq!((read.kind, read.cookie), (Kind::Induction, 0xc00c_1e00));
    assert_eq!(reply[20..24], [0, 0, 0x4a, 0x17]);
    assert_eq!(reply[24..36], bytes[24..36], "sequence number, MTU and window are repeated");
}

#[test]
fn key_material_marks_an_encrypted_caller_and_passes_unchanged() {
    let mut bytes = captured("live/cam");
    let key = [0, 3, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
    bytes.splice(HANDSHAKE_BYTES + 16..HANDSHAKE_BYTES + 16, key);
    let read = Handshake::read(&bytes).unwrap();
    assert!(read.encrypted().unwrap());
    let out = conclude(&read, 7, "#!::r=live/cam").unwrap();
    assert_eq!(out[HANDSHAKE_BYTES + 16..HANDSHAKE_BYTES + 28], key);
    assert_eq!(Handshake::read(&out).unwrap().stream_id().unwrap().unwrap(), "#!::r=live/cam");
}

#[test]
fn what_is_cut_off_or_too_much_is_refused() {
    let good = captured("live/cam");
    assert_eq!(Handshake::read(&good[..63]), Err(HandshakeError::Short { got: 63 }));
    assert_eq!(Handshake::read(&good[..good.len() - 1]).unwrap().stream_id(), Err(HandshakeError::Truncated));
    let mut long = good.clone();
    long[HANDSHAKE_BYTES + 17] = 0xff;
    long[HANDSHAKE_BYTES + 18] = 0xff;
    assert_eq!(Handshake::read(&long).unwrap().stream_id(), Err(HandshakeError::Truncated));
    let twice = [good.as_slice(), &good[HANDSHAKE_BYTES + 16..]].concat();
    assert_eq!(Handshake::read(&twice).unwrap().stream_id(), Err(HandshakeError::Extensions));
    let full = [&good[..HANDSHAKE_BYTES], [0, 9, 0, 0].repeat(16).as_slice()].concat();
    assert_eq!(conclude(&Handshake::read(&full).unwrap(), 1, "x"), Err(HandshakeError::Extensions));
    let many = [&good[..HANDSHAKE_BYTES], [0, 9, 0, 0].repeat(17).as_slice()].concat();
    assert_eq!(Handshake::read(&many).unwrap().encrypted(), Err(HandshakeError::Extensions));
    assert_eq!(Handshake::read(&[0x80, 1].repeat(40)), Err(HandshakeError::NotHandshake));
    let frame = [good.as_slice(), &[0; HANDSHAKE_LEN_MAX]].concat();
    assert!(matches!(Handshake::read(&frame), Err(HandshakeError::Long { .. })));
    let wide = captured(&"x".repeat(516));
    assert_eq!(Handshake::read(&wide).unwrap().stream_id(), Err(HandshakeError::StreamIdLong { got: 516 }));
    let not_text = captured("live/cam");
    let mut not_text = not_text;
    let last = not_text.len() - 1;
    not_text[last] = 0xff;
    assert_eq!(Handshake::read(&not_text).unwrap().stream_id(), Err(HandshakeError::StreamIdText));
}

#[test]
fn steps_and_reasons_are_told_apart() {
    let of = |code: u32| Kind::of(code);
    assert_eq!(of(1), Kind::Induction);
    assert_eq!(of(u32::MAX), Kind::Conclusion);
    assert_eq!(of(1010), Kind::Rejection(10));
    assert_eq!(of(2401), Kind::Rejection(1401));
    for code in [0, 2, 999, 0xffff_fffd, 0xffff_fffe, 0x8000_0000] {
        assert_eq!(of(code), Kind::Rendezvous, "{code}");
    }
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        bytes.iter_mut().zip([0x80, 0, 0, 0]).for_each(|(to, from)| *to = from);
        if let Ok(read) = Handshake::read(&bytes) {
            drop((read.stream_id(), read.encrypted(), conclude(&read, 1, "x")));
        }
    }

    #[test]
    fn a_stream_id_survives_writing(from in "[ -~]{1,60}", to in "[ -~]{1,512}", cookie: u32) {
        let bytes = captured(&from);
        let read = Handshake::read(&bytes).unwrap();
        prop_assert_eq!(read.stream_id().unwrap().unwrap(), from);
        let out = conclude(&read, cookie, &to).unwrap();
        let again = Handshake::read(&out).unwrap();
        prop_assert_eq!(again.stream_id().unwrap().unwrap(), to);
        prop_assert_eq!((again.cookie, again.socket), (cookie, read.socket));
    }
}
