//! Unpredictable bytes from the operating system, for ids, nonces and secrets.
use aws_lc_rs::rand;

/// Fresh random bytes.
///
/// # Panics
/// If the operating system has no randomness to give; nothing secret could be made then, so going on would be worse.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    rand::fill(&mut out).expect("the operating system gives random bytes");
    out
}

/// Fresh characters out of `a-z` and `0-9` (about 5.17 bits each), for ids that people read.
#[must_use]
pub fn letters(len: usize) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    // 252 is the largest multiple of 36 in a byte: above it a remainder would favour the first letters.
    let mut out = String::with_capacity(len);
    while out.len() < len {
        let fair = bytes::<32>().into_iter().filter(|b| *b < 252);
        out.extend(
            fair.filter_map(|b| ALPHABET.get(usize::from(b % 36))).map(|b| char::from(*b)).take(len - out.len()),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn letters_have_the_length_asked_for_and_differ() {
        assert_eq!(super::letters(12).len(), 12);
        assert_eq!(super::letters(0), "");
        assert_ne!(super::letters(40), super::letters(40));
    }
}
