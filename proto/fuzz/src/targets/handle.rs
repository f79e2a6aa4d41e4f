//! Session handles: as they come, and as bytes under a seal that is right, or nothing would be read behind it.

use super::any;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use data_encoding::BASE64URL_NOPAD;
use proto::{
    handle::Handle,
    secret::{ClusterSecret, Keyring, Purpose},
};
use std::sync::LazyLock;

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring { current: ClusterSecret::from_setting("fuzz"), previous: None });
static KEY: LazyLock<LessSafeKey> = LazyLock::new(|| {
    let key = UnboundKey::new(&AES_256_GCM, &KEYS.current.key(Purpose::Handle)).expect("32 bytes");
    LessSafeKey::new(key)
});

/// What opens is sealed again to what opens again.
pub(crate) fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        any(Handle::open(text, &KEYS));
    }
    let mut sealed = data.to_vec();
    let nonce = Nonce::assume_unique_for_key([7; 12]);
    KEY.seal_in_place_append_tag(nonce, Aad::from([1]), &mut sealed).expect("short enough");
    let mut bytes = vec![KEYS.current.generation()];
    bytes.extend_from_slice(&[7; 12]);
    bytes.extend_from_slice(&sealed);
    if let Ok(handle) = Handle::open(&BASE64URL_NOPAD.encode(&bytes), &KEYS) {
        let again = handle.seal(&KEYS.current, [9; 12]).expect("it was read, so it fits");
        assert_eq!(Handle::open(&again, &KEYS).expect("our own handle opens"), handle);
    }
}
