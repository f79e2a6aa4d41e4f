//! ICE credentials that the gateway gives to SRS, so that any edge can tell node and session from a STUN username.

use crate::{
    ids::NodeId,
    secret::{ClusterSecret, Purpose, mac, sha256},
};
use data_encoding::HEXLOWER;

/// Random bytes in a ufrag: 96 bits.
pub const RANDOM_BYTES: usize = 12;
const NODE_TAG_BYTES: usize = 3;

/// Makes the server's ufrag: 6 hexadecimal digits that tell the node, then 96 random bits. 30 characters; SRS takes 4 to 32.
#[must_use]
pub fn ufrag(node: &NodeId, random: [u8; RANDOM_BYTES]) -> String {
    let mut text = node_tag(node);
    text.push_str(&HEXLOWER.encode(&random));
    text
}

/// The part of a ufrag that tells its node.
#[must_use]
pub fn node_tag(node: &NodeId) -> String {
    let hash = sha256(node.as_str().as_bytes());
    HEXLOWER.encode(hash.get(..NODE_TAG_BYTES).unwrap_or_default())
}

/// Makes the server's password from its ufrag: 32 characters, the longest SRS takes.
#[must_use]
pub fn password(secret: &ClusterSecret, ufrag: &str) -> String {
    let bytes = mac(&secret.key(Purpose::IcePassword), &[ufrag.as_bytes()]);
    HEXLOWER.encode(bytes.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_fit_what_srs_takes() {
        let node = NodeId::parse("node-a").unwrap();
        let name = ufrag(&node, [0xab; RANDOM_BYTES]);
        assert_eq!(name.len(), 30);
        assert!(name.starts_with(&node_tag(&node)));
        assert_eq!(password(&ClusterSecret::from_setting("a"), &name).len(), 32);
        assert_ne!(
            password(&ClusterSecret::from_setting("a"), &name),
            password(&ClusterSecret::from_setting("b"), &name)
        );
    }
}
