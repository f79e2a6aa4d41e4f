#![no_main]
//! STUN: whatever comes from the internet to the WebRTC port.

use libfuzzer_sys::fuzz_target;
use proto::wire::stun::{ATTRIBUTES_MAX, IntegrityKey, Message, is_stun};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::parse(bytes) {
        assert!(is_stun(bytes) && message.attributes().count() <= ATTRIBUTES_MAX);
        let ufrag = message.ufrags().and_then(|(ours, _)| proto::ice::read_ufrag(ours));
        assert!(message.verify(&IntegrityKey::new("a password that nobody has")).is_err());
        std::hint::black_box((ufrag, message.mapped(), message.check_fingerprint()));
    }
});
