//! PROXY protocol version 2: the address of a client that a load balancer speaks for, before the client's first byte.
//!
//! Source: `HAProxy`, `proxy-protocol.txt` section 2.2; read 2026-11-23.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with; no RTMP or TLS connection does.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of signature, version, family and length.
const FIXED_LEN: usize = 16;
/// Longest header that is read, extensions included: a hostile length asks for 64 KiB.
pub const HEADER_LEN_MAX: usize = 1024;

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client's address; none when the proxy speaks for itself, as in a health check, or knows no address.
    pub client: Option<SocketAddr>,
    /// Bytes of the header.
    pub len: usize,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Another version or command.
    #[error("version and command {0:#04x} are not of PROXY protocol 2")]
    Version(u8),
    /// Longer than [`HEADER_LEN_MAX`].
    #[error("a PROXY header of {got} bytes, at most {HEADER_LEN_MAX} are taken")]
    Len {
        /// Its bytes.
        got: usize,
    },
    /// Too short for its own addresses.
    #[error("the PROXY header is too short for its addresses")]
    Short,
}

/// What the front of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// More bytes are needed to tell.
    More,
    /// No header: the client itself.
    Absent,
    /// A header.
    Header(Header),
}

/// Reads a header at the front of `input`.
///
/// # Errors
/// It begins like one and is none.
pub fn read(input: &[u8]) -> Result<Front, ProxyError> {
    let common = input.len().min(SIGNATURE.len());
    if input.get(..common) != SIGNATURE.get(..common) {
        return Ok(Front::Absent);
    }
    let Some([version, family, high, low]) = input.get(SIGNATURE.len()..FIXED_LEN) else { return Ok(Front::More) };
    if version >> 4 != 2 || version & 0x0F > 1 {
        return Err(ProxyError::Version(*version));
    }
    let len = FIXED_LEN.saturating_add(usize::from(u16::from_be_bytes([*high, *low])));
    if len > HEADER_LEN_MAX {
        return Err(ProxyError::Len { got: len });
    }
    let Some(body) = input.get(FIXED_LEN..len) else { return Ok(Front::More) };
    let client = match (version & 0x0F, family) {
        // PROXY over TCP with IPv4, with IPv6. A LOCAL connection is the proxy's own.
        (1, 0x11) => Some(v4(body).ok_or(ProxyError::Short)?),
        (1, 0x21) => Some(v6(body).ok_or(ProxyError::Short)?),
        _ => None,
    };
    Ok(Front::Header(Header { client, len }))
}

fn v4(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 4] = *body.first_chunk()?;
    let port: [u8; 2] = *body.get(8..)?.first_chunk()?;
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), u16::from_be_bytes(port)))
}

fn v6(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 16] = *body.first_chunk()?;
    let port: [u8; 2] = *body.get(32..)?.first_chunk()?;
    Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)).to_canonical(), u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(version: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[version, family], &len, body].concat()
    }

    #[test]
    fn a_clients_address_is_read() {
        let v4 = header(0x21, 0x11, &[203, 0, 113, 5, 10, 0, 0, 1, 0x30, 0x39, 7, 143, 3, 0, 1, 9]);
        let read_v4 = Header { client: Some("203.0.113.5:12345".parse().unwrap()), len: v4.len() };
        assert_eq!(read(&[v4.as_slice(), &[3, 0]].concat()), Ok(Front::Header(read_v4)));
        let mut body = [0_u8; 36];
        body[..2].copy_from_slice(&[0x20, 0x01]);
        body[15] = 1;
        body[33] = 80;
        let v6 = header(0x21, 0x21, &body);
        let read_v6 = Header { client: Some("[2001::1]:80".parse().unwrap()), len: 52 };
        assert_eq!(read(&v6), Ok(Front::Header(read_v6)));
        let local = header(0x20, 0, &[]);
        assert_eq!(read(&local), Ok(Front::Header(Header { client: None, len: 16 })), "a health check");
    }

    #[test]
    fn what_is_none_is_told_at_once() {
        assert_eq!(read(&[3]), Ok(Front::Absent), "RTMP");
        assert_eq!(read(&[0x16, 3, 1]), Ok(Front::Absent), "TLS");
        assert_eq!(read(b"\r\n\r\n\0\r\nQUIX"), Ok(Front::Absent));
        for len in 0..16 {
            assert_eq!(read(&header(0x21, 0x11, &[0; 12])[..len]), Ok(Front::More));
        }
        assert_eq!(read(&header(0x11, 0x11, &[0; 12])), Err(ProxyError::Version(0x11)));
        assert_eq!(read(&header(0x21, 0x11, &[0; 9])), Err(ProxyError::Short));
        assert_eq!(read(&header(0x21, 0x11, &[0; 2000])), Err(ProxyError::Len { got: 2016 }));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (bare, signed) = (read(&bytes), read(&[SIGNATURE.as_slice(), &bytes].concat()));
            prop_assert!(!matches!(bare, Ok(Front::Header(_))) && signed != Ok(Front::Absent));
        }
    }
}
