//! Tickets: what an edge admitted, in a form that comes back in SRS's hook.
//!
//! A ticket travels as query value `kst` on the way into SRS and returns in the hook's `param`. It replaces the client's credential there.
//! Its MAC stands under the cluster secret over its own bytes *and* its scope: node, node's run, and stream are not carried, the hook says
//! them, and a ticket moved to another node, another run or another stream does not verify.
//!
//! Layout (big-endian), then base64url without padding, at most [`TICKET_LEN_MAX`] characters:
//! `version u8 | generation u8 | role u8 | protocol u8 | expires_at u32 | epoch u64 | session [16] | ufrag hash [8] | address tag u8 (0, 4, 6) +
//! 0/4/16 bytes | edge length u8 + bytes | mac [16]`.

use crate::{
    ids::{EdgeId, NodeId, ServiceId, SessionId, StreamId},
    secret::{ClusterSecret, Keyring, Purpose, mac, same, sha256},
    session::{Protocol, Role},
};
use data_encoding::BASE64URL_NOPAD;
use std::net::IpAddr;

/// The query parameter that carries a ticket.
pub const PARAM: &str = "kst";
/// The query parameter under which the gateway gives the ICE ufrag to SRS.
pub const UFRAG_PARAM: &str = "ice-ufrag";
/// Longest ticket text, in characters. SRT's stream id leaves no more (docs/srs.md).
pub const TICKET_LEN_MAX: usize = 200;
/// How long a ticket may be used for its first hook, in seconds.
pub const LIFE_SECONDS: u64 = 30;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;
/// Bytes of the ICE ufrag's hash.
pub const UFRAG_HASH_BYTES: usize = 8;

/// What the edge admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The session this admission opened.
    pub session: SessionId,
    /// Publish or play.
    pub role: Role,
    /// How the media will travel.
    pub protocol: Protocol,
    /// Unix seconds after which the first hook is refused.
    pub expires_at: u64,
    /// The epoch of the claim it was made under; for viewers the epoch of the placement that was followed.
    pub epoch: u64,
    /// The client's address as the edge saw it.
    pub client: Option<IpAddr>,
    /// [`ufrag_hash`] of the ICE ufrag that the gateway set, zero when there is none.
    pub ufrag_hash: [u8; UFRAG_HASH_BYTES],
    /// The edge that admitted it.
    pub edge: EdgeId,
}

/// What a ticket is bound to besides its own content.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The node it was made for.
    pub node: &'a NodeId,
    /// That node's run.
    pub service: &'a ServiceId,
    /// The stream it was made for.
    pub stream: &'a StreamId,
}

/// Why a text is not a ticket for this scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not a ticket's form.
    #[error("not a ticket")]
    Malformed,
    /// Made by another cluster or for another node, run or stream.
    #[error("the ticket is for another place")]
    Mac,
}

/// Why a verified ticket does not fit the hook it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It admits to the other role.
    #[error("the ticket is for the other role")]
    Role,
    /// The session at SRS was set up with another ICE ufrag than the admitted one.
    #[error("the ticket is for another ICE session")]
    Ufrag,
}

/// The first 8 bytes of the SHA-256 of an ICE ufrag.
#[must_use]
pub fn ufrag_hash(ufrag: &str) -> [u8; UFRAG_HASH_BYTES] {
    let [a, b, c, d, e, f, g, h, ..] = sha256(ufrag.as_bytes());
    [a, b, c, d, e, f, g, h]
}

impl Ticket {
    /// Writes the ticket for one scope.
    #[must_use]
    pub fn seal(&self, secret: &ClusterSecret, scope: Scope<'_>) -> String {
        let mut out = Vec::with_capacity(TICKET_LEN_MAX);
        out.extend([VERSION, secret.generation(), role_byte(self.role), protocol_byte(self.protocol)]);
        out.extend(u32::try_from(self.expires_at).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.session.as_bytes());
        out.extend(self.ufrag_hash);
        put_origin(&mut out, self.client, &self.edge);
        let tag = tag_of(&out, secret, scope);
        out.extend(tag);
        BASE64URL_NOPAD.encode(&out)
    }

    /// Reads a ticket and verifies it for one scope. Whether it has expired is the caller's to ask ([`Ticket::expired`]): later hooks of a
    /// session that is already bound do not care.
    ///
    /// # Errors
    /// [`TicketError::Malformed`] for anything that is not a ticket's form, [`TicketError::Mac`] for one that was not made here for `scope`.
    pub fn open(text: &str, keys: &Keyring, scope: Scope<'_>) -> Result<Self, TicketError> {
        if text.len() > TICKET_LEN_MAX {
            return Err(TicketError::Malformed);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TicketError::Malformed)?;
        let body_len = bytes.len().checked_sub(MAC_BYTES).ok_or(TicketError::Malformed)?;
        let (body, tag) = bytes.split_at_checked(body_len).ok_or(TicketError::Malformed)?;
        let (ticket, generation) = Self::read(body).ok_or(TicketError::Malformed)?;
        let known = keys.all().filter(|secret| secret.generation() == generation);
        for secret in known {
            if same(&tag_of(body, secret, scope), tag) {
                return Ok(ticket);
            }
        }
        Err(TicketError::Mac)
    }

    /// Checks a verified ticket against what its hook says of the session: the role it asks for, and the value of [`UFRAG_PARAM`] if there
    /// is one.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn fits(&self, role: Role, ufrag: Option<&str>) -> Result<(), Misfit> {
        if self.role != role {
            return Err(Misfit::Role);
        }
        let hash = ufrag.map_or([0; UFRAG_HASH_BYTES], ufrag_hash);
        if hash == self.ufrag_hash { Ok(()) } else { Err(Misfit::Ufrag) }
    }

    /// Whether the first hook comes too late.
    #[must_use]
    pub const fn expired(&self, now_unix: u64) -> bool {
        now_unix >= self.expires_at
    }

    fn read(body: &[u8]) -> Option<(Self, u8)> {
        let mut at = Reader(body);
        let [version, generation, role, protocol] = at.take::<4>()?;
        if version != VERSION {
            return None;
        }
        let expires_at = u64::from(u32::from_be_bytes(at.take::<4>()?));
        let epoch = u64::from_be_bytes(at.take::<8>()?);
        let session = SessionId::from_bytes(at.take::<16>()?);
        let ufrag_hash = at.take::<UFRAG_HASH_BYTES>()?;
        let client = match at.take::<1>()? {
            [0] => None,
            [4] => Some(IpAddr::from(at.take::<4>()?)),
            [6] => Some(IpAddr::from(at.take::<16>()?)),
            _ => return None,
        };
        let [edge_len] = at.take::<1>()?;
        let edge = EdgeId::parse(std::str::from_utf8(at.bytes(usize::from(edge_len))?).ok()?).ok()?;
        if !at.0.is_empty() {
            return None;
        }
        let ticket = Self {
            session,
            role: role_of(role)?,
            protocol: protocol_of(protocol)?,
            expires_at,
            epoch,
            client,
            ufrag_hash,
            edge,
        };
        Some((ticket, generation))
    }
}

/// Writes who was admitted and by whom: address tag u8 (0, 4, 6), 0, 4 or 16 bytes, edge length u8, edge. Viewer values end like tickets.
pub(crate) fn put_origin(out: &mut Vec<u8>, client: Option<IpAddr>, edge: &EdgeId) {
    match client {
        None => out.push(0),
        Some(IpAddr::V4(ip)) => {
            out.push(4);
            out.extend(ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.push(6);
            out.extend(ip.octets());
        }
    }
    let edge = edge.as_str().as_bytes();
    out.push(u8::try_from(edge.len()).unwrap_or(u8::MAX));
    out.extend(edge);
}

/// Reads from the front of a slice, never past its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }
}

fn tag_of(body: &[u8], secret: &ClusterSecret, scope: Scope<'_>) -> [u8; MAC_BYTES] {
    let parts =
        [body, scope.node.as_str().as_bytes(), scope.service.as_str().as_bytes(), scope.stream.as_str().as_bytes()];
    let full = mac(&secret.key(Purpose::Ticket), &parts);
    let mut tag = [0; MAC_BYTES];
    tag.iter_mut().zip(full).for_each(|(to, from)| *to = from);
    tag
}

pub(crate) const fn role_byte(role: Role) -> u8 {
    match role {
        Role::Publish => 1,
        Role::Play => 2,
    }
}

pub(crate) const fn role_of(byte: u8) -> Option<Role> {
    match byte {
        1 => Some(Role::Publish),
        2 => Some(Role::Play),
        _ => None,
    }
}

const fn protocol_byte(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Webrtc => 1,
        Protocol::Rtmp => 2,
        Protocol::Srt => 3,
        Protocol::Hls => 4,
        Protocol::HttpFlv => 5,
    }
}

const fn protocol_of(byte: u8) -> Option<Protocol> {
    match byte {
        1 => Some(Protocol::Webrtc),
        2 => Some(Protocol::Rtmp),
        3 => Some(Protocol::Srt),
        4 => Some(Protocol::Hls),
        5 => Some(Protocol::HttpFlv),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(n: &str, s: &str, x: &str) -> (NodeId, ServiceId, StreamId) {
        (NodeId::parse(n).unwrap(), ServiceId::parse(s).unwrap(), StreamId::parse(x).unwrap())
    }

    fn ticket(client: Option<IpAddr>, edge: &str) -> Ticket {
        Ticket {
            session: SessionId::from_bytes([3; 16]),
            role: Role::Publish,
            protocol: Protocol::Webrtc,
            expires_at: 1_800_000_000,
            epoch: 9,
            client,
            ufrag_hash: ufrag_hash("abcd"),
            edge: EdgeId::parse(edge).unwrap(),
        }
    }

    fn ring(current: &str, previous: Option<&str>) -> Keyring {
        Keyring { current: ClusterSecret::from_setting(current), previous: previous.map(ClusterSecret::from_setting) }
    }

    #[test]
    fn the_longest_ticket_fits_its_limit() {
        let (node, service, stream) = ids(&"n".repeat(32), &"s".repeat(32), &"x".repeat(64));
        let scope = Scope { node: &node, service: &service, stream: &stream };
        let keys = ring("a", None);
        let longest = ticket(Some("2001:db8::1".parse().unwrap()), &"e".repeat(24));
        let text = longest.seal(&keys.current, scope);
        assert!(text.len() <= TICKET_LEN_MAX, "{}", text.len());
        assert!(!text.contains('='), "SRS splits values at =");
        assert_eq!(Ticket::open(&text, &keys, scope).unwrap(), longest);
    }

    #[test]
    fn a_ticket_is_good_for_its_node_run_and_stream_only() {
        let (node, service, stream) = ids("n1", "run1", "cam");
        let scope = Scope { node: &node, service: &service, stream: &stream };
        let keys = ring("a", None);
        let text = ticket(None, "e1").seal(&keys.current, scope);
        for (n, s, x) in [("n2", "run1", "cam"), ("n1", "run2", "cam"), ("n1", "run1", "cat")] {
            let (node, service, stream) = ids(n, s, x);
            let other = Scope { node: &node, service: &service, stream: &stream };
            assert_eq!(Ticket::open(&text, &keys, other), Err(TicketError::Mac));
        }
        assert_eq!(Ticket::open(&text, &ring("b", None), scope), Err(TicketError::Mac));
        assert!(Ticket::open(&text, &ring("b", Some("a")), scope).is_ok(), "the previous secret still opens");
    }

    proptest! {
        #[test]
        fn opening_never_panics_and_damage_is_seen(at in 0_usize..80, to: u8, junk: Vec<u8>) {
            let (node, service, stream) = ids("n1", "run1", "cam");
            let scope = Scope { node: &node, service: &service, stream: &stream };
            let keys = ring("a", None);
            let text = ticket(Some("192.0.2.1".parse().unwrap()), "e1").seal(&keys.current, scope);
            let mut bytes = text.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(at) { *byte = to; }
            let damaged = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(Ticket::open(&damaged, &keys, scope).is_ok(), damaged == text);
            prop_assert!(Ticket::open(&BASE64URL_NOPAD.encode(&junk), &keys, scope).is_err());
        }
    }
}
