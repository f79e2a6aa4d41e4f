//! One RTMP publisher's media: FLV tags to Annex B frames for WebRTC, and to fragmented MP4 for HLS.

use std::sync::Arc;

use scuffle_flv::audio::body::AudioTagBody;
use scuffle_flv::audio::body::legacy::LegacyAudioTagBody;
use scuffle_flv::audio::body::legacy::aac::AacAudioData;
use scuffle_flv::tag::{FlvTag, FlvTagData};
use scuffle_flv::video::body::VideoTagBody;
use scuffle_flv::video::body::legacy::LegacyVideoTagBody;
use scuffle_flv::video::header::legacy::{LegacyVideoTagHeader, LegacyVideoTagHeaderAvcPacket};
use scuffle_flv::video::header::{VideoFrameType, VideoTagHeaderData};
use scuffle_transmuxer::{MediaType, TransmuxResult, Transmuxer};

use super::fanout::{Frame, Track};
use super::hls::{self, Segmenter};
use super::peer::{News, picture_of};
use super::registry::{Sound, Subject};
use super::shared::Node;

/// Ticks of the RTP video clock in a millisecond.
const TICKS_PER_MS: u64 = 90;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Longest frame put together for WebRTC, bytes.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) struct Media {
    subject: Subject,
    /// Parameter sets in Annex B form, put before every keyframe.
    parameter_sets: Vec<u8>,
    /// Bytes of a NAL unit's length, 1 to 4.
    length_bytes: usize,
    /// B-frames were seen; WebRTC decoders show them in the wrong order.
    reordered: bool,
    transmuxer: Option<Transmuxer<'static>>,
    segmenter: Option<Segmenter>,
    heard: bool,
}

impl Media {
    pub(crate) fn new(subject: Subject) -> Self {
        Self {
            subject,
            parameter_sets: Vec::new(),
            length_bytes: 4,
            reordered: false,
            transmuxer: Some(Transmuxer::new()),
            segmenter: None,
            heard: false,
        }
    }

    /// What a tag tells about picture and sound.
    pub(crate) fn learn(&mut self, tag: &FlvTag<'_>) -> Vec<News> {
        if let FlvTagData::Video(video) = &tag.data
            && let VideoTagBody::Legacy(LegacyVideoTagBody::AvcVideoPacketSeqHdr(record)) = &video.body
        {
            self.length_bytes = usize::from(record.length_size_minus_one & 3).saturating_add(1);
            self.parameter_sets.clear();
            for unit in record.sps.iter().chain(&record.pps) {
                self.parameter_sets.extend_from_slice(&START_CODE);
                self.parameter_sets.extend_from_slice(unit);
            }
            return picture_of(&self.parameter_sets).map(News::Picture).into_iter().collect();
        }
        if let FlvTagData::Audio(audio) = &tag.data
            && let AudioTagBody::Legacy(LegacyAudioTagBody::Aac(AacAudioData::SequenceHeader(config))) = &audio.body
            && !std::mem::replace(&mut self.heard, true)
        {
            return aac(config).map(News::Sound).into_iter().collect();
        }
        Vec::new()
    }

    /// The picture of a tag for WebRTC; `None` for everything else.
    pub(crate) fn frame(&mut self, tag: &FlvTag<'_>) -> Option<Frame> {
        let FlvTagData::Video(video) = &tag.data else { return None };
        let VideoTagHeaderData::Legacy(LegacyVideoTagHeader::AvcPacket(LegacyVideoTagHeaderAvcPacket::Nalu {
            composition_time_offset,
        })) = &video.header.data
        else {
            return None;
        };
        let VideoTagBody::Legacy(LegacyVideoTagBody::Other { data }) = &video.body else { return None };
        if *composition_time_offset != 0 && !std::mem::replace(&mut self.reordered, true) {
            tracing::warn!(stream = %self.subject.url, "B-frames: this stream is not shown over WHEP");
        }
        if self.reordered || self.parameter_sets.is_empty() {
            return None;
        }
        let idr = video.header.frame_type == VideoFrameType::KeyFrame;
        let head: &[u8] = if idr { &self.parameter_sets } else { &[] };
        let data = annex_b(head, data, self.length_bytes)?;
        let ticks = u64::from(tag.timestamp_ms).saturating_mul(TICKS_PER_MS);
        Some(Frame { track: Track::Video, ticks, idr, data: Arc::from(data) })
    }

    /// Feeds HLS. A stream that cannot be put into MP4 (no AAC, another codec) is given up once, with a line.
    pub(crate) fn hls(&mut self, node: &Node, tag: FlvTag<'static>) {
        let Some(mut transmuxer) = self.transmuxer.take() else { return };
        transmuxer.add_tag(tag);
        loop {
            match transmuxer.mux() {
                Ok(Some(result)) => self.segment(node, result),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(stream = %self.subject.url, %error, "no HLS for this stream");
                    return;
                }
            }
        }
        self.transmuxer = Some(transmuxer);
    }

    fn segment(&mut self, node: &Node, result: TransmuxResult) {
        match result {
            TransmuxResult::InitSegment { video_settings, data, .. } => {
                self.segmenter = Some(Segmenter::new(video_settings.timescale));
                node.hls.begin(&self.subject.url, data, node.now());
            }
            TransmuxResult::MediaSegment(sample) => {
                let Some(segmenter) = &mut self.segmenter else { return };
                let video = (sample.ty == MediaType::Video).then_some((sample.timestamp, sample.keyframe));
                let Some((seconds, data)) = segmenter.push(&sample.data, video) else { return };
                hls::finished(node, &self.subject, seconds, data);
            }
        }
    }
}

/// Length-prefixed NAL units to Annex B, `head` first; `None` when a length does not fit.
fn annex_b(head: &[u8], data: &[u8], length_bytes: usize) -> Option<Vec<u8>> {
    if data.len() > FRAME_BYTES_MAX {
        return None;
    }
    let mut out = Vec::with_capacity(head.len().saturating_add(data.len()).saturating_add(16));
    out.extend_from_slice(head);
    let mut rest = data;
    while !rest.is_empty() {
        let (length, tail) = rest.split_at_checked(length_bytes)?;
        let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (unit, tail) = tail.split_at_checked(length)?;
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(unit);
        rest = tail;
    }
    Some(out)
}

/// Sample rate and channels of an `AudioSpecificConfig` (ISO 14496-3 1.6.2.1), where the rate is a listed one.
fn aac(config: &[u8]) -> Option<Sound> {
    const RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    let [first, second, ..] = config else { return None };
    let rate = RATES.get(usize::from((first & 7) << 1 | second >> 7))?;
    Some(Sound::Aac { sample_rate: *rate, channels: second >> 3 & 0xf })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_start_codes() {
        let data = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x41];
        assert_eq!(annex_b(&[9], &data, 4).unwrap(), [9, 0, 0, 0, 1, 0x65, 1, 0, 0, 0, 1, 0x41]);
        assert_eq!(annex_b(&[], &[1, 7], 1).unwrap(), [0, 0, 0, 1, 7]);
        for broken in [&data[..10], &data[..3], &[255, 255, 255, 255, 1]] {
            assert_eq!(annex_b(&[], broken, 4), None);
        }
    }

    #[test]
    fn reads_an_aac_config() {
        // AAC-LC, 44.1 kHz, stereo.
        assert_eq!(aac(&[0x12, 0x10]), Some(Sound::Aac { sample_rate: 44_100, channels: 2 }));
        assert_eq!(aac(&[0x12]), None);
    }
}
