//! Session handles: the last path segment of a WHIP/WHEP session URL.
//!
//! A handle is sealed (AES-256-GCM under the cluster secret) and carries all that an edge needs to end or address the session at its node, so
//! any edge can serve `DELETE` and `PATCH`. Possession is the capability; there is no expiry, the session's own life decides.
//!
//! Plain text (before sealing): `version u8 | role u8 | session [16] | client ufrag hash [8] | epoch u64 | length-prefixed: stream, node,
//! service, SRS session, SRS delete token`. Text: base64url of `generation u8 | nonce [12] | cipher text | tag [16]`.

use crate::{
    ids::{NodeId, ServiceId, SessionId, StreamId},
    secret::{ClusterSecret, Keyring, Purpose},
    session::Role,
    ticket::{UFRAG_HASH_BYTES, role_byte, role_of},
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use data_encoding::BASE64URL_NOPAD;

const VERSION: u8 = 1;
/// Longest handle text that is looked at, in characters.
pub const HANDLE_LEN_MAX: usize = 600;
/// Longest value SRS may put into `session=` or `token=` of its `Location`, in bytes; SRS 5 writes under 70.
pub const SRS_VALUE_LEN_MAX: usize = 128;

/// What an edge must know to address a session at its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// The session.
    pub session: SessionId,
    /// Publish or play.
    pub role: Role,
    /// Its stream.
    pub stream: StreamId,
    /// The node that carries it.
    pub node: NodeId,
    /// That node's run; another run means the session is gone.
    pub service: ServiceId,
    /// The epoch it was admitted under.
    pub epoch: u64,
    /// [`crate::ticket::ufrag_hash`] of the client's own ICE ufrag: another ufrag in a PATCH is an ICE restart.
    pub client_ufrag_hash: [u8; UFRAG_HASH_BYTES],
    /// SRS's `session=` value (`local ufrag:remote ufrag`).
    pub srs_session: Box<str>,
    /// SRS's `token=` value, which its DELETE demands.
    pub srs_token: Box<str>,
}

/// The text is not a handle of this cluster. Which part is wrong is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such session")]
pub struct HandleError;

impl Handle {
    /// Seals the handle. `nonce` is 96 fresh random bits.
    ///
    /// # Errors
    /// [`HandleError`] if SRS's values are longer than [`SRS_VALUE_LEN_MAX`].
    pub fn seal(&self, secret: &ClusterSecret, nonce: [u8; NONCE_LEN]) -> Result<String, HandleError> {
        let mut plain = Vec::with_capacity(256);
        plain.extend([VERSION, role_byte(self.role)]);
        plain.extend(self.session.as_bytes());
        plain.extend(self.client_ufrag_hash);
        plain.extend(self.epoch.to_be_bytes());
        for text in
            [self.stream.as_str(), self.node.as_str(), self.service.as_str(), &self.srs_session, &self.srs_token]
        {
            if text.len() > SRS_VALUE_LEN_MAX {
                return Err(HandleError);
            }
            plain.push(u8::try_from(text.len()).map_err(|_| HandleError)?);
            plain.extend(text.as_bytes());
        }
        let key = key_of(secret)?;
        let sealing = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(sealing, Aad::from([VERSION]), &mut plain).map_err(|_| HandleError)?;
        let mut out = Vec::with_capacity(plain.len().saturating_add(NONCE_LEN).saturating_add(1));
        out.push(secret.generation());
        out.extend(nonce);
        out.extend(plain);
        Ok(BASE64URL_NOPAD.encode(&out))
    }

    /// Opens a handle.
    ///
    /// # Errors
    /// [`HandleError`] for anything that this cluster did not seal: answer 404.
    pub fn open(text: &str, keys: &Keyring) -> Result<Self, HandleError> {
        if text.len() > HANDLE_LEN_MAX {
            return Err(HandleError);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| HandleError)?;
        let (&generation, rest) = bytes.split_first().ok_or(HandleError)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(HandleError)?;
        for secret in keys.all().filter(|s| s.generation() == generation) {
            let mut buffer = sealed.to_vec();
            let opening = Nonce::assume_unique_for_key(*nonce);
            if let Ok(plain) = key_of(secret)?.open_in_place(opening, Aad::from([VERSION]), &mut buffer) {
                return Self::read(plain).ok_or(HandleError);
            }
        }
        Err(HandleError)
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let (&[version, role], rest) = plain.split_first_chunk::<2>()?;
        let (session, rest) = rest.split_first_chunk::<16>()?;
        let (client_ufrag_hash, rest) = rest.split_first_chunk::<UFRAG_HASH_BYTES>()?;
        let (epoch, mut rest) = rest.split_first_chunk::<8>()?;
        if version != VERSION {
            return None;
        }
        let mut text = || {
            let (&len, tail) = rest.split_first()?;
            let len = usize::from(len);
            if len > SRS_VALUE_LEN_MAX {
                return None;
            }
            let (head, tail) = tail.split_at_checked(len)?;
            rest = tail;
            std::str::from_utf8(head).ok()
        };
        Some(Self {
            session: SessionId::from_bytes(*session),
            role: role_of(role)?,
            client_ufrag_hash: *client_ufrag_hash,
            epoch: u64::from_be_bytes(*epoch),
            stream: StreamId::parse(text()?).ok()?,
            node: NodeId::parse(text()?).ok()?,
            service: ServiceId::parse(text()?).ok()?,
            srs_session: text()?.into(),
            srs_token: text()?.into(),
        })
    }
}

fn key_of(secret: &ClusterSecret) -> Result<LessSafeKey, HandleError> {
    let key = UnboundKey::new(&AES_256_GCM, &secret.key(Purpose::Handle)).map_err(|_| HandleError)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn handle() -> Handle {
        Handle {
            session: SessionId::from_bytes([1; 16]),
            role: Role::Play,
            stream: StreamId::parse("cam").unwrap(),
            node: NodeId::parse("n1").unwrap(),
            service: ServiceId::parse("9j51a805").unwrap(),
            epoch: 4,
            client_ufrag_hash: [9; 8],
            srs_session: "abcd:efgh".into(),
            srs_token: "0123456z9".into(),
        }
    }

    fn ring(text: &str) -> Keyring {
        Keyring { current: ClusterSecret::from_setting(text), previous: None }
    }

    #[test]
    fn any_edge_of_the_cluster_opens_it_and_nobody_else() {
        let text = handle().seal(&ring("a").current, [7; 12]).unwrap();
        assert!(text.len() <= HANDLE_LEN_MAX);
        assert_eq!(Handle::open(&text, &ring("a")).unwrap(), handle());
        assert_eq!(Handle::open(&text, &ring("b")), Err(HandleError));
        let rotated =
            Keyring { current: ClusterSecret::from_setting("b"), previous: Some(ClusterSecret::from_setting("a")) };
        assert_eq!(Handle::open(&text, &rotated).unwrap(), handle());
    }

    #[test]
    fn it_shows_nothing_of_its_content() {
        let text = handle().seal(&ring("a").current, [7; 12]).unwrap();
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        assert!(!bytes.windows(9).any(|w| w == b"0123456z9"));
    }

    proptest! {
        #[test]
        fn damage_and_junk_are_refused(at in 0_usize..300, to: u8, junk: String) {
            let keys = ring("a");
            let text = handle().seal(&keys.current, [7; 12]).unwrap();
            let mut bytes = text.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(at) { *byte = to; }
            let damaged = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(Handle::open(&damaged, &keys).is_ok(), damaged == text);
            prop_assert!(Handle::open(&junk, &keys).is_err());
        }
    }
}
