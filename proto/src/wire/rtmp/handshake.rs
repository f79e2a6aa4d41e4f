//! The handshake: version, time and noise, each echoed. The simple form.
//!
//! The digests of Flash 9 (the "complex" form) are not made: ffmpeg, OBS, librtmp, GStreamer, Larix and SRS all go on without them when the
//! peer's version field is zero. A client that sends digests gets its bytes echoed like any other.
//!
//! Source: specification 5.2; what encoders accept: srs, ffmpeg `rtmpproto.c`, read 2026-11-23.

use super::bytes::Bytes;

/// The version both sides speak, C0 and S0.
pub const VERSION: u8 = 3;
/// Bytes of C1, S1, C2 and S2.
pub const BLOCK_LEN: usize = 1536;
/// Bytes of noise in a block.
pub const NOISE_LEN: usize = BLOCK_LEN - 8;
/// Bytes of C0 and C1, and of S0 and S1.
pub const HELLO_LEN: usize = BLOCK_LEN + 1;
/// Bytes of S0, S1 and S2.
pub const ANSWER_LEN: usize = HELLO_LEN + BLOCK_LEN;

/// What is wrong with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The first byte is not 3: the peer speaks another protocol, or encrypted RTMPE.
    #[error("the first byte is {got}, RTMP starts with 3")]
    Version {
        /// The byte.
        got: u8,
    },
}

/// The server's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    /// C0 and C1 are awaited.
    #[default]
    Hello,
    /// C2 is awaited.
    Echo,
    /// Both sides have said all.
    Done,
}

impl Accept {
    /// Takes what the client sent so far and answers into `out`; returns how many bytes of it were used. `noise` is drawn by the caller.
    ///
    /// What C2 holds is not looked at: clients that computed a digest echo something else, and nothing rests on it.
    ///
    /// # Errors
    /// [`HandshakeError::Version`], at the first byte.
    pub fn receive(
        &mut self,
        input: &[u8],
        noise: &[u8; NOISE_LEN],
        out: &mut Vec<u8>,
    ) -> Result<usize, HandshakeError> {
        let mut used = 0_usize;
        if *self == Self::Hello {
            check_version(input)?;
            let Some((hello, _)) = input.split_at_checked(HELLO_LEN) else { return Ok(0) };
            let Some(c1) = hello.get(1..) else { return Ok(0) };
            out.reserve(ANSWER_LEN);
            push_hello(noise, out);
            out.extend_from_slice(c1);
            used = HELLO_LEN;
            *self = Self::Echo;
        }
        if *self == Self::Echo && input.get(used..).is_some_and(|rest| rest.len() >= BLOCK_LEN) {
            used = used.saturating_add(BLOCK_LEN);
            *self = Self::Done;
        }
        Ok(used)
    }
}

fn check_version(input: &[u8]) -> Result<(), HandshakeError> {
    match input.first() {
        Some(&got) if got != VERSION => Err(HandshakeError::Version { got }),
        Some(_) | None => Ok(()),
    }
}

/// Writes C0 and C1, or S0 and S1.
pub fn push_hello(noise: &[u8; NOISE_LEN], out: &mut Vec<u8>) {
    out.push(VERSION);
    // Time zero, and version zero: no digest follows.
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(noise);
}

/// Takes the server's answer and writes C2; returns the bytes used, 0 while more are needed.
///
/// # Errors
/// [`HandshakeError::Version`], at the first byte.
pub fn answer(input: &[u8], out: &mut Vec<u8>) -> Result<usize, HandshakeError> {
    check_version(input)?;
    let mut bytes = Bytes::new(input);
    let (Ok(_), Ok(s1), Ok(_)) = (bytes.u8(), bytes.take(BLOCK_LEN), bytes.take(BLOCK_LEN)) else { return Ok(0) };
    out.extend_from_slice(s1);
    Ok(ANSWER_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_through_in_any_pieces() {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        push_hello(&[7; NOISE_LEN], &mut to_server);
        let mut server = Accept::default();
        assert_eq!(server.receive(&to_server[..HELLO_LEN - 1], &[9; NOISE_LEN], &mut to_client), Ok(0));
        assert!(to_client.is_empty());
        assert_eq!(server.receive(&to_server, &[9; NOISE_LEN], &mut to_client), Ok(HELLO_LEN));
        assert_eq!(to_client.len(), ANSWER_LEN);
        assert_eq!(to_client[HELLO_LEN..], to_server[1..], "S2 echoes C1");
        let mut c2 = Vec::new();
        assert_eq!(answer(&to_client[..ANSWER_LEN - 1], &mut c2), Ok(0));
        assert_eq!(answer(&to_client, &mut c2), Ok(ANSWER_LEN));
        assert_eq!(c2, to_client[1..HELLO_LEN], "C2 echoes S1");
        c2.push(0xAA);
        assert_eq!(server.receive(&c2, &[9; NOISE_LEN], &mut to_client), Ok(BLOCK_LEN));
        assert_eq!(server, Accept::Done);
    }

    #[test]
    fn all_at_once_is_taken_at_once() {
        let mut all = vec![VERSION];
        all.resize(HELLO_LEN + BLOCK_LEN, 1);
        let (mut server, mut out) = (Accept::default(), Vec::new());
        assert_eq!(server.receive(&all, &[0; NOISE_LEN], &mut out), Ok(all.len()));
        assert_eq!(server, Accept::Done);
    }

    #[test]
    fn another_protocol_is_known_by_its_first_byte() {
        let mut out = Vec::new();
        for first in [b'G', 0x16, 6, 0] {
            let error = HandshakeError::Version { got: first };
            assert_eq!(Accept::default().receive(&[first], &[0; NOISE_LEN], &mut out), Err(error));
            assert_eq!(answer(&[first], &mut out), Err(error));
        }
        assert!(out.is_empty());
    }
}
