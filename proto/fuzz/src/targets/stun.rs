//! STUN: messages as they come, and signed as the password's owner would.

use super::any;
use proto::wire::stun::{IntegrityKey, Message, is_stun};
use std::sync::LazyLock;

static KEY: LazyLock<IntegrityKey> = LazyLock::new(|| IntegrityKey::new("0123456789abcdefghijklmnopqrstuv"));

/// What parses is STUN, names at most one pair, and nothing unsigned verifies.
pub(crate) fn run(data: &[u8]) {
    let Ok(message) = Message::parse(data) else { return };
    assert!(is_stun(data));
    any((message.class(), message.is_success(), message.transaction(), message.mapped(), message.nominates()));
    if let Some((ours, theirs)) = message.ufrags() {
        assert!(ours.len() + theirs.len() < data.len());
    }
    let verified = message.verify(&KEY);
    assert!(verified.is_err() || message.check_fingerprint().is_ok());
}
