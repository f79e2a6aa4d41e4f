//! Attributes: their numbers, how they follow each other, and the addresses in them.

use super::{MAGIC_COOKIE, TRANSACTION_BYTES};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Numbers of the attributes that matter in ICE.
pub mod kind {
    /// `USERNAME`: receiver's ufrag, a colon, sender's ufrag.
    pub const USERNAME: u16 = 0x0006;
    /// `MESSAGE-INTEGRITY`: HMAC-SHA1 of all before it.
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// `ERROR-CODE`.
    pub const ERROR_CODE: u16 = 0x0009;
    /// `XOR-MAPPED-ADDRESS`: where the request came from.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// `PRIORITY` of the peer-reflexive candidate.
    pub const PRIORITY: u16 = 0x0024;
    /// `USE-CANDIDATE`: this pair is the one.
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// `FINGERPRINT`: CRC-32 of all before it.
    pub const FINGERPRINT: u16 = 0x8028;
    /// `ICE-CONTROLLED`.
    pub const ICE_CONTROLLED: u16 = 0x8029;
    /// `ICE-CONTROLLING`.
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// Bytes before an attribute's value.
pub(super) const HEAD: usize = 4;

const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number, see [`kind`].
    pub kind: u16,
    /// Its value, without padding.
    pub value: &'a [u8],
}

/// The attributes of a message, in order. Ends early with `Err(())` where one is cut short.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Bytes that were not yet read.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next attribute; `Err` when it does not fit into what is left.
    pub(super) fn read(&mut self) -> Result<Option<Attribute<'a>>, ()> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (head, rest) = self.rest.split_first_chunk::<HEAD>().ok_or(())?;
        let &[k0, k1, l0, l1] = head;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let (value, _) = rest.split_at_checked(len).ok_or(())?;
        let (_, next) = rest.split_at_checked(len.next_multiple_of(4)).ok_or(())?;
        self.rest = next;
        Ok(Some(Attribute { kind: u16::from_be_bytes([k0, k1]), value }))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().ok().flatten()
    }
}

/// Reads the value of an `XOR-MAPPED-ADDRESS`.
pub(super) fn unmask(value: &[u8], transaction: &[u8; TRANSACTION_BYTES]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let [c0, c1, ..] = MAGIC_COOKIE;
    let port = u16::from_be_bytes([p0 ^ c0, p1 ^ c1]);
    let ip = match family {
        FAMILY_V4 => IpAddr::V4(Ipv4Addr::from(masked(<[u8; 4]>::try_from(address).ok()?, transaction))),
        FAMILY_V6 => IpAddr::V6(Ipv6Addr::from(masked(<[u8; 16]>::try_from(address).ok()?, transaction))),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Writes the value of an `XOR-MAPPED-ADDRESS`.
pub(super) fn mask(address: SocketAddr, transaction: &[u8; TRANSACTION_BYTES], out: &mut Vec<u8>) {
    let [c0, c1, ..] = MAGIC_COOKIE;
    let [p0, p1] = address.port().to_be_bytes();
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            out.extend([0, FAMILY_V4, p0 ^ c0, p1 ^ c1]);
            out.extend(masked(ip.octets(), transaction));
        }
        IpAddr::V6(ip) => {
            out.extend([0, FAMILY_V6, p0 ^ c0, p1 ^ c1]);
            out.extend(masked(ip.octets(), transaction));
        }
    }
}

/// The octets with the cookie and the transaction id laid over them; undoes itself.
fn masked<const N: usize>(mut octets: [u8; N], transaction: &[u8; TRANSACTION_BYTES]) -> [u8; N] {
    for (octet, mask) in octets.iter_mut().zip(MAGIC_COOKIE.iter().chain(transaction)) {
        *octet ^= mask;
    }
    octets
}
