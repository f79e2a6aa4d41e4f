//! Secrets of nodes that a control-api took: what makes an end believable that comes without a ticket while nobody can be asked.

use std::collections::HashSet;

/// Secrets remembered at most, by their hash; all are forgotten when there are more.
pub(super) const VOUCHED_MAX: usize = 4_096;

/// The memory: hashes of a node's id with its secret.
#[derive(Debug, Default)]
pub(super) struct Vouched(HashSet<[u8; 32]>);

impl Vouched {
    /// Whether a control-api took this secret.
    pub(super) fn has(&self, digest: &[u8; 32]) -> bool {
        self.0.contains(digest)
    }

    /// What a control-api's status says of a secret: 200 that it is the node's, a refusal that it is not; any other says nothing.
    pub(super) fn heed(&mut self, digest: [u8; 32], status: u16) {
        match status {
            200 => {
                if self.0.len() >= VOUCHED_MAX && !self.has(&digest) {
                    self.0.clear();
                }
                self.0.insert(digest);
            }
            401 | 403 | 404 => {
                self.0.remove(&digest);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_believed_until_it_is_refused_and_memory_is_bounded() {
        let mut vouched = Vouched::default();
        vouched.heed([1; 32], 200);
        vouched.heed([1; 32], 503);
        assert!(vouched.has(&[1; 32]), "an answer that is none says nothing");
        vouched.heed([1; 32], 404);
        assert!(!vouched.has(&[1; 32]));
        for n in 0..=u32::try_from(VOUCHED_MAX).unwrap() {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_be_bytes());
            vouched.heed(digest, 200);
        }
        assert_eq!(vouched.0.len(), 1);
    }
}
