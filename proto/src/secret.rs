//! The cluster secret and the keys made from it: tickets, session handles, ICE passwords, edge-to-control bearers.
//!
//! One secret is current; the one before stays readable so that a rotation ends no session. Each purpose has a key of its own, so a
//! text made for one purpose never opens as another.

use aws_lc_rs::{constant_time, digest, hmac};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes in the cluster secret and in every key made from it.
pub const SECRET_BYTES: usize = 32;

/// What a derived key is for. The label is part of the derivation and must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tickets passed to SRS.
    Ticket,
    /// Sealed WHIP/WHEP session handles.
    Handle,
    /// ICE passwords of relayed sessions.
    IcePassword,
    /// Bearers of edges towards control-api.
    Internal,
    /// SRT induction cookies.
    SrtCookie,
    /// Messages between control nodes.
    Gossip,
    /// Values that admit an HLS viewer's requests.
    Viewer,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Ticket => b"keystone ticket v1",
            Self::Handle => b"keystone handle v1",
            Self::IcePassword => b"keystone ice-pwd v1",
            Self::Internal => b"keystone internal v1",
            Self::SrtCookie => b"keystone srt-cookie v1",
            Self::Gossip => b"keystone gossip v1",
            Self::Viewer => b"keystone viewer v1",
        }
    }
}

/// One generation of the cluster secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret([u8; SECRET_BYTES]);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

impl ClusterSecret {
    /// Wraps 32 bytes drawn by the caller.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Makes a secret from an operator's setting of any length (`EDGE_SECRET`): its SHA-256.
    #[must_use]
    pub fn from_setting(text: &str) -> Self {
        Self(sha256(text.as_bytes()))
    }

    /// Reads base64url without padding.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// Writes base64url without padding, for the sealed row in Postgres and the key in Redis only.
    #[must_use]
    pub fn encode(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// The key for one purpose.
    #[must_use]
    pub fn key(&self, purpose: Purpose) -> [u8; SECRET_BYTES] {
        mac(&self.0, &[purpose.label()])
    }

    /// A byte that tells generations apart in what is made from them.
    #[must_use]
    pub fn generation(&self) -> u8 {
        let [first, ..] = mac(&self.0, &[b"keystone generation v1"]);
        first
    }
}

/// The current secret and, during a rotation, the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// Makes and opens.
    pub current: ClusterSecret,
    /// Only opens.
    pub previous: Option<ClusterSecret>,
}

impl Keyring {
    /// The secrets to try, newest first.
    pub fn all(&self) -> impl Iterator<Item = &ClusterSecret> {
        std::iter::once(&self.current).chain(self.previous.as_ref())
    }
}

/// What control-api publishes in Redis so that an edge needs no settings: `ks:secrets`.
#[derive(Clone, Serialize, Deserialize)]
pub struct PublishedSecrets {
    /// [`ClusterSecret::encode`] of the current secret.
    pub current: String,
    /// The one before, while it is still honoured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The stream-key check secret, same encoding. It never rotates by itself: printed keys depend on it.
    pub stream_key: String,
    /// Public halves of the token keys, newest first.
    pub token_keys: Vec<crate::token::PublicKey>,
}

impl fmt::Debug for PublishedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedSecrets").field("token_keys", &self.token_keys).finish_non_exhaustive()
    }
}

/// HMAC-SHA256 over the parts, each preceded by its length so that no two lists of parts collide.
#[must_use]
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; SECRET_BYTES] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; SECRET_BYTES];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; SECRET_BYTES] {
    let mut out = [0; SECRET_BYTES];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// SHA-256 as 64 lower-case hexadecimal digits: how stream keys and refresh tokens are stored.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&sha256(bytes))
}

/// Compares without telling by time where the difference is.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_generations_have_different_keys() {
        let a = ClusterSecret::from_setting("a");
        let b = ClusterSecret::from_setting("b");
        assert_ne!(a.key(Purpose::Ticket), a.key(Purpose::Handle));
        assert_ne!(a.key(Purpose::Ticket), b.key(Purpose::Ticket));
        assert_eq!(ClusterSecret::decode(&a.encode()), Some(a.clone()));
        assert_eq!(format!("{a:?}"), "ClusterSecret(..)");
    }

    #[test]
    fn mac_parts_do_not_run_together() {
        assert_ne!(mac(b"k", &[b"ab", b"c"]), mac(b"k", &[b"a", b"bc"]));
    }

    #[test]
    fn sha256_is_the_published_vector() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
