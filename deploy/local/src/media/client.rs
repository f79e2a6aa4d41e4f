//! Starting a session and holding it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use reqwest::Url;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::{Candidate, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::session::{Media, Session};
use super::signal::{Endpoint, MediaError};
use super::source::Source;
use super::stats::{State, Stats};

/// Socket buffer asked of the kernel, bytes: a keyframe of a few hundred kilobytes must fit.
const SOCKET_BUFFER_BYTES: usize = 1024 * 1024;

/// What to publish, and where.
#[derive(Clone, Default)]
pub struct PublishOptions {
    /// WHIP endpoint.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Local address of the UDP socket; found from the URL when `None`.
    pub local_ip: Option<IpAddr>,
    /// Media goes there instead of to the answer's candidates: a load balancer between client and edges.
    pub via: Option<SocketAddr>,
    /// What is sent.
    pub source: Source,
}

/// What to play.
#[derive(Clone, Default)]
pub struct PlayOptions {
    /// WHEP endpoint.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Local address of the UDP socket; found from the URL when `None`.
    pub local_ip: Option<IpAddr>,
}

impl std::fmt::Debug for PublishOptions {
    /// Without the token, and without the URL, whose query may hold another.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishOptions").field("source", &self.source).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PlayOptions {
    /// Without the token, and without the URL, whose query may hold another.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlayOptions").field("local_ip", &self.local_ip).finish_non_exhaustive()
    }
}

/// A running session. Dropping it ends the media but does not DELETE: call [`SessionHandle::stop`].
pub struct SessionHandle {
    endpoint: Endpoint,
    session: Url,
    edge: Option<String>,
    stats: watch::Receiver<Stats>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<Option<String>>,
}

impl std::fmt::Debug for SessionHandle {
    /// Without the session URL, which is the right to end the session.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionHandle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Publishes: POSTs the offer and sends as soon as ICE and DTLS are up.
///
/// # Errors
/// See [`MediaError`]; `Refused` carries the server's own words.
pub async fn publish(options: PublishOptions) -> Result<SessionHandle, MediaError> {
    let PublishOptions { url, token, local_ip, via, source } = options;
    open(&url, token, (local_ip, via), Some(source)).await
}

/// Plays: POSTs the offer and counts what comes.
///
/// # Errors
/// See [`MediaError`]; a stream nobody publishes is 409 with `retry_after` behind a gateway.
pub async fn play(options: PlayOptions) -> Result<SessionHandle, MediaError> {
    let PlayOptions { url, token, local_ip } = options;
    open(&url, token, (local_ip, None), None).await
}

async fn open(
    url: &str,
    token: Option<String>,
    (local_ip, via): (Option<IpAddr>, Option<SocketAddr>),
    source: Option<Source>,
) -> Result<SessionHandle, MediaError> {
    let started = Instant::now();
    let url = Url::parse(url).map_err(|_| MediaError::Url(url.into()))?;
    let endpoint = Endpoint::new(token)?;
    let socket = socket(local_ip, &url).await?;
    let local = socket.local_addr()?;
    let mut rtc = Rtc::builder().clear_codecs().enable_opus(true, false).enable_h264(true).build(started);
    let candidate = Candidate::host(local, "udp").map_err(|error| MediaError::Answer(error.to_string()))?;
    rtc.add_local_candidate(candidate);
    let direction = if source.is_some() { Direction::SendOnly } else { Direction::RecvOnly };
    let mut changes = rtc.sdp_api();
    let audio = changes.add_media(MediaKind::Audio, direction, Some("keystone".into()), Some("audio".into()), None);
    let video = changes.add_media(MediaKind::Video, direction, Some("keystone".into()), Some("video".into()), None);
    let (offer, pending) = changes.apply().ok_or_else(|| MediaError::Answer("no offer".into()))?;
    let answer = endpoint.offer(&url, offer.to_sdp_string()).await?;
    let sdp = via.map_or_else(|| answer.sdp.clone(), |via| redirected(&answer.sdp, via));
    let accepted = SdpAnswer::from_sdp_string(&sdp)
        .map_err(|error| MediaError::Answer(error.to_string()))
        .and_then(|sdp| Ok(rtc.sdp_api().accept_answer(pending, sdp)?));
    if let Err(error) = accepted {
        // The server holds a session by now; the answer being unusable is what is reported.
        drop(endpoint.delete(&answer.session).await);
        return Err(error);
    }
    let (tx, stats) = watch::channel(Stats::default());
    let cancel = CancellationToken::new();
    let session = Session::new(rtc, socket, local, Media { audio, video, keyframe_asked: None }, source, tx, started);
    let task = tokio::spawn(session.run(cancel.clone()));
    Ok(SessionHandle { endpoint, session: answer.session, edge: answer.edge, stats, cancel, task })
}

/// The answer with one candidate only.
fn redirected(sdp: &str, via: SocketAddr) -> String {
    let kept = sdp.lines().filter(|line| !line.starts_with("a=candidate:"));
    let lines = kept.map(|line| match line.strip_prefix("a=end-of-candidates") {
        Some(_) => {
            let (ip, port) = (via.ip(), via.port());
            format!("a=candidate:0 1 udp 2130706431 {ip} {port} typ host\r\n{line}\r\n")
        }
        None => format!("{line}\r\n"),
    });
    lines.collect()
}

/// A UDP socket on an address from which the server of `url` can be reached.
async fn socket(local_ip: Option<IpAddr>, url: &Url) -> Result<UdpSocket, MediaError> {
    let ip = match local_ip {
        Some(ip) => ip,
        None => route(url).await?,
    };
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await?;
    let raw = socket2::SockRef::from(&socket);
    raw.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    raw.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    Ok(socket)
}

/// Asks the kernel which local address it would use; sends nothing.
async fn route(url: &Url) -> Result<IpAddr, MediaError> {
    let host = url.host_str().ok_or_else(|| MediaError::Url(url.to_string()))?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let remote = tokio::net::lookup_host((host, port)).await?.next();
    let remote = remote.ok_or_else(|| MediaError::Url(url.to_string()))?;
    let any = if remote.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { "::".parse().expect("a literal") };
    let probe = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    probe.connect(remote).await?;
    Ok(probe.local_addr()?.ip())
}

impl SessionHandle {
    /// Counters now.
    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    /// The session's own URL, from `Location`.
    pub fn session_url(&self) -> &str {
        self.session.as_str()
    }

    /// The edge that answered the POST, from `X-Keystone-Edge`; `None` when a media node answered itself.
    pub fn edge(&self) -> Option<&str> {
        self.edge.as_deref()
    }

    /// Follows the counters; the channel closes when the session ended.
    pub fn watch(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Waits until `reached` holds.
    ///
    /// # Errors
    /// `Timeout`: it did not within `limit`. `Ended`: the session ended first.
    pub async fn until(&self, limit: Duration, reached: impl FnMut(&Stats) -> bool) -> Result<Stats, MediaError> {
        let mut stats = self.stats.clone();
        match tokio::time::timeout(limit, stats.wait_for(reached)).await {
            Ok(Ok(stats)) => Ok(*stats),
            Ok(Err(_)) => Err(MediaError::Ended(self.stats().state.as_str())),
            Err(_) => Err(MediaError::Timeout { limit, stats: self.stats() }),
        }
    }

    /// Waits for ICE and DTLS.
    ///
    /// # Errors
    /// As [`SessionHandle::until`].
    pub async fn connected(&self, limit: Duration) -> Result<Stats, MediaError> {
        self.until(limit, |stats| stats.state == State::Connected).await
    }

    /// Waits until the session ended by itself and says why, where that is known.
    pub async fn ended(&mut self) -> Option<String> {
        (&mut self.task).await.ok().flatten()
    }

    /// DELETEs the session, says goodbye over DTLS and returns the last counters.
    ///
    /// # Errors
    /// The DELETE was refused or unanswered; the media has stopped all the same.
    pub async fn stop(self) -> Result<Stats, MediaError> {
        let deleted = self.endpoint.delete(&self.session).await;
        self.cancel.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "media session task failed");
        }
        deleted?;
        Ok(*self.stats.borrow())
    }

    /// Ends at once without DELETE, as a client does that lost its power.
    pub fn abandon(self) {
        self.task.abort();
    }
}
