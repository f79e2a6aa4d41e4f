//! What falls out when a receiver is behind.

use super::super::{chunk::Header, message::kind};
use std::time::Duration;

/// A gap from which on messages are left out.
const BEHIND_MAX: Duration = Duration::from_secs(3);
/// A gap that a key frame must be within to end that.
const CAUGHT_UP: Duration = Duration::from_millis(500);
/// Longest time that messages are left out: with no key frame in it, time stamps have jumped.
const DROPPING_MAX: Duration = Duration::from_secs(20);
/// A step of time stamps that is none: the publisher has begun anew.
const JUMP_MS: u32 = 10_000;

/// What the caller knows of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It has all there was, and the sender has no more: media is as young now as it can be.
    None,
    /// It had to be waited for.
    Waited,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    Drop,
}

/// When media was last passed without delay: how old a later time stamp is follows from that.
#[derive(Debug, Clone, Copy)]
struct Young {
    at: Duration,
    stamp: u32,
}

#[derive(Debug, Default)]
pub(super) struct Cull {
    young: Option<Young>,
    stamp: Option<u32>,
    /// The receiver had to be waited for since it last had all.
    waited: bool,
    /// Since when messages are left out.
    dropping: Option<Duration>,
    /// A video message was seen: then only one begins anew.
    video: bool,
}

impl Cull {
    pub(super) fn behind(&mut self, lag: Lag, now: Duration) {
        self.waited = lag == Lag::Waited;
        if lag == Lag::None {
            self.young = self.stamp.map(|stamp| Young { at: now, stamp });
        }
    }

    /// What becomes of the message whose payload begins with `payload`; `None` while the byte that tells is not there.
    pub(super) fn fate(&mut self, header: &Header, payload: &[u8], now: Duration) -> Option<Fate> {
        let media = matches!(header.kind, kind::AUDIO | kind::VIDEO);
        if !media {
            return Some(Fate::Pass);
        }
        self.note(header.timestamp, now);
        self.video |= header.kind == kind::VIDEO;
        if !self.waited && self.dropping.is_none() {
            return Some(Fate::Pass);
        }
        let gap = self.gap(header.timestamp, now);
        if self.dropping.is_none() && gap > BEHIND_MAX {
            self.dropping = Some(now);
        }
        let Some(since) = self.dropping else { return Some(Fate::Pass) };
        let what = What::of(header, payload)?;
        if what == What::Config {
            return Some(Fate::Pass);
        }
        let begins = what == What::Key || !self.video;
        if begins && (gap <= CAUGHT_UP || !self.waited || now.saturating_sub(since) > DROPPING_MAX) {
            self.dropping = None;
            self.young = Some(Young { at: now, stamp: header.timestamp });
            return Some(Fate::Pass);
        }
        Some(Fate::Drop)
    }

    /// How much older a message of that time stamp is than one that passed without delay.
    fn gap(&self, stamp: u32, now: Duration) -> Duration {
        let Some(young) = self.young else { return Duration::ZERO };
        let media = Duration::from_millis(u64::from(stamp.wrapping_sub(young.stamp)));
        now.saturating_sub(young.at).saturating_sub(media)
    }

    fn note(&mut self, stamp: u32, now: Duration) {
        let jumped = self.stamp.is_some_and(|last| {
            let (on, back) = (stamp.wrapping_sub(last), last.wrapping_sub(stamp));
            on.min(back) > JUMP_MS
        });
        if jumped || self.young.is_none() {
            self.young = Some(Young { at: now, stamp });
        }
        self.stamp = Some(stamp);
    }
}

/// What a media message is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A decoder cannot begin without it.
    Config,
    /// A decoder can begin here.
    Key,
    Other,
}

impl What {
    /// Source: FLV specification E.4.2 and E.4.3; Enhanced RTMP v1 for the bit 0x80 and v2 for sound format 9.
    fn of(header: &Header, payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let first = match bytes.next() {
            Some(first) => first,
            None if header.len == 0 => return Some(Self::Other),
            None => return None,
        };
        let second = || bytes.clone().next().or(if header.len < 2 { Some(u8::MAX) } else { None });
        if header.kind == kind::AUDIO {
            return Some(match first >> 4 {
                10 if second()? == 0 => Self::Config,
                9 if first & 0x0F == 0 => Self::Config,
                _ => Self::Other,
            });
        }
        let key = (first >> 4) & 7 == 1;
        if first & 0x80 != 0 {
            // Enhanced: the low half is the packet type, 0 the sequence header.
            return Some(if first & 0x0F == 0 { Self::Config } else { Self::of_key(key) });
        }
        Some(if matches!(first & 0x0F, 7 | 12) && second()? == 0 { Self::Config } else { Self::of_key(key) })
    }

    const fn of_key(key: bool) -> Self {
        if key { Self::Key } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, timestamp: u32) -> Header {
        Header { csid: 6, timestamp, len: 100, kind, stream: 1 }
    }

    const KEY: [u8; 2] = [0x17, 1];
    const INTER: [u8; 2] = [0x27, 1];
    const CONFIG: [u8; 2] = [0x17, 0];

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_receiver_that_keeps_up_loses_nothing() {
        let mut cull = Cull::default();
        for second in 0..100_u32 {
            let now = secs(f64::from(second) * 1.5);
            assert_eq!(cull.fate(&header(kind::VIDEO, second * 1000), &INTER, now), Some(Fate::Pass), "a slow clock");
            cull.behind(Lag::None, now);
        }
    }

    #[test]
    fn one_that_is_behind_begins_again_at_a_young_key_frame() {
        let mut cull = Cull::default();
        assert_eq!(cull.fate(&header(kind::VIDEO, 1000), &KEY, secs(1.0)), Some(Fate::Pass));
        cull.behind(Lag::None, secs(1.0));
        cull.behind(Lag::Waited, secs(6.0));
        assert_eq!(cull.fate(&header(kind::VIDEO, 2000), &INTER, secs(6.0)), Some(Fate::Drop));
        assert_eq!(cull.fate(&header(kind::VIDEO, 2020), &CONFIG, secs(6.0)), Some(Fate::Pass), "decoders need it");
        assert_eq!(cull.fate(&header(kind::AUDIO, 2030), &[0xAF, 1], secs(6.0)), Some(Fate::Drop));
        assert_eq!(cull.fate(&header(kind::VIDEO, 3000), &KEY, secs(6.0)), Some(Fate::Drop), "three seconds old");
        assert_eq!(cull.fate(&header(kind::VIDEO, 5900), &KEY, secs(6.0)), Some(Fate::Pass));
        assert_eq!(cull.fate(&header(kind::VIDEO, 5920), &INTER, secs(6.1)), Some(Fate::Pass));
    }

    #[test]
    fn sound_alone_begins_anywhere_and_the_byte_that_tells_is_waited_for() {
        let mut cull = Cull::default();
        assert_eq!(cull.fate(&header(kind::AUDIO, 0), &[0xAF, 1], secs(0.0)), Some(Fate::Pass));
        cull.behind(Lag::Waited, secs(9.0));
        assert_eq!(cull.fate(&header(kind::AUDIO, 100), &[], secs(9.0)), None);
        assert_eq!(cull.fate(&header(kind::AUDIO, 100), &[0xAF, 1], secs(9.0)), Some(Fate::Drop));
        assert_eq!(cull.fate(&header(kind::AUDIO, 9000), &[0xAF, 1], secs(9.0)), Some(Fate::Pass));
    }

    #[test]
    fn time_stamps_that_jump_do_not_silence_a_stream() {
        let mut cull = Cull::default();
        cull.fate(&header(kind::VIDEO, 500_000), &KEY, secs(1.0));
        cull.behind(Lag::Waited, secs(2.0));
        assert_eq!(cull.fate(&header(kind::VIDEO, 0), &INTER, secs(2.0)), Some(Fate::Pass), "a new publisher");
    }

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        let video = |bytes: &[u8]| What::of(&header(kind::VIDEO, 0), bytes);
        assert_eq!(video(&[0x90]), Some(What::Config), "enhanced sequence start");
        assert_eq!(video(&[0x91]), Some(What::Key));
        assert_eq!(video(&[0xA1]), Some(What::Other));
        assert_eq!(video(&[0x17]), None);
        assert_eq!(video(&[0x12]), Some(What::Key), "H.263");
        let audio = |bytes: &[u8]| What::of(&header(kind::AUDIO, 0), bytes);
        assert_eq!(audio(&[0xAF, 0]), Some(What::Config));
        assert_eq!(audio(&[0x90]), Some(What::Config));
        assert_eq!(audio(&[0x2F]), Some(What::Other), "MP3");
    }
}
