//! The 16 bytes that every SRT packet begins with.
//!
//! Control: `1 | type 15 | subtype 16 | type-specific 32 | timestamp 32 | destination socket 32`. Data: `0 | sequence 31 | message bits 32 |
//! timestamp 32 | destination socket 32`. Big-endian.

/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;

/// Bytes of a shutdown or keep-alive as libsrt sends them: a header and an empty word, which older receivers want to see.
const BARE_CONTROL_BYTES: usize = 20;
const CONTROL_BIT: u16 = 0x8000;

/// What a control packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// Opens a connection.
    Handshake,
    /// Says that the sender is still there.
    KeepAlive,
    /// Acknowledges data.
    Ack,
    /// Asks for lost data.
    Nak,
    /// Warns of congestion; unused.
    Congestion,
    /// Ends the connection.
    Shutdown,
    /// Acknowledges an acknowledgement.
    AckAck,
    /// Says that a message will not be sent again.
    DropRequest,
    /// Tells an error of the peer.
    PeerError,
    /// An extension: key material among others.
    User,
    /// Another one.
    Other(u16),
}

impl ControlKind {
    const fn of(code: u16) -> Self {
        match code {
            0 => Self::Handshake,
            1 => Self::KeepAlive,
            2 => Self::Ack,
            3 => Self::Nak,
            4 => Self::Congestion,
            5 => Self::Shutdown,
            6 => Self::AckAck,
            7 => Self::DropRequest,
            8 => Self::PeerError,
            0x7fff => Self::User,
            other => Self::Other(other),
        }
    }
}

/// Why bytes are no SRT packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than a header.
    #[error("an SRT packet has at least {HEADER_BYTES} bytes, this has {got}")]
    Short {
        /// Bytes there are.
        got: usize,
    },
}

/// What the header of a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    /// A control packet.
    Control {
        /// What it is.
        kind: ControlKind,
        /// Socket id of the receiver; 0 in a caller's handshake.
        destination: u32,
    },
    /// A piece of media.
    Data {
        /// Socket id of the receiver.
        destination: u32,
    },
}

impl Packet {
    /// Reads the header.
    ///
    /// # Errors
    /// [`PacketError::Short`]: drop the datagram.
    pub fn read(datagram: &[u8]) -> Result<Self, PacketError> {
        let short = PacketError::Short { got: datagram.len() };
        let header: &[u8; HEADER_BYTES] = datagram.first_chunk().ok_or(short)?;
        let [a, b, .., d0, d1, d2, d3] = *header;
        let (first, destination) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([d0, d1, d2, d3]));
        if first & CONTROL_BIT == 0 {
            Ok(Self::Data { destination })
        } else {
            Ok(Self::Control { kind: ControlKind::of(first & !CONTROL_BIT), destination })
        }
    }

    /// Socket id of the receiver.
    #[must_use]
    pub const fn destination(self) -> u32 {
        match self {
            Self::Control { destination, .. } | Self::Data { destination } => destination,
        }
    }

    /// Whether it ends the connection.
    #[must_use]
    pub const fn is_shutdown(self) -> bool {
        matches!(self, Self::Control { kind: ControlKind::Shutdown, .. })
    }

    /// Whether it belongs to the opening of a connection.
    #[must_use]
    pub const fn is_handshake(self) -> bool {
        matches!(self, Self::Control { kind: ControlKind::Handshake, .. })
    }
}

/// A shutdown for the socket `destination`. `timestamp` is in µs since the connection began; receivers do not look at it.
#[must_use]
pub fn shutdown(destination: u32, timestamp: u32) -> [u8; BARE_CONTROL_BYTES] {
    bare(5, destination, timestamp)
}

/// A keep-alive for the socket `destination`.
#[must_use]
pub fn keep_alive(destination: u32, timestamp: u32) -> [u8; BARE_CONTROL_BYTES] {
    bare(1, destination, timestamp)
}

fn bare(code: u16, destination: u32, timestamp: u32) -> [u8; BARE_CONTROL_BYTES] {
    let [a, b] = (CONTROL_BIT | code).to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [d0, d1, d2, d3] = destination.to_be_bytes();
    [a, b, 0, 0, 0, 0, 0, 0, t0, t1, t2, t3, d0, d1, d2, d3, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn data_and_control_are_told_apart() {
        let data = [0x12, 0x34, 0x56, 0x78, 0xe0, 0, 0, 1, 0, 0, 0, 9, 0xde, 0xad, 0xbe, 0xef, 0x47];
        assert_eq!(Packet::read(&data), Ok(Packet::Data { destination: 0xdead_beef }));
        let packet = Packet::read(&shutdown(7, 1)).unwrap();
        assert!(packet.is_shutdown() && !packet.is_handshake());
        assert_eq!(packet.destination(), 7);
        let alive = Packet::read(&keep_alive(8, 1)).unwrap();
        assert_eq!(alive, Packet::Control { kind: ControlKind::KeepAlive, destination: 8 });
        assert_eq!(Packet::read(&data[..15]), Err(PacketError::Short { got: 15 }));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_wants_a_header_only(bytes: Vec<u8>) {
            prop_assert_eq!(Packet::read(&bytes).is_ok(), bytes.len() >= HEADER_BYTES);
        }

        #[test]
        fn what_is_written_reads(destination: u32, timestamp: u32) {
            prop_assert_eq!(Packet::read(&shutdown(destination, timestamp)).map(Packet::destination), Ok(destination));
        }
    }
}
