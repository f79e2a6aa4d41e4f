//! What an attacker sends, byte by byte. Pure.

/// Numbers that look random and are the same in each run (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A STUN binding request as a browser sends it, with a username and an integrity that nobody gave it (RFC 8489).
pub(crate) fn stun(dice: &mut Dice) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    out.extend_from_slice(&dice.roll().to_be_bytes());
    out.extend_from_slice(&dice.roll().to_be_bytes()[..4]);
    let name = format!("{:016x}:{:08x}", dice.roll(), dice.roll() >> 32);
    attribute(&mut out, 0x0006, name.as_bytes());
    attribute(&mut out, 0x0024, &0x6e7f_1eff_u32.to_be_bytes());
    attribute(&mut out, 0x802a, &dice.roll().to_be_bytes());
    let mut integrity = dice.roll().to_be_bytes().repeat(3);
    integrity.truncate(20);
    attribute(&mut out, 0x0008, &integrity);
    let length = u16::try_from(out.len() - 20).unwrap_or(u16::MAX);
    out[2..4].copy_from_slice(&length.to_be_bytes());
    out
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The first packet of an SRT caller; or, every other time, its second with a cookie that nobody gave it.
pub(crate) fn srt(dice: &mut Dice) -> Vec<u8> {
    let random = dice.roll();
    let word = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    let conclusion = random & 1 == 1;
    let words = [
        0x8000_0000,
        0,
        0,
        0,
        if conclusion { 5 } else { 4 },
        if conclusion { 5 } else { 2 },
        word(dice.roll()) & 0x7fff_ffff,
        1_500,
        8_192,
        if conclusion { 0xffff_ffff } else { 1 },
        word(dice.roll()),
        if conclusion { word(dice.roll()) } else { 0 },
        0x0100_007f,
        0,
        0,
        0,
    ];
    words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect()
}

/// C0 and C1 of a simple handshake.
pub(crate) fn rtmp_hello() -> Vec<u8> {
    let mut out = vec![3];
    out.resize(1 + 1_536, 0);
    out
}

/// Where a message's payload is cut before anybody has set another chunk size.
const CHUNK_BYTES: usize = 128;

/// A chunk of type 0 that announces `length` bytes, with the first of them.
pub(crate) fn announce(chunk_stream: u8, kind: u8, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 16);
    // Streams 64 to 319 have their number, less 64, in a byte of its own.
    match chunk_stream {
        2..=63 => out.push(chunk_stream),
        other => out.extend_from_slice(&[0, other]),
    }
    out.extend_from_slice(&[0, 0, 0]);
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.push(kind);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// A whole message on chunk stream 3.
pub(crate) fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let (first, rest) = payload.split_at(payload.len().min(CHUNK_BYTES));
    let mut out = announce(3, kind, length, first);
    for piece in rest.chunks(CHUNK_BYTES) {
        out.push(0xc3);
        out.extend_from_slice(piece);
    }
    out
}

/// `Set Chunk Size` (RTMP 1.0, 5.4.1).
pub(crate) fn chunk_size(size: u32) -> Vec<u8> {
    announce(2, 1, 4, &size.to_be_bytes())
}

/// `connect` whose argument is an object in an object in an object, `depth` times.
pub(crate) fn nested_connect(depth: usize) -> Vec<u8> {
    let mut body = b"\x02\0\x07connect\0".to_vec();
    body.extend_from_slice(&1_f64.to_be_bytes());
    body.push(3);
    body.extend(b"\0\x01a\x03".repeat(depth));
    message(20, &body)
}

/// Counts the pictures in an FLV stream that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct FlvReader {
    begun: bool,
    buffer: Vec<u8>,
}

impl FlvReader {
    /// Video tags that ended in this piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> u64 {
        const FILE_HEADER: usize = 13;
        const AROUND: usize = 15;
        self.buffer.extend_from_slice(piece);
        let (mut at, mut pictures) = (0, 0);
        if !self.begun {
            if self.buffer.len() < FILE_HEADER {
                return 0;
            }
            (self.begun, at) = (true, FILE_HEADER);
        }
        while let [kind, a, b, c, ..] = self.buffer[at..] {
            let end = at + AROUND + usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(0);
            if self.buffer.len() < end {
                break;
            }
            pictures += u64::from(kind == 9);
            at = end;
        }
        self.buffer.drain(..at);
        pictures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_have_the_form_of_their_protocol() {
        let mut dice = Dice(1);
        let request = stun(&mut dice);
        assert_eq!(request.len(), 20 + usize::from(u16::from_be_bytes([request[2], request[3]])));
        assert_ne!(request, stun(&mut dice));
        assert_eq!(srt(&mut dice).len(), 64);
        let types: std::collections::BTreeSet<_> = (0..64).map(|_| srt(&mut dice)[36..40].to_vec()).collect();
        assert_eq!(types.len(), 2, "inductions and conclusions");
        assert_eq!(rtmp_hello().len(), 1_537);
        // Two chunks: 12 bytes of header, 128, one byte of header, 72.
        assert_eq!(message(20, &[7; 200]).len(), 12 + 128 + 1 + 72);
        assert_eq!(chunk_size(1 << 31), [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0x80, 0, 0, 0]);
        assert_eq!(nested_connect(10_000).iter().filter(|byte| **byte == b'a').count(), 10_000);
    }

    #[test]
    fn flv_is_counted_however_it_is_cut() {
        let mut file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for kind in [9, 8, 9, 18] {
            file.extend_from_slice(&[kind, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 14]);
        }
        for size in [1, 5, 13, 100] {
            let mut reader = FlvReader::default();
            assert_eq!(file.chunks(size).map(|piece| reader.push(piece)).sum::<u64>(), 2, "{size}");
        }
    }
}
