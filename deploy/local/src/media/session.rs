//! One str0m session around one UDP socket: the loop of a client.
//!
//! str0m wants each mutation followed by a full drain, so the loop is: drain, wait for one thing, do it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::format::Codec;
use str0m::media::{Frequency, KeyframeRequestKind, MediaData, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcError};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::h264;
use super::source::{Frame, Running, Source};
use super::stats::{State, Stats};

/// Largest datagram taken, bytes: above every MTU in use.
const DATAGRAM_BYTES_MAX: usize = 2_000;
/// A viewer that lost packets asks for a keyframe at most this often.
const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Session {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    source: Option<Source>,
    running: Option<Running>,
    media: Media,
    stats: watch::Sender<Stats>,
    started: Instant,
}

/// The two tracks of the offer, and what is remembered about them.
#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) audio: Mid,
    pub(crate) video: Mid,
    pub(crate) keyframe_asked: Option<Instant>,
}

/// What woke the loop.
enum Wake {
    Stop,
    Packet(usize, SocketAddr),
    Frame(Option<Frame>),
    Timer,
}

impl Session {
    pub(crate) fn new(
        rtc: Rtc,
        socket: UdpSocket,
        local: SocketAddr,
        media: Media,
        source: Option<Source>,
        stats: watch::Sender<Stats>,
        started: Instant,
    ) -> Self {
        Self { rtc, socket, local, source, running: None, media, stats, started }
    }

    /// Runs to the end; says why it ended unless it was stopped.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Option<String> {
        let why = self.run_inner(&cancel).await;
        let state = if cancel.is_cancelled() { State::Stopped } else { State::Lost };
        self.stats.send_modify(|stats| stats.state = state);
        if state == State::Stopped {
            return None;
        }
        tracing::debug!(reason = %why, "media session ended");
        Some(why)
    }

    async fn run_inner(&mut self, cancel: &CancellationToken) -> String {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let deadline = match self.drain() {
                Ok(Some(deadline)) => deadline,
                Ok(None) => return "the other side closed the session".into(),
                Err(error) => return error.to_string(),
            };
            if let Err(why) = self.start_source().await {
                return why;
            }
            let done = match self.wait(deadline, &mut buffer, cancel).await {
                Wake::Stop => {
                    self.close();
                    return "stopped".into();
                }
                Wake::Packet(length, from) => {
                    self.packet(buffer.get(..length).unwrap_or_default(), from).map_err(|error| error.to_string())
                }
                Wake::Frame(Some(Frame::End(why))) => return why,
                Wake::Frame(None) => return "the source ended".into(),
                Wake::Frame(Some(frame)) => self.send(frame),
                Wake::Timer => self.rtc.handle_input(Input::Timeout(Instant::now())).map_err(|error| error.to_string()),
            };
            if let Err(why) = done {
                return why;
            }
        }
    }

    async fn wait(&mut self, deadline: Instant, buffer: &mut [u8], cancel: &CancellationToken) -> Wake {
        let frame = async {
            match &mut self.running {
                Some(running) => running.frames.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Stop first; then the network, so that feedback is seen before more is sent; media next.
            biased;
            () = cancel.cancelled() => Wake::Stop,
            received = self.socket.recv_from(buffer) => match received {
                Ok((length, from)) => Wake::Packet(length, from),
                // An ICMP "port unreachable" of an earlier send shows up here; ICE decides whether it matters.
                Err(_) => Wake::Timer,
            },
            frame = frame => Wake::Frame(frame),
            () = tokio::time::sleep_until(deadline.into()) => Wake::Timer,
        }
    }

    /// The encoder starts when the session is up, so that the first frame sent is a keyframe.
    async fn start_source(&mut self) -> Result<(), String> {
        if self.rtc.is_connected()
            && self.running.is_none()
            && let Some(source) = self.source.take()
        {
            self.running = Some(source.start().await.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    fn packet(&mut self, data: &[u8], source: SocketAddr) -> Result<(), RtcError> {
        self.stats.send_modify(|stats| stats.datagrams += 1);
        let Ok(contents) = data.try_into() else { return Ok(()) };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
        let input = Input::Receive(Instant::now(), receive);
        if self.rtc.accepts(&input) { self.rtc.handle_input(input) } else { Ok(()) }
    }

    /// Empties str0m's output; `None` when the session is over.
    fn drain(&mut self) -> Result<Option<Instant>, RtcError> {
        loop {
            if !self.rtc.is_alive() {
                return Ok(None);
            }
            match self.rtc.poll_output()? {
                Output::Timeout(deadline) => return Ok(Some(deadline)),
                Output::Transmit(packet) => {
                    // A full socket buffer is packet loss, which the protocols above repair.
                    if let Err(error) = self.socket.try_send_to(&packet.contents, packet.destination) {
                        tracing::trace!(%error, "datagram not sent");
                    }
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "str0m adds events; those not named here do not concern a client"
    )]
    fn event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                let after = self.started.elapsed();
                self.stats.send_modify(|stats| {
                    stats.state = State::Connected;
                    stats.connected_after = Some(after);
                });
            }
            Event::MediaData(data) => self.received(&data),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.rtc.disconnect(),
            _ => {}
        }
    }

    fn received(&mut self, data: &MediaData) {
        let bytes = u64::try_from(data.data.len()).unwrap_or(u64::MAX);
        if data.mid == self.media.audio {
            self.stats.send_modify(|stats| {
                stats.frames_audio += 1;
                stats.bytes = stats.bytes.saturating_add(bytes);
            });
            return;
        }
        let unit = h264::access_unit(&data.data);
        let after = self.started.elapsed();
        self.stats.send_modify(|stats| {
            stats.gaps += u64::from(!data.contiguous);
            match unit {
                Ok(unit) => {
                    stats.frames_video += 1;
                    stats.keyframes += u64::from(unit.idr);
                    stats.bytes = stats.bytes.saturating_add(bytes);
                    stats.first_frame_after.get_or_insert(after);
                }
                Err(_) => stats.frames_bad += 1,
            }
        });
        let asked = self.media.keyframe_asked;
        if !data.contiguous && asked.is_none_or(|at| at.elapsed() >= KEYFRAME_REQUEST_INTERVAL) {
            self.media.keyframe_asked = Some(Instant::now());
            if let Some(mut writer) = self.rtc.writer(data.mid)
                && let Err(error) = writer.request_keyframe(None, KeyframeRequestKind::Pli)
            {
                tracing::debug!(%error, "keyframe cannot be asked for");
            }
        }
    }

    fn send(&mut self, frame: Frame) -> Result<(), String> {
        let now = Instant::now();
        let (mid, codec, time, data, video) = match frame {
            Frame::Video { ticks, data } => {
                (self.media.video, Codec::H264, MediaTime::new(ticks, Frequency::NINETY_KHZ), data, true)
            }
            Frame::Audio { ticks, data } => {
                (self.media.audio, Codec::Opus, MediaTime::new(ticks, Frequency::FORTY_EIGHT_KHZ), data, false)
            }
            Frame::End(_) => return Ok(()),
        };
        let Some(pt) = self.payload_type(mid, codec) else {
            return Err(format!("the answer accepted no {codec:?}"));
        };
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let key = video && h264::access_unit(&data).is_ok_and(|unit| unit.idr);
        let Some(writer) = self.rtc.writer(mid) else { return Ok(()) };
        writer.write(pt, now, time, data).map_err(|error| error.to_string())?;
        let after = self.started.elapsed();
        self.stats.send_modify(|stats| {
            stats.bytes = stats.bytes.saturating_add(bytes);
            if video {
                stats.frames_video += 1;
                stats.keyframes += u64::from(key);
                stats.first_frame_after.get_or_insert(after);
            } else {
                stats.frames_audio += 1;
            }
        });
        Ok(())
    }

    /// The answer's payload type for a codec; H.264 must be packetization-mode 1, since frames are fragmented.
    fn payload_type(&mut self, mid: Mid, codec: Codec) -> Option<Pt> {
        let writer = self.rtc.writer(mid)?;
        let mut fitting = writer.payload_params().filter(|params| {
            let spec = params.spec();
            spec.codec == codec && (codec != Codec::H264 || spec.format.packetization_mode == Some(1))
        });
        fitting.next().map(|params| params.pt())
    }

    /// Sends RTCP BYE and the DTLS alert, best effort.
    fn close(&mut self) {
        let closed = self.rtc.close().and_then(|()| self.drain().map(|_| ()));
        if let Err(error) = closed {
            tracing::debug!(%error, "goodbye not sent");
        }
    }
}
