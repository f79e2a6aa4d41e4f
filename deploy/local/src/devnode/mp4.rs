//! Fragmented MP4 of H.264 and Opus, as HLS wants it: an init segment, then one fragment a sample. Pure.
//!
//! Source: ISO/IEC 14496-12:2022 8.8, 14496-15:2022 5.3, "Encapsulation of Opus in ISO Base Media File Format" 0.8.1.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use scuffle_h264::{AVCDecoderConfigurationRecord, Sps};
use scuffle_mp4::types::avc1::Avc1;
use scuffle_mp4::types::avcc::AvcC;
use scuffle_mp4::types::ftyp::{FourCC, Ftyp};
use scuffle_mp4::types::hdlr::{HandlerType, Hdlr};
use scuffle_mp4::types::mdat::Mdat;
use scuffle_mp4::types::mdhd::Mdhd;
use scuffle_mp4::types::mdia::Mdia;
use scuffle_mp4::types::mfhd::Mfhd;
use scuffle_mp4::types::minf::Minf;
use scuffle_mp4::types::moof::Moof;
use scuffle_mp4::types::moov::Moov;
use scuffle_mp4::types::mvex::Mvex;
use scuffle_mp4::types::mvhd::Mvhd;
use scuffle_mp4::types::opus::Opus;
use scuffle_mp4::types::smhd::Smhd;
use scuffle_mp4::types::stbl::Stbl;
use scuffle_mp4::types::stco::Stco;
use scuffle_mp4::types::stsc::Stsc;
use scuffle_mp4::types::stsd::{AudioSampleEntry, SampleEntry, Stsd, VisualSampleEntry};
use scuffle_mp4::types::stsz::Stsz;
use scuffle_mp4::types::stts::Stts;
use scuffle_mp4::types::tfdt::Tfdt;
use scuffle_mp4::types::tfhd::Tfhd;
use scuffle_mp4::types::tkhd::Tkhd;
use scuffle_mp4::types::traf::Traf;
use scuffle_mp4::types::trak::Trak;
use scuffle_mp4::types::trex::Trex;
use scuffle_mp4::types::trun::{Trun, TrunSample, TrunSampleFlag};
use scuffle_mp4::types::vmhd::Vmhd;
use scuffle_mp4::{BoxType, DynBox};

use super::fanout::{Frame, Track};
use crate::media::nal_units;

const VIDEO_TRACK: u32 = 1;
const AUDIO_TRACK: u32 = 2;
/// Opus over WebRTC: two channels at 48 kHz, whatever is in the packets.
const CHANNELS: u16 = 2;
/// Samples a decoder drops at the start; what libopus says of itself.
const PRE_SKIP: u16 = 312;
/// Bytes of a box's header.
const BOX_HEADER_BYTES: usize = 8;

/// One sample in a fragment of its own.
#[derive(Debug)]
pub(crate) struct Fragment {
    pub(crate) data: Bytes,
    /// Time in ticks and whether it is a keyframe; `None` for sound.
    pub(crate) video: Option<(u64, bool)>,
}

/// Parameter sets of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    sps: Bytes,
    pps: Bytes,
}

impl ParameterSets {
    /// Those of an Annex B frame, when both are in it.
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let find = |kind: u8| nal_units(frame).find(|unit| unit.first().is_some_and(|header| header & 0x1f == kind));
        Some(Self { sps: Bytes::copy_from_slice(find(7)?), pps: Bytes::copy_from_slice(find(8)?) })
    }
}

#[derive(Debug)]
struct Sample {
    ticks: u64,
    key: bool,
    data: Bytes,
}

/// Puts one publisher's frames into fragments. A sample lasts until the next of its track, so each waits for that.
#[derive(Debug, Default)]
pub(crate) struct Muxer {
    sequence: u32,
    video: Option<Sample>,
    audio: Option<Sample>,
}

impl Muxer {
    /// Takes a frame and gives the one before it on the same track.
    pub(crate) fn push(&mut self, frame: &Frame) -> Option<Fragment> {
        let data = match frame.track {
            Track::Audio => Bytes::copy_from_slice(&frame.data),
            Track::Video => lengths(&frame.data)?,
        };
        let sample = Sample { ticks: frame.ticks, key: frame.idr, data };
        let ready = match frame.track {
            Track::Audio => self.audio.replace(sample),
            Track::Video => self.video.replace(sample),
        }?;
        let duration = u32::try_from(frame.ticks.saturating_sub(ready.ticks)).unwrap_or(u32::MAX);
        self.sequence = self.sequence.wrapping_add(1);
        let video = (frame.track == Track::Video).then_some((ready.ticks, ready.key));
        let data = fragment(self.sequence, frame.track, ready, duration).ok()?;
        Some(Fragment { data, video })
    }
}

/// Annex B to NAL units with 4-byte lengths; parameter sets stay in, which players allow.
fn lengths(frame: &[u8]) -> Option<Bytes> {
    let mut out = BytesMut::with_capacity(frame.len().saturating_add(16));
    for unit in nal_units(frame) {
        out.put_u32(u32::try_from(unit.len()).ok()?);
        out.put_slice(unit);
    }
    Some(out.freeze())
}

fn fragment(sequence: u32, track: Track, sample: Sample, duration: u32) -> io::Result<Bytes> {
    let (id, sync) = match track {
        Track::Video => (VIDEO_TRACK, sample.key),
        Track::Audio => (AUDIO_TRACK, true),
    };
    let run = TrunSample {
        duration: Some(duration),
        composition_time_offset: None,
        flags: Some(TrunSampleFlag {
            reserved: 0,
            is_leading: 0,
            sample_depends_on: if sync { 2 } else { 1 },
            sample_is_depended_on: 0,
            sample_has_redundancy: 0,
            sample_padding_value: 0,
            sample_is_non_sync_sample: !sync,
            sample_degradation_priority: 0,
        }),
        size: Some(u32::try_from(sample.data.len()).map_err(io::Error::other)?),
    };
    let traf = Traf::new(
        Tfhd::new(id, None, None, None, None, None),
        Some(Trun::new(vec![run], None)),
        Some(Tfdt::new(sample.ticks)),
    );
    let mut moof = Moof::new(Mfhd::new(sequence), vec![traf]);
    let head = usize::try_from(moof.size()).map_err(io::Error::other)?.saturating_add(BOX_HEADER_BYTES);
    if let Some(trun) = moof.traf.first_mut().and_then(|traf| traf.trun.as_mut()) {
        trun.data_offset = Some(i32::try_from(head).map_err(io::Error::other)?);
    }
    let mut out = Vec::with_capacity(head.saturating_add(sample.data.len()));
    moof.mux(&mut out)?;
    Mdat::new(vec![sample.data]).mux(&mut out)?;
    Ok(out.into())
}

/// The init segment; `None` when the parameter sets cannot be read.
pub(crate) fn init_segment(sets: &ParameterSets) -> Option<Bytes> {
    let sps = Sps::parse_with_emulation_prevention(io::Cursor::new(&sets.sps)).ok()?;
    let [_, profile, compatibility, level, ..] = sets.sps.as_ref() else { return None };
    let record = AVCDecoderConfigurationRecord {
        configuration_version: 1,
        profile_indication: *profile,
        profile_compatibility: *compatibility,
        level_indication: *level,
        length_size_minus_one: 3,
        sps: vec![sets.sps.clone()],
        pps: vec![sets.pps.clone()],
        extended_config: None,
    };
    let (width, height) = (u16::try_from(sps.width()).ok()?, u16::try_from(sps.height()).ok()?);
    let picture = Avc1::new(SampleEntry::new(VisualSampleEntry::new(width, height, None)), AvcC::new(record), None);
    let mut sound = Opus::new(SampleEntry::new(AudioSampleEntry::new(CHANNELS, 16, 48_000)), None);
    sound.unknown.push(opus_config());
    let mut out = Vec::new();
    Ftyp::new(FourCC::Iso5, 512, vec![FourCC::Iso5, FourCC::Iso6, FourCC::Avc1]).mux(&mut out).ok()?;
    let size = Some((u32::from(width), u32::from(height)));
    let tracks = vec![
        track(VIDEO_TRACK, size, HandlerType::Vide, picture.into()),
        track(AUDIO_TRACK, None, HandlerType::Soun, sound.into()),
    ];
    let fragments = Mvex::new(vec![Trex::new(VIDEO_TRACK), Trex::new(AUDIO_TRACK)], None);
    Moov::new(Mvhd::new(0, 0, 1_000, 0, 1), tracks, Some(fragments)).mux(&mut out).ok()?;
    Some(out.into())
}

fn track(id: u32, size: Option<(u32, u32)>, handler: HandlerType, entry: DynBox) -> Trak {
    let (clock, vmhd, smhd) = match size {
        Some(_) => (Track::Video.hz(), Some(Vmhd::new()), None),
        None => (Track::Audio.hz(), None, Some(Smhd::new())),
    };
    let samples = Stbl::new(
        Stsd::new(vec![entry]),
        Stts::new(vec![]),
        Stsc::new(vec![]),
        Stco::new(vec![]),
        Some(Stsz::new(0, vec![])),
    );
    let media = Mdia::new(
        Mdhd::new(0, 0, u32::try_from(clock).unwrap_or(u32::MAX), 0),
        Hdlr::new(handler, String::new()),
        Minf::new(samples, vmhd, smhd),
    );
    Trak::new(Tkhd::new(0, 0, id, 0, size), None, media)
}

/// The box `dOps`, which the MP4 library does not know.
fn opus_config() -> DynBox {
    let mut data = BytesMut::new();
    data.put_u8(0);
    data.put_u8(u8::try_from(CHANNELS).unwrap_or(2));
    data.put_u16(PRE_SKIP);
    data.put_u32(48_000);
    data.put_i16(0);
    data.put_u8(0);
    DynBox::Unknown((scuffle_mp4::header::BoxHeader::new(*b"dOps"), data.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(track: Track, ticks: u64, idr: bool, data: &[u8]) -> Frame {
        Frame { track, ticks, idr, data: data.into() }
    }

    #[test]
    fn a_sample_comes_out_when_the_next_of_its_track_comes_in() {
        let mut muxer = Muxer::default();
        assert!(muxer.push(&frame(Track::Video, 90, true, &[0, 0, 0, 1, 0x65, 9])).is_none());
        assert!(muxer.push(&frame(Track::Audio, 10, false, b"opus")).is_none());
        let first = muxer.push(&frame(Track::Video, 3_090, false, &[0, 0, 1, 0x41, 8])).unwrap();
        assert_eq!(first.video, Some((90, true)));
        assert!(first.data.ends_with(&[0, 0, 0, 2, 0x65, 9]), "{:?}", first.data);
        let sound = muxer.push(&frame(Track::Audio, 970, false, b"more")).unwrap();
        assert!(sound.video.is_none() && sound.data.ends_with(b"mdatopus"), "{:?}", sound.data);
    }

    #[test]
    fn without_parameter_sets_there_is_no_init_segment() {
        assert_eq!(ParameterSets::of(&[0, 0, 1, 0x65, 9]), None);
        let broken = ParameterSets { sps: Bytes::from_static(&[0x67]), pps: Bytes::new() };
        assert_eq!(init_segment(&broken), None);
    }
}
