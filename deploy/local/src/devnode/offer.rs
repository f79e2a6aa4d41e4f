//! Which offers SRS 5 takes, and the shape its answers have.
//!
//! Source: SRS 5.0.216 `srs_app_rtc_api.cpp`, `srs_app_rtc_conn.cpp`; answers captured from it.

/// Longest offer read, bytes; a browser's has about 7,000.
pub(crate) const OFFER_BYTES_MAX: usize = 128 * 1024;

/// Who sends the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Publish,
    Play,
}

/// Why an offer is not taken; SRS tells nobody, it goes to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OfferError {
    #[error("no BUNDLE group")]
    NoBundle,
    #[error("an m-line without rtcp-mux, or neither audio nor video")]
    BadMedia,
    #[error("direction does not fit the role")]
    Direction,
    #[error("no H264 with packetization-mode=1 and level-asymmetry-allowed=1")]
    NoH264,
    #[error("no Opus")]
    NoOpus,
    #[error("no ice-ufrag")]
    NoUfrag,
}

/// Checks an offer by SRS's rules and gives the client's ICE ufrag.
pub(crate) fn check(sdp: &str, role: Role) -> Result<&str, OfferError> {
    if !sdp.lines().any(|line| line.starts_with("a=group:BUNDLE")) {
        return Err(OfferError::NoBundle);
    }
    let wrong = if role == Role::Publish { "a=recvonly" } else { "a=sendonly" };
    for section in sdp.split("\nm=").skip(1) {
        let kind = section.split(' ').next().unwrap_or_default();
        if !section.lines().any(|line| line == "a=rtcp-mux") || !matches!(kind, "audio" | "video") {
            return Err(OfferError::BadMedia);
        }
        if section.lines().any(|line| line == wrong) {
            return Err(OfferError::Direction);
        }
        if kind == "video" && !h264(section) {
            return Err(OfferError::NoH264);
        }
        if kind == "audio" && !section.lines().any(|line| line.to_ascii_lowercase().contains(" opus/48000")) {
            return Err(OfferError::NoOpus);
        }
    }
    sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).ok_or(OfferError::NoUfrag)
}

/// True when some payload type is H.264 in the form SRS needs.
fn h264(section: &str) -> bool {
    let fits = |fmtp: &str| fmtp.contains("packetization-mode=1") && fmtp.contains("level-asymmetry-allowed=1");
    section.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")).any(|map| {
        let Some((payload_type, codec)) = map.split_once(' ') else { return false };
        let prefix = format!("a=fmtp:{payload_type} ");
        codec.starts_with("H264/") && section.lines().any(|line| line.starts_with(&prefix) && fits(line))
    })
}

/// The offer as str0m must see it so that the answer is DTLS-passive, like SRS's.
pub(crate) fn make_client_active(sdp: &str) -> String {
    sdp.replace("a=setup:actpass", "a=setup:active")
}

/// Puts the candidates into every m-line, in order, and only those.
pub(crate) fn with_candidates(sdp: &str, candidates: &[std::net::SocketAddr]) -> String {
    let mut lines = String::new();
    for (foundation, candidate) in candidates.iter().enumerate() {
        let (ip, port) = (candidate.ip(), candidate.port());
        lines.push_str(&format!("a=candidate:{foundation} 1 udp 2130706431 {ip} {port} typ host generation 0\r\n"));
    }
    let mut out = String::with_capacity(sdp.len() + 4 * lines.len());
    let mut in_media = false;
    for line in sdp.lines().filter(|line| !line.starts_with("a=candidate:") && *line != "a=end-of-candidates") {
        if line.starts_with("m=") {
            if in_media {
                out.push_str(&lines);
            }
            in_media = true;
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    if in_media {
        out.push_str(&lines);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(direction: &str, fmtp: &str) -> String {
        format!(
            "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abcd\r\na=rtcp-mux\r\n\
             a={direction}\r\na=rtpmap:111 opus/48000/2\r\nm=video 9 UDP/TLS/RTP/SAVPF 108\r\na=rtcp-mux\r\n\
             a={direction}\r\na=rtpmap:108 H264/90000\r\na=fmtp:108 {fmtp}\r\n"
        )
    }

    const GOOD: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";

    #[test]
    fn takes_what_srs_takes() {
        assert_eq!(check(&offer("sendonly", GOOD), Role::Publish), Ok("abcd"));
        assert_eq!(check(&offer("recvonly", GOOD), Role::Play), Ok("abcd"));
        assert_eq!(check(&offer("recvonly", GOOD), Role::Publish), Err(OfferError::Direction));
        assert_eq!(check(&offer("sendonly", GOOD), Role::Play), Err(OfferError::Direction));
        assert_eq!(check(&offer("sendonly", "packetization-mode=0"), Role::Publish), Err(OfferError::NoH264));
        assert_eq!(check("", Role::Publish), Err(OfferError::NoBundle));
        let data = offer("sendonly", GOOD).replace("m=audio", "m=application");
        assert_eq!(check(&data, Role::Publish), Err(OfferError::BadMedia));
        let no_mux = offer("sendonly", GOOD).replacen("a=rtcp-mux\r\n", "", 1);
        assert_eq!(check(&no_mux, Role::Publish), Err(OfferError::BadMedia));
    }

    #[test]
    fn every_m_line_gets_the_candidates_and_no_others() {
        let answer = "v=0\r\nm=audio 9 x\r\na=candidate:9 1 udp 1 10.0.0.1 1 typ host\r\nm=video 9 x\r\na=mid:1\r\n";
        let shaped = with_candidates(answer, &["192.0.2.1:8000".parse().unwrap(), "127.0.0.1:9".parse().unwrap()]);
        assert_eq!(shaped.matches("192.0.2.1 8000 typ host").count(), 2);
        assert_eq!(shaped.matches("a=candidate:").count(), 4);
        assert!(!shaped.contains("10.0.0.1") && shaped.starts_with("v=0\r\nm=audio"));
    }
}
