//! ICE credentials that the gateway gives to SRS, so that any edge can tell node and session from a STUN username and check its integrity.

use crate::{
    ids::{NodeId, SessionId},
    secret::{ClusterSecret, Purpose, mac, sha256},
};
use data_encoding::HEXLOWER;

/// Characters of a server's ufrag; SRS takes 4 to 32.
pub const UFRAG_LEN: usize = NODE_TAG_LEN + SESSION_LEN;
/// Characters that tell the node.
pub const NODE_TAG_LEN: usize = 6;
/// Characters that hold 128 bits: 62 to the power of 22 is above 2 to the power of 130.
const SESSION_LEN: usize = 22;
/// Letters and digits only: SRS puts a ufrag into its `Location` unescaped.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE: u128 = 62;

/// Which node a ufrag means: 24 bits of the hash of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeTag([u8; NODE_TAG_LEN]);

impl NodeTag {
    /// The tag of a node.
    #[must_use]
    pub fn of(node: &NodeId) -> Self {
        let hash = sha256(node.as_str().as_bytes());
        let mut text = [b'0'; NODE_TAG_LEN];
        for (two, byte) in text.chunks_exact_mut(2).zip(hash) {
            if let [high, low] = two {
                (*high, *low) = (hex(byte >> 4), hex(byte & 15));
            }
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'0')
}

/// Makes the server's ufrag: the node's tag, then the session's 128 random bits in base 62.
#[must_use]
pub fn ufrag(node: &NodeId, session: &SessionId) -> String {
    let mut text = String::with_capacity(UFRAG_LEN);
    text.push_str(NodeTag::of(node).as_str());
    let mut digits = [b'0'; SESSION_LEN];
    let mut number = u128::from_be_bytes(*session.as_bytes());
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(number.checked_rem(BASE).unwrap_or_default()).unwrap_or_default();
        *digit = DIGITS.get(index).copied().unwrap_or(b'0');
        number = number.checked_div(BASE).unwrap_or_default();
    }
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    text
}

/// Reads a server's ufrag; `None` for one that no edge made.
#[must_use]
pub fn read_ufrag(text: &str) -> Option<(NodeTag, SessionId)> {
    let (tag, digits) = text.as_bytes().split_first_chunk::<NODE_TAG_LEN>()?;
    if digits.len() != SESSION_LEN || !tag.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut number = 0_u128;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit.checked_sub(b'0')?,
            b'A'..=b'Z' => digit.checked_sub(b'A')?.checked_add(10)?,
            b'a'..=b'z' => digit.checked_sub(b'a')?.checked_add(36)?,
            _ => return None,
        };
        number = number.checked_mul(BASE)?.checked_add(u128::from(value))?;
    }
    Some((NodeTag(*tag), SessionId::from_bytes(number.to_be_bytes())))
}

/// What passwords are made with, for one generation of the cluster secret.
#[derive(Clone)]
pub struct PasswordKey([u8; crate::secret::SECRET_BYTES]);

impl std::fmt::Debug for PasswordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordKey(..)")
    }
}

impl PasswordKey {
    /// From the cluster secret.
    #[must_use]
    pub fn of(secret: &ClusterSecret) -> Self {
        Self(secret.key(Purpose::IcePassword))
    }

    /// The server's password for its ufrag: 32 characters, the longest SRS takes.
    #[must_use]
    pub fn password(&self, ufrag: &str) -> String {
        let bytes = mac(&self.0, &[ufrag.as_bytes()]);
        HEXLOWER.encode(bytes.get(..16).unwrap_or_default())
    }
}

/// Makes the server's password from its ufrag; see [`PasswordKey::password`].
#[must_use]
pub fn password(secret: &ClusterSecret, ufrag: &str) -> String {
    PasswordKey::of(secret).password(ufrag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_fit_what_srs_takes() {
        let node = NodeId::parse("node-a").unwrap();
        let name = ufrag(&node, &SessionId::from_bytes([0xff; 16]));
        assert_eq!(name.len(), 28);
        assert_eq!(password(&ClusterSecret::from_setting("a"), &name).len(), 32);
        assert_ne!(
            password(&ClusterSecret::from_setting("a"), &name),
            password(&ClusterSecret::from_setting("b"), &name)
        );
    }

    #[test]
    fn what_no_edge_made_is_told_apart() {
        let good = ufrag(&NodeId::parse("node-a").unwrap(), &SessionId::from_bytes([0xff; 16]));
        assert!(read_ufrag(&good).is_some());
        // One more than 128 bits hold, a digit short, a tag that is no hexadecimal, a character outside the alphabet.
        let tag = &good[..NODE_TAG_LEN];
        for bad in [
            format!("{tag}{}", "z".repeat(22)),
            good[1..].to_owned(),
            format!("G{}", &good[1..]),
            format!("{tag}+{}", &good[7..]),
        ] {
            assert_eq!(read_ufrag(&bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_ufrag_tells_node_and_session(bytes: [u8; 16], node in "[A-Za-z0-9_-]{1,32}") {
            let (node, session) = (NodeId::parse(&node).unwrap(), SessionId::from_bytes(bytes));
            let text = ufrag(&node, &session);
            prop_assert!(text.len() == UFRAG_LEN && text.bytes().all(|b| b.is_ascii_alphanumeric()));
            prop_assert_eq!(read_ufrag(&text), Some((NodeTag::of(&node), session)));
        }

        #[test]
        fn reading_never_panics(text: String) {
            if let Some((tag, session)) = read_ufrag(&text) {
                prop_assert!(text.starts_with(tag.as_str()));
                prop_assert!(text.ends_with(&ufrag(&NodeId::parse("n").unwrap(), &session)[NODE_TAG_LEN..]));
            }
        }
    }
}
