//! One WebRTC session of the node: str0m, its tracks, and what was learnt about its media.

use std::sync::Arc;
use std::time::Instant;

use str0m::format::Codec;
use str0m::media::{Frequency, KeyframeRequestKind, MediaData, MediaKind, MediaTime, Mid, Pt};
use str0m::{Event, Output, Rtc, RtcError};
use tokio::net::UdpSocket;

use crate::media::{access_unit, nal_units};

use super::fanout::{Frame, Track};
use super::offer::Role;
use super::registry::{Picture, Sound, Stream, Traffic};

pub(crate) struct Peer {
    pub(crate) rtc: Rtc,
    pub(crate) url: String,
    pub(crate) role: Role,
    /// `server ufrag:client ufrag`.
    pub(crate) session: String,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) connected: bool,
    pub(crate) last_packet: Instant,
    /// When str0m wants to be called next.
    pub(crate) deadline: Instant,
    audio: Option<Mid>,
    video: Option<Mid>,
    heard: bool,
    picture: Option<Picture>,
}

/// Something new about a stream's media.
pub(crate) enum News {
    Picture(Picture),
    Sound(Sound),
}

impl News {
    pub(crate) fn apply(self, stream: &mut Stream) {
        match self {
            Self::Picture(picture) => stream.picture = Some(picture),
            Self::Sound(sound) => stream.sound = Some(sound),
        }
    }
}

impl Peer {
    pub(crate) fn new(rtc: Rtc, url: String, role: Role, session: String, traffic: Arc<Traffic>) -> Self {
        let now = Instant::now();
        Self {
            rtc,
            url,
            role,
            session,
            traffic,
            connected: false,
            last_packet: now,
            deadline: now,
            audio: None,
            video: None,
            heard: false,
            picture: None,
        }
    }

    pub(crate) fn track_added(&mut self, kind: MediaKind, mid: Mid) {
        match kind {
            MediaKind::Audio => self.audio = Some(mid),
            MediaKind::Video => self.video = Some(mid),
        }
    }

    /// Sends what there is to send and sets the next deadline.
    pub(crate) fn drain(&mut self, socket: &UdpSocket) -> Vec<Event> {
        let mut events = Vec::new();
        while self.rtc.is_alive() {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(deadline)) => {
                    self.deadline = deadline;
                    break;
                }
                Ok(Output::Transmit(packet)) => {
                    self.traffic.sent(packet.contents.len());
                    // A full socket buffer is packet loss, which retransmission repairs.
                    if let Err(error) = socket.try_send_to(&packet.contents, packet.destination) {
                        tracing::trace!(%error, "datagram not sent");
                    }
                }
                Ok(Output::Event(event)) => events.push(event),
                Err(error) => {
                    tracing::debug!(%error, "session failed");
                    self.rtc.disconnect();
                }
            }
        }
        events
    }

    /// Packs a frame for this viewer; a track it did not ask for is left out.
    pub(crate) fn write(&mut self, frame: &Frame) -> Result<(), RtcError> {
        let (mid, codec, frequency) = match frame.track {
            Track::Audio => (self.audio, Codec::Opus, Frequency::FORTY_EIGHT_KHZ),
            Track::Video => (self.video, Codec::H264, Frequency::NINETY_KHZ),
        };
        let Some(mid) = mid else { return Ok(()) };
        let Some(writer) = self.rtc.writer(mid) else { return Ok(()) };
        let fits = |codec_of: Codec, mode: Option<u8>| codec_of == codec && (codec != Codec::H264 || mode == Some(1));
        let fitting: Option<Pt> = writer
            .payload_params()
            .find(|params| fits(params.spec().codec, params.spec().format.packetization_mode))
            .map(|params| params.pt());
        let Some(pt) = fitting else { return Ok(()) };
        writer.write(pt, Instant::now(), MediaTime::new(frame.ticks, frequency), Arc::clone(&frame.data))
    }

    pub(crate) fn ask_keyframe(&mut self) {
        if let Some(mut writer) = self.video.and_then(|mid| self.rtc.writer(mid))
            && let Err(error) = writer.request_keyframe(None, KeyframeRequestKind::Pli)
        {
            tracing::debug!(%error, "keyframe cannot be asked for");
        }
    }

    /// What a frame tells that was not known: the picture's size, or that there is sound.
    pub(crate) fn learn(&mut self, frame: &Frame) -> Option<News> {
        if frame.track == Track::Audio {
            return (!std::mem::replace(&mut self.heard, true)).then_some(News::Sound(Sound::Opus));
        }
        if !frame.idr {
            return None;
        }
        let picture = picture_of(&frame.data)?;
        if self.picture.as_ref() == Some(&picture) {
            return None;
        }
        self.picture = Some(picture.clone());
        Some(News::Picture(picture))
    }
}

/// Reads the picture's size from the sequence parameter set of an Annex B frame.
pub(crate) fn picture_of(data: &[u8]) -> Option<Picture> {
    let unit = nal_units(data).find(|unit| unit.first().is_some_and(|header| header & 0x1f == 7))?;
    let sps = scuffle_h264::Sps::parse_with_emulation_prevention(unit).ok()?;
    let (width, height) = (sps.width(), sps.height());
    Some(Picture { width, height, profile_idc: sps.profile_idc, level_idc: sps.level_idc })
}

/// A publisher's data as a frame; `None` when it is of no track or damaged beyond use.
pub(crate) fn frame_of(peer: &Peer, data: &MediaData) -> Option<Frame> {
    let track = if Some(data.mid) == peer.audio {
        Track::Audio
    } else if Some(data.mid) == peer.video {
        Track::Video
    } else {
        return None;
    };
    let idr = match track {
        Track::Audio => false,
        Track::Video => access_unit(&data.data).ok()?.idr,
    };
    Some(Frame { track, ticks: data.time.numer(), idr, data: Arc::clone(&data.data) })
}

/// The USERNAME of a STUN request, receiver's ufrag first; `None` for everything else.
///
/// Source: RFC 8489 section 5 (header), section 14 (attributes), RFC 8445 section 7.2.2; read 2026-11-24.
pub(crate) fn username(datagram: &[u8]) -> Option<&str> {
    const HEADER_BYTES: usize = 20;
    const USERNAME: u16 = 6;
    const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    if datagram.get(..2)? != [0, 1] || datagram.get(4..8)? != MAGIC {
        return None;
    }
    let mut rest = datagram.get(HEADER_BYTES..)?;
    loop {
        let [kind_a, kind_b, length_a, length_b, tail @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*length_a, *length_b]));
        let value = tail.get(..length)?;
        if u16::from_be_bytes([*kind_a, *kind_b]) == USERNAME {
            return std::str::from_utf8(value).ok();
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_username_of_a_request_and_nothing_else() {
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        request.extend_from_slice(&[0; 12]);
        request.extend_from_slice(&[0, 0x24, 0, 1, 9, 0, 0, 0]);
        request.extend_from_slice(&[0, 6, 0, 9]);
        request.extend_from_slice(b"abcd:wxyz\0\0\0");
        assert_eq!(username(&request), Some("abcd:wxyz"));
        for cut in 0..request.len() - 3 {
            assert_eq!(username(&request[..cut]), None, "{cut}");
        }
        request[1] = 0x11;
        assert_eq!(username(&request), None, "an indication names nobody");
    }
}
