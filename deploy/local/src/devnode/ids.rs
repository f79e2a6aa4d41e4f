//! Random names of the lengths and alphabets SRS uses.

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// `length` characters of `[0-9a-z]`.
///
/// # Panics
/// Only when the operating system has no random bytes to give.
pub(crate) fn random(length: usize) -> String {
    let mut bytes = vec![0; length];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source works");
    bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len())).map(|c| char::from(*c)).collect()
}

/// A stream's id in the API.
pub(crate) fn stream_id() -> String {
    format!("vid-{}", random(7))
}
