//! Packets of one Ogg stream, as an encoder writes it to a pipe.
//!
//! Pure. The checksum of a page is not verified: the bytes come from a child through a pipe, not from a network.
//!
//! Source: RFC 3533 section 6 (page layout), RFC 7845 (Opus in Ogg), read 2026-11-24.

use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

/// Fixed part of a page header, bytes; the segment table follows.
const PAGE_HEADER_BYTES: usize = 27;
/// Longest packet put together from several pages, bytes; an Opus packet of 120 ms has at most 7,662.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Why bytes are not an Ogg stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OggError {
    /// A page does not begin with `OggS`, version 0.
    #[error("not an Ogg page")]
    NotAPage,
    /// A packet over the limit.
    #[error("packet of {got} bytes is over {limit}")]
    PacketTooLong {
        /// Bytes so far.
        got: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// Takes bytes as they come, gives packets: header packets (`OpusHead`, `OpusTags`) are left to the caller.
#[derive(Debug, Default)]
pub struct OggPackets {
    buffer: BytesMut,
    partial: BytesMut,
    ready: VecDeque<Bytes>,
}

impl OggPackets {
    /// Adds bytes of the stream.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole packet, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// See [`OggError`]; there is no resynchronising, give the stream up.
    pub fn next_packet(&mut self) -> Result<Option<Bytes>, OggError> {
        while self.ready.is_empty() {
            if !self.page()? {
                return Ok(None);
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Takes one page from the buffer; false when it is not whole yet.
    fn page(&mut self) -> Result<bool, OggError> {
        let Some(header) = self.buffer.get(..PAGE_HEADER_BYTES) else { return Ok(false) };
        if !header.starts_with(b"OggS\0") {
            return Err(OggError::NotAPage);
        }
        let segments = usize::from(header.last().copied().unwrap_or(0));
        let body_at = PAGE_HEADER_BYTES.saturating_add(segments);
        let Some(table) = self.buffer.get(PAGE_HEADER_BYTES..body_at) else { return Ok(false) };
        let table = table.to_vec();
        let body: usize = table.iter().map(|length| usize::from(*length)).sum();
        if self.buffer.len() < body_at.saturating_add(body) {
            return Ok(false);
        }
        self.buffer.advance(body_at);
        for length in table {
            self.partial.extend_from_slice(&self.buffer.split_to(usize::from(length)));
            if self.partial.len() > PACKET_BYTES_MAX {
                return Err(OggError::PacketTooLong { got: self.partial.len(), limit: PACKET_BYTES_MAX });
            }
            // A segment of 255 bytes says that the packet goes on.
            if length < u8::MAX {
                self.ready.push_back(self.partial.split().freeze());
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(table: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = b"OggS\0".to_vec();
        out.extend_from_slice(&[0; 21]);
        out.push(u8::try_from(table.len()).unwrap());
        out.extend_from_slice(table);
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn packets_come_out_whole_byte_by_byte() {
        let long = vec![7_u8; 300];
        let mut bytes = page(&[3, 255, 45], &[&[1, 2, 3], long.as_slice()].concat());
        bytes.extend(page(&[255], &[9; 255]));
        bytes.extend(page(&[1, 0], &[8]));
        let (mut ogg, mut got) = (OggPackets::default(), Vec::new());
        for byte in bytes {
            ogg.push(&[byte]);
            while let Some(packet) = ogg.next_packet().unwrap() {
                got.push(packet.len());
            }
        }
        assert_eq!(got, [3, 300, 256, 0]);
    }

    #[test]
    fn refuses_what_is_not_ogg() {
        let mut ogg = OggPackets::default();
        ogg.push(&[b'x'; 40]);
        assert_eq!(ogg.next_packet(), Err(OggError::NotAPage));
    }

    #[test]
    fn refuses_an_endless_packet() {
        let mut ogg = OggPackets::default();
        for _ in 0..2 {
            ogg.push(&page(&[255; 255], &[0; 255 * 255]));
        }
        assert!(matches!(ogg.next_packet(), Err(OggError::PacketTooLong { .. })));
    }
}
