//! What a listener does before it knows a caller: nothing is kept, and nothing longer than the question is answered.
//!
//! The cookie is a MAC over the caller's address, port and socket id and the minute, under a key that all edges share: a caller whose induction one edge
//! answered may conclude at another. Only who receives at the address it sends from can repeat it.

use super::handshake::{HANDSHAKE_BYTES, Handshake, Kind, induction_reply};
use crate::secret::{Keyring, Purpose, SECRET_BYTES, mac};
use std::net::{IpAddr, SocketAddr};

/// How long one cookie is made, in seconds; it is honoured for as long again.
pub const COOKIE_SECONDS: u64 = 60;

/// The keys of the cookies that are made and honoured.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieKeys {
    current: [u8; SECRET_BYTES],
    previous: Option<[u8; SECRET_BYTES]>,
}

impl std::fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKeys(..)")
    }
}

impl CookieKeys {
    /// Derives the keys from the cluster secret.
    #[must_use]
    pub fn new(keyring: &Keyring) -> Self {
        let key = |secret: &crate::secret::ClusterSecret| secret.key(Purpose::SrtCookie);
        Self { current: key(&keyring.current), previous: keyring.previous.as_ref().map(key) }
    }

    /// The cookie for a caller's socket at a time.
    #[must_use]
    pub fn make(&self, caller: SocketAddr, socket: u32, now_unix: u64) -> u32 {
        cookie(&self.current, caller, socket, minute(now_unix))
    }

    /// Whether a cookie was made for this caller's socket, in this minute or the one before, under either key.
    #[must_use]
    pub fn honour(&self, given: u32, caller: SocketAddr, socket: u32, now_unix: u64) -> bool {
        let now = minute(now_unix);
        let mut keys = std::iter::once(&self.current).chain(self.previous.as_ref());
        keys.any(|key| {
            cookie(key, caller, socket, now) == given || cookie(key, caller, socket, now.saturating_sub(1)) == given
        })
    }
}

const fn minute(now_unix: u64) -> u64 {
    // The divisor is a constant and not 0.
    match now_unix.checked_div(COOKIE_SECONDS) {
        Some(minute) => minute,
        None => 0,
    }
}

fn cookie(key: &[u8], caller: SocketAddr, socket: u32, minute: u64) -> u32 {
    let (ip, len) = match caller.ip() {
        IpAddr::V4(ip) => (ip.to_ipv6_mapped().octets(), 4_u8),
        IpAddr::V6(ip) => (ip.octets(), 16),
    };
    let tail = [caller.port().to_be_bytes().as_slice(), &socket.to_be_bytes(), &minute.to_be_bytes()].concat();
    let [a, b, c, d, ..] = mac(key, &[&[len], &ip, &tail]);
    // 0 is what a caller that has no cookie sends.
    u32::from_be_bytes([a, b, c, d]).max(1)
}

/// Why a datagram of an unknown caller is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// Not an SRT packet, or a handshake that does not read.
    Garbage,
    /// Media or control of a connection that is not there.
    NoConnection,
    /// A rendezvous, a rejection or another step that callers do not send first.
    Step,
    /// A conclusion with a cookie that is not good.
    Cookie,
}

/// What becomes of a datagram of an unknown caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Send this back.
    Reply([u8; HANDSHAKE_BYTES]),
    /// A caller that receives at its address asks for a stream.
    Caller(Handshake<'a>),
    /// Drop it.
    Drop(Unwanted),
}

/// Looks at a datagram of a caller that is not known.
#[must_use]
pub fn look<'a>(keys: &CookieKeys, caller: SocketAddr, now_unix: u64, datagram: &'a [u8]) -> Verdict<'a> {
    let handshake = match Handshake::read(datagram) {
        Ok(handshake) => handshake,
        Err(super::HandshakeError::NotHandshake) => return Verdict::Drop(Unwanted::NoConnection),
        Err(_) => return Verdict::Drop(Unwanted::Garbage),
    };
    match handshake.kind {
        Kind::Induction if handshake.destination == 0 => {
            Verdict::Reply(induction_reply(&handshake, keys.make(caller, handshake.socket, now_unix)))
        }
        Kind::Conclusion if keys.honour(handshake.cookie, caller, handshake.socket, now_unix) => {
            Verdict::Caller(handshake)
        }
        Kind::Conclusion => Verdict::Drop(Unwanted::Cookie),
        Kind::Induction | Kind::Rejection(_) | Kind::Rendezvous => Verdict::Drop(Unwanted::Step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClusterSecret;
    use proptest::prelude::*;

    fn keys(current: &str, previous: Option<&str>) -> CookieKeys {
        let secret = ClusterSecret::from_setting;
        CookieKeys::new(&Keyring { current: secret(current), previous: previous.map(secret) })
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_cookie_is_good_for_its_caller_for_a_minute_or_two() {
        let (keys, caller) = (keys("a", None), at("192.0.2.1:4000"));
        let cookie = keys.make(caller, 7, 600);
        assert!(keys.honour(cookie, caller, 7, 600) && keys.honour(cookie, caller, 7, 719));
        assert!(!keys.honour(cookie, caller, 7, 720), "two minutes later");
        assert!(!keys.honour(cookie, caller, 8, 600), "another socket");
        assert!(!keys.honour(cookie, at("192.0.2.1:4001"), 7, 600), "another port");
        assert!(!keys.honour(cookie, at("192.0.2.2:4000"), 7, 600), "another address");
        assert!(!keys.honour(0, caller, 7, 600), "none");
    }

    #[test]
    fn a_rotation_ends_no_handshake() {
        let caller = at("[2001:db8::1]:4000");
        let cookie = keys("old", None).make(caller, 7, 600);
        assert!(keys("new", Some("old")).honour(cookie, caller, 7, 601));
        assert!(!keys("new", None).honour(cookie, caller, 7, 601));
    }

    proptest! {
        #[test]
        fn looking_never_panics_and_never_answers_longer(bytes in proptest::collection::vec(any::<u8>(), 0..200), head in 0_u8..3) {
            let mut bytes = bytes;
            let start = [0x80, 0, 0, 0];
            if head > 0 { bytes.iter_mut().zip(start).for_each(|(to, from)| *to = from); }
            if let Verdict::Reply(reply) = look(&keys("a", None), at("192.0.2.1:1"), 60, &bytes) {
                prop_assert!(reply.len() <= bytes.len());
            }
        }
    }
}
