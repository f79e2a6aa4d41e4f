//! Tickets: as they come, and as bytes under a seal that is right, or nothing would be read behind it.

use super::any;
use data_encoding::BASE64URL_NOPAD;
use proto::{
    NodeId, ServiceId, StreamId,
    secret::{ClusterSecret, Keyring, Purpose, mac},
    ticket::{Scope, Ticket},
};
use std::sync::LazyLock;

struct Place {
    keys: Keyring,
    node: NodeId,
    service: ServiceId,
    stream: StreamId,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| Place {
    keys: Keyring { current: ClusterSecret::from_setting("fuzz"), previous: None },
    node: NodeId::parse("node-a").expect("a name"),
    service: ServiceId::parse("9j51a805").expect("a name"),
    stream: StreamId::parse("cam").expect("a name"),
});

/// What opens is sealed again to what opens again.
pub(crate) fn run(data: &[u8]) {
    let Place { keys, node, service, stream } = &*PLACE;
    let scope = Scope { node, service, stream };
    if let Ok(text) = std::str::from_utf8(data) {
        any(Ticket::open(text, keys, scope));
    }
    let mut body = data.to_vec();
    if let Some(generation) = body.get_mut(1) {
        *generation = keys.current.generation();
    }
    let names = [&body, node.as_str().as_bytes(), service.as_str().as_bytes(), stream.as_str().as_bytes()];
    let tag = mac(&keys.current.key(Purpose::Ticket), &names);
    body.extend_from_slice(tag.get(..16).unwrap_or_default());
    if let Ok(ticket) = Ticket::open(&BASE64URL_NOPAD.encode(&body), keys, scope) {
        let again = ticket.seal(&keys.current, scope);
        assert_eq!(Ticket::open(&again, keys, scope).expect("our own ticket opens"), ticket);
    }
}
