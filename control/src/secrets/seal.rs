//! Sealing under `JWT_SECRET`: what the database or Redis keeps for us but must not show.
//!
//! Layout: nonce [12] | cipher text | tag [16], AES-256-GCM. What a seal is for is part of it, so one cannot stand in for another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use proto::secret::mac;

/// A seal that does not open under any secret this process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed under another JWT_SECRET")]
pub struct SealError;

/// Seals with the current secret, opens with that and the one before.
pub struct Sealer {
    current: LessSafeKey,
    previous: Option<LessSafeKey>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// What was sealed.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The plain bytes.
    pub plain: Vec<u8>,
    /// It was sealed under the previous secret: seal it again.
    pub stale: bool,
}

impl Sealer {
    /// Makes the keys from the secrets.
    #[must_use]
    pub fn new(current: &str, previous: Option<&str>) -> Self {
        Self { current: key(current), previous: previous.map(key) }
    }

    /// Seals. `purpose` says what for and for which row.
    ///
    /// # Errors
    /// [`SealError`] only for plain texts of many gigabytes.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = kit::random::bytes();
        let mut sealed = plain.to_vec();
        let aad = Aad::from(purpose.as_bytes());
        let used = Nonce::assume_unique_for_key(nonce);
        self.current.seal_in_place_append_tag(used, aad, &mut sealed).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Opened, SealError> {
        if let Some(plain) = open(&self.current, purpose, sealed) {
            return Ok(Opened { plain, stale: false });
        }
        let plain = self.previous.as_ref().and_then(|key| open(key, purpose, sealed));
        plain.map(|plain| Opened { plain, stale: true }).ok_or(SealError)
    }
}

fn key(secret: &str) -> LessSafeKey {
    let bytes = mac(secret.as_bytes(), &[b"keystone seal v1"]);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).expect("32 bytes are a key of AES-256"))
}

fn open(key: &LessSafeKey, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut buffer = rest.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    key.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut buffer).ok().map(|plain| plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_for_its_purpose_under_the_secret_and_its_successor() {
        let old = Sealer::new("one", None);
        let sealed = old.seal("token_key 1", b"plain").unwrap();
        assert_eq!(old.open("token_key 1", &sealed), Ok(Opened { plain: b"plain".to_vec(), stale: false }));
        assert_eq!(old.open("token_key 2", &sealed), Err(SealError));
        let rotated = Sealer::new("two", Some("one"));
        assert_eq!(rotated.open("token_key 1", &sealed), Ok(Opened { plain: b"plain".to_vec(), stale: true }));
        assert_eq!(Sealer::new("two", None).open("token_key 1", &sealed), Err(SealError));
        assert_eq!(old.open("token_key 1", b"short"), Err(SealError));
    }
}
